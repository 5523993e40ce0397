//! ATK-093: certificates of which their authority says that they are good no more, and what says so only as if.

use crate::harness::{
    Answer, Authority, Front, Gateway, Host, Identity, Idp, Said, Scene, Status, Upstream, call,
    leaf, now, portcullis, wait_for,
};
use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, KeyPair};
use serde_json::json;
use std::fs::write;
use tempfile::TempDir;

const DAY: u64 = 86_400;
/// `status_request`, as the extension of RFC 7633 has it.
const STAPLE: [u8; 5] = [0x30, 3, 2, 1, 5];

/// One server: what it shows, the keys of the configuration, and why that is refused; none if it is not.
struct Row {
    name: &'static str,
    front: Front,
    keys: String,
    refused: Option<&'static str>,
}

fn file(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    write(&path, text).unwrap();
    path.display().to_string()
}

fn with(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = leaf();
    change(&mut params);
    params
}

/// May sign what an authority says.
fn responder(authority: &Authority) -> Identity {
    let params = with(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    });
    authority.certify_as(params, KeyPair::generate().unwrap())
}

/// Counts only with a response.
fn stapled(authority: &Authority) -> Identity {
    let feature = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], STAPLE.to_vec());
    let params = with(|params| params.custom_extensions = vec![feature]);
    authority.certify_as(params, KeyPair::generate().unwrap())
}

fn good(of: &Identity) -> Said<'_> {
    Said {
        of,
        status: Status::Good,
        from: now() - DAY,
        until: Some(now() + DAY),
    }
}

fn rows(directory: &TempDir, upstream: &Upstream) -> Vec<Row> {
    let (authority, stranger) = (Authority::new("known"), Authority::new("stranger"));
    let below = authority.below("below");
    let (own, other, low) = (authority.certify(), authority.certify(), below.certify());
    let must = stapled(&authority);
    let ca = file(directory, "ca.pem", &authority.pem());
    let keys = |more: &str| format!("ca = \"{ca}\"\n{more}\n");
    let (checked, required) = (keys("ocsp = \"checked\""), keys("ocsp = \"required\""));
    let pin = format!(
        "pins = {{ keys = [{:?}, {:?}], expires = \"2099-01-01\" }}",
        own.pin(),
        other.pin()
    );
    let pinned = keys(&format!("ocsp = \"required\"\n{pin}"));
    let unknown = Some("revocation_unknown");
    let says = |said: Said<'_>| authority.says(&[said], None);
    let signed = |signer: &Identity| authority.says(&[good(&own)], Some(signer));
    let revoked = Said {
        status: Status::Revoked,
        ..good(&own)
    };
    let row = |name, identity: &Identity, response, keys: &String, refused| Row {
        name,
        front: Front::stapling(identity, response, upstream.address()),
        keys: keys.clone(),
        refused,
    };
    let of_own = |name, response, refused| row(name, &own, response, &checked, refused);
    let mut forged = says(revoked);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    vec![
        row("good", &own, says(good(&own)), &required, None),
        row("pinned", &own, says(good(&own)), &pinned, None),
        of_own("named", signed(&responder(&authority)), None),
        row(
            "low",
            &low,
            below.says(&[good(&low)], None),
            &required,
            None,
        ),
        row("must", &must, says(good(&must)), &checked, None),
        of_own("nothing", Vec::new(), None),
        row("untold", &own, says(revoked), &keys(""), None),
        of_own("revoked", says(revoked), Some("revoked")),
        row("both", &own, says(revoked), &pinned, Some("revoked")),
        of_own(
            "twice",
            authority.says(&[good(&own), revoked], None),
            Some("revoked"),
        ),
        row("silent", &own, Vec::new(), &required, unknown),
        row("broken", &must, Vec::new(), &checked, unknown),
        of_own(
            "unknown",
            says(Said {
                status: Status::Unknown,
                ..good(&own)
            }),
            unknown,
        ),
        of_own(
            "late",
            says(Said {
                until: Some(now() - 1),
                ..good(&own)
            }),
            unknown,
        ),
        of_own(
            "early",
            says(Said {
                from: now() + DAY,
                ..good(&own)
            }),
            unknown,
        ),
        of_own(
            "endless",
            says(Said {
                until: None,
                ..good(&own)
            }),
            unknown,
        ),
        of_own("other", says(good(&other)), unknown),
        of_own("itself", signed(&own), unknown),
        of_own("stranger", signed(&responder(&stranger)), unknown),
        of_own("foreign", stranger.says(&[good(&own)], None), unknown),
        row("above", &low, says(good(&low)), &checked, unknown),
        of_own("forged", forged, unknown),
        of_own("no-response", b"good".to_vec(), unknown),
    ]
}

