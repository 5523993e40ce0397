//! Keys of the gateway that are stolen, swapped, or replaced in the middle of everything.

use crate::harness::{AMPLE, Gateway, Idp, Relying, Upstream, call, now, portcullis, wait_for};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a rotation is killed, each time a little later.
const KILLS: u32 = 10;

/// A gateway that issues its own tokens.
fn issuing(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        "{AMPLE}[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    ))
}

fn config(gateway: &Gateway) -> PathBuf {
    gateway.data().parent().unwrap().join("portcullis.toml")
}

fn keys(gateway: &Gateway, arguments: &[&str]) -> Output {
    let config = config(gateway);
    let place = ["--config", config.to_str().unwrap()];
    portcullis(&[&["keys"], arguments, &place].concat())
}

/// What `keys rotate --json` says.
fn rotated(gateway: &Gateway, arguments: &[&str]) -> Value {
    let done = keys(gateway, &[&["rotate", "--json"], arguments].concat());
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

fn listed(gateway: &Gateway) -> Vec<Value> {
    let done = keys(gateway, &["list", "--json"]);
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

fn key_file(gateway: &Gateway, name: &str) -> PathBuf {
    gateway.data().join("keys").join(name)
}

/// Changes what a ring says, as if time had passed.
fn hasten(gateway: &Gateway, name: &str, change: impl Fn(&mut Value)) {
    let file = key_file(gateway, name);
    let alone = std::fs::File::open(key_file(gateway, "lock")).unwrap();
    alone.lock().unwrap();
    let mut ring: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    change(&mut ring);
    let new = file.with_extension("test");
    std::fs::write(&new, ring.to_string()).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// A token with the claims of another one, for somebody else, signed with a key that was stolen.
fn forged(token: &str, key: &[u8]) -> String {
    let claims = token.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["sub"] = json!("admin");
    claims["iat"] = json!(now());
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some("at+jwt".to_owned());
    header.kid = decode_header(token).unwrap().kid;
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(key)).unwrap()
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    call("echo").token(token).send(gateway.address).status
}

#[test]
fn tok_15_a_rotation_under_load_fails_no_call_and_old_tokens_go_on() {
    let upstream = Upstream::start();
    let gateway = issuing(&upstream);
    let (old, is_over) = (gateway.token("notes"), AtomicBool::new(false));
    let told = std::thread::scope(|threads| {
        for is_fresh in [false, true] {
            let (gateway, old, is_over) = (&gateway, &old, &is_over);
            threads.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let token = if is_fresh {
                        gateway.token("notes")
                    } else {
                        old.clone()
                    };
                    assert_eq!(status(gateway, &token), 200);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let told = rotated(&gateway, &["issuer"]);
        wait_for("a token of the new key", || {
            let kid = decode_header(gateway.token("notes")).unwrap().kid;
            (kid.as_deref() == told["new"].as_str()).then_some(())
        });
        gateway.expect("key.rotated", None);
        std::thread::sleep(Duration::from_millis(500));
        is_over.store(true, Ordering::Relaxed);
        told
    });
    assert_eq!(
        decode_header(&old).unwrap().kid.as_deref(),
        told["old"].as_str()
    );
    assert_eq!(status(&gateway, &old), 200);
    assert!(gateway.records("authn.reject", None).is_empty());
    let published = gateway.expect("key.published", None);
    assert_eq!(published["detail"]["new"], told["new"]);
    let record = gateway.expect("key.rotated", None);
    let detail = &record["detail"];
    for (name, expected) in [
        ("key", &json!("issuer")),
        ("old", &told["old"]),
        ("new", &told["new"]),
    ] {
        assert_eq!(detail[name], *expected, "{record}");
    }
    assert!(
        detail["by"].as_str().unwrap().starts_with("uid:"),
        "{record}"
    );
}

#[test]
fn tok_15_a_stolen_key_is_worth_nothing_once_its_overlap_is_over() {
    let upstream = Upstream::start();
    let gateway = issuing(&upstream);
    let stolen = std::fs::read(key_file(&gateway, "issuer.ed25519")).unwrap();
    let before = gateway.token("notes");
    let attack = forged(&before, &stolen);
    // As long as it counts, it is the key: that is why there is `--at-once`.
    assert_eq!(status(&gateway, &attack), 200);
    rotated(&gateway, &["issuer"]);
    gateway.expect("key.rotated", None);
    assert_eq!(status(&gateway, &before), 200);
    hasten(&gateway, "issuer.ed25519.ring", |ring| {
        ring["retired"][0]["until"] = json!(now());
    });
    gateway.expect("key.retired", None);
    for token in [&attack, &before] {
        let refused = call("echo").token(token).send(gateway.address);
        assert_eq!(refused.status, 401, "{refused:?}");
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert_eq!(gateway.record_of(&refused)["reason"], "kid");
    }
    let seen = upstream.requests().len();
    assert_eq!(status(&gateway, &gateway.token("notes")), 200);
    assert_eq!(upstream.requests().len(), seen + 1);
}

#[test]
fn tok_15_a_key_that_is_known_to_others_is_replaced_at_once() {
    let upstream = Upstream::start();
    let mut gateway = issuing(&upstream);
    let stolen = std::fs::read(key_file(&gateway, "issuer.ed25519")).unwrap();
    let attack = forged(&gateway.token("notes"), &stolen);
    assert_eq!(status(&gateway, &attack), 200);
    let told = rotated(&gateway, &["issuer", "--at-once"]);
    assert_eq!(
        gateway.expect("key.retired", None)["detail"]["old"],
        told["old"]
    );
    assert_eq!(status(&gateway, &attack), 401);
    assert_eq!(status(&gateway, &gateway.token("notes")), 200);
    // Nor does it come back with the next start.
    gateway.restart();
    assert_eq!(status(&gateway, &attack), 401);
    assert_eq!(status(&gateway, &gateway.token("notes")), 200);
    let private = std::fs::read(key_file(&gateway, "issuer.ed25519")).unwrap();
    assert_ne!(private, stolen);
}

#[test]
fn tok_15_a_swapped_key_is_told_and_not_taken_up() {
    let upstream = Upstream::start();
    let mut gateway = issuing(&upstream);
    let good = gateway.token("notes");
    let file = key_file(&gateway, "issuer.ed25519");
    let own = std::fs::read(&file).unwrap();
    let other = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    std::fs::write(&file, other.as_ref()).unwrap();
    let told = gateway.expect("key.rejected", None);
    assert_eq!(told["detail"]["key"], "issuer");
    let problem = told["detail"]["problem"].as_str().unwrap();
    assert!(problem.contains("is not the key"), "{problem}");
    assert_eq!(status(&gateway, &forged(&good, other.as_ref())), 401);
    assert_eq!(status(&gateway, &good), 200);
    assert!(!gateway.mint("notes", &[]).status.success());
    assert!(!keys(&gateway, &["rotate", "issuer"]).status.success());
    // It does not start with it either, and the message says what to do.
    assert!(gateway.stop().success());
    let refused = portcullis(&["serve", "--config", config(&gateway).to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("restore both"),
        "{said}"
    );
    std::fs::write(&file, own).unwrap();
    gateway.restart();
    assert_eq!(status(&gateway, &good), 200);
}

#[test]
fn tok_15_a_rotation_that_is_killed_leaves_a_key_that_works() {
    let upstream = Upstream::start();
    let mut gateway = issuing(&upstream);
    let first = gateway.token("notes");
    let config = config(&gateway);
    for kill in 0..KILLS {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["keys", "rotate", "assertion", "--at-once", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(3 * u64::from(kill)));
        child.kill().unwrap();
        child.wait().unwrap();
        let own = listed(&gateway);
        let signing = own
            .iter()
            .filter(|key| key["key"] == "assertion" && key["state"] == "signs");
        assert_eq!(signing.count(), 1, "{own:?}");
    }
    // A gateway that is killed between a rotation and its record tells of it afterwards.
    gateway.kill();
    let told = rotated(&gateway, &["issuer"]);
    gateway.restart();
    wait_for("the record of the last rotation", || {
        let mut records = gateway.records("key.rotated", None).into_iter();
        records.find(|record| record["detail"]["new"] == told["new"])
    });
    assert_eq!(status(&gateway, &first), 200);
    assert_eq!(status(&gateway, &gateway.token("notes")), 200);
    assert!(gateway.verify().status.success());
}

#[test]
fn tok_15_servers_know_a_new_key_before_it_signs_and_the_old_one_after() {
    const ONE: &str = "https://one.example";
    let (idp, server) = (Idp::start(), Relying::start(ONE));
    let gateway = Gateway::start(&format!(
        "{AMPLE}[issuers.idp]\nissuer = \"{}\"\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n\
         credentials = {{ kind = \"assertion\", audience = \"{ONE}\" }}\n",
        idp.issuer(),
        server.upstream.url()
    ));
    server.trust(gateway.address);
    let published = || {
        let asked = crate::harness::Request::new("GET", "/.well-known/jwks.json");
        let document = asked.send(gateway.address).json();
        let keys = document["keys"].as_array().unwrap().clone();
        keys.into_iter()
            .map(|key| key["kid"].clone())
            .collect::<Vec<_>>()
    };
    let token = idp.draft("alice", &gateway.url("notes")).sign();
    let shown = || {
        assert_eq!(status(&gateway, &token), 200);
        let seen = server.upstream.requests().pop().unwrap();
        let shown = seen
            .header("authorization")
            .unwrap()
            .trim_start_matches("Bearer ")
            .to_owned();
        json!(decode_header(shown).unwrap().kid)
    };
    assert_eq!([shown()], *published());
    let told = rotated(&gateway, &["assertion"]);
    let (old, new) = (&told["old"], &told["new"]);
    assert_eq!(
        gateway.expect("key.published", None)["detail"]["key"],
        "assertion"
    );
    assert_eq!(published(), [old.clone(), new.clone()]);
    assert_eq!(shown(), *old);
    hasten(&gateway, "assertion.es256.ring", |ring| {
        ring["next"]["from"] = json!(now());
    });
    gateway.expect("key.rotated", None);
    assert_eq!(shown(), *new);
    assert_eq!(published(), [new.clone(), old.clone()]);
    hasten(&gateway, "assertion.es256.ring", |ring| {
        ring["retired"][0]["until"] = json!(now());
    });
    gateway.expect("key.retired", None);
    assert_eq!(published(), std::slice::from_ref(new));
    assert_eq!(shown(), *new);
    // Every one of them was believed.
    assert!(gateway.records("upstream.refused", None).is_empty());
}

#[test]
fn tok_12_listing_keys_shows_none() {
    let upstream = Upstream::start();
    let gateway = issuing(&upstream);
    let own = listed(&gateway);
    let kinds: Vec<&str> = own.iter().map(|key| key["key"].as_str().unwrap()).collect();
    for kind in ["issuer", "assertion", "client", "audit"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    rotated(&gateway, &["issuer"]);
    let plain = String::from_utf8(keys(&gateway, &["list"]).stdout).unwrap();
    assert!(plain.contains(" signs from "), "{plain}");
    let shown = format!("{plain}{:?}{}", listed(&gateway), gateway.traces());
    for entry in std::fs::read_dir(gateway.data().join("keys")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{path:?}"
        );
        let bytes = std::fs::read(&path).unwrap();
        if path
            .extension()
            .is_some_and(|end| end == "ring" || bytes.is_empty())
        {
            continue;
        }
        // The secret part of each: its last bytes but for the public key, or all of it.
        for part in bytes.windows(24) {
            let texts = [STANDARD.encode(part), URL_SAFE_NO_PAD.encode(part)];
            assert!(
                !texts.iter().any(|text| shown.contains(text.as_str())),
                "{path:?}"
            );
        }
    }
}

#[test]
fn tok_15_a_key_that_others_can_read_is_not_replaced() {
    let upstream = Upstream::start();
    let gateway = issuing(&upstream);
    let file = key_file(&gateway, "client.es256");
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert!(!keys(&gateway, &["rotate", "client"]).status.success());
}
