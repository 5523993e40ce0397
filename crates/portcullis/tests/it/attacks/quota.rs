//! ATK-077: too much, spread over everything that can be spread over.

use crate::harness::{Answer, Request, Scene, call, call_in, initialize, message, wait_for};
use serde_json::json;
use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// So slow that no test sees a bucket refilled.
const SLOW: &str = "[quota]\nrequests_per_minute = 1\nburst = 12\n";

fn exhausted(scene: &Scene, request: &Request, which: &str) {
    let response = scene.refuses(request, (429, 429), ("ratelimit.triggered", which));
    let wait: u64 = response
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!((1..=120).contains(&wait), "Retry-After: {wait}");
    assert_eq!(response.json()["error"]["message"], "quota exceeded");
}

#[test]
fn tok_01_counts_a_principal_whatever_it_hides_behind() {
    let scene = Scene::and(SLOW);
    let agents = ["one", "two", "three"]
        .map(|client| scene.draft("alice").claim("client_id", client).sign());
    let sessions = agents.each_ref().map(|token| scene.session(token));
    let mut passed = sessions.len();
    for round in 0..3 {
        for (token, session) in agents.iter().zip(&sessions) {
            let request = match round {
                0 => call_in(session, token).set("x-forwarded-for", &format!("192.0.2.{passed}")),
                1 => call("echo")
                    .token(token)
                    .set("user-agent", &format!("agent/{passed}")),
                _ => message("tools/list", json!({})).token(token),
            };
            assert_eq!(scene.send(&request).status, 200);
            passed += 1;
        }
    }
    assert_eq!((passed, scene.upstream.requests().len()), (12, 12));
    for (token, session) in agents.iter().zip(&sessions) {
        exhausted(&scene, &call_in(session, token), "principal");
        exhausted(&scene, &call("echo").token(token), "principal");
        exhausted(&scene, &call("read_note").token(token), "principal");
        exhausted(&scene, &initialize(token), "principal");
    }
    let fresh = scene.draft("alice").claim("client_id", "four").sign();
    exhausted(&scene, &call("echo").token(&fresh), "principal");
    scene.permits(&call("echo").token(&scene.token("bob")));
    let bob = scene.session(&scene.token("bob"));
    scene.permits(&call_in(&bob, &scene.token("bob")));
}

#[test]
fn tok_01_counts_streams_like_everything_else() {
    let scene = Scene::and("[quota]\nrequests_per_minute = 1\nburst = 3\n");
    let token = scene.token("alice");
    let session = scene.session(&token);
    let listen = Request::in_session("GET", &session).token(&token);
    for _ in 0..5 {
        drop(scene.open(&listen));
    }
    assert!(
        scene.upstream.requests().len() <= 3,
        "streams go to the upstream without limit"
    );
    scene
        .gateway
        .expect("ratelimit.triggered", Some("principal"));
    let bob = scene.token("bob");
    let session = scene.session(&bob);
    assert_eq!(
        scene
            .open(&Request::in_session("GET", &session).token(&bob))
            .response
            .status,
        200
    );
}

#[test]
fn tok_01_counts_each_tool() {
    let scene = Scene::and("[servers.notes.tools.echo]\nrequests_per_minute = 1\n");
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    scene.permits(&call("echo").token(&alice));
    exhausted(&scene, &call("echo").token(&alice), "tool");
    let session = scene.session(&alice);
    exhausted(&scene, &call_in(&session, &alice), "tool");
    scene.permits(&call("read_note").token(&alice));
    scene.permits(&call("echo").token(&bob));
}

#[test]
fn tok_01_bounds_what_is_under_way() {
    let scene = Scene::and("[quota]\nconcurrency = 2\n");
    scene.upstream.misbehave(|seen| {
        seen.body
            .contains("read_note")
            .then(|| Answer::events(": slow\n\n"))
    });
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let open = [(); 2].map(|()| scene.open(&call("read_note").token(&alice)));
    assert!(open.iter().all(|stream| stream.response.status == 200));
    exhausted(&scene, &call("echo").token(&alice), "concurrency");
    scene.permits(&call("echo").token(&bob));
    drop(open);
    wait_for("a free place", || {
        (scene.send(&call("echo").token(&alice)).status == 200).then_some(())
    });
}

#[test]
fn tok_01_counts_bytes() {
    let scene = Scene::and("[quota]\nbytes_per_minute = \"64KiB\"\n");
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let large = |token: &str| {
        let arguments = json!({ "name": "echo", "arguments": { "text": "x".repeat(40_000) } });
        message("tools/call", arguments)
            .set("mcp-name", "echo")
            .token(token)
    };
    scene.permits(&large(&alice));
    exhausted(&scene, &large(&alice), "bytes");
    scene.permits(&large(&bob));
}

#[test]
fn tok_01_counts_guesses_too() {
    let scene = Scene::and("[quota]\nrequests_per_minute = 1\nburst = 5\n");
    let (mallory, bob) = (scene.token("mallory"), scene.token("bob"));
    let guess = call_in("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &mallory);
    for _ in 0..5 {
        scene.refuses(&guess, (404, 404), ("session.reject", "unknown"));
    }
    exhausted(&scene, &guess, "principal");
    let garbage = call("echo").token(&mallory).body("{");
    exhausted(&scene, &garbage, "principal");
    scene.permits(&call("echo").token(&bob));
}

#[test]
fn tok_01_closes_a_connection_that_takes_none_of_its_answers() {
    let scene = Scene::new();
    let mut greedy = TcpStream::connect(scene.gateway.address).unwrap();
    greedy
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let asks = "GET /.well-known/oauth-protected-resource/servers/notes/mcp HTTP/1.1\r\nhost: localhost\r\n\r\n"
        .repeat(1000);
    let began = Instant::now();
    // Answers that nobody reads fill all there is between us; then the gateway waits, and not for ever.
    let mut stalled = None;
    let over = wait_for("the end of the connection", || {
        match greedy.write(asks.as_bytes()) {
            Ok(_) => None,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                stalled.get_or_insert_with(Instant::now);
                None
            }
            Err(_) => Some(began.elapsed()),
        }
    });
    assert!(stalled.is_some(), "it never stopped reading: {over:?}");
    assert!(
        over > Duration::from_secs(15),
        "a client may be slow for a while: {over:?}"
    );
    scene.permits(&call("echo").token(&scene.token("alice")));
}