#[test]
fn lp_07_asks_no_server_of_whose_certificate_its_authority_says_no_good() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = Upstream::start();
    let rows = rows(&directory, &upstream);
    let table = |row: &Row| {
        let (name, url, keys) = (row.name, row.front.url(), &row.keys);
        format!("[servers.{name}]\nurl = \"{url}/mcp\"\n{keys}allow = [\"*\"]\n")
    };
    let scene = Scene::and(&rows.iter().map(table).collect::<String>());
    for row in &rows {
        let name = row.name;
        let before = upstream.requests().len();
        let token = scene.idp.draft("alice", &scene.gateway.url(name)).sign();
        let request = call("echo").to(&format!("/servers/{name}/mcp"));
        let response = scene.send(&request.token(&token));
        let Some(reason) = row.refused else {
            assert_eq!(response.status, 200, "{name} {response:?}");
            continue;
        };
        assert_eq!(response.status, 502, "{name} {response:?}");
        let record = scene.gateway.record_of(&response);
        assert_eq!(record["event"], "upstream.failed", "{name}");
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
fn lp_07_takes_no_keys_of_an_issuer_whose_certificate_its_authority_has_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, idp, upstream) = (Authority::new("known"), Idp::start(), Upstream::start());
    let ca = file(&directory, "ca.pem", &authority.pem());
    let fronts = [Status::Good, Status::Revoked].map(|status| {
        let own = authority.certify();
        let said = Said {
            status,
            ..good(&own)
        };
        Front::stapling(&own, authority.says(&[said], None), idp.address())
    });
    let table = |(name, front): (&str, &Front)| {
        let url = front.url();
        format!(
            "[issuers.{name}]\nissuer = \"{url}\"\njwks_uri = \"{url}/jwks\"\nca = \"{ca}\"\nocsp = \"required\"\n"
        )
    };
    let tables: String = ["sound", "revoked"]
        .into_iter()
        .zip(&fronts)
        .map(table)
        .collect();
    let server = format!(
        "[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    );
    let gateway = Gateway::start_unready(&(tables + &server));
    let record = gateway.expect("tls.rejected", Some("revoked"));
    assert_eq!(
        record["detail"]["issuer"],
        json!(fronts[1].url()),
        "{record}"
    );
    for (front, status) in fronts.iter().zip([200, 401]) {
        wait_for("the keys of the other", || {
            gateway.records("jwks.refreshed", None).pop()
        });
        let token = idp.draft("alice", &gateway.url("notes"));
        let token = token.claim("iss", json!(front.url())).sign();
        let answer = call("echo").token(&token).send(gateway.address);
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

/// A front before this, whose authority says this of its certificate.
fn front(authority: &Authority, status: Status, to: std::net::SocketAddr) -> (Identity, Front) {
    let own = authority.certify();
    let said = Said {
        status,
        ..good(&own)
    };
    let response = authority.says(&[said], None);
    let front = Front::stapling(&own, response, to);
    (own, front)
}

#[test]
fn lp_07_asks_no_authorization_server_for_tokens_that_is_not_known_to_be_it() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, upstream) = (Authority::new("known"), Upstream::start());
    let ca = file(&directory, "ca.pem", &authority.pem());
    let granting = Host::start(|_| {
        let token = json!({ "access_token": "minted", "token_type": "Bearer", "expires_in": 60 });
        Answer::json(200, "", &token.to_string())
    });
    let at = |status| front(&authority, status, granting.address());
    let (own, sound) = at(Status::Good);
    let (_, revoked) = at(Status::Revoked);
    let (other, listed) = at(Status::Good);
    let crl = file(&directory, "crl.pem", &authority.revokes(&[&other], 2099));
    let pin = |key: &Identity| {
        let keys = [key.pin(), authority.below("reserve").pin()];
        format!("pins = {{ keys = {keys:?}, expires = \"2099-01-01\" }}")
    };
    let ocsp = "ocsp = \"required\"".to_owned();
    let rows = [
        ("sound", &sound, format!("{ocsp}\n{}", pin(&own)), None),
        (
            "revoked",
            &revoked,
            ocsp.clone(),
            Some(("tls.rejected", "revoked")),
        ),
        (
            "listed",
            &listed,
            format!("crl = \"{crl}\""),
            Some(("tls.rejected", "revoked")),
        ),
        (
            "other",
            &sound,
            pin(&other),
            Some(("tls.pin_mismatch", "pin")),
        ),
    ];
    let table = |(name, front, keys, _): &(&str, &Front, String, Option<(&str, &str)>)| {
        format!(
            "[servers.{name}]\nurl = \"{}\"\nallow = [\"*\"]\n[servers.{name}.credentials]\n\
             kind = \"client-credentials\"\naudience = \"{name}\"\nclient_id = \"gate\"\n\
             token_endpoint = \"{}/{name}\"\nca = \"{ca}\"\n{keys}\n",
            upstream.url(),
            front.url()
        )
    };
    let scene = Scene::and(&rows.iter().map(table).collect::<String>());
    for (name, front, _, refused) in &rows {
        let before = (granting.seen().len(), upstream.requests().len());
        let token = scene.idp.draft("alice", &scene.gateway.url(name)).sign();
        let request = call("echo").to(&format!("/servers/{name}/mcp"));
        let response = scene.send(&request.token(&token));
        let Some((event, reason)) = refused else {
            assert_eq!(response.status, 200, "{name} {response:?}");
            assert!(granting.seen().len() > before.0, "{name}");
            continue;
        };
        let record = scene.gateway.record_of(&response);
        assert_eq!(record["event"], "token.not_issued", "{name} {record}");
        assert_eq!((granting.seen().len(), upstream.requests().len()), before);
        let told = wait_for(name, || {
            let mut told = scene.gateway.records(event, Some(reason));
            told.retain(|record| record["detail"]["issuer"] == json!(front.url()));
            told.pop()
        });
        assert_eq!(told["detail"]["issuer"], json!(front.url()), "{told}");
    }
}

