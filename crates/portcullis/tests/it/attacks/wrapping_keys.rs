//! The key that wraps others, in a token: what is sealed in the database does not open without it, and it never leaves.

use super::consent::{OPEN, connected, link, scene_after, works};
use crate::harness::{Browser, Consenting, Scene, SoftHsm, wait_for};
use serde_json::Value;
use std::path::PathBuf;

const PIN: &str = "gateway-pin-1234";

fn config(scene: &Scene) -> PathBuf {
    let data = scene.gateway.data();
    data.parent().unwrap().join("portcullis.toml")
}

fn rewrapped(scene: &Scene, hsm: &SoftHsm) -> Value {
    let config = config(scene);
    let command = ["keys", "rewrap", "--json", "--config"];
    let done = hsm.portcullis(&[&command[..], &[config.to_str().unwrap()]].concat());
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

/// What the only file of a wrapping key holds.
fn held(scene: &Scene) -> Vec<u8> {
    let entries = std::fs::read_dir(scene.gateway.data().join("keys")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("wrapping-")
    };
    let all: Vec<PathBuf> = files.filter(is_ours).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    std::fs::read(&all[0]).unwrap()
}

#[test]
fn tok_17_the_key_that_wraps_others_moves_into_a_token_and_back() {
    let hsm = SoftHsm::start(PIN);
    let (mut scene, server) = scene_after(&hsm.export(), Consenting::start(), OPEN);
    connected(&scene);
    works(&scene, "alice");
    let stolen = held(&scene);
    assert_eq!(stolen.len(), 32);
    let text = std::fs::read_to_string(config(&scene)).unwrap();
    let configure = |keys: &str| {
        std::fs::write(config(&scene), format!("{text}{}", hsm.table(keys))).unwrap();
    };
    configure("wrapping = \"gate\"");
    for _ in 0..2 {
        let told = rewrapped(&scene, &hsm);
        assert!(told["keys"].as_u64().unwrap() > 0, "{told}");
        // The file says where the key is, and no more.
        let place = format!("pkcs11:gate-{}", told["name"].as_str().unwrap());
        assert_eq!(String::from_utf8(held(&scene)).unwrap(), place);
    }
    assert!(scene.gateway.stop().success());
    scene.gateway.restart();
    works(&scene, "alice");
    // A running gateway goes on, and tells of it.
    let told = rewrapped(&scene, &hsm);
    let record = wait_for("the new key", || {
        let records = scene.gateway.records("key.rewrapped", None);
        records
            .into_iter()
            .find(|record| record["detail"]["new"] == told["name"])
    });
    assert!(record["detail"]["old"].is_string(), "{record}");
    works(&scene, "alice");
    // Whoever has the data directory and no token has nothing.
    assert!(scene.gateway.stop().success());
    std::fs::write(config(&scene), &text).unwrap();
    let config_file = config(&scene);
    let refused = hsm.portcullis(&["serve", "--config", config_file.to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("the key is in a token"), "{said}");
    // Back into a file.
    std::fs::write(config(&scene), format!("{text}{}", hsm.table(""))).unwrap();
    rewrapped(&scene, &hsm);
    let own = held(&scene);
    assert!(own.len() == 32 && own != stolen);
    std::fs::write(config(&scene), &text).unwrap();
    scene.gateway.restart();
    works(&scene, "alice");
    assert_eq!(
        server.authority.seen("/token").len(),
        1,
        "nobody was asked again"
    );
}

#[test]
fn tok_12_without_the_token_that_wraps_nothing_more_is_sealed_or_opened() {
    let mut hsm = SoftHsm::start(PIN);
    let table = hsm.table("wrapping = \"gate\"");
    let more = format!("{OPEN}{table}");
    let (mut scene, _server) = scene_after(&hsm.export(), Consenting::start(), &more);
    assert!(
        held(&scene).starts_with(b"pkcs11:gate-"),
        "from the first start"
    );
    connected(&scene);
    works(&scene, "alice");
    hsm.lose_keys();
    let told = wait_for("the event", || {
        let records = scene.gateway.records("key.unavailable", None);
        records
            .into_iter()
            .find(|record| record["detail"]["key"] == "wrapping")
    });
    assert!(told["detail"]["problem"].is_string(), "{told}");
    // Nobody can be connected whose token could not be sealed.
    let mut browser = Browser::default();
    let page = browser.connects(&scene.gateway, &link(&scene, "bob"));
    assert!(page.status >= 400, "{page:?}");
    wait_for("the record", || {
        scene
            .gateway
            .audit()
            .into_iter()
            .find(|record| record["reason"] == "not_kept")
    });
    hsm.find_keys();
    wait_for("the recovery", || {
        let records = scene.gateway.records("key.available", None);
        records
            .into_iter()
            .find(|record| record["detail"]["key"] == "wrapping")
    });
    let page = browser.connects(&scene.gateway, &link(&scene, "bob"));
    assert_eq!(page.status, 200, "{page:?}");
    works(&scene, "bob");
    // At the start it has to be there.
    assert!(scene.gateway.stop().success());
    hsm.remove();
    let config = config(&scene);
    let refused = hsm.portcullis(&["serve", "--config", config.to_str().unwrap()]);
    assert!(!refused.status.success());
    hsm.put_back();
    scene.gateway.restart();
    works(&scene, "bob");
}
