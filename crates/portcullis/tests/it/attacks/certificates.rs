//! ATK-093: every certificate that must not be believed, of servers and of issuers, and those that we show.

use crate::harness::{
    Authority, Front, Gateway, Identity, Idp, Response, Scene, Upstream, call, elsewhere, leaf,
    now, raw, wait_for,
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use std::fs::{read_to_string, write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls");

fn file(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    write(&path, text).unwrap();
    path.display().to_string()
}

fn ask(scene: &Scene, server: &str) -> Response {
    let token = scene.idp.draft("alice", &scene.gateway.url(server)).sign();
    let request = call("echo").to(&format!("/servers/{server}/mcp"));
    scene.send(&request.token(&token))
}

/// One peer: what it shows, the keys of the configuration, and why that is refused; none if it is not.
struct Row {
    name: &'static str,
    front: Front,
    keys: String,
    refused: Option<&'static str>,
}

fn between(from: i32, until: i32) -> CertificateParams {
    let mut params = leaf();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

/// A pair that was made with OpenSSL.
fn made(name: &str, to: SocketAddr) -> Front {
    let chain = CertificateDer::from_pem_file(format!("{DIRECTORY}/{name}-cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{DIRECTORY}/{name}-key.pem")).unwrap();
    Front::showing(vec![chain], key, to)
}

/// Every kind, before a plain server.
fn rows(directory: &TempDir, to: SocketAddr) -> Vec<Row> {
    let (authority, stranger) = (Authority::new("known"), Authority::new("stranger"));
    let below = authority.below("below");
    let ca = file(directory, "ca.pem", &authority.pem());
    let ca = format!("ca = \"{ca}\"\n");
    let as_key = |params| authority.certify_as(params, KeyPair::generate().unwrap());
    let (good, revoked) = (authority.certify(), authority.certify());
    let list = |name: &str, text: &str| {
        let list = file(directory, name, text);
        format!("{ca}crl = \"{list}\"\n")
    };
    let listed = list("crl.pem", &authority.revokes(&[&revoked], 2099));
    let late = list("late.pem", &authority.revokes(&[], 2022));
    let foreign = list("foreign.pem", &stranger.revokes(&[], 2099));
    let chain = authority.revokes(&[], 2099) + &below.revokes(&[], 2099);
    let chain = list("chain.pem", &chain);
    let row = |name, identity: &Identity, keys: &str, refused| Row {
        name,
        front: Front::start(identity, to),
        keys: keys.to_owned(),
        refused,
    };
    let made = |name: &'static str, refused| Row {
        name,
        front: made(name, to),
        keys: format!("ca = \"{DIRECTORY}/{name}-ca.pem\"\n"),
        refused,
    };
    let unknown = Some("unknown_issuer");
    let unlisted = Some("revocation_unknown");
    vec![
        row("good", &good, &ca, None),
        row("self", &Identity::self_signed(), &ca, unknown),
        row("stranger", &stranger.certify(), &ca, unknown),
        row("untold", &good, "", unknown),
        row(
            "expired",
            &as_key(between(2020, 2021)),
            &ca,
            Some("expired"),
        ),
        row(
            "early",
            &as_key(between(2098, 2099)),
            &ca,
            Some("not_valid_yet"),
        ),
        row("name", &as_key(elsewhere()), &ca, Some("name")),
        made("weak", Some("signature")),
        made("strong", None),
        row("revoked", &revoked, &listed, Some("revoked")),
        row("listed", &good, &listed, None),
        row("late", &good, &late, unlisted),
        row("foreign", &good, &foreign, unlisted),
        row("half", &below.certify(), &listed, unlisted),
        row("chain", &below.certify(), &chain, None),
    ]
}

#[test]
fn lp_07_asks_no_server_whose_certificate_cannot_be_believed() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = Upstream::start();
    let rows = rows(&directory, upstream.address());
    let table = |row: &Row| {
        let (name, url, keys) = (row.name, row.front.url(), &row.keys);
        format!("[servers.{name}]\nurl = \"{url}/mcp\"\n{keys}allow = [\"*\"]\n")
    };
    let scene = Scene::and(&rows.iter().map(table).collect::<String>());
    for row in &rows {
        let name = row.name;
        let before = upstream.requests().len();
        let response = ask(&scene, name);
        let Some(reason) = row.refused else {
            assert_eq!(response.status, 200, "{name} {response:?}");
            continue;
        };
        assert_eq!(response.status, 502, "{name} {response:?}");
        assert_eq!(
            scene.gateway.record_of(&response)["event"],
            "upstream.failed"
        );
        assert_eq!(upstream.requests().len(), before, "{name} was asked");
        let record = wait_for(name, || {
            let mut records = scene.gateway.records("tls.rejected", None);
            records.retain(|record| record["server"] == name);
            records.pop()
        });
        assert_eq!(record["reason"], reason, "{name} {record}");
    }
}

#[test]
fn lp_07_takes_no_keys_of_an_issuer_whose_certificate_cannot_be_believed() {
    let directory = tempfile::tempdir().unwrap();
    let idp = Idp::start();
    let rows = rows(&directory, idp.address());
    let table = |row: &Row| {
        let (name, url, keys) = (row.name, row.front.url(), &row.keys);
        format!("[issuers.{name}]\nissuer = \"{url}\"\njwks_uri = \"{url}/jwks\"\n{keys}")
    };
    let tables: String = rows.iter().map(table).collect();
    let upstream = Upstream::start();
    let url = upstream.url();
    let server = format!("[servers.notes]\nurl = \"{url}\"\nallow = [\"*\"]\n");
    let gateway = Gateway::start_unready(&(tables + &server));
    for row in &rows {
        let (name, issuer) = (row.name, row.front.url());
        let of_issuer = |event: &str| {
            wait_for(name, || {
                let mut records = gateway.records(event, None);
                records.retain(|record| record["detail"]["issuer"] == issuer.as_str());
                records.pop()
            })
        };
        match row.refused {
            None => drop(of_issuer("jwks.refreshed")),
            Some(reason) => {
                of_issuer("jwks.refresh_failed");
                let record = of_issuer("tls.rejected");
                assert_eq!(record["reason"], reason, "{name} {record}");
            }
        }
        let token = idp.draft("alice", &gateway.url("notes"));
        let token = token.claim("iss", json!(issuer)).sign();
        let before = upstream.requests().len();
        let response = call("echo").token(&token).send(gateway.address);
        let expected = if row.refused.is_some() { 401 } else { 200 };
        assert_eq!(response.status, expected, "{name} {response:?}");
        let seen = upstream.requests().len() - before;
        assert_eq!(seen, usize::from(row.refused.is_none()), "{name}");
    }
}

#[test]
fn lp_07_a_certificate_that_is_revoked_later_is_refused_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("known");
    let ca = file(&directory, "ca.pem", &authority.pem());
    let identity = authority.certify();
    let crl = file(&directory, "crl.pem", &authority.revokes(&[], 2099));
    let upstream = Upstream::start();
    let front = Front::start(&identity, upstream.address());
    let scene = Scene::and(&format!(
        "[servers.far]\nurl = \"{}/mcp\"\nca = \"{ca}\"\ncrl = \"{crl}\"\nallow = [\"*\"]\n",
        front.url()
    ));
    assert_eq!(ask(&scene, "far").status, 200);
    write(&crl, authority.revokes(&[&identity], 2099)).unwrap();
    scene.gateway.expect("config.reloaded", None);
    // The connection of before is not used again either.
    assert_eq!(ask(&scene, "far").status, 502);
    let record = scene.gateway.expect("tls.rejected", Some("revoked"));
    assert_eq!(record["server"], "far", "{record}");
}

