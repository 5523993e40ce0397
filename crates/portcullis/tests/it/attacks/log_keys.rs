//! The key of the audit log: replaced in the middle of everything, stolen, swapped, kept in a token, and lost with it.

use crate::harness::{
    AMPLE, Gateway, SoftHsm, TokenKey, Upstream, call, now, portcullis, wait_for,
};
use portcullis_audit::{Record, Settings, SigningKey};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PIN: &str = "gateway-pin-1234";
/// How often a handover is killed, each time a little later.
const KILLS: u32 = 6;

fn plain(upstream: &Upstream) -> String {
    format!(
        "{AMPLE}[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{}\"\nallow = [\"*\"]\n",
        upstream.url()
    )
}

fn config(gateway: &Gateway) -> PathBuf {
    gateway.data().parent().unwrap().join("portcullis.toml")
}

fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    let config = config(gateway);
    let place = ["--config", config.to_str().unwrap()];
    portcullis(&[arguments, &place].concat())
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn rotate(gateway: &Gateway) -> Value {
    rotated(gateway, &["--at-once"])
}

fn rotated(gateway: &Gateway, how: &[&str]) -> Value {
    let done = run(
        gateway,
        &[&["keys", "rotate", "audit", "--json"], how].concat(),
    );
    assert!(done.status.success(), "{done:?}");
    json_of(&done)
}

/// The key that auditors have written down.
fn first_key(gateway: &Gateway) -> String {
    let text = std::fs::read_to_string(gateway.data().join("audit.vkey")).unwrap();
    text.trim().to_owned()
}

/// What an auditor finds who has that key, the log, and nothing else.
fn audited(gateway: &Gateway, key: &str) -> (Option<i32>, Value) {
    let log = gateway.data().join("audit");
    let log = ["--log", log.to_str().unwrap()];
    let done = portcullis(&[&["audit", "verify", "--json", "--key", key][..], &log].concat());
    (done.status.code(), json_of(&done))
}

fn sound(gateway: &Gateway, key: &str, handovers: usize) -> Value {
    let (code, told) = audited(gateway, key);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(
        told["handovers"].as_array().unwrap().len(),
        handovers,
        "{told}"
    );
    told
}

fn ids(gateway: &Gateway) -> Vec<String> {
    let listed = json_of(&run(gateway, &["keys", "list", "--json"]));
    let own = listed.as_array().unwrap().iter();
    let own = own.filter(|key| key["key"] == "audit");
    own.map(|key| key["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn tok_15_the_key_of_the_log_is_replaced_without_a_failed_call() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(&plain(&upstream));
    let (token, first) = (gateway.token("notes"), first_key(&gateway));
    let status = |gateway: &Gateway| call("echo").token(&token).send(gateway.address).status;
    let is_over = AtomicBool::new(false);
    let rotated: Vec<Value> = std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(status(&gateway), 200);
                }
            });
        }
        let rotated = (1..=2).map(|count| {
            let how: &[&str] = if count == 1 { &[] } else { &["--at-once"] };
            let told = rotated(&gateway, how);
            wait_for("the new key", || {
                (gateway.records("key.rotated", None).len() == count).then_some(())
            });
            told
        });
        let rotated = rotated.collect();
        is_over.store(true, Ordering::Relaxed);
        rotated
    });
    let published = gateway.expect("key.published", None);
    assert_eq!(published["detail"]["new"], rotated[0]["new"]);
    for (told, record) in rotated.iter().zip(gateway.records("key.rotated", None)) {
        let detail = &record["detail"];
        assert_eq!(
            (&detail["key"], &detail["old"]),
            (&json!("audit"), &told["old"])
        );
        assert_eq!(detail["new"], told["new"]);
        assert!(
            detail["by"].as_str().unwrap().starts_with("uid:"),
            "{detail}"
        );
        assert!(
            detail["verifier"]
                .as_str()
                .unwrap()
                .contains(told["new"].as_str().unwrap())
        );
    }
    assert_eq!(ids(&gateway), [rotated[1]["new"].as_str().unwrap()]);
    assert_eq!(first_key(&gateway), first);
    assert!(gateway.stop().success());
    let told = sound(&gateway, &first, 2);
    assert!(
        told["signer"]
            .as_str()
            .unwrap()
            .contains(rotated[1]["new"].as_str().unwrap())
    );
    assert_eq!(gateway.verify().status.code(), Some(0), "with the witness");
    // What is proven to whoever has the first key and nothing else, of before and after.
    for seq in ["1", "last"] {
        let last = (told["checkpoint"]["size"].as_u64().unwrap() - 1).to_string();
        let seq = if seq == "last" { &last } else { seq };
        let proof = run(&gateway, &["audit", "proof", "--seq", seq]);
        let file = gateway.data().join("proof.json");
        std::fs::write(&file, &proof.stdout).unwrap();
        let check = [
            "audit",
            "proof",
            "--check",
            file.to_str().unwrap(),
            "--key",
            &first,
        ];
        let checked = portcullis(&check);
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        // Without the handovers it proves nothing.
        let mut bare: Value = serde_json::from_slice(&proof.stdout).unwrap();
        bare.as_object_mut().unwrap().remove("handovers");
        std::fs::write(&file, bare.to_string()).unwrap();
        assert_eq!(portcullis(&check).status.code(), Some(1));
    }
    // A new key that is made while the gateway is stopped takes its place at the next start.
    rotate(&gateway);
    gateway.restart();
    assert_eq!(status(&gateway), 200);
    assert!(gateway.stop().success());
    sound(&gateway, &first, 3);
}

