//! Keys of the gateway that nobody remembers to replace, that are replaced too often, or that cannot be.

use crate::harness::{
    AMPLE, Gateway, SoftHsm, Upstream, call, next_second, now, portcullis, wait_for,
};
use serde_json::{Value, json};
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;
const ALL: &str = "[keys.rotate_every]\nissuer = \"1d\"\nassertion = \"1d\"\nclient = \"1d\"\naudit = \"1d\"\nwrapping = \"1d\"\n";

fn issuing(upstream: &Upstream, more: &str) -> Gateway {
    Gateway::start(&format!(
        "{AMPLE}[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n{more}",
        upstream.url()
    ))
}

fn config(gateway: &Gateway) -> PathBuf {
    gateway.data().parent().unwrap().join("portcullis.toml")
}

fn key_file(gateway: &Gateway, name: &str) -> PathBuf {
    gateway.data().join("keys").join(name)
}

/// The key was made so much earlier (or later) than now: as if the clock had gone on (or back).
fn age(gateway: &Gateway, name: &str, made: u64) {
    let alone = File::open(key_file(gateway, "lock")).unwrap();
    alone.lock().unwrap();
    let file = key_file(gateway, &format!("{name}.ring"));
    let mut ring: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    ring["made"] = json!(made);
    let new = file.with_extension("test");
    std::fs::write(&new, ring.to_string()).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn wrapping(gateway: &Gateway) -> Vec<PathBuf> {
    let all = std::fs::read_dir(gateway.data().join("keys")).unwrap();
    all.map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "key"))
        .collect()
}

fn of_key(gateway: &Gateway, event: &str, key: &str) -> Vec<Value> {
    let mut all = gateway.records(event, None);
    all.retain(|record| record["detail"]["key"] == key);
    all
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    call("echo").token(token).send(gateway.address).status
}

/// Long enough for the gateway to have looked again.
fn a_while() {
    for _ in 0..3 {
        next_second();
    }
}

fn doctor(gateway: &Gateway) -> Vec<Value> {
    let config = config(gateway);
    let done = portcullis(&["doctor", "--json", "--config", config.to_str().unwrap()]);
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    let mut found = told["findings"].as_array().unwrap().clone();
    found.retain(|finding| finding["id"] == "keys.overdue");
    found
}

#[test]
fn tok_15_keys_are_replaced_by_their_age_once_and_no_call_fails() {
    let upstream = Upstream::start();
    let mut gateway = issuing(&upstream, ALL);
    let old = gateway.token("notes");
    a_while();
    assert!(
        gateway.records("key.published", None).is_empty(),
        "none is old enough"
    );
    // Of the clock one would think that it has gone on by a year, or back.
    age(&gateway, "issuer.ed25519", now() - YEAR);
    age(&gateway, "assertion.es256", now() + YEAR);
    age(&gateway, "client.es256", now() - DAY - 1);
    age(&gateway, "audit.ed25519", now() - YEAR);
    for key in ["issuer", "assertion", "client", "audit"] {
        let told = wait_for(key, || of_key(&gateway, "key.published", key).pop());
        assert_eq!(told["detail"]["by"], "schedule", "{told}");
    }
    for key in ["issuer", "audit"] {
        let told = wait_for(key, || of_key(&gateway, "key.rotated", key).pop());
        assert_eq!(told["detail"]["by"], "schedule", "{told}");
    }
    assert_eq!(status(&gateway, &old), 200);
    assert_eq!(status(&gateway, &gateway.token("notes")), 200);
    a_while();
    // Nor is one replaced again with the next start.
    gateway.restart();
    a_while();
    for key in ["issuer", "assertion", "client", "audit"] {
        assert_eq!(of_key(&gateway, "key.published", key).len(), 1, "{key}");
    }
    assert_eq!(status(&gateway, &old), 200);
    assert!(gateway.records("authn.reject", None).is_empty());
    assert!(gateway.verify().status.success());
}

