//! How sessions end, and that they do.

use crate::harness::{Answer, Request, Scene, call, call_in, initialize, wait_for};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn ses_11_ends_a_session_that_is_deleted() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let (gone, kept) = (scene.session(&token), scene.session(&token));
    let stream = scene.open(&Request::in_session("GET", &gone).token(&token));
    assert_eq!(stream.response.status, 200);
    assert_eq!(
        scene
            .send(&Request::in_session("DELETE", &gone).token(&token))
            .status,
        200
    );
    let goodbye = wait_for("the DELETE at the upstream", || {
        scene
            .upstream
            .requests()
            .into_iter()
            .find(|seen| seen.method == "DELETE")
    });
    assert_eq!(goodbye.header("mcp-session-id"), Some("upstream-0"));
    for request in [
        call_in(&gone, &token),
        Request::in_session("GET", &gone).token(&token),
        Request::in_session("DELETE", &gone).token(&token),
    ] {
        scene.refuses(&request, (404, 404), ("session.reject", "unknown"));
    }
    scene.permits(&call_in(&kept, &token));
    // What the upstream says from now on is for nobody.
    scene.upstream.notify("late", "after-the-end");
    let (rest, _) = stream.end();
    assert!(
        !rest.contains("after-the-end"),
        "the stream outlived its session: {rest}"
    );
}

#[test]
fn ses_11_ends_idle_sessions_and_ses_14_clears_them_away() {
    let scene = Scene::and("[sessions]\nidle = \"10s\"\n");
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let (idle, busy) = (scene.session(&alice), scene.session(&bob));
    let record = wait_for("the end of the idle session", || {
        std::thread::sleep(Duration::from_millis(500));
        scene.permits(&call_in(&busy, &bob));
        scene
            .gateway
            .records("session.terminated", Some("idle"))
            .pop()
    });
    assert!(
        record["detail"]["owner"]
            .as_str()
            .unwrap()
            .ends_with("|alice"),
        "{record}"
    );
    scene.refuses(
        &call_in(&idle, &alice),
        (404, 404),
        ("session.reject", "unknown"),
    );
    wait_for("the DELETE at the upstream", || {
        scene
            .upstream
            .requests()
            .iter()
            .any(|seen| seen.method == "DELETE")
            .then_some(())
    });
    scene.permits(&call_in(&busy, &bob));
}

#[test]
fn ses_14_bounds_the_sessions_of_a_principal() {
    let scene = Scene::and("[sessions]\nmax_per_principal = 2\nmax = 3\n");
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let other = scene.session(&bob);
    let [first, second, third] = [(); 3].map(|()| scene.session(&alice));
    scene.gateway.expect("session.terminated", Some("evicted"));
    wait_for("the DELETE at the upstream", || {
        scene
            .upstream
            .requests()
            .iter()
            .any(|seen| seen.method == "DELETE")
            .then_some(())
    });
    scene.refuses(
        &call_in(&first, &alice),
        (404, 404),
        ("session.reject", "unknown"),
    );
    for session in [second, third] {
        scene.permits(&call_in(&session, &alice));
    }
    scene.permits(&call_in(&other, &bob));
    // Over all principals the table is full; nobody else's session makes room.
    let refused = scene.send(&initialize(&scene.token("carol")));
    assert_eq!(
        (refused.status, refused.header("mcp-session-id")),
        (503, None)
    );
    assert_eq!(scene.gateway.record_of(&refused)["reason"], "full");
    scene.permits(&call_in(&other, &bob));
}

#[test]
fn ses_11_ends_a_session_that_the_upstream_forgot() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let session = scene.session(&token);
    scene.upstream.misbehave(|seen| {
        seen.body
            .contains("tools/call")
            .then(|| Answer::status(404))
    });
    assert_eq!(scene.send(&call_in(&session, &token)).status, 404);
    scene.gateway.expect("session.terminated", Some("upstream"));
    scene.upstream.misbehave(|_| None);
    scene.refuses(
        &call_in(&session, &token),
        (404, 404),
        ("session.reject", "unknown"),
    );
    let again = scene.session(&token);
    scene.permits(&call_in(&again, &token));
}

#[test]
fn ses_11_ends_a_session_that_the_upstream_does_not_know_when_it_is_listened_to() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let session = scene.session(&token);
    scene
        .upstream
        .misbehave(|seen| (seen.method == "GET").then(|| Answer::status(404)));
    let listen = Request::in_session("GET", &session).token(&token);
    let refused = scene.send(&listen);
    assert_eq!((refused.status, refused.code()), (404, 404), "{refused:?}");
    assert_eq!(scene.gateway.record_of(&refused)["event"], "session.reject");
    scene.gateway.expect("session.terminated", Some("upstream"));
    scene.upstream.misbehave(|_| None);
    scene.refuses(&listen, (404, 404), ("session.reject", "unknown"));
    let again = scene.session(&token);
    let stream = scene.open(&Request::in_session("GET", &again).token(&token));
    assert_eq!(stream.response.status, 200);
}