#[test]
fn tok_15_whoever_steals_the_newest_key_rewrites_nothing_of_before() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(&plain(&upstream));
    let (token, first) = (gateway.token("notes"), first_key(&gateway));
    assert_eq!(call("echo").token(&token).send(gateway.address).status, 200);
    rotate(&gateway);
    gateway.expect("key.rotated", None);
    assert!(gateway.stop().success());
    sound(&gateway, &first, 1);
    let (log, away) = (gateway.data().join("audit"), gateway.data().join("away"));
    std::fs::rename(&log, &away).unwrap();
    // Another history, with all of the gateway's files at hand.
    let stolen = std::fs::read(gateway.data().join("keys/audit.ed25519")).unwrap();
    let key = SigningKey::from_pkcs8("portcullis.local/audit", &stolen).unwrap();
    let forged = portcullis_audit::open(&log, key, || 1_785_229_200_000_000, &Settings::default());
    let forged = forged.unwrap();
    let mut entry = forged.recorder.try_reserve().unwrap();
    entry.record = Record::new("call.completed");
    entry.submit().unwrap().written_blocking().unwrap();
    forged.writer.finish(Duration::from_secs(5)).unwrap();
    let (code, told) = audited(&gateway, &first);
    assert_eq!(code, Some(1), "{told}");
    assert_eq!(
        (&told["file"], &told["line"], &told["why"]),
        (&json!("checkpoints"), &json!(1), &json!("checkpoint"))
    );
    // Nor does the gateway go on with it, and the doctor tells.
    assert!(!run(&gateway, &["serve"]).status.success());
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::rename(&away, &log).unwrap();
    gateway.restart();
}

#[test]
fn tok_15_a_swapped_key_of_the_log_is_told() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(&plain(&upstream));
    let first = first_key(&gateway);
    let file = gateway.data().join("keys/audit.ed25519");
    let ring = gateway.data().join("keys/audit.ed25519.ring");
    let own = std::fs::read(&file).unwrap();
    let issuer = std::fs::read(gateway.data().join("keys/issuer.ed25519")).unwrap();
    // Beside a running gateway: it is told, and the right key signs on.
    std::fs::write(&file, &issuer).unwrap();
    let bytes = std::fs::read(&ring).unwrap();
    std::fs::remove_file(&ring).unwrap();
    std::fs::write(&ring, &bytes).unwrap();
    let told = gateway.expect("key.rejected", None);
    assert_eq!(told["detail"]["key"], "audit");
    assert!(gateway.stop().success());
    sound(&gateway, &first, 0);
    // A stopped one does not start, also if the ring is swapped with it.
    for with_ring in [false, true] {
        if with_ring {
            std::fs::remove_file(&ring).unwrap();
        }
        let refused = run(&gateway, &["serve"]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(
            !refused.status.success() && said.contains("was replaced"),
            "{said}"
        );
        let doctor = run(&gateway, &["doctor", "--json"]);
        let found = String::from_utf8(doctor.stdout).unwrap();
        assert!(
            doctor.status.code() == Some(1) && found.contains("keys.mismatch"),
            "{found}"
        );
    }
    std::fs::write(&file, own).unwrap();
    std::fs::write(&ring, bytes).unwrap();
    gateway.restart();
    assert!(gateway.stop().success());
    sound(&gateway, &first, 0);
}

