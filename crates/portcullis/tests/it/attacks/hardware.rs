//! Keys in a token: what is stolen of the gateway's files is no key, and a token that is taken out signs nothing.

use crate::harness::{AMPLE, Gateway, Idp, Relying, SoftHsm, TokenKey, call, wait_for};
use jsonwebtoken::decode_header;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

const ONE: &str = "https://one.example";
const PIN: &str = "gateway-pin-1234";
/// As many calls at once as there are not sessions with the token.
const CROWD: usize = 24;

struct Scene {
    gateway: Gateway,
    idp: Idp,
    server: Relying,
    hsm: SoftHsm,
    /// The private keys, as they were before they were imported.
    secrets: Vec<Vec<u8>>,
}

impl Scene {
    fn start() -> Self {
        let (idp, server) = (Idp::start(), Relying::start(ONE));
        let mut hsm = SoftHsm::start(PIN);
        let secrets = vec![
            hsm.import("first", TokenKey::Ed25519),
            hsm.import("second", TokenKey::P256),
        ];
        let config = format!(
            "{AMPLE}[issuers.idp]\nissuer = \"{}\"\n[issuers.local]\nembedded = true\n\
             [servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\nissuers = [\"idp\", \"local\"]\n\
             credentials = {{ kind = \"assertion\", audience = \"{ONE}\", subject = \"qualified\" }}\n{}",
            idp.issuer(),
            server.upstream.url(),
            hsm.table("issuer = \"first\", assertion = \"second\"")
        );
        let gateway = Gateway::start_after(&hsm.export(), &config);
        server.trust(gateway.address);
        Self {
            gateway,
            idp,
            server,
            hsm,
            secrets,
        }
    }

    fn config(&self) -> PathBuf {
        self.gateway
            .data()
            .parent()
            .unwrap()
            .join("portcullis.toml")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let config = self.config();
        let place = ["--config", config.to_str().unwrap()];
        self.hsm.portcullis(&[arguments, &place].concat())
    }

    fn own_token(&self) -> String {
        let printed = self.run(&["token", "--server", "notes"]);
        assert!(printed.status.success(), "{printed:?}");
        String::from_utf8(printed.stdout).unwrap().trim().to_owned()
    }

    fn status(&self, token: &str) -> u16 {
        call("echo").token(token).send(self.gateway.address).status
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn tok_17_the_key_signs_and_is_in_no_file() {
    let scene = Scene::start();
    let token = scene.idp.draft("alice", &scene.gateway.url("notes")).sign();
    std::thread::scope(|threads| {
        for _ in 0..CROWD {
            threads.spawn(|| assert_eq!(scene.status(&token), 200));
        }
    });
    assert_eq!(scene.server.believed().len(), CROWD);
    assert_eq!(scene.status(&scene.own_token()), 200);
    let listed = scene.run(&["keys", "list", "--json"]);
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let own = decode_header(scene.own_token()).unwrap().kid.unwrap();
    assert!(
        listed
            .iter()
            .any(|key| key["key"] == "issuer" && key["id"] == own.as_str())
    );
    // Whoever copies the data directory has neither key nor PIN.
    let mut all = Vec::new();
    files(&scene.gateway.data(), &mut all);
    for path in &all {
        let bytes = std::fs::read(path).unwrap();
        let has = |part: &[u8]| memchr::memmem::find(&bytes, part).is_some();
        assert!(!has(PIN.as_bytes()), "{}", path.display());
        for secret in &scene.secrets {
            assert!(!has(secret), "{}", path.display());
        }
    }
    assert!(!scene.gateway.data().join("keys/assertion.es256").exists());
    assert!(!scene.gateway.traces().contains(PIN));
}

#[test]
fn tok_17_a_key_that_is_gone_signs_nothing_and_is_told() {
    let mut scene = Scene::start();
    let token = scene.idp.draft("alice", &scene.gateway.url("notes")).sign();
    assert_eq!(scene.status(&token), 200);
    scene.hsm.lose_keys();
    let refused = call("echo").token(&token).send(scene.gateway.address);
    assert_eq!(
        (refused.status, refused.code()),
        (503, -32603),
        "{refused:?}"
    );
    assert_eq!(scene.server.upstream.requests().len(), 1, "nothing goes up");
    let told = scene.gateway.expect("key.unavailable", None);
    assert_eq!(told["detail"]["key"], "assertion");
    assert!(told["detail"]["problem"].is_string(), "{told}");
    let record = scene.gateway.record_of(&refused);
    assert_eq!(record["event"], "token.not_issued", "{record}");
    assert_eq!(record["reason"], "unsigned", "{record}");
    // Others than those who need it go on, and the doctor says what is wrong.
    let doctor = scene.run(&["doctor", "--json"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&doctor.stdout).contains("keys.token"),
        "{doctor:?}"
    );
    scene.hsm.find_keys();
    wait_for("the token", || (scene.status(&token) == 200).then_some(()));
    scene.gateway.expect("key.available", None);
}

#[test]
fn tok_17_a_wrong_pin_or_another_key_starts_nothing() {
    let mut scene = Scene::start();
    let before = scene.own_token();
    assert!(scene.gateway.stop().success());
    let serve = |scene: &Scene| {
        let refused = scene.run(&["serve"]);
        assert!(!refused.status.success());
        String::from_utf8(refused.stderr).unwrap()
    };
    std::fs::write(scene.hsm.pin_file(), "another").unwrap();
    let said = serve(&scene);
    assert!(said.contains("does not take the PIN"), "{said}");
    std::fs::write(scene.hsm.pin_file(), PIN).unwrap();
    scene.hsm.remove();
    let said = serve(&scene);
    assert!(said.contains("no token of this label"), "{said}");
    scene.hsm.put_back();
    // A key of another kind, and one that is not there.
    let text = std::fs::read_to_string(scene.config()).unwrap();
    for (label, problem) in [("second", "each once"), ("nowhere", "no pair of keys")] {
        let changed = text.replace("\"first\"", &format!("\"{label}\""));
        std::fs::write(scene.config(), changed).unwrap();
        let said = serve(&scene);
        assert!(said.contains(problem), "{said}");
    }
    // Another one takes the place of the old as a rotation does.
    scene.hsm.import("third", TokenKey::Ed25519);
    std::fs::write(scene.config(), text.replace("\"first\"", "\"third\"")).unwrap();
    scene.gateway.restart();
    let told = scene.gateway.expect("key.rotated", None);
    assert_eq!(told["detail"]["by"], "configuration");
    assert_eq!(scene.status(&before), 200);
    assert_eq!(scene.status(&scene.own_token()), 200);
    let refused = scene.run(&["keys", "rotate", "issuer"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}
