//! Servers that answer far too much, or nothing that has one reading: what is held of it is bounded, and what is
//! not one message is not passed on.

use crate::harness::{Answer, Request, Scene, call, call_in, wait_for};
use serde_json::json;

const MIB: usize = 1024 * 1024;
/// What one answer may cost: the limit of a message, 16 MiB, some times over.
const MOST_KIB: u64 = 96 * 1024;
const JSON: &str = "content-type: application/json\r\n";
const EVENTS: &str = "content-type: text/event-stream\r\n";
const CHUNKED: &str = "transfer-encoding: chunked\r\n";

fn head(headers: &[&str]) -> String {
    format!("HTTP/1.1 200 x\r\n{}\r\n", headers.concat())
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let size = format!("{:x}\r\n", bytes.len());
    [size.as_bytes(), bytes, b"\r\n"].concat()
}

/// More than a gibibyte, in pieces: how it begins, what comes again and again, and what becomes of it.
fn floods() -> Vec<(&'static str, Vec<u8>, Vec<u8>, &'static str)> {
    let wave = vec![b'x'; 2 * MIB];
    let announced = format!("content-length: {}\r\n", 1024 * MIB);
    let begun = r#"{"jsonrpc":"2.0","id":7,"result":{"a":""#;
    let with = |headers: &[&str], begun: &[u8]| [head(headers).as_bytes(), begun].concat();
    vec![
        (
            "announced",
            with(&[JSON, &announced], begun.as_bytes()),
            wave.clone(),
            "too_large",
        ),
        (
            "chunked",
            with(&[JSON, CHUNKED], &chunk(begun.as_bytes())),
            chunk(&wave),
            "too_large",
        ),
        (
            "until the end",
            with(&[JSON, "connection: close\r\n"], begun.as_bytes()),
            wave.clone(),
            "too_large",
        ),
        (
            "one event",
            with(&[EVENTS, CHUNKED], &chunk(b"data: {")),
            chunk(&wave),
            "too_large",
        ),
        (
            "one event of many lines",
            with(&[EVENTS, CHUNKED], b""),
            chunk(&b"data: {\n".repeat(200_000)),
            "too_large",
        ),
        (
            "one head",
            b"HTTP/1.1 200 x\r\n".to_vec(),
            b"x: y\r\n".repeat(300_000),
            "unreachable",
        ),
        (
            "one header",
            b"HTTP/1.1 200 x\r\nx: ".to_vec(),
            wave.clone(),
            "unreachable",
        ),
        (
            "many heads",
            Vec::new(),
            b"HTTP/1.1 100 x\r\n\r\n".repeat(100_000),
            "timeout",
        ),
    ]
}

#[test]
fn tok_01_holds_no_gibibyte_of_an_answer() {
    let scene = Scene::and("[servers.notes.limits]\nupstream_timeout = \"3s\"\n");
    let token = scene.token("alice");
    let process = scene.gateway.process();
    for (name, first, wave, reason) in floods() {
        scene.upstream.misbehave(move |seen| {
            let flood = || Answer::Flood(first.clone(), wave.clone());
            seen.body.contains("echo").then(flood)
        });
        let before = process.resident_kib();
        process.forget_peak();
        let response = scene.send(&call("echo").token(&token));
        let grown = process.peak_kib().saturating_sub(before);
        println!("{name}: {grown} KiB");
        assert!(grown < MOST_KIB, "{name}: {grown} KiB");
        assert!(response.body.contains("-32603"), "{name}: {response:?}");
        assert!(response.body.len() < 1000, "{name}: it was passed on");
        let record = scene.gateway.record_of(&response);
        assert_eq!(
            (&record["event"], &record["reason"]),
            (&json!("upstream.failed"), &json!(reason)),
            "{name}: {record}"
        );
        scene.permits(&call("read_note").token(&token));
    }
}

/// A client that takes comments for ever is served; one that does not read costs a bounded queue.
#[test]
fn tok_01_holds_no_stream_that_says_nothing() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let process = scene.gateway.process();
    let note = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x"}}"#;
    for wave in [
        b": x\n\n".repeat(300_000),
        format!("data: {note}\n\n").into_bytes().repeat(20_000),
    ] {
        scene.upstream.misbehave(move |seen| {
            let flood = || {
                Answer::Flood(
                    head(&[EVENTS, "connection: close\r\n"]).into_bytes(),
                    wave.clone(),
                )
            };
            seen.body.contains("echo").then(flood)
        });
        let before = process.resident_kib();
        process.forget_peak();
        let abandoned = scene.gateway.records("exchange.abandoned", None).len();
        let unread = [(); 8].map(|()| scene.open(&call("echo").token(&token)));
        let mut reading = scene.open(&call("echo").token(&token));
        for _ in 0..50_000 {
            reading.until("").expect("the stream goes on");
        }
        let grown = process.peak_kib().saturating_sub(before);
        println!("nine streams: {grown} KiB");
        assert!(grown < MOST_KIB, "{grown} KiB");
        scene.permits(&call("read_note").token(&token));
        drop((unread, reading));
        wait_for("nine exchanges that nobody ended", || {
            let records = scene.gateway.records("exchange.abandoned", None);
            (records.len() == abandoned + 9).then_some(())
        });
    }
}