#[test]
fn lp_07_sends_no_telemetry_to_a_collector_whose_certificate_is_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("known");
    let ca = file(&directory, "ca.pem", &authority.pem());
    for status in [Status::Revoked, Status::Good] {
        let collector = Host::lure();
        let (_, front) = front(&authority, status, collector.address());
        let before = format!(
            "export OTEL_EXPORTER_OTLP_ENDPOINT={} OTEL_EXPORTER_OTLP_CERTIFICATE={ca} OTEL_METRIC_EXPORT_INTERVAL=50",
            front.url()
        );
        let scene = Scene::after(&before, "[telemetry]\nocsp = \"required\"\n");
        scene.permits(&call("echo").token(&scene.token("alice")));
        if matches!(status, Status::Good) {
            wait_for("telemetry", || (!collector.seen().is_empty()).then_some(()));
            continue;
        }
        let record = scene.gateway.expect("tls.rejected", Some("revoked"));
        assert!(record["detail"]["collector"].is_string(), "{record}");
        assert_eq!(collector.seen().len(), 0);
    }
}

#[test]
fn lp_07_wants_no_certificate_of_an_acme_server_whose_own_is_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, upstream) = (Authority::new("known"), Upstream::start());
    let ca = file(&directory, "ca.pem", &authority.pem());
    for status in [Status::Revoked, Status::Good] {
        let server = Host::lure();
        let (_, front) = front(&authority, status, server.address());
        let gateway = Gateway::start(&format!(
            "public_url = \"https://gate.example.test\"\n[gateway.tls.acme]\ndirectory = \"{}/directory\"\n\
             terms_agreed = true\nca = \"{ca}\"\nocsp = \"required\"\n\
             [issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
            front.url(),
            upstream.url()
        ));
        gateway.expect("tls.renewal_failed", None);
        if matches!(status, Status::Good) {
            assert!(!server.seen().is_empty());
            continue;
        }
        let record = gateway.expect("tls.rejected", Some("revoked"));
        assert!(record["detail"]["acme"].is_string(), "{record}");
        assert!(server.seen().is_empty());
    }
}

#[test]
fn lp_07_conf_refuses_what_would_not_be_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let config = |url: &str, word: &str| {
        format!(
            "[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{url}\"\nocsp = \"{word}\"\n"
        )
    };
    for (url, word, told) in [
        (
            "https://notes.example/mcp",
            "must",
            "write \"checked\" or \"required\"",
        ),
        (
            "http://127.0.0.1:9/mcp",
            "checked",
            "only for an `https` URL",
        ),
        ("https://notes.example/mcp", "checked", "good"),
    ] {
        let file = file(&directory, "portcullis.toml", &config(url, word));
        let said = String::from_utf8(portcullis(&["check", &file]).stdout).unwrap();
        assert!(said.contains(told), "{said}");
    }
}
