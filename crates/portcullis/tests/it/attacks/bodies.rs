//! Requests that are too large, too slow or no HTTP at all: each is refused, recorded, and costs bounded memory.

use crate::harness::{Kept, Response, STATELESS, Scene, call, call_in, post, wait_for};
use serde_json::json;
use std::time::{Duration, Instant};

const MIB: usize = 1024 * 1024;
/// What one large message may cost: the limit of a body, 4 MiB, some times over.
const MOST_KIB: u64 = 24 * 1024;

/// The head of a call whose body is still to come.
fn head(scene: &Scene, token: Option<&str>, framing: &str) -> String {
    let authorization = token.map_or(String::new(), |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    format!(
        "POST /servers/notes/mcp HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{authorization}{framing}\r\n\r\n",
        scene.gateway.address
    )
}

/// What was answered, and how much memory that took beyond what was there before.
fn peak(scene: &Scene, send: impl FnOnce() -> Option<Response>) -> (Response, u64) {
    let process = scene.gateway.process();
    let before = process.resident_kib();
    process.forget_peak();
    let response = send().expect("an answer");
    (response, process.peak_kib().saturating_sub(before))
}

#[test]
fn tok_01_refuses_a_body_of_a_hundred_mebibytes() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; MIB], b"\r\n"].concat();
    let announced = format!("content-length: {}", 100 * MIB);
    for (token, framing, wave, status, event) in [
        (
            Some(&*token),
            &*announced,
            vec![b' '; MIB],
            413,
            ("http.rejected", "too_large"),
        ),
        (
            Some(&*token),
            "transfer-encoding: chunked",
            chunk.clone(),
            413,
            ("http.rejected", "too_large"),
        ),
        (
            None,
            &*announced,
            vec![b' '; MIB],
            401,
            ("authn.reject", "missing"),
        ),
        (
            None,
            "transfer-encoding: chunked",
            chunk.clone(),
            401,
            ("authn.reject", "missing"),
        ),
    ] {
        let before = scene.gateway.records(event.0, Some(event.1)).len();
        let head = head(&scene, token, framing);
        let (response, grown) = peak(&scene, || {
            Kept::open(scene.gateway.address).pour(head.as_bytes(), &wave, 100)
        });
        assert_eq!(response.status, status, "{framing}: {response:?}");
        assert!(grown < MOST_KIB, "{framing}: {grown} KiB");
        let after = wait_for("its record", || {
            let records = scene.gateway.records(event.0, Some(event.1));
            (records.len() > before).then_some(records)
        });
        assert_eq!(after.last().unwrap()["outcome"]["status"], json!(status));
    }
    assert_eq!(scene.upstream.requests().len(), 0);
    scene.permits(&call("echo").token(&token));
}

#[test]
fn tok_01_waits_for_no_body_longer_than_it_was_told() {
    let scene = Scene::and("[limits]\nbody_timeout = \"1s\"\n");
    let token = scene.token("alice");
    let framings = [
        ("content-length: 500", "{\"jsonrpc\""),
        ("transfer-encoding: chunked", "5\r\n{\"jso"),
        ("transfer-encoding: chunked", "5\r\n{\"jso\r\n"),
        ("transfer-encoding: chunked", ""),
    ];
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (framing, begun) in framings {
            let bytes = head(&scene, Some(&token), framing) + begun;
            let to = scene.gateway.address;
            scope.spawn(move || {
                let response = Kept::open(to).pour(bytes.as_bytes(), b"", 0).unwrap();
                assert_eq!(
                    (response.status, response.code()),
                    (408, -32600),
                    "{framing}"
                );
            });
        }
        // Meanwhile everybody else is served.
        scene.permits(&call("echo").token(&token));
    });
    assert!(began.elapsed() < Duration::from_secs(10));
    let records = scene.gateway.records("http.rejected", Some("slow"));
    assert_eq!(records.len(), framings.len());
    assert!(
        records
            .iter()
            .all(|record| record["principal"]["sub"] == "alice")
    );
    // A byte now and then does not help: the time is that of the whole body.
    let mut drip = Kept::open(scene.gateway.address);
    let first = head(&scene, Some(&token), "content-length: 500");
    let refused = drip
        .drip(first.as_bytes(), b" ", Duration::from_millis(200))
        .unwrap();
    assert_eq!(refused.status, 408);
    scene.permits(&call("echo").token(&token));
    assert_eq!(scene.upstream.requests().len(), 2);
}