#[test]
fn tok_15_a_handover_that_is_killed_is_done_or_not() {
    let upstream = Upstream::start();
    let mut gateway = Gateway::start(&plain(&upstream));
    let first = first_key(&gateway);
    for kill in 0..KILLS {
        rotate(&gateway);
        std::thread::sleep(Duration::from_millis(u64::from(kill) * 250));
        gateway.kill();
        let (code, told) = audited(&gateway, &first);
        assert_eq!(code, Some(0), "{told}");
        gateway.restart();
        wait_for("the new key", || (ids(&gateway).len() == 1).then_some(()));
    }
    assert!(gateway.stop().success());
    sound(&gateway, &first, usize::try_from(KILLS).unwrap());
}

#[test]
fn tok_17_a_log_whose_token_is_gone_takes_no_calls_after_the_stated_time() {
    let upstream = Upstream::start();
    let mut hsm = SoftHsm::start(PIN);
    let secret = hsm.import("log", TokenKey::Ed25519);
    let config = format!(
        "{}[audit]\nsign_within = \"2s\"\n{}",
        plain(&upstream),
        hsm.table("audit = \"log\"")
    );
    let mut gateway = Gateway::start_after(&hsm.export(), &config);
    let (token, first) = (gateway.token("notes"), first_key(&gateway));
    let status = || call("echo").token(&token).send(gateway.address).status;
    assert_eq!(status(), 200);
    assert!(!gateway.data().join("keys/audit.ed25519").exists());
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
    hsm.lose_keys();
    let begun = now();
    let mut answered = 1;
    let refused = wait_for("a refusal", || {
        let response = call("echo").token(&token).send(gateway.address);
        answered += usize::from(response.status == 200);
        (response.status != 200).then_some(response)
    });
    assert_eq!(
        (refused.status, refused.code()),
        (503, -32603),
        "{refused:?}"
    );
    // A checkpoint is due within five seconds; then two, and what asking takes.
    assert!(now() - begun <= 12);
    let told = gateway.expect("key.unavailable", None);
    assert_eq!(told["detail"]["key"], "audit");
    let ready = gateway.ask_admin("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("key of the audit log does not sign"));
    hsm.find_keys();
    wait_for("the token", || (status() == 200).then_some(()));
    gateway.expect("key.available", None);
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
    // Nothing that was answered is missing.
    assert_eq!(gateway.records("call.completed", None).len(), answered + 1);
    assert!(gateway.stop().success());
    let told = sound(&gateway, &first, 0);
    assert_eq!(told["unanchored"], 0);
    let files = std::fs::read_dir(gateway.data().join("keys")).unwrap();
    for file in files {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(memchr::memmem::find(&bytes, &secret).is_none());
    }
}

#[test]
fn tok_17_the_key_of_the_log_moves_into_a_token_and_back() {
    let upstream = Upstream::start();
    let mut hsm = SoftHsm::start(PIN);
    hsm.import("log", TokenKey::Ed25519);
    hsm.import("later", TokenKey::Ed25519);
    let mut gateway = Gateway::start_after(&hsm.export(), &plain(&upstream));
    let first = first_key(&gateway);
    let text = std::fs::read_to_string(config(&gateway)).unwrap();
    for (count, keys) in ["audit = \"log\"", "audit = \"later\"", ""]
        .iter()
        .enumerate()
    {
        let ended = gateway.stop();
        assert!(ended.success(), "{count} {ended:?} {}", gateway.stderr());
        std::fs::write(config(&gateway), format!("{text}{}", hsm.table(keys))).unwrap();
        gateway.restart();
        let told = wait_for("the new key", || {
            gateway.records("key.rotated", None).into_iter().nth(count)
        });
        assert_eq!(told["detail"]["by"], "configuration");
    }
    let token = gateway.token("notes");
    assert_eq!(call("echo").token(&token).send(gateway.address).status, 200);
    let ended = gateway.stop();
    assert!(ended.success(), "{ended:?} {}", gateway.stderr());
    sound(&gateway, &first, 3);
    // The old key of the token is not needed any more.
    std::fs::write(config(&gateway), &text).unwrap();
    gateway.restart();
    let ended = gateway.stop();
    assert!(ended.success(), "{ended:?} {}", gateway.stderr());
    // One that has signed before does not come back.
    std::fs::write(
        config(&gateway),
        format!("{text}{}", hsm.table("audit = \"log\"")),
    )
    .unwrap();
    let config = config(&gateway);
    let refused = hsm.portcullis(&["serve", "--config", config.to_str().unwrap()]);
    assert!(!refused.status.success());
    sound(&gateway, &first, 3);
}
