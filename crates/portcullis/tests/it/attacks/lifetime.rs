//! ATK-008: tokens before, after and without their time.

use crate::harness::{Answer, Request, Scene, call, call_in, message, now, wait_for};
use serde_json::{Value, json};

const EXACT: &str = r#"
[issuers.idp]
issuer = "{idp}"
skew = "0s"

[servers.notes]
url = "{upstream}"
allow = ["*"]
"#;

#[test]
fn auth_09_refuses_tokens_outside_their_time() {
    let scene = Scene::new();
    let now = now();
    let year_2100 = 4_102_444_800_u64;
    for (claim, value, reason) in [
        ("exp", json!(now - 61), "expired"),
        ("exp", json!(now - 31), "expired"),
        ("exp", json!(0), "expired"),
        ("exp", json!(year_2100), "lifetime"),
        ("exp", json!(now + 25 * 3600), "lifetime"),
        ("exp", json!(9e15), "lifetime"),
        ("exp", json!(u64::MAX), "lifetime"),
        ("exp", json!(1e300), "malformed"),
        ("exp", json!(-1), "malformed"),
        ("exp", json!((now + 60).to_string()), "malformed"),
        ("exp", json!([now + 60]), "malformed"),
        ("exp", Value::Null, "malformed"),
        ("nbf", json!(now + 120), "nbf"),
        ("nbf", json!("later"), "malformed"),
        ("iat", json!(now + 120), "nbf"),
        ("iat", json!(now - 25 * 3600), "lifetime"),
    ] {
        let token = scene.draft("alice").claim(claim, value.clone()).sign();
        println!("{claim} {value}");
        scene.unauthenticated(&call("echo").token(&token), reason);
    }
    scene.unauthenticated(
        &call("echo").token(&scene.draft("alice").without("exp").sign()),
        "lifetime",
    );
    let immortal = scene
        .draft("alice")
        .without("iat")
        .claim("exp", year_2100)
        .sign();
    scene.unauthenticated(&call("echo").token(&immortal), "lifetime");

    scene.permits(&call("echo").token(&scene.token("alice")));
    let nearly = scene
        .draft("alice")
        .claim("nbf", now)
        .claim("exp", now + 23 * 3600)
        .sign();
    scene.permits(&call("echo").token(&nearly));
}

/// Another server, which takes no token that lives longer than ten minutes.
const STRICTER: &str = r#"
[servers.strict]
url = "{upstream}"
max_token_lifetime = "10m"
allow = ["*"]
"#;

#[test]
fn auth_09_refuses_at_a_stricter_server_a_token_that_lives_too_long() {
    let scene = Scene::and(STRICTER);
    let strict = scene.gateway.url("strict");
    let audiences = json!([scene.gateway.url("notes"), strict]);
    let now = now();
    let to_strict = |token: &str| call("echo").to("/servers/strict/mcp").token(token);
    let lives = |seconds: u64| {
        let draft = scene.draft("alice").claim("aud", audiences.clone());
        draft.claim("iat", now).claim("exp", now + seconds)
    };
    let long = lives(601).sign();
    scene.permits(&call("echo").token(&long));
    scene.unauthenticated(&to_strict(&long), "lifetime");
    scene.unauthenticated(&to_strict(&long), "lifetime"); // now that it is remembered
    let undated = lives(900).without("iat").sign();
    scene.permits(&call("echo").token(&undated));
    scene.unauthenticated(&to_strict(&undated), "lifetime");
    // Nearly over, it was as long from the beginning.
    let late = lives(60).claim("iat", now - 560).sign();
    scene.unauthenticated(&to_strict(&late), "lifetime");

    let short = lives(600).sign();
    scene.permits(&call("echo").token(&short));
    scene.permits(&to_strict(&short));
}

