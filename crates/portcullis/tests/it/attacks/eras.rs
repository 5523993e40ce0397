//! Clients and servers of different eras: what is bridged is decided, kept apart and recorded like everything else.

use crate::harness::{
    Answer, Host, Request, STATELESS, Scene, Script, Seen, Upstream, WITH_SESSIONS, call, call_in,
    initialize, message, post, wait_for,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

/// Notes that may be read.
const WATCHED: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["*", "resource:note://*"]
"#;

/// A server that wants a handshake.
pub(super) fn with_sessions(seen: &Seen) -> Option<Answer> {
    let refused = |text: &str| {
        let error =
            json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": text } });
        Some(Answer::json(400, "", &error.to_string()))
    };
    if seen.header("mcp-protocol-version") == Some(STATELESS) {
        return refused("Bad Request: Unsupported protocol version");
    }
    let is_first = seen.body.contains("\"initialize\"");
    if seen.header("mcp-session-id").is_none() && !is_first {
        return refused("Bad Request: Server not initialized");
    }
    None
}

/// A server that knows no handshake.
pub(super) fn without_sessions(seen: &Seen) -> Option<Answer> {
    if seen.method != "POST" {
        return Some(Answer::status(405));
    }
    if seen.header("mcp-protocol-version") != Some(STATELESS) {
        let error = json!({
            "code": -32022, "message": "unsupported protocol version", "data": { "supported": [STATELESS] },
        });
        let answer = json!({ "jsonrpc": "2.0", "id": id_of(seen), "error": error });
        return Some(Answer::json(400, "", &answer.to_string()));
    }
    None
}

fn id_of(seen: &Seen) -> Value {
    let message: Value = serde_json::from_str(&seen.body).unwrap_or_default();
    message["id"].clone()
}

fn result(seen: &Seen, result: &Value) -> Answer {
    let answer = json!({ "jsonrpc": "2.0", "id": id_of(seen), "result": result });
    Answer::json(200, "", &answer.to_string())
}

fn calls(scene: &Scene, tool: &str) -> Vec<Seen> {
    let requests = scene.upstream.requests().into_iter();
    requests
        .filter(|seen| seen.body.contains("tools/call") && seen.body.contains(tool))
        .collect()
}

#[test]
fn ses_08_gives_each_stateless_caller_a_session_of_its_own_with_the_server() {
    let scene = Scene::new();
    scene.upstream.misbehave(with_sessions);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let discovered = scene.send(&message("server/discover", json!({})).token(&alice));
    assert_eq!(discovered.status, 200, "{discovered:?}");
    let found = discovered.json()["result"].clone();
    assert_eq!(found["supportedVersions"], json!([STATELESS]));
    assert_eq!(found["resultType"], "complete");
    assert_eq!(found["cacheScope"], "private");
    assert_eq!(
        found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "upstream"
    );
    for token in [&alice, &alice, &bob] {
        let called = scene.send(&call("echo").token(token));
        assert_eq!(called.status, 200, "{called:?}");
        assert_eq!(called.json()["id"], 7, "the caller's own id");
        assert_eq!(called.json()["result"]["resultType"], "complete");
        let record = scene.gateway.record_of(&called);
        assert_eq!(record["event"], "call.completed", "{record}");
        assert_eq!(record["detail"]["revision"], STATELESS);
    }
    let seen = calls(&scene, "echo");
    let sessions: Vec<&str> = seen
        .iter()
        .filter(|seen| seen.header("mcp-protocol-version") == Some(WITH_SESSIONS))
        .filter_map(|seen| seen.header("mcp-session-id"))
        .collect();
    assert_eq!(sessions.len(), 3, "{seen:?}");
    assert_eq!(sessions[0], sessions[1]);
    assert_ne!(sessions[0], sessions[2]);
    assert!(
        seen.iter()
            .all(|seen| !seen.body.contains("clientCapabilities")
                || seen.header("mcp-session-id").is_none()),
        "a client's own words about itself were settled by the handshake"
    );
}

#[test]
fn authz_02_decides_about_bridged_calls_and_lists() {
    let scene = Scene::with(
        "[issuers.idp]\nissuer = \"{idp}\"\n[servers.notes]\nurl = \"{upstream}\"\nallow = [\"echo\"]\n",
    );
    scene.upstream.misbehave(with_sessions);
    let token = scene.token("alice");
    let listed = scene.send(&message("tools/list", json!({})).token(&token));
    assert!(listed.body.contains("echo") && !listed.body.contains("delete_all"));
    assert_eq!(listed.json()["result"]["ttlMs"], 0);
    let denied = scene.send(&call("delete_all").token(&token));
    assert_eq!(denied.status, 403, "{denied:?}");
    assert_eq!(scene.gateway.record_of(&denied)["event"], "authz.deny");
    assert!(calls(&scene, "delete_all").is_empty());
}

#[test]
fn ses_11_takes_up_a_new_session_where_the_server_lost_ours() {
    let scene = Scene::new();
    scene.upstream.misbehave(with_sessions);
    let token = scene.token("alice");
    assert_eq!(scene.send(&call("echo").token(&token)).status, 200);
    scene.upstream.misbehave(|seen| {
        let is_lost = seen.header("mcp-session-id") == Some("upstream-0");
        with_sessions(seen).or_else(|| is_lost.then(|| Answer::status(404)))
    });
    let called = scene.send(&call("echo").token(&token));
    assert_eq!(called.status, 200, "{called:?}");
    let sessions: Vec<_> = calls(&scene, "echo")
        .iter()
        .filter_map(|seen| seen.header("mcp-session-id").map(str::to_owned))
        .collect();
    assert_eq!(sessions, ["upstream-0", "upstream-0", "upstream-1"]);
}

#[test]
fn ses_11_ends_at_the_server_what_nobody_opened_here() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let spoilt = |seen: &Seen| {
        let is_first = seen.body.contains("\"initialize\"");
        is_first.then(|| {
            let revision = json!({ "protocolVersion": "1999-01-01", "capabilities": {} });
            let answer = json!({ "jsonrpc": "2.0", "id": id_of(seen), "result": revision });
            Answer::json(200, "mcp-session-id: spoilt\r\n", &answer.to_string())
        })
    };
    let ended = || {
        let all = scene.upstream.requests().into_iter();
        all.filter(|seen| {
            seen.method == "DELETE" && seen.header("mcp-session-id") == Some("spoilt")
        })
        .count()
    };
    // A client's own, and one of ours for a client that has none.
    scene.upstream.misbehave(spoilt);
    assert_eq!(scene.send(&initialize(&token)).status, 502);
    wait_for("the first end", || (ended() == 1).then_some(()));
    scene
        .upstream
        .misbehave(move |seen| with_sessions(seen).or_else(|| spoilt(seen)));
    assert_ne!(scene.send(&call("echo").token(&token)).status, 200);
    wait_for("the second end", || (ended() == 2).then_some(()));
    // What was opened stays open.
    scene.upstream.misbehave(with_sessions);
    let session = scene.session(&token);
    assert_eq!(scene.send(&call_in(&session, &token)).status, 200);
    assert_eq!(scene.send(&call("echo").token(&token)).status, 200);
    let all = scene.upstream.requests();
    assert_eq!(all.iter().filter(|seen| seen.method == "DELETE").count(), 2);
}