#[test]
fn tok_13_shows_its_own_certificate_to_servers_that_ask_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, clients) = (Authority::new("known"), Authority::new("clients"));
    let ca = file(&directory, "ca.pem", &authority.pem());
    let (own, wrong) = (clients.certify(), Authority::new("other").certify());
    let upstream = Upstream::start();
    let front = Front::demanding(&authority.certify(), &clients, upstream.address());
    let certificate = file(&directory, "client.pem", &own.chain_pem());
    let secret = file(&directory, "client.key", &own.key_pem());
    let bad = file(&directory, "wrong.pem", &wrong.chain_pem());
    let bad_key = file(&directory, "wrong.key", &wrong.key_pem());
    let table = |name: &str, keys: &str| {
        format!(
            "[servers.{name}]\nurl = \"{}/mcp\"\nca = \"{ca}\"\nallow = [\"*\"]\n{keys}",
            front.url()
        )
    };
    let shown = |certificate: &str, key: &str| {
        format!("client_certificate = \"{certificate}\"\nclient_key = {{ file = \"{key}\" }}\n")
    };
    let scene = Scene::and(&format!(
        "{}{}{}",
        table("good", &shown(&certificate, &secret)),
        table("wrong", &shown(&bad, &bad_key)),
        table("none", "")
    ));
    assert_eq!(ask(&scene, "good").status, 200);
    for name in ["wrong", "none"] {
        let before = upstream.requests().len();
        let response = ask(&scene, name);
        assert_eq!(response.status, 502, "{name} {response:?}");
        assert_eq!(upstream.requests().len(), before, "{name}");
        let record = wait_for(name, || {
            let mut records = scene
                .gateway
                .records("tls.rejected", Some("own_certificate"));
            records.retain(|record| record["server"] == name);
            records.pop()
        });
        assert_eq!(record["server"], name);
    }

    // A key that does not fit replaces nothing; a whole pair is used at once.
    write(&bad_key, own.key_pem()).unwrap();
    scene.gateway.expect("config.rejected", None);
    assert_eq!(ask(&scene, "good").status, 200);
    assert_eq!(ask(&scene, "wrong").status, 502);
    write(&bad, own.chain_pem()).unwrap();
    scene.gateway.expect("config.reloaded", None);
    assert_eq!(ask(&scene, "wrong").status, 200);
    for text in [own.key_pem(), wrong.key_pem()] {
        let line = text.lines().nth(1).unwrap().to_owned();
        assert!(!scene.gateway.traces().contains(&line), "a key in the log");
    }
}

