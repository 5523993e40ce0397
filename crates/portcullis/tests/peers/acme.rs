//! The ACME server: Let's Encrypt's Pebble, with a DNS server that says of every name that it is here.

use crate::harness::{Authority, Gateway, Upstream, free_port, wait_for};
use crate::peer::directory;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};
use serde_json::{Value, json};
use std::fs::{read_dir, write};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const NAME: &str = "gate.example.test";
/// For so many seconds a certificate holds: the next one comes after two thirds.
const VALID: u64 = 45;

struct Pebble {
    directory: TempDir,
    authority: Authority,
    children: Vec<Child>,
    port: u16,
    management: u16,
}

/// A program of Debian's.
fn program(name: &str) -> Command {
    let mut command = Command::new(directory().join("debian/usr/bin").join(name));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Pebble {
    /// Looks for every name at this address of loopback, and at this port.
    fn start(address: &str, port: u16) -> Self {
        Self::start_with(address, port, &json!({}))
    }

    /// The same for those only who have one of these accounts outside.
    fn start_bound(address: &str, port: u16, keys: &Value) -> Self {
        let bound = json!({
            "externalAccountBindingRequired": true,
            "externalAccountMACKeys": keys,
        });
        Self::start_with(address, port, &bound)
    }

    fn start_with(address: &str, port: u16, more: &Value) -> Self {
        assert!(directory().exists());
        let (own, management, dns, told) = (free_port(), free_port(), free_port(), free_port());
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new("of the server itself");
        let identity = authority.certify();
        let path = |name: &str| directory.path().join(name).display().to_string();
        write(path("ca.pem"), authority.pem()).unwrap();
        write(path("cert.pem"), identity.chain_pem()).unwrap();
        write(path("key.pem"), identity.key_pem()).unwrap();
        let mut config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{own}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "tlsPort": port,
            "httpPort": 9,
            "certificateValidityPeriod": VALID,
        } });
        for (key, value) in more.as_object().unwrap() {
            config["pebble"][key] = value.clone();
        }
        write(path("pebble.json"), config.to_string()).unwrap();
        let names = program("pebble-challtestsrv")
            .args([
                "-defaultIPv6",
                "",
                "-defaultIPv4",
                address,
                "-http01",
                "",
                "-https01",
                "",
            ])
            .args(["-tlsalpn01", "", "-dns01", &format!("127.0.0.1:{dns}")])
            .args(["-management", &format!("127.0.0.1:{told}")])
            .spawn();
        let server = program("pebble")
            .args([
                "-config",
                &path("pebble.json"),
                "-dnsserver",
                &format!("127.0.0.1:{dns}"),
            ])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .spawn();
        let pebble = Self {
            directory,
            authority,
            children: vec![names.unwrap(), server.unwrap()],
            port: own,
            management,
        };
        for port in [own, management, dns] {
            wait_for("Pebble", || TcpStream::connect(("127.0.0.1", port)).ok());
        }
        pebble
    }

    fn config(&self, upstream: &Upstream) -> String {
        let ca = self.directory.path().join("ca.pem");
        format!(
            "public_url = \"https://{NAME}\"\n[gateway.tls.acme]\ndirectory = \"https://127.0.0.1:{}/dir\"\nterms_agreed = true\n\
             contact = [\"ops@example.com\"]\nca = \"{}\"\n[issuers.local]\nembedded = true\n\
             [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
            self.port,
            ca.display(),
            upstream.url()
        )
    }

    /// The root of what it issues.
    fn root(&self) -> CertificateDer<'static> {
        let own = CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], self.management));
        let mut stream = shake(own, (to, "127.0.0.1"), &[]).expect("Pebble shows a certificate");
        let host = format!("127.0.0.1:{}", self.management);
        write!(
            stream,
            "GET /roots/0 HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer));
        CertificateDer::from_pem_slice(answer.as_bytes()).unwrap()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A connection of a client that trusts this root and no other; none if there is no handshake.
fn shake(
    root: CertificateDer<'static>,
    (to, name): (SocketAddr, &str),
    protocols: &[&str],
) -> Option<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(to).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).ok()?;
    }
    Some(StreamOwned::new(connection, stream))
}

