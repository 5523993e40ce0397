//! Upstreams that break, lie or lead away: the client learns nothing of it, the log does, and the next request is served.

use crate::harness::{Answer, Host, Request, Scene, call, initialize, message, wait_for};
use serde_json::json;

const MARK: &str = "Traceback: /srv/app.py line 7, password=hunter2";

fn raw(text: &str) -> Answer {
    Answer::Bytes(text.replace("MARK", MARK).into_bytes())
}

fn whole(status: u16, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.replace("MARK", MARK).len()
    )
}

/// What the upstream answers, and the record's event and reason.
fn faults(lure: &str) -> Vec<(String, &'static str, &'static str)> {
    let json = "application/json";
    let sse = |body: &str| {
        format!(
            "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.replace("MARK", MARK).len()
        )
    };
    let own = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    vec![
        ("garbage MARK\r\n\r\n".to_owned(), "upstream.failed", "unreachable"),
        (whole(500, "text/html", "<h1>MARK</h1>"), "upstream.failed", "foreign"),
        (whole(200, "text/html", "<h1>MARK</h1>"), "upstream.failed", "foreign"),
        (whole(200, json, ""), "upstream.failed", "foreign"),
        (whole(401, json, own), "upstream.failed", "credentials"),
        (whole(407, json, own), "upstream.failed", "credentials"),
        (format!("HTTP/1.1 302 x\r\nlocation: {lure}/\r\ncontent-length: 0\r\n\r\n"), "upstream.failed", "foreign"),
        (format!("HTTP/1.1 307 x\r\nlocation: {lure}/\r\ncontent-length: 0\r\n\r\n"), "upstream.failed", "foreign"),
        ("HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: 500\r\nconnection: close\r\n\r\n{\"jsonrpc\"".to_owned(), "upstream.failed", "ended"),
        (whole(200, json, &format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{{\"x\":\"{}\"}}}}", "x".repeat(5000))), "upstream.failed", "too_large"),
        (whole(200, json, "MARK"), "upstream.refused", "malformed_answer"),
        (whole(200, json, r#"{"jsonrpc":"2.0","id":7,"result":{"a":1,"a":2}}"#), "upstream.refused", "malformed_answer"),
        (whole(200, json, r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":"MARK"}}"#), "upstream.refused", "malformed_answer"),
        (whole(200, json, &format!("[{own}]")), "upstream.refused", "malformed_answer"),
        (whole(200, json, &format!("{own}{own}")), "upstream.refused", "malformed_answer"),
        (whole(200, json, r#"{"jsonrpc":"2.0","id":8,"result":{}}"#), "upstream.refused", "answer_not_asked"),
        (whole(200, json, r#"{"jsonrpc":"2.0","id":"7","result":{}}"#), "upstream.refused", "answer_not_asked"),
        (whole(200, json, r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#), "upstream.refused", "reverse_request"),
        (whole(200, json, r#"{"jsonrpc":"2.0","method":"notifications/message"}"#), "upstream.failed", "foreign"),
    ]
    .into_iter()
    .chain([(sse(""), "upstream.failed", "ended"), (sse("data: MARK\n\n"), "upstream.refused", "malformed_answer")])
    .collect()
}

#[test]
fn siem_08_tells_clients_nothing_of_what_broke() {
    let scene = Scene::and("[servers.notes.limits]\nresponse = \"4KiB\"\n");
    let lure = Host::lure();
    let token = scene.token("alice");
    for (answer, event, reason) in faults(&lure.url()) {
        println!("{reason}: {}", answer.chars().take(150).collect::<String>());
        scene
            .upstream
            .misbehave(move |seen| seen.body.contains("echo").then(|| raw(&answer)));
        let response = scene.send(&call("echo").token(&token));
        let is_stream = response.header("content-type") == Some("text/event-stream");
        assert_eq!(
            response.status,
            if is_stream { 200 } else { 502 },
            "{response:?}"
        );
        assert!(response.body.contains("-32603"), "{response:?}");
        assert!(
            response.body.contains(&response.trace),
            "no correlation id: {response:?}"
        );
        assert!(
            !response.body.contains("hunter2") && !response.body.contains("app.py"),
            "{response:?}"
        );
        let record = scene.gateway.record_of(&response);
        assert_eq!(
            (&record["event"], &record["reason"]),
            (&json!(event), &json!(reason)),
            "{record}"
        );
        scene.permits(&call("read_note").token(&token));
    }
    assert_eq!(lure.seen().len(), 0, "a redirect was followed");
}

#[test]
fn siem_08_waits_no_longer_than_it_was_told() {
    let scene = Scene::and("[servers.notes.limits]\nupstream_timeout = \"300ms\"\n");
    scene
        .upstream
        .misbehave(|seen| seen.body.contains("echo").then(|| Answer::Open(Vec::new())));
    let token = scene.token("alice");
    let response = scene.send(&call("echo").token(&token));
    assert_eq!((response.status, response.code()), (504, -32603));
    assert_eq!(scene.gateway.record_of(&response)["reason"], "timeout");
    scene.upstream.misbehave(|_| None);
    scene.permits(&call("echo").token(&token));
}

#[test]
fn siem_08_waits_no_longer_for_a_session_on_a_stream() {
    let scene = Scene::and("[servers.notes.limits]\nupstream_timeout = \"300ms\"\n");
    let token = scene.token("alice");
    // A stream that says nothing, and one that says everything but the answer.
    let notified = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": "x" } });
    for first in [String::new(), format!("data: {notified}\n\n")] {
        scene.upstream.misbehave(move |seen| {
            seen.body
                .contains("initialize")
                .then(|| Answer::events(&first))
        });
        let response = scene.send(&initialize(&token));
        assert_eq!((response.status, response.code()), (504, -32603));
        assert_eq!(scene.gateway.record_of(&response)["reason"], "timeout");
    }
    scene.upstream.misbehave(|_| None);
    scene.session(&token);
}

#[test]
fn siem_08_records_clients_that_hang_up() {
    let scene = Scene::new();
    scene.upstream.misbehave(|seen| {
        seen.body
            .contains("read_note")
            .then(|| Answer::Open(Vec::new()))
    });
    let token = scene.token("alice");
    let bytes = call("read_note").token(&token);
    // The client is gone before the upstream has said anything.
    let address = scene.gateway.address;
    std::thread::scope(|scope| {
        scope.spawn(move || bytes.send_and_leave(address));
    });
    scene.gateway.expect("exchange.abandoned", None);
    scene.permits(&call("echo").token(&token));
}

#[test]
fn authz_02_hides_no_message_between_the_events_of_a_stream() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let asks =
        r#"{"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{"SMUGGLED":1}}"#;
    let done = |text: &str| {
        format!(
            "data: {{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{{\"resultType\":\"complete\",\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}}}\n\n"
        )
    };
    // What one reader takes for a comment, an unknown field or a text, and another for an event.
    for (before, text) in [
        (
            format!("\u{feff}\u{feff}data: {asks}\n\n"),
            "done".to_owned(),
        ),
        (format!(": c\u{2028}data: {asks}\n\n"), "done".to_owned()),
        (format!("other: c\u{85}data: {asks}\n\n"), "done".to_owned()),
        (
            String::new(),
            format!("done\u{2028}data: {}", asks.replace('"', "\\\"")),
        ),
    ] {
        let body = before + &done(&text);
        let answer = format!(
            "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        scene.upstream.misbehave(move |seen| {
            seen.body
                .contains("tools/call")
                .then(|| Answer::Bytes(answer.clone().into_bytes()))
        });
        let response = scene.send(&call("echo").token(&token));
        let lines = |text: &str| {
            let is_end = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
            text.split(is_end)
                .filter(|line| line.contains("data:"))
                .count()
        };
        assert!(response.body.contains("done"), "{body:?} {response:?}");
        assert!(!response.body.contains('\u{feff}'), "{response:?}");
        assert_eq!(lines(&response.body), 1, "{body:?} {response:?}");
        assert_eq!(
            scene.gateway.record_of(&response)["event"],
            "call.completed"
        );
    }
}

#[test]
fn authz_02_lets_no_list_around_the_policy() {
    let scene = Scene::with(
        "[issuers.idp]\nissuer = \"{idp}\"\n[servers.notes]\nurl = \"{upstream}\"\nallow = [\"echo\"]\n",
    );
    let token = scene.token("alice");
    let tools =
        r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"echo"},{"name":"delete_all"}]}}"#;
    let list = || message("tools/list", json!({})).token(&token);
    // Line ends that one reader takes for part of a line, and another for its end.
    for frame in [
        format!("data: {tools}\n\n"),
        format!("event: message\rid: up-1\rdata: {tools}\n\n"),
        format!("event: message\r\ndata: {tools}\r\n\r\n"),
        format!("retry: 1\rdata: {tools}\r\r: end\n\n"),
        format!(": x\rdata: {tools}\n\n"),
    ] {
        let answer = format!(
            "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{frame}",
            frame.len()
        );
        scene.upstream.misbehave(move |seen| {
            seen.body
                .contains("tools/list")
                .then(|| Answer::Bytes(answer.clone().into_bytes()))
        });
        let response = scene.send(&list());
        assert!(response.body.contains("echo"), "{frame:?} {response:?}");
        assert!(
            !response.body.contains("delete_all"),
            "{frame:?} {response:?}"
        );
        assert!(!response.body.contains("up-1"), "{frame:?} {response:?}");
    }
    scene.upstream.misbehave(|_| None);
    assert_eq!(scene.tools(&token), ["echo"]);
}

#[test]
fn authz_02_passes_no_request_of_a_server_on_that_nobody_permitted() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let session = scene.session(&token);
    let mut stream = scene.open(&Request::in_session("GET", &session).token(&token));
    for method in [
        "sampling/createMessage",
        "elicitation/create",
        "roots/list",
        "tools/call",
        "x",
    ] {
        let request = json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": { "mark": "reverse" } });
        scene.upstream.push(&format!("data: {request}\n\n"));
    }
    scene
        .upstream
        .push("data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"mark\":\"reverse\"}}\n\n");
    scene.upstream.notify("ev", "benign-twin");
    let mut before = String::new();
    let line = stream.until_collecting("benign-twin", &mut before);
    assert!(line.is_some());
    assert!(!before.contains("reverse"), "{before}");
    // Nobody waits for the records of what was withheld.
    wait_for("six records", || {
        let of = |reason| {
            scene
                .gateway
                .records("upstream.refused", Some(reason))
                .len()
        };
        ((of("reverse_request"), of("answer_not_asked")) == (5, 1)).then_some(())
    });
    // The server is told no at once, in its own session, instead of waiting for an answer.
    wait_for("the gateway's five answers", || {
        let told = scene.upstream.requests().into_iter().filter(|seen| {
            seen.body.contains(r#""code":-32601"#)
                && seen.header("mcp-session-id") == Some("upstream-0")
        });
        let ids: Vec<String> = told.map(|seen| seen.body).collect();
        [
            "sampling/createMessage",
            "elicitation/create",
            "roots/list",
            "tools/call",
            "x",
        ]
        .iter()
        .all(|id| {
            ids.iter()
                .filter(|body| body.contains(&format!(r#""id":"{id}""#)))
                .count()
                == 1
        })
        .then_some(())
    });
}