/// Answers that must not be passed on, and what is recorded instead.
fn unreadable() -> Vec<(&'static str, Vec<u8>, (&'static str, &'static str))> {
    let json = |body: &[u8]| {
        let length = format!("content-length: {}\r\n", body.len());
        [head(&[JSON, &length]).as_bytes(), body].concat()
    };
    let events = |body: &[u8]| {
        let length = format!("content-length: {}\r\n", body.len());
        [head(&[EVENTS, &length]).as_bytes(), body].concat()
    };
    let deep = |depth: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","id":7,"result":{{"a":{}{}}}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let of_id = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
    let malformed = ("upstream.refused", "malformed_answer");
    let not_asked = ("upstream.refused", "answer_not_asked");
    let (foreign, ended) = (("upstream.failed", "foreign"), ("upstream.failed", "ended"));
    vec![
        ("10,000 deep", json(deep(10_000).as_bytes()), malformed),
        ("10,000 deep, as an event", events(format!("data: {}\n\n", deep(10_000)).as_bytes()), malformed),
        ("10,000 deep, without an end", json("[".repeat(10_000).as_bytes()), malformed),
        ("no UTF-8", json(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":\"\xff\"}}"), malformed),
        ("no UTF-8, as an event", events(b"data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":\"\xff\"}}\n\n"), foreign),
        ("an event id with a NUL", events(b"id: \0\ndata: {}\n\n"), foreign),
        ("a fraction for an id", json(of_id("7.5").as_bytes()), malformed),
        ("a float for an id", json(of_id("7.0").as_bytes()), malformed),
        ("an exponent for an id", json(of_id("7e0").as_bytes()), malformed),
        ("null for an id", json(of_id("null").as_bytes()), malformed),
        ("a list for an id", json(of_id("[7]").as_bytes()), malformed),
        ("no id", json(br#"{"jsonrpc":"2.0","result":{}}"#), not_asked),
        ("neither result nor error", json(br#"{"jsonrpc":"2.0","id":7}"#), malformed),
        ("both, as an event", events(b"data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{},\"error\":{\"code\":1,\"message\":\"m\"}}\n\n"), malformed),
        ("an error that is none", json(br#"{"jsonrpc":"2.0","id":7,"error":"x"}"#), malformed),
        ("another's id", json(of_id("8").as_bytes()), not_asked),
        ("another's id and the end, as events", events(format!("data: {}\n\n", of_id("8")).as_bytes()), ended),
        ("only comments", events(b": x\n\n: y\n\n"), ended),
        ("half an event", events(b"data: {\"jsonrpc\""), ended),
        ("an end in the middle of a chunk", [head(&[EVENTS, CHUNKED, "connection: close\r\n"]).as_bytes(), b"50\r\ndata: {\"json"].concat(), ended),
        ("an end without a last chunk", [head(&[EVENTS, CHUNKED, "connection: close\r\n"]).as_bytes(), &chunk(b": x\n\n")].concat(), ended),
        ("no chunk", [head(&[JSON, CHUNKED, "connection: close\r\n"]).as_bytes(), b"zz\r\n"].concat(), ended),
    ]
}

#[test]
fn inj_13_passes_on_no_answer_that_has_no_one_reading() {
    let scene = Scene::new();
    let token = scene.token("alice");
    for (name, answer, (event, reason)) in unreadable() {
        scene.upstream.misbehave(move |seen| {
            let bytes = || Answer::Bytes(answer.clone());
            seen.body.contains("echo").then(bytes)
        });
        let response = scene.send(&call("echo").token(&token));
        let is_stream = response.header("content-type") == Some("text/event-stream");
        assert_eq!(
            response.status,
            if is_stream { 200 } else { 502 },
            "{name}: {response:?}"
        );
        assert!(response.body.contains("-32603"), "{name}: {response:?}");
        assert!(!response.body.contains("result"), "{name}: {response:?}");
        let record = scene.gateway.record_of(&response);
        assert_eq!(
            (&record["event"], &record["reason"]),
            (&json!(event), &json!(reason)),
            "{name}: {record}"
        );
        scene.permits(&call("read_note").token(&token));
    }
    // The stray answer among the events had a record of its own.
    scene
        .gateway
        .expect("upstream.refused", Some("answer_not_asked"));
}

#[test]
fn inj_13_ends_no_stream_for_an_answer_that_nobody_asked_for() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let session = scene.session(&token);
    let mut stream = scene.open(&Request::in_session("GET", &session).token(&token));
    for id in ["2", "7", "\"x\""] {
        let stray = format!(
            "data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"mark\":\"stray\"}}}}\n\n"
        );
        scene.upstream.push(&stray);
        scene.permits(&call_in(&session, &token));
    }
    scene.upstream.notify("ev", "benign-twin");
    let mut before = String::new();
    stream.until_collecting("benign-twin", &mut before);
    assert!(!before.contains("stray"), "{before}");
    assert!(
        scene
            .gateway
            .records("upstream.refused", Some("answer_not_asked"))
            .len()
            == 3
    );
}
