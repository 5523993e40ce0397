//! Connections that are older than TLS 1.3, or none at all.

use crate::harness::{
    Authority, Front, Gateway, Idp, Request, Scene, Tap, Upstream, WITH_SESSIONS, call, initialize,
    portcullis, raw, wait_for,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
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
pub(super) fn over_tls(to: SocketAddr, request: &[u8]) -> String {
    trusting("cert.pem", to, request).expect("a certificate that is trusted")
}

/// The same, by a client that trusts this certificate and no other; none if it does not go on.
fn trusting(certificate: &str, to: SocketAddr, request: &[u8]) -> Option<String> {
    let mut stream = shaking(certificate, to);
    stream.write_all(request).ok()?;
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer)); // a server may end without a last word
    Some(answer)
}

/// The connection of such a client.
fn shaking(certificate: &str, to: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
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
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, connect(to))
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
        let ended = portcullis(&["serve", "--config", file.to_str().unwrap()]);
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

#[test]
fn trn_01_tells_clients_to_use_tls_and_sends_nobody_elsewhere() {
    let upstream = Upstream::start();
    let config = format!(
        "[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    );
    let tls = format!(
        "[gateway.tls]\ncertificate = \"{DIRECTORY}/cert.pem\"\nkey = \"{DIRECTORY}/key.pem\"\n"
    );
    let (open, secure) = (Gateway::start(&config), Gateway::start(&(tls + &config)));
    let get = |path: &str| Request::new("GET", path);
    let metadata = "/.well-known/oauth-protected-resource/servers/notes/mcp";
    for (request, status) in [
        (call("echo").token(&secure.token("notes")), 200),
        (call("echo"), 401),
        (get("/nowhere"), 404),
        (get(metadata), 200),
        (get("//elsewhere.example/"), 404),
    ] {
        let bytes = request.bytes(secure.address, "0", "connection: close\r\n");
        let answer = over_tls(secure.address, &bytes).to_ascii_lowercase();
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert!(
            head.contains("\r\nstrict-transport-security: max-age=63072000\r\n"),
            "{head}"
        );
        assert!(!head.contains("\r\nlocation:"), "{head}");
    }
    // RFC 6797 section 7.2: never over what is not secure.
    for (at, request) in [
        (open.address, call("echo").token(&open.token("notes"))),
        (open.address, get("/nowhere")),
        (secure.admin, get("/healthz")),
    ] {
        let answer = request.send(at);
        assert_ne!(answer.status, 0);
        assert!(
            answer.header("strict-transport-security").is_none(),
            "{answer:?}"
        );
        assert!(answer.header("location").is_none(), "{answer:?}");
    }
    // Without TLS there is neither an answer nor a hint where to send the token next.
    let plain = call("echo").token(&secure.token("notes"));
    let before = upstream.requests().len();
    let answer = raw(secure.address, &plain.bytes(secure.address, "0", ""));
    assert_eq!(answer.status, 0, "{answer:?}");
    assert!(answer.header("location").is_none());
    assert_eq!(upstream.requests().len(), before);
    secure.expect("tls.rejected", Some("not_tls"));
}

#[test]
fn trn_01_nothing_that_is_captured_on_the_way_holds_a_credential() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("trusted");
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let front = Front::start(&authority.certify(), upstream.address());
    let far = Tap::start(front.address());
    let gateway = Gateway::start_after(
        "export KEY=credential-of-the-upstream",
        &format!(
            "[gateway.tls]\ncertificate = \"{DIRECTORY}/cert.pem\"\nkey = \"{DIRECTORY}/key.pem\"\n\
             [issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"https://{}/mcp\"\nca = \"{}\"\n\
             headers.Authorization = \"Bearer ${{KEY}}\"\nallow = [\"*\"]\n",
            idp.issuer(),
            far.address(),
            ca.display()
        ),
    );
    let near = Tap::start(gateway.address);
    let audience = format!("https://{}/servers/notes/mcp", gateway.address);
    let token = idp.draft("alice", &audience).sign();
    let request = call("echo").token(&token);
    let bytes = request.bytes(gateway.address, "0", "connection: close\r\n");
    let answer = over_tls(near.address(), &bytes);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = upstream.requests().pop().unwrap();
    assert_eq!(
        seen.header("authorization"),
        Some("Bearer credential-of-the-upstream")
    );
    for (what, tap) in [("client", &near), ("upstream", &far)] {
        let captured = String::from_utf8_lossy(&tap.captured()).into_owned();
        assert!(captured.len() > 1000, "{what}: {}", captured.len());
        for secret in [
            token.as_str(),
            "credential-of-the-upstream",
            "Bearer",
            "alice",
        ] {
            assert!(!captured.contains(secret), "{what}: {secret}");
        }
    }
}

