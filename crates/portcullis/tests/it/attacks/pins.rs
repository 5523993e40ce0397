//! ATK-093: a man in the middle with a certificate that the gateway trusts, from an authority that it trusts.

use crate::harness::{
    Authority, Front, Gateway, Host, Idp, Scene, Upstream, call, leaf, portcullis, wait_for,
};
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::fs::write;
use tempfile::TempDir;

/// A pin of a key that nobody has.
const RESERVE: &str = "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn pinned(keys: &[&str], expires: &str) -> String {
    format!("pins = {{ keys = {keys:?}, expires = \"{expires}\" }}")
}

/// Files of one test, each by its whole path.
fn file(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    write(&path, text).unwrap();
    path.display().to_string()
}

fn ask(scene: &Scene, server: &str) -> crate::harness::Response {
    let token = scene.idp.draft("alice", &scene.gateway.url(server)).sign();
    let request = call("echo").to(&format!("/servers/{server}/mcp"));
    scene.send(&request.token(&token))
}

fn misses(records: &[Value], seen: &str) -> usize {
    let is_it = |record: &&Value| record["detail"]["seen"] == seen;
    records.iter().filter(is_it).count()
}

#[test]
fn trn_03_refuses_a_trusted_certificate_of_another_key_and_takes_the_one_in_reserve() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("trusted");
    let ca = file(&directory, "ca.pem", &authority.pem());
    let upstream = Upstream::start();
    let (own, reserve, middle) = (
        authority.certify(),
        authority.certify(),
        authority.certify(),
    );
    let front = Front::start(&own, upstream.address());
    let pins = pinned(&[&own.pin(), &reserve.pin()], "2099-01-01");
    let scene = Scene::and(&format!(
        "[servers.far]\nurl = \"{}/mcp\"\nca = \"{ca}\"\n{pins}\nallow = [\"*\"]\n",
        front.url()
    ));
    assert_eq!(ask(&scene, "far").status, 200);

    // The same authority, the same name, another key.
    front.show(&middle);
    let before = upstream.requests().len();
    let response = ask(&scene, "far");
    assert_eq!(response.status, 502, "{response:?}");
    assert_eq!(
        response.json()["error"]["message"],
        "upstream did not answer"
    );
    assert_eq!(scene.gateway.record_of(&response)["reason"], "unreachable");
    assert_eq!(
        upstream.requests().len(),
        before,
        "it was asked all the same"
    );
    let record = scene.gateway.expect("tls.pin_mismatch", Some("pin"));
    assert_eq!(record["server"], "far", "{record}");
    assert_eq!(record["detail"]["seen"], middle.pin().as_str(), "{record}");
    let expected = record["detail"]["expected"].as_str().unwrap();
    let mut expected: Vec<&str> = expected.split(' ').collect();
    let (first, second) = (own.pin(), reserve.pin());
    let mut wanted = [first.as_str(), second.as_str()];
    wanted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(expected, wanted, "{record}");
    // Whoever keeps on trying does not fill the log.
    for _ in 0..5 {
        assert_eq!(ask(&scene, "far").status, 502);
    }
    let records = scene.gateway.records("tls.pin_mismatch", None);
    assert!(misses(&records, &middle.pin()) < 5, "{records:?}");

    // The planned rotation: nothing is reloaded, and nobody waits.
    front.show(&reserve);
    assert_eq!(ask(&scene, "far").status, 200);
    assert_eq!(scene.gateway.records("config.reloaded", None).len(), 0);
}

#[test]
fn trn_03_counts_a_pinned_authority_only_if_it_vouches_for_the_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let (root, other) = (Authority::new("root"), Authority::new("other"));
    let (below, beside) = (root.below("below"), root.below("beside"));
    let roots = file(&directory, "ca.pem", &(root.pem() + &other.pem()));
    let upstream = Upstream::start();
    // The chain of the pinned one, and foreign certificates with it as if it were theirs.
    let good = below.certify();
    let mut near = beside.certify();
    near.chain.push(below.certificate());
    let mut far = other.certify();
    far.chain.push(below.certificate());
    let mut rows = Vec::new();
    let pin = below.pin();
    for (name, identity, pin, expected) in [
        ("good", &good, &pin, 200),
        ("near", &near, &pin, 502),
        ("far", &far, &pin, 502),
        ("anchored", &beside.certify(), &root.pin(), 200),
        ("foreign", &other.certify(), &root.pin(), 502),
    ] {
        let front = Front::start(identity, upstream.address());
        let pins = pinned(&[pin, RESERVE], "2099-01-01");
        let table = format!(
            "[servers.{name}]\nurl = \"{}/mcp\"\nca = \"{roots}\"\n{pins}\nallow = [\"*\"]\n",
            front.url()
        );
        rows.push((name, identity.pin(), expected, table));
    }
    let tables: String = rows.iter().map(|(_, _, _, table)| table.as_str()).collect();
    let scene = Scene::and(&tables);
    for (name, seen, expected, _) in &rows {
        assert_eq!(ask(&scene, name).status, *expected, "{name}");
        let records = scene.gateway.records("tls.pin_mismatch", None);
        let told = misses(&records, seen);
        assert_eq!(told, usize::from(*expected != 200), "{name} {records:?}");
    }
}

