//! Connections that are older than TLS 1.3, or none at all.

use crate::harness::{Gateway, Scene, Upstream, call, raw, wait_for};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls");

/// The first byte of a record that is an alert, and of one that carries a handshake.
const ALERT: u8 = 0x15;
const HANDSHAKE: u8 = 0x16;
/// `supported_versions` (RFC 8446 section 4.2.1) of a client that speaks TLS 1.3 and nothing else.
const ONLY_1_3: [u8; 7] = [0, 0x2b, 0, 3, 2, 3, 4];

/// What a client that knows no more than TLS 1.2 says first.
fn hello_1_2() -> Vec<u8> {
    let suites = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9];
    let groups = [0, 0x0a, 0, 6, 0, 4, 0, 0x1d, 0, 0x17];
    let signatures = [0, 0x0d, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1];
    let points = [0, 0x0b, 0, 2, 1, 0];
    let secret = [0, 0x17, 0, 0];
    let extensions = [&groups[..], &signatures, &points, &secret].concat();
    let hello = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &short(suites.len()),
        &suites,
        &[1, 0],
        &short(extensions.len()),
        &extensions,
    ]
    .concat();
    let handshake = [&[1, 0][..], &short(hello.len()), &hello].concat();
    [&[HANDSHAKE, 3, 1][..], &short(handshake.len()), &handshake].concat()
}

fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    stream
}

/// One request over TLS 1.3.
fn over_tls(to: SocketAddr, request: &[u8]) -> String {
    trusting("cert.pem", to, request).expect("a certificate that is trusted")
}

/// The same, by a client that trusts this certificate and no other; none if it does not go on.
fn trusting(certificate: &str, to: SocketAddr, request: &[u8]) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(format!("{DIRECTORY}/{certificate}")).unwrap())
        .unwrap();
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = StreamOwned::new(
        ClientConnection::new(Arc::new(config), name).unwrap(),
        connect(to),
    );
    stream.write_all(request).ok()?;
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer)); // a server may end without a last word
    Some(answer)
}

#[test]
fn tok_13_speaks_tls_1_3_to_clients_and_nothing_older() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        "[gateway.tls]\ncertificate = \"{DIRECTORY}/cert.pem\"\nkey = \"{DIRECTORY}/key.pem\"\n[issuers.local]\nembedded = true\n\
         [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    ));
    let token = gateway.token("notes");

    let mut old = connect(gateway.address);
    old.write_all(&hello_1_2()).unwrap();
    let mut said = Vec::new();
    old.read_to_end(&mut said).unwrap();
    assert_eq!(said.first(), Some(&ALERT), "{said:?}");
    assert_eq!(said.last(), Some(&70), "protocol_version: {said:?}");

    let record = gateway.expect("tls.rejected", Some("version"));
    assert!(record["peer"].is_string(), "{record}");

    let plain = call("echo").token(&token);
    let answer = raw(gateway.address, &plain.bytes(gateway.address, "0", ""));
    assert_eq!(answer.status, 0, "an answer without TLS: {answer:?}");
    assert_eq!(upstream.requests().len(), 0);

    let answer = over_tls(
        gateway.address,
        &plain.bytes(gateway.address, "0", "connection: close\r\n"),
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(upstream.requests().len(), 1);
    let answer = over_tls(
        gateway.address,
        &call("echo").bytes(gateway.address, "0", "connection: close\r\n"),
    );
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("resource_metadata=\"https://"), "{answer}");
}

#[test]
fn tok_13_speaks_tls_1_3_to_upstreams_and_nothing_older() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/mcp", listener.local_addr().unwrap());
    let scene = Scene::and(&format!(
        "[servers.old]\nurl = \"{url}\"\nca = \"{DIRECTORY}/cert.pem\"\nallow = [\"*\"]\n"
    ));
    let old = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = vec![0; 16 * 1024];
        let length = stream.read(&mut hello).unwrap();
        hello.truncate(length);
        // An answer that knows no more than TLS 1.2.
        let answer = [
            &[2, 0][..],
            &short(38),
            &[3, 3],
            &[7; 32],
            &[0, 0xc0, 0x2f, 0],
        ]
        .concat();
        stream
            .write_all(&[&[HANDSHAKE, 3, 3][..], &short(answer.len()), &answer].concat())
            .unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        (hello, rest)
    });
    let audience = scene.gateway.url("old");
    let response = scene.send(
        &call("echo")
            .to("/servers/old/mcp")
            .token(&scene.idp.draft("alice", &audience).sign()),
    );
    assert_eq!(response.status, 502, "{response:?}");
    assert_eq!(scene.gateway.record_of(&response)["reason"], "unreachable");
    let record = scene.gateway.expect("tls.rejected", Some("version"));
    assert_eq!(record["server"], "old", "{record}");
    let (hello, rest) = old.join().unwrap();
    assert!(
        hello
            .windows(ONLY_1_3.len())
            .any(|window| window == ONLY_1_3),
        "the gateway offers older versions"
    );
    assert_eq!(rest.first(), Some(&ALERT), "{rest:?}");
    scene.permits(&call("echo").token(&scene.token("alice")));
}

#[test]
fn tok_13_does_not_speak_plainly_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("portcullis.toml");
    let rows = [
        "[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"http://upstream.example/mcp\"\n",
        "[issuers.idp]\nissuer = \"http://idp.example\"\n[servers.notes]\nurl = \"http://127.0.0.1:9/mcp\"\n",
        "[issuers.idp]\nissuer = \"https://idp.example\"\njwks_uri = \"http://idp.example/jwks\"\n[servers.notes]\nurl = \"http://127.0.0.1:9/mcp\"\n",
    ];
    for config in rows {
        std::fs::write(&file, config).unwrap();
        let ended = crate::harness::portcullis(&["serve", "--config", file.to_str().unwrap()]);
        assert_eq!(ended.status.code(), Some(1), "{config}");
        assert!(
            String::from_utf8_lossy(&ended.stderr).contains("only allowed on loopback"),
            "{ended:?}"
        );
    }
}

#[test]
fn tok_13_shows_a_renewed_certificate_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let put = |name: &str, text: &[u8]| std::fs::write(directory.path().join(name), text).unwrap();
    let pem = |name: &str| std::fs::read(format!("{DIRECTORY}/{name}")).unwrap();
    put("cert.pem", &pem("cert.pem"));
    put("key.pem", &pem("key.pem"));
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        "[gateway.tls]\ncertificate = \"{path}/cert.pem\"\nkey = \"{path}/key.pem\"\n[issuers.local]\nembedded = true\n\
         [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    ));
    let request = call("echo").token(&gateway.token("notes"));
    let bytes = request.bytes(gateway.address, "0", "connection: close\r\n");
    let is_shown = |certificate: &str| {
        let answer = trusting(certificate, gateway.address, &bytes);
        answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    };
    assert!(is_shown("cert.pem") && !is_shown("other-cert.pem"));

    // Neither a broken certificate nor one of another key is shown.
    for (text, refused) in [(&b"no PEM"[..], 1), (&pem("other-cert.pem"), 2)] {
        put("cert.pem", text);
        wait_for("the refusal", || {
            let records = gateway.records("config.rejected", None);
            (records.len() == refused).then_some(())
        });
        assert!(is_shown("cert.pem") && !is_shown("other-cert.pem"));
    }
    put("key.pem", &pem("other-key.pem"));
    let record = gateway.expect("config.reloaded", None);
    assert_eq!(record["detail"]["certificate"], "replaced", "{record}");
    assert!(is_shown("other-cert.pem") && !is_shown("cert.pem"));
}