/// `more` configures the gateway; one call is under way when the drain begins.
fn takes_no_connection_while_it_drains(more: &str) {
    let scene = Scene::and(more);
    let token = scene.token("alice");
    scene.upstream.misbehave(|seen| {
        seen.body
            .contains("read_note")
            .then(|| Answer::Open(Vec::new()))
    });
    let before = scene.upstream.requests().len();
    let mut under_way = TcpStream::connect(scene.gateway.address).unwrap();
    let slow = call("read_note").token(&token);
    let bytes = slow.bytes(scene.gateway.address, &"ef".repeat(16), "");
    under_way.write_all(&bytes).unwrap();
    wait_for("the call at the upstream", || {
        (scene.upstream.requests().len() > before).then_some(())
    });
    scene.gateway.drain();
    wait_for("a refused connection", || {
        TcpStream::connect(scene.gateway.address).err()
    });
    // It is refused because of the drain, not because the gateway has ended.
    assert!(scene.gateway.records("gateway.stopped", None).is_empty());
    scene.gateway.expect("gateway.stopped", Some("deadline"));
}

#[test]
fn siem_03_takes_no_connection_while_it_drains() {
    takes_no_connection_while_it_drains("");
}

#[test]
fn siem_03_takes_no_connection_while_it_drains_with_every_place_taken() {
    takes_no_connection_while_it_drains("[limits]\nconnections = 1\n");
}

#[test]
fn siem_03_records_one_end_for_each_beginning() {
    let mut scene = Scene::and("[sessions]\nmax_per_principal = 3\n");
    let token = scene.token("alice");
    let sessions = [(); 5].map(|()| scene.session(&token));
    for session in &sessions[2..4] {
        assert_eq!(
            scene
                .send(&Request::in_session("DELETE", session).token(&token))
                .status,
            200
        );
    }
    let count = |event: &str| scene.gateway.records(event, None).len();
    wait_for("two evictions and two deletions", || {
        (count("session.terminated") == 4).then_some(())
    });
    assert_eq!(count("session.created"), sessions.len());
    let legal = |record: &Value| {
        let hash = record["session"].as_str().unwrap();
        let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash && !sessions.iter().any(|session| session.contains(hash))
    };
    assert!(
        scene
            .gateway
            .records("session.created", None)
            .iter()
            .all(legal)
    );

    let ended = scene.gateway.stop();
    assert!(ended.success(), "{ended}: {}", scene.gateway.stderr());
    let mut open = std::collections::HashSet::new();
    for record in scene.gateway.audit() {
        let session = record["session"].as_str().unwrap_or_default().to_owned();
        match record["event"].as_str().unwrap() {
            "session.created" => assert!(open.insert(session), "created twice: {record}"),
            "session.terminated" => {
                assert!(open.remove(&session), "ended without a beginning: {record}");
            }
            _ => {}
        }
    }
    assert!(
        open.is_empty(),
        "{} sessions have no end in the log",
        open.len()
    );
}

#[test]
fn ses_10_notices_when_the_client_s_software_changes() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let opened = scene.send(&initialize(&token).set("user-agent", "claude/1"));
    let session = opened.header("mcp-session-id").unwrap();
    let same = scene.permits(&call_in(session, &token).set("user-agent", "claude/1"));
    assert_eq!(
        scene.gateway.record_of(&same)["detail"]["session_context"],
        json!(null)
    );
    let other = scene.permits(&call_in(session, &token).set("user-agent", "curl/8"));
    assert_eq!(
        scene.gateway.record_of(&other)["detail"]["session_context"],
        "changed"
    );
    scene.permits(&call("echo").token(&token));
}

/// Frameworks answer 404 for `GET` where a server has no stream of its own; that is no word about sessions.
#[test]
fn ses_11_ends_no_session_for_a_404_of_a_server_that_has_none() {
    let scene = Scene::new();
    scene.upstream.misbehave(|seen| {
        let message: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let id = &message["id"];
        match message["method"].as_str() {
            Some("initialize") => {
                let result = json!({
                    "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                    "serverInfo": { "name": "without", "version": "1" },
                });
                let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
                Some(Answer::json(200, "", &answer.to_string()))
            }
            Some("ping") => {
                let error = json!({ "code": -32601, "message": "no such method" });
                let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
                Some(Answer::json(404, "", &answer.to_string()))
            }
            _ if seen.method == "GET" => Some(Answer::status(404)),
            _ => None,
        }
    });
    let token = scene.token("alice");
    let session = scene.session(&token);
    let listened = scene.send(&Request::in_session("GET", &session).token(&token));
    assert_eq!(listened.status, 405, "{listened:?}");
    scene.permits(&call_in(&session, &token));
    let asked = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    let answered = scene.send(&call_in(&session, &token).body(asked));
    assert_eq!(
        (answered.status, answered.code()),
        (400, -32601),
        "{answered:?}"
    );
    scene.permits(&call_in(&session, &token));
}