#[test]
fn ses_02_keeps_sessions_apart_at_a_server_that_has_none() {
    let scene = Scene::new();
    scene.upstream.misbehave(without_sessions);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let session = scene.session(&alice);
    let called = scene.send(&call_in(&session, &alice));
    assert_eq!(called.status, 200, "{called:?}");
    assert_eq!(called.json()["id"], 2);
    let seen = calls(&scene, "echo").pop().expect("a call");
    assert_eq!(seen.header("mcp-protocol-version"), Some(STATELESS));
    assert_eq!(seen.header("mcp-method"), Some("tools/call"));
    assert_eq!(seen.header("mcp-name"), Some("echo"));
    assert_eq!(seen.header("mcp-session-id"), None);
    let sent: Value = serde_json::from_str(&seen.body).unwrap();
    let meta = &sent["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], STATELESS);
    assert!(meta["io.modelcontextprotocol/clientCapabilities"].is_object());
    let stolen = scene.send(&call_in(&session, &bob));
    assert_eq!(stolen.status, 404);
    assert_eq!(
        scene.gateway.record_of(&stolen)["event"],
        "session.principal_mismatch"
    );
    let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    let pinged = scene.send(&call_in(&session, &alice).body(ping));
    assert_eq!(pinged.json()["result"], json!({}));
    let ended = scene.send(&Request::in_session("DELETE", &session).token(&alice));
    assert_eq!(ended.status, 200);
    assert_eq!(scene.send(&call_in(&session, &alice)).status, 404);
}

#[test]
fn ses_02_does_not_take_an_unknown_method_of_a_server_without_sessions_for_a_lost_session() {
    let scene = Scene::new();
    scene.upstream.misbehave(|seen| {
        let unknown = || {
            let error = json!({ "code": -32601, "message": "method not found" });
            let answer = json!({ "jsonrpc": "2.0", "id": id_of(seen), "error": error });
            Answer::json(404, "", &answer.to_string())
        };
        without_sessions(seen).or_else(|| seen.body.contains("tools/list").then(unknown))
    });
    let token = scene.token("alice");
    let session = scene.session(&token);
    let list = r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#;
    let listed = scene.send(&call_in(&session, &token).body(list));
    assert_eq!((listed.status, listed.code()), (200, -32601), "{listed:?}");
    assert_eq!(scene.send(&call_in(&session, &token)).status, 200);
}

/// A server that wants to know something before it answers.
fn asking(method: &'static str) -> impl Fn(&Seen) -> Option<Answer> {
    move |seen| {
        if !seen.body.contains("tools/call") {
            return without_sessions(seen);
        }
        let message: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let Some(answers) = message["params"].get("inputResponses") else {
            let question = json!({ "method": method, "params": { "mark": "asked" } });
            let asks = json!({
                "resultType": "input_required", "inputRequests": { "q": question }, "requestState": "st",
            });
            return Some(result(seen, &asks));
        };
        assert_eq!(message["params"]["requestState"], "st");
        let text = json!([{ "type": "text", "text": answers["q"].to_string() }]);
        Some(result(
            seen,
            &json!({ "resultType": "complete", "content": text }),
        ))
    }
}

#[test]
fn authz_02_lets_no_answer_ask_the_client_for_what_nobody_permitted() {
    for method in [
        "sampling/createMessage",
        "elicitation/create",
        "roots/list",
        "x",
    ] {
        let scene = Scene::new();
        scene.upstream.misbehave(asking(method));
        let token = scene.token("alice");
        let asked = scene.send(&call("echo").token(&token));
        assert_eq!(asked.status, 502, "{method} {asked:?}");
        assert!(!asked.body.contains("asked"), "{method} {asked:?}");
        let record = scene.gateway.record_of(&asked);
        assert_eq!(record["event"], "upstream.refused", "{record}");
        assert_eq!(record["reason"], "reverse_request", "{record}");
        assert_eq!(scene.tools(&token).len(), 4);
    }
    let scene = Scene::with(
        "[issuers.idp]\nissuer = \"{idp}\"\n[servers.notes]\nurl = \"{upstream}\"\nallow = [\"echo\", \"ask:elicitation\"]\n",
    );
    scene.upstream.misbehave(asking("elicitation/create"));
    let asked = scene.send(&call("echo").token(&scene.token("alice")));
    assert_eq!(asked.json()["result"]["resultType"], "input_required");
}

#[test]
fn authz_02_puts_a_server_s_questions_to_a_client_with_a_session_only_where_permitted() {
    let scene = Scene::with(
        "[issuers.idp]\nissuer = \"{idp}\"\n[servers.notes]\nurl = \"{upstream}\"\nallow = [\"echo\", \"ask:elicitation\"]\n",
    );
    let token = scene.token("alice");
    scene.upstream.misbehave(asking("elicitation/create"));
    let session = scene.session(&token);
    let mut stream = scene.open(&call_in(&session, &token));
    let question = stream.until("elicitation/create").expect("the question");
    let question: Value = serde_json::from_str(question.trim_start_matches("data: ")).unwrap();
    assert_eq!(question["params"]["mark"], "asked");
    let answer = json!({
        "jsonrpc": "2.0", "id": question["id"], "result": { "action": "accept", "content": { "name": "Ada" } },
    });
    let told = scene.send(&call_in(&session, &token).body(&answer.to_string()));
    assert_eq!(told.status, 202, "{told:?}");
    let answered = stream.until("\"result\"").expect("the answer");
    assert!(answered.contains("Ada"), "{answered}");

    // What is not permitted, the client is not asked: the server is told no, and the caller that it failed.
    scene.upstream.misbehave(asking("sampling/createMessage"));
    let failed = scene.send(&call_in(&session, &token));
    assert!(!failed.body.contains("asked"), "{failed:?}");
    assert!(failed.body.contains("declined"), "{failed:?}");
    wait_for("the record", || {
        let refused = scene
            .gateway
            .records("upstream.refused", Some("reverse_request"));
        (refused.len() == 1).then_some(())
    });
}

#[test]
fn ses_03_tells_a_stateless_subscriber_only_what_it_asked_for() {
    let scene = Scene::with(WATCHED);
    scene.upstream.misbehave(with_sessions);
    let token = scene.token("alice");
    let filter = json!({ "notifications": { "toolsListChanged": true, "resourceSubscriptions": ["note://a"] } });
    let mut stream = scene.open(&message("subscriptions/listen", filter).token(&token));
    let first = stream.until("acknowledged").expect("an acknowledgement");
    assert!(
        first.contains("note://a") && first.contains("toolsListChanged"),
        "{first}"
    );
    let push = |body: &str| {
        wait_for("the open stream", || {
            (scene.upstream.push(&format!("data: {body}\n\n")) > 0).then_some(())
        });
    };
    push(r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#);
    push(
        r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"note://b"}}"#,
    );
    push(
        r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"note://a"}}"#,
    );
    push(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    let mut before = String::new();
    let last = stream
        .until_collecting("tools/list_changed", &mut before)
        .expect("news");
    assert!(
        !before.contains("prompts") && !before.contains("note://b"),
        "{before}"
    );
    assert!(before.contains("note://a"), "{before}");
    assert!(
        last.contains(r#""io.modelcontextprotocol/subscriptionId":7"#),
        "{last}"
    );
    let subscribed = scene.upstream.requests();
    assert!(subscribed.iter().any(|seen| seen.body.contains("resources/subscribe") && seen.body.contains("note://a")));
    let secret =
        json!({ "notifications": { "resourceSubscriptions": ["note://a", "file:///secret"] } });
    let refused = message("subscriptions/listen", secret).token(&token);
    scene.refuses(&refused, (403, 403), ("authz.deny", "no_rule"));
    // A request on that stream is told no, and goes to nobody.
    push(r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{}}"#);
    wait_for("our no", || {
        let told = scene.upstream.requests();
        told.iter()
            .any(|seen| seen.body.contains(r#""id":5"#) && seen.body.contains("-32601"))
            .then_some(())
    });
}

#[test]
fn ses_03_tells_a_client_with_a_session_the_news_of_a_server_without() {
    let scene = Scene::with(WATCHED);
    scene.upstream.misbehave(|seen| {
        let listens = || {
            let id = id_of(seen);
            let meta = json!({ "io.modelcontextprotocol/subscriptionId": id });
            let ack = json!({
                "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                "params": { "_meta": meta, "notifications": {} },
            });
            Answer::events(&format!("data: {ack}\n\n"))
        };
        without_sessions(seen).or_else(|| seen.body.contains("subscriptions/listen").then(listens))
    });
    let token = scene.token("alice");
    let session = scene.session(&token);
    let mut stream = scene.open(&Request::in_session("GET", &session).token(&token));
    assert_eq!(stream.response.status, 200);
    wait_for("the subscription", || {
        let news = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        (scene.upstream.push(&format!("data: {news}\n\n")) > 0).then_some(())
    });
    let mut before = String::new();
    assert!(
        stream
            .until_collecting("tools/list_changed", &mut before)
            .is_some()
    );
    assert!(!before.contains("acknowledged"), "{before}");
    let subscribe =
        r#"{"jsonrpc":"2.0","id":4,"method":"resources/subscribe","params":{"uri":"note://a"}}"#;
    let subscribed = scene.send(&call_in(&session, &token).body(subscribe));
    assert_eq!(subscribed.json()["result"], json!({}));
    wait_for("a subscription to it", || {
        let asked = scene.upstream.requests();
        asked
            .iter()
            .any(|seen| {
                seen.body.contains("subscriptions/listen") && seen.body.contains("note://a")
            })
            .then_some(())
    });
}

#[test]
fn inj_10_refuses_what_the_client_says_against_its_own_headers_before_it_is_bridged() {
    let scene = Scene::new();
    scene.upstream.misbehave(with_sessions);
    let token = scene.token("alice");
    assert_eq!(scene.send(&call("echo").token(&token)).status, 200);
    let lying = call("delete_all").set("mcp-name", "echo").token(&token);
    scene.refuses(
        &lying,
        (400, -32020),
        ("request.header_mismatch", "header_mismatch"),
    );
    let bare = post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).token(&token);
    scene.refuses(&bare, (400, -32600), ("session.reject", "missing"));
}

/// A server over SSE (2024-11-05) for one client, with messages at `/messages`.
pub(super) fn over_sse(upstream: &Upstream, done: &AtomicBool) {
    let mut answered = 0;
    while !done.load(Ordering::Relaxed) {
        for seen in upstream.requests().into_iter().skip(answered) {
            answered += 1;
            let asked: Value = serde_json::from_str(&seen.body).unwrap_or_default();
            let result = match asked["method"].as_str() {
                Some("initialize") => json!({
                    "protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": { "name": "old", "version": "1" },
                }),
                Some("tools/call") => {
                    json!({ "content": [{ "type": "text", "text": asked["params"]["name"] }] })
                }
                _ => continue,
            };
            let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result });
            upstream.push(&format!("event: message\ndata: {answer}\n\n"));
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

const SSE: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
transport = "sse"
allow = ["echo"]
"#;

#[test]
fn man_1_sends_a_server_over_sse_our_own_headers_and_decides_as_ever() {
    let scene = Scene::with(SSE);
    scene.upstream.misbehave(|seen| {
        Some(match seen.method.as_str() {
            "GET" => Answer::events("event: endpoint\ndata: /messages?session=1\n\n"),
            _ => Answer::status(202),
        })
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| over_sse(&scene.upstream, &done));
        let token = scene.token("alice");
        let opened = scene.send(&initialize(&token));
        assert_eq!(
            opened.json()["result"]["protocolVersion"],
            "2025-03-26",
            "{opened:?}"
        );
        let session = opened
            .header("mcp-session-id")
            .unwrap_or_default()
            .to_owned();
        let called = scene.send(&call_in(&session, &token));
        assert_eq!(
            (called.status, called.json()["id"].clone()),
            (200, json!(2)),
            "{called:?}"
        );
        assert!(called.body.contains("echo"), "{called:?}");
        let denied = call_in(&session, &token).body(
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"delete_all"}}"#,
        );
        assert_eq!(scene.send(&denied).status, 403);
        assert!(calls(&scene, "delete_all").is_empty());
        let ended = scene.send(&Request::in_session("DELETE", &session).token(&token));
        assert_eq!(ended.status, 200);
        let stateless = scene.send(&call("echo").token(&token));
        assert_eq!(
            stateless.json()["result"]["resultType"],
            "complete",
            "{stateless:?}"
        );
        done.store(true, Ordering::Relaxed);
        let seen = scene.upstream.requests();
        assert!(seen.iter().all(|seen| !seen.whole().contains(&token)));
        let posts = seen.iter().filter(|seen| seen.method == "POST");
        assert!(posts.clone().count() > 4);
        assert!(
            posts
                .clone()
                .all(|seen| seen.target == "/messages?session=1")
        );
    });
}