/// What the gateway shows now, and says to somebody without a token.
fn ask(gateway: &Gateway, root: &CertificateDer<'static>) -> Option<(Vec<u8>, String)> {
    let mut stream = shake(root.clone(), (gateway.address, NAME), &["http/1.1"])?;
    let shown = stream.conn.peer_certificates().unwrap()[0].to_vec();
    write!(stream, "POST /servers/notes/mcp HTTP/1.1\r\nhost: {NAME}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer));
    Some((shown, answer))
}

#[test]
fn rec_03_gets_and_renews_its_certificate_from_an_acme_server() {
    let upstream = Upstream::start();
    // The gateway's port has to be known first.
    let listen = free_port();
    let pebble = Pebble::start("127.0.0.1", listen);
    let mut gateway = Gateway::start_at(listen, &pebble.config(&upstream));
    let record = gateway.expect("tls.certificate_renewed", None);
    assert_eq!(record["detail"]["names"], NAME, "{record}");
    let root = pebble.root();
    let (first, answer) = ask(&gateway, &root).expect("a certificate of Pebble's");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

    // The account's key and the certificate's are the owner's alone.
    let kept = gateway.data().join("acme");
    let modes = read_dir(&kept)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap());
    let modes: Vec<u32> = modes
        .map(|entry| entry.permissions().mode() & 0o777)
        .collect();
    assert_eq!(modes, [0o600, 0o600]);

    // Nobody is being looked at: who asks for a proof gets none, and nothing else either.
    for name in [NAME, "other.example.test"] {
        assert!(shake(root.clone(), (gateway.address, name), &["acme-tls/1"]).is_none());
    }
    gateway.expect("tls.rejected", Some("handshake"));

    // After two thirds of its time there is another, and after a restart it is shown at once.
    wait_for("a second certificate", || {
        let (second, _) = ask(&gateway, &root)?;
        (second != first).then_some(())
    });
    assert_eq!(
        gateway.records("tls.renewal_failed", None),
        Vec::<Value>::new()
    );
    gateway.restart();
    let (third, answer) = ask(&gateway, &root).expect("a certificate from the start");
    assert!(
        third != first && answer.starts_with("HTTP/1.1 401"),
        "{answer}"
    );
}

#[test]
fn rec_03_shows_no_certificate_where_the_acme_server_does_not_believe_the_name() {
    let upstream = Upstream::start();
    // The name leads to somebody else.
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let pebble = Pebble::start("127.0.0.1", stranger.local_addr().unwrap().port());
    drop(stranger);
    let gateway = Gateway::start(&pebble.config(&upstream));
    let record = gateway.expect("tls.renewal_failed", Some("not_believed"));
    assert_eq!(record["detail"]["acme"], "127.0.0.1", "{record}");
    assert!(ask(&gateway, &pebble.root()).is_none());
    let said = gateway.stderr();
    assert!(
        said.contains(NAME) && said.contains("urn:ietf:params:acme:error"),
        "{said}"
    );
}

#[test]
fn rec_03_binds_its_account_to_one_outside() {
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    const OTHER: &str = "b10lLJs8l1GPIzsLP0s6pMt8O0XVGnfTaCeROxQM0BIt2XrJMDHJZBM5NuQmQJQH";
    let upstream = Upstream::start();
    let listen = free_port();
    let pebble = Pebble::start_bound("127.0.0.1", listen, &json!({ "kid-1": KEY }));
    // Whoever has no account there, or not its key, gets nothing.
    let bind = |key: &str| {
        let file = pebble.directory.path().join("eab");
        write(&file, format!("{key}\n")).unwrap();
        let bound = format!(
            "[gateway.tls.acme.external_account]\nid = \"kid-1\"\nkey = {{ file = '{}' }}\n",
            file.display()
        );
        pebble
            .config(&upstream)
            .replace("[issuers.local]", &format!("{bound}[issuers.local]"))
    };
    for config in [pebble.config(&upstream), bind(OTHER)] {
        let gateway = Gateway::start_at(listen, &config);
        let record = gateway.expect("tls.renewal_failed", Some("refused"));
        assert_eq!(record["detail"]["acme"], "127.0.0.1", "{record}");
        assert!(!gateway.traces().contains(OTHER));
    }
    let gateway = Gateway::start_at(listen, &bind(KEY));
    gateway.expect("tls.certificate_renewed", None);
    let (_, answer) = ask(&gateway, &pebble.root()).expect("a certificate of Pebble's");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    // The key is in nothing that is written or said.
    assert!(!gateway.traces().contains(KEY));
    for entry in read_dir(gateway.data().join("acme")).unwrap() {
        let kept = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!kept.contains(KEY));
    }
}
