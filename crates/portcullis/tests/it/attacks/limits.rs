//! Grants whose time is over, and grants beyond what is allowed at all.

use crate::harness::{AMPLE, Request, Scene, call, call_in, message, now, wait_for};
use serde_json::json;

/// Scope creep: a right for a while, forgotten, and used later.
const FOR_A_WHILE: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["read_*"]

[[grants]]
who = "user:alice"
allow = ["notes__write_note"]
until = "2100-01-01"
"#;

/// RFC 3339 of that second.
fn moment(seconds: u64) -> String {
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the Gregorian calendar, counted from March 0000.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 {
        (month + 3, year)
    } else {
        (month - 9, year + 1)
    };
    format!(
        "{:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z",
        year + era * 400,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[test]
fn authz_05_a_grant_that_is_over_permits_nothing() {
    let scene = Scene::with(&format!("{AMPLE}{FOR_A_WHILE}"));
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    scene.permits(&call("write_note").token(&alice));
    assert_eq!(scene.tools(&alice), ["read_note", "write_note"]);
    assert_eq!(scene.tools(&bob), ["read_note"]);
    let session = scene.session(&alice);
    // It ends while nobody touches anything: later if the machine was too slow to use it before.
    let mut written = "2100-01-01".to_owned();
    let mut patience = 4;
    let ended = loop {
        let until = moment(now() + patience);
        let seen = scene.gateway.records("config.reloaded", None).len();
        scene.gateway.reload(&written, &until);
        wait_for("the reload", || {
            (scene.gateway.records("config.reloaded", None).len() > seen).then_some(())
        });
        written.clone_from(&until);
        if scene.send(&call("write_note").token(&alice)).status == 200 {
            break until;
        }
        patience *= 2;
    };
    wait_for("the end of the grant", || {
        (scene.send(&call("write_note").token(&alice)).status == 403).then_some(())
    });
    let over = |request: &Request| {
        let response = scene.refuses(request, (403, 403), ("authz.deny", "expired"));
        let record = scene.gateway.record_of(&response);
        let decision = &record["decision"];
        assert_eq!(decision["rule"], "grant:user:alice notes__write_note");
        assert_eq!(decision["effect"], "deny");
    };
    over(&call("write_note").token(&alice));
    over(&call("write_note").token(&scene.token("alice")));
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "write_note" } });
    over(&call_in(&session, &alice).body(&body.to_string()));
    assert_eq!(scene.tools(&alice), ["read_note"]);
    let told = scene.gateway.expect("grant.expired", None);
    assert_eq!(told["detail"]["rule"], "grant:user:alice notes__write_note");
    let second = told["detail"]["until"]
        .as_str()
        .unwrap()
        .replace(".000000", "");
    assert_eq!(second, ended);
    // The twins: what everybody may do, and the grant with a new end.
    scene.permits(&call("read_note").token(&alice));
    scene.refuses(
        &call("write_note").token(&bob),
        (403, 403),
        ("authz.deny", "no_rule"),
    );
    scene.gateway.reload(&written, "2100-01-01");
    wait_for("the new end", || {
        (scene.send(&call("write_note").token(&alice)).status == 200).then_some(())
    });
}

const BOUNDED: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["*"]

[servers.other]
url = "{upstream}"
allow = ["*"]

[boundary.contractors]
who = "group:contractors"
allow = ["notes__read_*", "resource:notes__note:*"]

[boundary.house]
who = "issuer:idp"
allow = ["notes__*", "resource:notes__*", "other__read_note"]

[[grants]]
who = "user:mallory"
allow = ["notes__*", "resource:notes__*", "other__*"]
"#;

#[test]
fn authz_03_no_grant_exceeds_a_boundary() {
    let scene = Scene::with(BOUNDED);
    let contractor = scene
        .draft("mallory")
        .claim("groups", json!(["contractors"]))
        .sign();
    let read = |uri: &str| message("resources/read", json!({ "uri": uri })).set("mcp-name", uri);
    let beyond = |request: &Request, rule: &str| {
        let response = scene.refuses(request, (403, 403), ("authz.deny", "boundary"));
        assert_eq!(scene.gateway.record_of(&response)["decision"]["rule"], rule);
        assert_eq!(response.challenge(), "", "no scope would help");
    };
    beyond(
        &call("write_note").token(&contractor),
        "boundary:contractors",
    );
    beyond(
        &read("file:///etc/passwd").token(&contractor),
        "boundary:contractors",
    );
    assert_eq!(scene.tools(&contractor), ["read_note"]);
    // A grant above the boundary is written into the file: nothing changes.
    let seen = scene.gateway.records("config.reloaded", None).len();
    scene.gateway.reload(
        "[[grants]]",
        "[[grants]]\nwho = \"group:contractors\"\nallow = [\"notes__write_note\"]\n[[grants]]",
    );
    wait_for("the reload", || {
        (scene.gateway.records("config.reloaded", None).len() > seen).then_some(())
    });
    beyond(
        &call("write_note").token(&contractor),
        "boundary:contractors",
    );
    scene.permits(&call("read_note").token(&contractor));
    scene.permits(&read("note:///a").token(&contractor));
    // The tenant has its own, whoever it is.
    let anyone = |tool: &str| {
        let token = scene.idp.draft("alice", &scene.gateway.url("other")).sign();
        call(tool).token(&token).to("/servers/other/mcp")
    };
    beyond(&anyone("write_note"), "boundary:house");
    scene.permits(&anyone("read_note"));
    scene.permits(&call("write_note").token(&scene.token("alice")));
}