#[test]
fn tok_01_waits_for_no_head_longer_than_it_was_told() {
    let scene = Scene::and("[limits]\nheader_timeout = \"1s\"\nconnections = 40\n");
    let token = scene.token("alice");
    let whole = head(&scene, Some(&token), "content-length: 0");
    // As many as there are places, each with a part of a head.
    let mut slow: Vec<Kept> = (0..38).map(|_| Kept::open(scene.gateway.address)).collect();
    for (number, kept) in slow.iter_mut().enumerate() {
        kept.write(&whole.as_bytes()[..=number * 2]);
    }
    let mut idle = Kept::open(scene.gateway.address);
    let response = idle.ask(&call("echo").token(&token)).unwrap();
    assert_eq!(response.status, 200);
    for mut kept in slow {
        assert_eq!(kept.answer(String::new()).unwrap().status, 408);
    }
    let mut drip = Kept::open(scene.gateway.address);
    let refused = drip
        .drip(&whole.as_bytes()[..20], b"x", Duration::from_millis(200))
        .unwrap();
    assert_eq!(refused.status, 408);
    wait_for("a record of each", || {
        let records = scene.gateway.records("http.rejected", Some("slow"));
        (records.len() == 39).then_some(())
    });
    // One that asked for nothing more was only closed.
    assert!(idle.answer(String::new()).is_none());
    assert_eq!(scene.gateway.records("http.rejected", None).len(), 39);
    scene.permits(&call("echo").token(&token));
}

#[test]
fn tok_01_records_what_is_no_request() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let host = format!("host: {}\r\n", scene.gateway.address);
    let line = "POST /servers/notes/mcp HTTP/1.1\r\n";
    let many = (0..200).fold(String::new(), |many, number| {
        many + &format!("x-{number}: y\r\n")
    });
    for (bytes, status, reason) in [
        (
            "\x16\x03\x01\x02 a handshake\r\n\r\n".to_owned(),
            400,
            "broken",
        ),
        ("GET\r\n\r\n".to_owned(), 400, "broken"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400, "broken"),
        (format!("{line}{host}x y: z\r\n\r\n"), 400, "broken"),
        (
            format!("{line}{host}content-length: 1, 2\r\n\r\n"),
            400,
            "broken",
        ),
        (
            format!("{line}{host}content-length: -1\r\n\r\n"),
            400,
            "broken",
        ),
        (format!("{line}{host}{many}\r\n"), 431, "too_large"),
        (
            format!("{line}{host}x: {}\r\n\r\n", "y".repeat(MIB)),
            431,
            "too_large",
        ),
    ] {
        let before = scene.gateway.records("http.rejected", Some(reason)).len();
        let (response, grown) = peak(&scene, || {
            Kept::open(scene.gateway.address).pour(bytes.as_bytes(), b"", 0)
        });
        let shown = &bytes[..bytes.len().min(100)];
        assert_eq!(response.status, status, "{shown}: {response:?}");
        assert!(grown < MOST_KIB, "{shown}: {grown} KiB");
        wait_for(shown, || {
            let records = scene.gateway.records("http.rejected", Some(reason));
            (records.len() == before + 1).then_some(())
        });
    }
    assert_eq!(scene.upstream.requests().len(), 0);
    scene.permits(&call("echo").token(&token));
}

#[test]
fn authz_02_takes_a_response_in_a_session_only_and_to_its_own_server() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let session = scene.session(&token);
    for body in [
        r#"{"jsonrpc":"2.0","id":99,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"x","error":{"code":1,"message":"m"}}"#,
    ] {
        let stateless = post(body)
            .token(&token)
            .set("mcp-protocol-version", STATELESS);
        scene.refuses(
            &stateless,
            (400, -32600),
            ("request.malformed", "not_allowed"),
        );
        let response = scene.send(&call_in(&session, &token).body(body));
        assert_eq!(response.status, 202);
        let record = scene.gateway.record_of(&response);
        assert_eq!(
            (&record["event"], &record["method"]),
            (&json!("message.accepted"), &json!("response"))
        );
        let seen = scene.upstream.requests().pop().unwrap();
        assert_eq!(seen.header("mcp-session-id"), Some("upstream-0"));
    }
    scene.permits(&call_in(&session, &token));
}