#[test]
fn tok_15_the_key_that_wraps_others_is_replaced_by_its_age() {
    let upstream = Upstream::start();
    let gateway = issuing(&upstream, ALL);
    let [first] = &wrapping(&gateway)[..] else {
        panic!("{:?}", wrapping(&gateway))
    };
    // While there are two, somebody else replaces one by the other.
    let other = key_file(&gateway, "wrapping-0000000000000000.key");
    std::fs::copy(first, &other).unwrap();
    let before = SystemTime::now() - Duration::from_secs(2 * DAY);
    for file in [first, &other] {
        let file = File::options().write(true).open(file).unwrap();
        file.set_modified(before).unwrap();
    }
    a_while();
    assert!(gateway.records("key.rewrapped", None).is_empty());
    assert!(gateway.records("key.overdue", None).is_empty());
    std::fs::remove_file(other).unwrap();
    let told = gateway.expect("key.rewrapped", None);
    let name = told["detail"]["old"].as_str().unwrap();
    assert_eq!(*first, key_file(&gateway, &format!("wrapping-{name}.key")));
    a_while();
    assert_eq!(wrapping(&gateway).len(), 1);
    assert!(!first.exists());
    assert_eq!(gateway.records("key.rewrapped", None).len(), 1);
}

#[test]
fn tok_15_a_key_that_cannot_be_replaced_in_time_stays_and_is_told() {
    let upstream = Upstream::start();
    let gateway = issuing(&upstream, "[keys.rotate_every]\nissuer = \"1d\"\n");
    let old = gateway.token("notes");
    assert!(doctor(&gateway).is_empty());
    // What stands where the next key would be cannot be taken away.
    let wall = key_file(&gateway, "issuer.ed25519.next");
    std::fs::create_dir(&wall).unwrap();
    age(&gateway, "issuer.ed25519", now() - 2 * DAY);
    let told = gateway.expect("key.overdue", None);
    assert_eq!(told["detail"]["key"], "issuer");
    assert!(told["detail"]["problem"].is_string(), "{told}");
    assert!(gateway.records("key.published", None).is_empty());
    assert_eq!(status(&gateway, &old), 200);
    let [found] = &doctor(&gateway)[..] else {
        panic!("{:?}", doctor(&gateway))
    };
    assert_eq!(found["severity"], "warning", "{found}");
    assert!(found["what"].as_str().unwrap().contains("issuer"));
    // It is tried again by itself.
    std::fs::remove_dir(&wall).unwrap();
    wait_for("the new key", || {
        of_key(&gateway, "key.rotated", "issuer").pop()
    });
    assert_eq!(gateway.records("key.overdue", None).len(), 1, "told once");
    assert!(doctor(&gateway).is_empty());
    assert_eq!(status(&gateway, &old), 200);
    assert_eq!(status(&gateway, &gateway.token("notes")), 200);
}

#[test]
fn tok_15_what_the_gateway_cannot_make_has_no_schedule() {
    let mut hsm = SoftHsm::start("gateway-pin-1234");
    hsm.import("first", crate::harness::TokenKey::Ed25519);
    let upstream = Upstream::start();
    let gateway = issuing(&upstream, "");
    let text = std::fs::read_to_string(config(&gateway)).unwrap();
    let table = hsm.table("issuer = \"first\"");
    let refused = gateway.data().parent().unwrap().join("refused.toml");
    for (key, is_good) in [("issuer", false), ("client", true), ("wrapping", true)] {
        let own = format!("{text}{table}[keys.rotate_every]\n{key} = \"1d\"\n");
        std::fs::write(&refused, own).unwrap();
        let done = hsm.portcullis(&["check", refused.to_str().unwrap()]);
        assert_eq!(done.status.success(), is_good, "{key} {done:?}");
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        let is_told = said.contains("keys.rotate_every.issuer") && said.contains("pkcs11.keys");
        assert_eq!(is_told, !is_good, "{said}");
    }
}