#[test]
fn man_1_follows_no_server_over_sse_to_another_host() {
    let lure = Host::lure();
    let scene = Scene::with(SSE);
    let token = scene.token("alice");
    for endpoint in [
        format!("{}/messages", lure.url()),
        lure.url().replace("http:", ""),
        "http://user@127.0.0.1/".to_owned(),
        "javascript://x".to_owned(),
    ] {
        scene.upstream.misbehave(move |seen| {
            (seen.method == "GET")
                .then(|| Answer::events(&format!("event: endpoint\ndata: {endpoint}\n\n")))
        });
        let failed = scene.send(&initialize(&token));
        assert_eq!(failed.status, 502, "{failed:?}");
        assert_eq!(scene.gateway.record_of(&failed)["event"], "upstream.failed");
    }
    assert!(lure.seen().is_empty());
    assert!(
        scene
            .upstream
            .requests()
            .iter()
            .all(|seen| seen.method == "GET")
    );
}

/// A process that knows no handshake, and that takes longer to start than it is waited for when it is asked what it is.
const SLOW_TO_START: &str = r#"
: MARK
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%[,\}]*}
  case $line in
    *'"initialize"'*) said='"error":{"code":-32022,"message":"unsupported protocol version"}' ;;
    *'"server/discover"'*)
      [ -z "$started" ] && sleep 6 && started=late
      said='"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"resultType":"complete"}' ;;
    *) said='"result":{"content":[],"resultType":"complete"}' ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$said"