#[test]
fn rec_03_tells_ahead_that_certificates_and_lists_come_to_their_end() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("known");
    let until = |days: u64| {
        let second = i64::try_from(now() + days * 86_400).unwrap();
        let mut params = leaf();
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(second.unsigned_abs());
        authority.certify_as(params, KeyPair::generate().unwrap())
    };
    let (own, shown, fresh) = (until(5), until(3), until(20));
    let ca = file(&directory, "ca.pem", &authority.pem());
    let config = |name: &str, identity: &Identity| {
        let certificate = file(&directory, &format!("{name}.pem"), &identity.chain_pem());
        let key = file(&directory, &format!("{name}.key"), &identity.key_pem());
        (certificate, key)
    };
    let (certificate, key) = config("own", &own);
    let (client, client_key) = config("shown", &shown);
    let (later, later_key) = config("fresh", &fresh);
    let late = file(&directory, "late.pem", &authority.revokes(&[], 2022));
    let gateway = Gateway::start(&format!(
        "[gateway.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n[issuers.local]\nembedded = true\n\
         [servers.a]\nurl = \"https://127.0.0.1:9/mcp\"\nca = \"{ca}\"\ncrl = \"{late}\"\n\
         client_certificate = \"{client}\"\nclient_key = {{ file = \"{client_key}\" }}\n\
         [servers.b]\nurl = \"https://127.0.0.1:9/mcp\"\n\
         client_certificate = \"{later}\"\nclient_key = {{ file = \"{later_key}\" }}\n"
    ));
    for (event, reason, key) in [
        ("tls.expiring", "certificate", "gateway.tls.certificate"),
        (
            "tls.expiring",
            "client_certificate",
            "servers.a.client_certificate",
        ),
        ("tls.expired", "crl", "servers.a.crl"),
    ] {
        let record = gateway.expect(event, Some(reason));
        assert_eq!(record["detail"]["key"], key, "{record}");
        assert_eq!(gateway.records(event, Some(reason)).len(), 1, "{record}");
    }
    // A renewal in time is told no more.
    write(&certificate, fresh.chain_pem()).unwrap();
    write(&key, fresh.key_pem()).unwrap();
    let record = gateway.expect("config.reloaded", None);
    assert_eq!(record["detail"]["certificate"], "replaced", "{record}");
    let told = gateway.records("tls.expiring", Some("certificate"));
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn lp_07_records_who_shakes_no_hand_of_ours() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!(
        "[gateway.tls]\ncertificate = \"{DIRECTORY}/cert.pem\"\nkey = \"{DIRECTORY}/key.pem\"\n[issuers.local]\nembedded = true\n\
         [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    ));
    let plain = call("echo").token(&gateway.token("notes"));
    let answer = raw(gateway.address, &plain.bytes(gateway.address, "0", ""));
    assert_eq!(answer.status, 0, "{answer:?}");
    assert!(answer.header("location").is_none());
    let record = gateway.expect("tls.rejected", Some("not_tls"));
    assert!(
        record["peer"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{record}"
    );
    // A client that went away has done nothing.
    drop(std::net::TcpStream::connect(gateway.address).unwrap());
    assert_eq!(gateway.records("tls.rejected", None).len(), 1);
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn lp_07_has_no_switch_that_skips_a_verification() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let schema = read_to_string(source.join("../../../docs/portcullis.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let mut names = Vec::new();
    keys(&schema, &mut names);
    assert!(
        names.iter().any(|name| name == "crl"),
        "the schema is not read"
    );
    let suspicious = |text: &str| {
        let text = text.to_ascii_lowercase();
        [
            "insecure",
            "skip",
            "noverify",
            "no_verify",
            "no-verify",
            "trust_all",
            "accept_invalid",
            "allow_invalid",
            "self_signed",
        ]
        .iter()
        .any(|word| text.contains(word))
    };
    let found: Vec<&String> = names.iter().filter(|name| suspicious(name)).collect();
    assert!(found.is_empty(), "{found:?}");
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["wrap", "--help"],
        &["up", "--help"],
    ] {
        let told = crate::harness::portcullis(command);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(text.contains("Usage"), "{command:?} {text}");
        assert!(!suspicious(&text), "{command:?} {text}");
    }
    // Of the ways around the usual validation, the library has one, and the one use of it asks for more.
    let mut uses = Vec::new();
    sources(&source, &mut |path, text| {
        for word in [
            "dangerous()",
            "ServerCertVerified::assertion",
            "HandshakeSignatureValid::assertion",
        ] {
            uses.extend(
                (0..text.matches(word).count()).map(|_| (word.to_owned(), path.to_owned())),
            );
        }
    });
    let expected = ("dangerous()".to_owned(), "tls/client.rs".to_owned());
    assert_eq!(
        uses,
        [expected],
        "see that it still wraps the standard verifier"
    );
    let binary = std::fs::read(env!("CARGO_BIN_EXE_portcullis")).unwrap();
    for word in [
        "SSLKEYLOGFILE",
        "NODE_TLS_REJECT_UNAUTHORIZED",
        "danger_accept_invalid",
    ] {
        let is_there = binary
            .windows(word.len())
            .any(|window| window == word.as_bytes());
        assert!(!is_there, "{word} is in the binary");
    }
}

fn keys(schema: &serde_json::Value, names: &mut Vec<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        names.extend(properties.keys().cloned());
    }
    let inner = schema.as_object().into_iter().flat_map(|map| map.values());
    inner.for_each(|inner| keys(inner, names));
}

fn sources(directory: &Path, see: &mut impl FnMut(&str, &str)) {
    fn walk(top: &Path, directory: &Path, see: &mut impl FnMut(&str, &str)) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(top, &path, see);
            } else {
                let name = path.strip_prefix(top).unwrap().display().to_string();
                see(&name, &read_to_string(&path).unwrap());
            }
        }
    }
    walk(directory, directory, see);
}