#[test]
fn trn_03_pins_come_after_the_usual_validation_and_never_instead_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("trusted");
    let ca = file(&directory, "ca.pem", &authority.pem());
    let upstream = Upstream::start();
    let stranger = Authority::new("stranger").certify();
    let mut old = leaf();
    old.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let old = authority.certify_as(old, KeyPair::generate().unwrap());
    let fronts = [
        ("stranger", &stranger, "unknown_issuer"),
        ("old", &old, "expired"),
    ]
    .map(|(name, identity, reason)| {
        let front = Front::start(identity, upstream.address());
        let pins = pinned(&[&identity.pin(), RESERVE], "2099-01-01");
        let table = format!(
            "[servers.{name}]\nurl = \"{}/mcp\"\nca = \"{ca}\"\n{pins}\nallow = [\"*\"]\n",
            front.url()
        );
        (name, reason, table)
    });
    let tables: String = fronts.iter().map(|(_, _, table)| table.as_str()).collect();
    let scene = Scene::and(&tables);
    for (name, reason, _) in fronts {
        assert_eq!(ask(&scene, name).status, 502, "{name}");
        let record = scene.gateway.expect("tls.rejected", Some(reason));
        assert_eq!(record["server"], name, "{record}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn trn_03_believes_no_keys_of_an_issuer_whose_own_key_is_another() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("trusted");
    let ca = file(&directory, "ca.pem", &authority.pem());
    let (own, middle) = (authority.certify(), authority.certify());
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let front = Front::start(&middle, idp.address());
    let issuer = front.url();
    idp.lie(&issuer);
    let config = |pins: &str, more: &str| {
        format!(
            "[issuers.idp]\nissuer = \"{issuer}\"\nca = \"{ca}\"\n{pins}\n{more}\
             [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
            upstream.url()
        )
    };
    let pins = pinned(&[&own.pin(), RESERVE], "2099-01-01");
    let jwks = format!("jwks_uri = \"{issuer}/jwks\"\n");
    let gateway = Gateway::start_unready(&config(&pins, &jwks));
    let token = idp.draft("alice", &gateway.url("notes"));
    let token = token.claim("iss", json!(issuer)).sign();
    let response = call("echo").token(&token).send(gateway.address);
    assert_eq!(response.status, 401, "{response:?}");
    assert_eq!((idp.requests(), upstream.requests().len()), (0, 0));
    let record = gateway.expect("tls.pin_mismatch", Some("pin"));
    assert_eq!(record["detail"]["issuer"], issuer.as_str(), "{record}");
    assert_eq!(record["detail"]["seen"], middle.pin().as_str(), "{record}");
    let failed = gateway.expect("jwks.refresh_failed", None);
    assert_eq!(failed["detail"]["issuer"], issuer.as_str(), "{failed}");
    drop(gateway);

    // Its metadata has the right key and names a place that shows none.
    front.show(&own);
    let gateway = Gateway::start_unready(&config(&pins, ""));
    let failed = gateway.expect("jwks.refresh_failed", None);
    let said = failed["detail"]["error"].as_str().unwrap();
    assert!(said.contains("no TLS"), "{failed}");
    assert_eq!(idp.fetches(), 0);
    drop(gateway);

    let gateway = Gateway::start(&config(&pins, &jwks));
    let token = idp.draft("alice", &gateway.url("notes"));
    let token = token.claim("iss", json!(issuer)).sign();
    let response = call("echo").token(&token).send(gateway.address);
    assert_eq!(response.status, 200, "{response:?}");
}

#[test]
fn trn_03_forgets_keys_that_came_by_another_way_once_the_issuer_is_pinned() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("trusted");
    let ca = file(&directory, "ca.pem", &authority.pem());
    let (own, middle) = (authority.certify(), authority.certify());
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let front = Front::start(&middle, idp.address());
    let issuer = front.url();
    let gateway = Gateway::start(&format!(
        "[issuers.idp]\nissuer = \"{issuer}\"\nca = \"{ca}\"\njwks_uri = \"{issuer}/jwks\"\n# pins\n\
         [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    ));
    let token = idp.draft("alice", &gateway.url("notes"));
    let token = token.claim("iss", json!(issuer)).sign();
    let ask = || call("echo").token(&token).send(gateway.address).status;
    assert_eq!(ask(), 200, "nobody has pinned anything yet");
    // A reload that changes nothing about the issuer changes nothing.
    gateway.reload("allow = [\"*\"]", "allow = [\"*\" ]");
    assert_eq!(ask(), 200);
    let pins = pinned(&[&own.pin(), RESERVE], "2099-01-01");
    gateway.reload("# pins", &pins);
    gateway.expect("tls.pin_mismatch", Some("pin"));
    let before = upstream.requests().len();
    assert_eq!(ask(), 401);
    assert_eq!(upstream.requests().len(), before);
    // Whoever has the key is asked again.
    front.show(&own);
    gateway.reload("allow = [\"*\" ]", "allow = [\"*\"]");
    wait_for("the keys", || (ask() == 200).then_some(()));
}

#[test]
fn trn_03_sends_no_telemetry_to_a_collector_of_another_key() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("trusted");
    let ca = file(&directory, "ca.pem", &authority.pem());
    let (own, middle) = (authority.certify(), authority.certify());
    let collector = Host::lure();
    let front = Front::start(&middle, collector.address());
    let before = format!(
        "export OTEL_EXPORTER_OTLP_ENDPOINT={} OTEL_EXPORTER_OTLP_CERTIFICATE={ca} OTEL_METRIC_EXPORT_INTERVAL=50",
        front.url()
    );
    let pins = pinned(&[&own.pin(), RESERVE], "2099-01-01");
    let scene = Scene::after(&before, &format!("[telemetry]\n{pins}\n"));
    scene.permits(&call("echo").token(&scene.token("alice")));
    let record = scene.gateway.expect("tls.pin_mismatch", Some("pin"));
    assert!(record["detail"]["collector"].is_string(), "{record}");
    assert_eq!(collector.seen().len(), 0);
    front.show(&own);
    wait_for("telemetry", || (!collector.seen().is_empty()).then_some(()));
}

#[test]
fn trn_03_tells_ahead_that_pins_come_to_their_end_and_keeps_to_them_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("trusted");
    let ca = file(&directory, "ca.pem", &authority.pem());
    let upstream = Upstream::start();
    let (own, middle) = (authority.certify(), authority.certify());
    let front = Front::start(&own, upstream.address());
    let day = |days: i64| {
        let at = time_of(crate::harness::now().cast_signed() + days * 86_400);
        pinned(&[&own.pin(), RESERVE], &at)
    };
    let table = |name: &str, pins: &str| {
        format!(
            "[servers.{name}]\nurl = \"{}/mcp\"\nca = \"{ca}\"\n{pins}\nallow = [\"*\"]\n",
            front.url()
        )
    };
    let tables = [
        table("past", &day(-3)),
        table("near", &day(10)),
        table("far", &day(40)),
    ];
    let token = file(&directory, "token", "hvs.token");
    let vault = format!(
        "[vaults.kept]\naddress = \"https://127.0.0.1:9\"\ntoken = {{ file = \"{token}\" }}\n{}\n",
        day(11)
    );
    let scene = Scene::and(&(tables.concat() + &vault));
    let told = |event: &str| {
        scene.gateway.expect(event, Some("pins"));
        let records = scene.gateway.records(event, None).into_iter();
        let key = |record: Value| record["detail"]["key"].as_str().unwrap().to_owned();
        records.map(key).collect::<Vec<_>>()
    };
    assert_eq!(
        told("tls.expiring"),
        ["vaults.kept.pins", "servers.near.pins"]
    );
    assert_eq!(told("tls.expired"), ["servers.past.pins"]);
    for name in ["past", "near", "far"] {
        assert_eq!(ask(&scene, name).status, 200, "{name}");
    }
    front.show(&middle);
    assert_eq!(ask(&scene, "past").status, 502);
    scene.gateway.expect("tls.pin_mismatch", Some("pin"));

    let config = directory.path().join("portcullis.toml");
    let issuer = "[issuers.local]\nembedded = true\n";
    write(&config, format!("{issuer}{}", tables.concat())).unwrap();
    let checked = portcullis(&["check", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
    for part in [
        "the pins of servers.past.pins are past their end",
        "the pins of servers.near.pins end in 10 days",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("servers.far"), "{said}");
    let told = portcullis(&["doctor", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&told.stdout);
    assert_eq!(told.status.code(), Some(1), "{said}");
    assert!(said.contains("error[pins.expired]"), "{said}");
    assert!(said.contains("warning[pins.expiring]"), "{said}");
}

/// `YYYY-MM-DD` of a second since 1970.
fn time_of(second: i64) -> String {
    let day = i32::try_from(second / 86_400).unwrap();
    let at = rcgen::date_time_ymd(1970, 1, 1).to_julian_day() + day;
    let mut year = 1970;
    let first = |year: i32| rcgen::date_time_ymd(year, 1, 1).to_julian_day();
    while first(year + 1) <= at {
        year += 1;
    }
    let month = (1..=12)
        .rev()
        .find(|month| rcgen::date_time_ymd(year, *month, 1).to_julian_day() <= at)
        .unwrap();
    let day = at - rcgen::date_time_ymd(year, month, 1).to_julian_day() + 1;
    format!("{year}-{month:02}-{day:02}")
}