done
"#;

#[test]
fn tok_01_serves_either_era_from_a_process_that_is_slow_to_say_what_it_is() {
    let server = Script::whole(SLOW_TO_START).server();
    let scene = Scene::with(&server);
    let token = scene.token("alice");
    // The question is not answered in time, and the handshake is refused in the words of its era.
    let called = scene.send(&call("echo").token(&token));
    assert_eq!(called.status, 200, "{called:?}");
    let record = scene.gateway.record_of(&called);
    assert_eq!(record["event"], "call.completed", "{record}");
    // What its era is, its refusal of the handshake says as well.
    let scene = Scene::with(&server);
    let token = scene.token("alice");
    let opened = scene.send(&initialize(&token));
    assert_eq!((opened.status, opened.code()), (200, 0), "{opened:?}");
    assert!(opened.header("mcp-session-id").is_some(), "{opened:?}");
}

#[test]
fn tok_01_welcomes_clients_that_find_out_together_that_a_server_has_no_sessions() {
    let slow = SLOW_TO_START.replace("*'\"initialize\"'*)", "*'\"initialize\"'*) sleep 1;");
    let scene = Scene::with(&Script::whole(&slow).server());
    let users = ["alice", "bob", "carol"];
    // Each has a process of their own, and all are refused after the first has learnt why.
    std::thread::scope(|scope| {
        for user in users {
            let (scene, token) = (&scene, scene.token(user));
            scope.spawn(move || {
                let opened = scene.send(&initialize(&token));
                assert_eq!((opened.status, opened.code()), (200, 0), "{opened:?}");
                assert!(opened.header("mcp-session-id").is_some(), "{opened:?}");
            });
        }
    });
}
