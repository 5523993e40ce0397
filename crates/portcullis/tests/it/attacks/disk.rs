//! A disk that takes no more: what cannot be recorded is not done, and the log is sound when there is room again.
//!
//! The kernel's limit on the size of a file stands for the full disk, since it needs no privilege: the log's
//! segment stops in the middle of a line with EFBIG, as it does with ENOSPC.

use crate::harness::{AMPLE, Answer, Kept, Scene, call, initialize, wait_for};
use serde_json::json;

/// Files may grow to 768 blocks of 512 bytes, which the database does not need. The log of the process goes elsewhere: it
/// would be full first.
const FULL: &str = "trap '' XFSZ; ulimit -f 768; exec 2>/dev/null";
/// The same, and there is no room for what the process says either.
const FULL_AND_MUTE: &str = "trap '' XFSZ; ulimit -f 768; exec 2>/dev/full";
/// Longer than it can take to fill the file.
const MANY: usize = 1000;

fn fill(before: &str) {
    let mut scene = Scene::after(before, AMPLE);
    let token = scene.token("alice");
    let mut answered = Vec::new();
    let mut refused = None;
    for _ in 0..MANY {
        let response = scene.send(&call("echo").token(&token));
        if response.status != 200 {
            refused = Some(response);
            break;
        }
        answered.push(response.trace);
    }
    let refused = refused.expect("the limit on the size of files is not in force here");
    assert_eq!(
        (refused.status, refused.code()),
        (503, -32603),
        "{refused:?}"
    );
    assert!(!answered.is_empty());

    // The one call in whose time the disk became full had gone up; no other does.
    let reached = scene.upstream.requests().len();
    assert_eq!(reached, answered.len() + 1);
    let mut kept = Kept::open(scene.gateway.address);
    for request in [
        call("echo").token(&token),
        call("echo"),
        initialize(&token),
        crate::harness::post("{").token(&token),
    ] {
        let response = kept.ask(&request).unwrap();
        assert_eq!((response.status, response.code()), (503, -32603));
        assert!(!response.body.contains("disk") && !response.body.contains("os error"));
    }
    assert_eq!(
        scene.upstream.requests().len(),
        reached,
        "went through unrecorded"
    );
    let ready = scene.gateway.ask_admin("/readyz");
    assert_eq!(
        (ready.status, ready.body.contains("audit log")),
        (503, true),
        "{ready:?}"
    );
    assert_eq!(scene.gateway.ask_admin("/healthz").status, 200);

    // What was answered is there, and nothing of what was refused is half there.
    let is_recorded = |records: &[serde_json::Value], trace: &str| {
        records.iter().any(|record| record["trace"] == json!(trace))
    };
    let records = scene.gateway.exchanges();
    assert!(
        answered.iter().all(|trace| is_recorded(&records, trace)),
        "answered, and not recorded"
    );
    let verified = scene.gateway.verify();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    assert!(
        !scene.gateway.stop().success(),
        "it says that its log failed"
    );
    let verified = scene.gateway.verify();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");

    scene.gateway.restart_plainly();
    scene.permits(&call("echo").token(&token));
    let records = scene.gateway.exchanges();
    assert!(answered.iter().all(|trace| is_recorded(&records, trace)));
    assert!(scene.gateway.stop().success());
    let verified = scene.gateway.verify();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

#[test]
fn authz_04_refuses_everything_when_the_disk_is_full() {
    fill(FULL);
}

#[test]
fn authz_04_refuses_everything_when_nothing_can_be_said_either() {
    fill(FULL_AND_MUTE);
}

#[test]
fn authz_04_gives_no_answer_of_a_server_away_that_it_could_not_record() {
    let scene = Scene::after(FULL, AMPLE);
    scene.upstream.misbehave(|seen| {
        let answer = r#"{"jsonrpc":"2.0","id":7,"result":{"secret":"of the server"}}"#;
        let is_stream = seen.body.contains("read_note");
        let events = format!("HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: {answer}\n\n");
        is_stream.then(|| Answer::Bytes(events.into_bytes()))
    });
    let token = scene.token("alice");
    let mut given = Vec::new();
    let last = wait_for("the end of the room", || {
        let response = scene.send(&call("read_note").token(&token));
        if !response.body.contains("of the server") {
            return Some(response);
        }
        given.push(response.trace);
        None
    });
    // The head of a stream had gone when its message came; the message had not, and the stream just ends.
    assert!([200, 503].contains(&last.status), "{last:?}");
    let records = scene.gateway.exchanges();
    assert!(
        records
            .iter()
            .all(|record| record["trace"] != json!(last.trace)),
        "recorded after all"
    );
    let is_recorded = |trace: &String| records.iter().any(|record| record["trace"] == json!(trace));
    assert!(given.iter().all(is_recorded), "given away unrecorded");
    assert_eq!(scene.gateway.ask_admin("/readyz").status, 503);
}