#[test]
fn trn_01_refuses_to_send_anything_in_clear_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("portcullis.toml");
    let path = file.to_str().unwrap();
    let issuer = |more: &str| {
        format!(
            "[issuers.idp]\nissuer = \"https://idp.example\"\n{more}\n[servers.notes]\nurl = \"http://127.0.0.1:9/mcp\"\n"
        )
    };
    let server =
        |url: &str| format!("[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{url}\"\n");
    let asked = "introspection = { client_id = \"gate\", client_secret = { env = \"PATH\" }, endpoint = \"http://idp.example/asked\" }";
    let public = "[gateway]\npublic_url = \"http://gate.example\"\n";
    for config in [
        server("http://upstream.example/mcp"),
        server("http://10.0.0.1/mcp"),
        server("http://localhost.example/mcp"),
        server("http://127.0.0.1.example/mcp"),
        server("http://[::2]/mcp"),
        server("http://0.0.0.0/mcp"),
        issuer("jwks_uri = \"http://idp.example/jwks\""),
        issuer(asked),
        public.to_owned() + &server("http://127.0.0.1:9/mcp"),
    ] {
        std::fs::write(&file, &config).unwrap();
        let ended = portcullis(&["serve", "--config", path]);
        assert_eq!(ended.status.code(), Some(1), "{config}");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains("only allowed on loopback"), "{config} {said}");
    }
    for config in [
        server("http://127.0.0.1:9/mcp"),
        server("http://[::1]:9/mcp"),
        issuer(""),
    ] {
        std::fs::write(&file, &config).unwrap();
        let checked = portcullis(&["check", path]);
        assert!(checked.status.success(), "{config} {checked:?}");
    }
}

#[test]
fn rec_03_renews_certificates_under_open_streams() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let put = |from: &str, to: &str| {
        std::fs::copy(format!("{DIRECTORY}/{from}"), directory.path().join(to)).unwrap();
    };
    put("cert.pem", "cert.pem");
    put("key.pem", "key.pem");
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        "[gateway.tls]\ncertificate = \"{path}/cert.pem\"\nkey = \"{path}/key.pem\"\n[issuers.local]\nembedded = true\n\
         [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    ));
    let token = gateway.token("notes");
    let bytes = initialize(&token).bytes(gateway.address, "0", "connection: close\r\n");
    let answer = over_tls(gateway.address, &bytes);
    let id = answer
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "));
    let listen = Request::new("GET", "/servers/notes/mcp")
        .token(&token)
        .set("accept", "text/event-stream")
        .set("mcp-session-id", id.expect("a session").trim())
        .set("mcp-protocol-version", WITH_SESSIONS);
    let mut stream = BufReader::new(shaking("cert.pem", gateway.address));
    let bytes = listen.bytes(gateway.address, "0", "");
    stream.get_mut().write_all(&bytes).unwrap();
    let mut until = |text: &str| {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(
                stream.read_line(&mut line).unwrap(),
                0,
                "the stream has ended"
            );
        }
    };
    until("text/event-stream");
    let call = call("echo").token(&token);
    let call = call.bytes(gateway.address, "0", "connection: close\r\n");
    for (round, (shown, hidden)) in [("other-", ""), ("", "other-")]
        .repeat(5)
        .into_iter()
        .enumerate()
    {
        put(&format!("{shown}cert.pem"), "cert.pem");
        put(&format!("{shown}key.pem"), "key.pem");
        wait_for("the new certificate", || {
            let answer = trusting(&format!("{shown}cert.pem"), gateway.address, &call)?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        });
        assert!(trusting(&format!("{hidden}cert.pem"), gateway.address, &call).is_none());
        let text = format!("round-{round}");
        assert!(upstream.notify("1", &text) > 0);
        until(&text);
    }
}
