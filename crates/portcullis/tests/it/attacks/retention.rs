//! A log that may not grow without end: what the gateway removes is told, and what others remove is found.

use crate::harness::{AMPLE, Kept, Scene, message, portcullis, wait_for};
use serde_json::{Value, json};

/// More than is kept, by records of some 2 KiB.
const CALLS: usize = 3000;

fn verified(scene: &Scene) -> (Option<i32>, Value) {
    let data = scene.gateway.data();
    let ran = portcullis(&[
        "audit",
        "verify",
        "--json",
        "--data",
        data.to_str().unwrap(),
    ]);
    let said = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    (ran.status.code(), said)
}

/// A log of more than 4 MiB, after a restart.
fn grown(more: &str) -> Scene {
    let mut scene = Scene::and(&format!("{AMPLE}[audit]\nrotate = \"1MiB\"\n{more}"));
    let token = scene.token("alice");
    let words = "word ".repeat(48);
    let arguments: Vec<(String, &str)> = (0..7)
        .map(|name| (format!("text{name}"), &*words))
        .collect();
    let arguments: Value = arguments.into_iter().collect();
    let params = json!({ "name": "echo", "arguments": arguments });
    let request = message("tools/call", params)
        .set("mcp-name", "echo")
        .token(&token);
    let mut kept = Kept::open(scene.gateway.address);
    for _ in 0..CALLS {
        assert_eq!(kept.ask(&request).unwrap().status, 200);
    }
    scene.gateway.restart();
    scene
}

#[test]
fn for_01_tells_what_retention_removed_from_what_was_removed_by_hand() {
    let scene = grown("keep_bytes = \"4MiB\"\n");
    let first = |scene: &Scene| scene.gateway.segments().remove(0);
    wait_for("the end of the oldest file", || {
        (!first(&scene).ends_with(format!("{:020}.jsonl", 0))).then_some(())
    });
    let record = scene.gateway.expect("audit.removed", None);
    assert_eq!(record["detail"]["first_seq"], "0", "{record}");
    let last: u64 = record["detail"]["last_seq"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    wait_for("all that was told", || {
        first(&scene)
            .ends_with(format!("{:020}.jsonl", last + 1))
            .then_some(())
    });
    let (code, said) = verified(&scene);
    assert_eq!(
        (code, &said["removed"]),
        (Some(0), &json!(last + 1)),
        "{said}"
    );
    assert_eq!(said["verdict"], "sound");

    std::fs::remove_file(first(&scene)).unwrap();
    let (code, said) = verified(&scene);
    assert_eq!(
        (code, &said["verdict"]),
        (Some(1), &json!("broken")),
        "{said}"
    );
}

#[test]
fn for_01_removes_nothing_unless_it_is_told_to() {
    let mut scene = grown("");
    assert!(scene.gateway.segments().len() > 4);
    assert!(scene.gateway.stop().success());
    assert!(scene.gateway.records("audit.removed", None).is_empty());
    let (code, said) = verified(&scene);
    assert_eq!((code, &said["removed"]), (Some(0), &json!(0)), "{said}");
}