#[test]
fn auth_09_lets_each_of_all_servers_say_how_long_a_token_may_live() {
    let scene = Scene::and(STRICTER);
    let all = format!("http://{}/mcp", scene.gateway.address);
    let names = |token: &str| {
        let list = message("tools/list", json!({})).to("/mcp").token(token);
        let listed = scene.send(&list).json();
        let tools = listed["result"]["tools"].as_array().cloned();
        let names = tools.unwrap_or_default().into_iter();
        names
            .filter_map(|tool| Some(tool["name"].as_str()?.split_once("__")?.0.to_owned()))
            .collect::<std::collections::BTreeSet<String>>()
    };
    let draft = scene.draft("alice").claim("aud", all);
    let long = draft.clone().claim("exp", now() + 3600).sign();
    assert!(names(&long).contains("notes"), "{:?}", names(&long));
    assert!(!names(&long).contains("strict"), "{:?}", names(&long));
    let there = |token: &str| scene.send(&call("strict__echo").to("/mcp").token(token));
    let refused = there(&long);
    assert_ne!(refused.code(), 0, "{refused:?}");
    let record = scene.gateway.expect("authz.deny", Some("no_rule"));
    assert_eq!(record["server"], "strict", "{record}");
    let short = draft.sign();
    assert!(names(&short).contains("strict"), "{:?}", names(&short));
    assert_eq!(there(&short).code(), 0);
}

#[test]
fn tok_09_asks_for_the_time_again_on_each_use() {
    let scene = Scene::with(EXACT);
    let end = now() + 5;
    let token = scene.draft("alice").claim("exp", end).sign();
    let session = scene.session(&token);
    scene.permits(&call("echo").token(&token)); // verified, and remembered so
    wait_for("the end of the token", || (now() > end).then_some(()));
    scene.unauthenticated(&call("echo").token(&token), "expired");
    scene.unauthenticated(&call_in(&session, &token), "expired");
    scene.permits(&call("echo").token(&scene.token("alice")));
    scene.permits(&call_in(&session, &scene.token("alice")));
}

#[test]
fn auth_09_cuts_streams_when_the_token_ends() {
    let scene = Scene::with(EXACT);
    scene.upstream.misbehave(|seen| {
        let is_slow = seen.body.contains("read_note");
        is_slow.then(|| Answer::events("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\"begun\"}}\n\n"))
    });
    let long = scene.token("bob");
    let session = scene.session(&long);
    let mut twin = scene.open(&Request::in_session("GET", &session).token(&long));

    let end = now() + 6;
    let short = scene.draft("alice").claim("exp", end).sign();
    let session = scene.session(&short);
    let listening = scene.open(&Request::in_session("GET", &session).token(&short));
    let mut calling = scene.open(&call("read_note").token(&short));
    assert_eq!(
        (listening.response.status, calling.response.status),
        (200, 200)
    );
    calling
        .until("begun")
        .expect("the stream runs while the token lives");

    listening.end();
    calling.end();
    assert!(now() >= end, "cut before the token ended");
    assert!(now() <= end + 10, "cut long after the token ended");
    wait_for("both records", || {
        (scene
            .gateway
            .records("stream.closed", Some("token_expired"))
            .len()
            == 2)
            .then_some(())
    });
    scene.upstream.notify("n", "still-here");
    twin.until("still-here").expect("another's stream goes on");
}

#[test]
fn auth_09_cuts_a_stream_that_nobody_reads() {
    let scene = Scene::with(EXACT);
    // More than all sockets on the way hold, so that the gateway has to wait for the client.
    let head = b"HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let text = "x".repeat(512 * 1024);
    let wave = format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"data\":\"{text}\"}}}}\n\n"
    );
    scene.upstream.misbehave(move |seen| {
        let flood = || Answer::Flood(head.to_vec(), wave.clone().into_bytes());
        (seen.method == "GET").then(flood)
    });
    let end = now() + 8;
    let token = scene.draft("alice").claim("exp", end).sign();
    let session = scene.session(&token);
    let stalled = scene.open(&Request::in_session("GET", &session).token(&token));
    assert_eq!(stalled.response.status, 200);
    wait_for("the end of the stream", || {
        let cut = scene
            .gateway
            .records("stream.closed", Some("token_expired"));
        (cut.len() == 1).then_some(())
    });
    assert!(now() >= end, "cut before the token ended");
    drop(stalled);
    scene.permits(&call("echo").token(&scene.token("alice")));
}
