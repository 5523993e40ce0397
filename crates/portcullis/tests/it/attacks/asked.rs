//! Servers with sessions that ask a client without one in the middle of its call (2026-07-28 basic/patterns/mrtr).

use crate::harness::{Answer, Request, Response, STATELESS, Scene, Script, Seen, post, wait_for};
use serde_json::{Value, json};

/// Everyone may call everything, and be asked for what a form has.
fn permitting(grants: &str, limits: &str) -> String {
    format!(
        "[issuers.idp]\nissuer = \"{{idp}}\"\n[servers.notes]\nurl = \"{{upstream}}\"\nallow = [\"*\"{grants}]\n{limits}"
    )
}

const FORMS: &str = ", \"ask:elicitation\"";

/// A call of a client that can be asked for forms.
fn called(tool: &str, more: &Value) -> Request {
    called_by(&json!({ "elicitation": {} }), tool, more)
}

fn called_by(capabilities: &Value, tool: &str, more: &Value) -> Request {
    let mut params = json!({ "name": tool, "arguments": { "text": "hello" } });
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "progressToken": "p",
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        params[name] = value.clone();
    }
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params });
    post(&body.to_string())
        .set("mcp-protocol-version", STATELESS)
        .set("mcp-method", "tools/call")
        .set("mcp-name", tool)
}

/// The same call once more, with an answer to the question that it was answered with.
fn retried(tool: &str, asked: &Value, name: &str) -> Request {
    called(tool, &answers(asked, name))
}

fn answers(asked: &Value, name: &str) -> Value {
    let mut responses = json!({});
    for question in asked["inputRequests"].as_object().into_iter().flatten() {
        responses[question.0] = json!({ "action": "accept", "content": { "name": name } });
    }
    json!({ "inputResponses": responses, "requestState": asked["requestState"] })
}

/// The result in an answer that came as a stream.
fn result(response: &Response) -> Value {
    let last = response
        .body
        .lines()
        .rfind(|line| line.contains("\"id\":7"));
    let last = last.unwrap_or_else(|| panic!("no answer: {response:?}"));
    let message: Value =
        serde_json::from_str(last.trim_start_matches("data: ")).unwrap_or_default();
    message["result"].clone()
}

/// A server with sessions that asks this, under the id `q-1`, before it answers a call.
fn asking(method: &'static str) -> impl Fn(&Seen) -> Option<Answer> {
    move |seen| {
        let refused = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": "no session" } });
        let has_session =
            seen.header("mcp-session-id").is_some() || seen.body.contains("\"initialize\"");
        if seen.header("mcp-protocol-version") == Some(STATELESS) || !has_session {
            return Some(Answer::json(400, "", &refused.to_string()));
        }
        seen.body.contains("tools/call").then(|| {
            let question = question("q-1", method);
            Answer::events(&format!("data: {question}\n\n"))
        })
    }
}

fn question(id: &str, method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": { "message": "who?", "mark": id } })
}

/// What was posted with this in it.
fn told(scene: &Scene, text: &str) -> Seen {
    wait_for(text, || {
        let all = scene.upstream.requests();
        all.into_iter().rfind(|seen| seen.body.contains(text))
    })
}

/// Our number of the last call.
fn number(scene: &Scene) -> Value {
    let message: Value = serde_json::from_str(&told(scene, "tools/call").body).unwrap();
    message["id"].clone()
}

/// The last call is answered by the server with this.
fn finish(scene: &Scene, text: &str) {
    let content = json!({ "content": [{ "type": "text", "text": text }] });
    let answer = json!({ "jsonrpc": "2.0", "id": number(scene), "result": content });
    scene.upstream.push(&format!("data: {answer}\n\n"));
}

#[test]
fn sta_05_puts_a_server_s_question_to_a_stateless_client_and_reads_on_with_its_answer() {
    let scene = Scene::with(&permitting(FORMS, ""));
    scene.upstream.misbehave(asking("elicitation/create"));
    let token = scene.token("alice");
    let first = scene.send(&called("echo", &json!({})).token(&token));
    let asked = result(&first);
    assert_eq!(asked["resultType"], "input_required", "{first:?}");
    assert!(asked["requestState"].is_string());
    let put: Vec<&Value> = asked["inputRequests"]
        .as_object()
        .unwrap()
        .values()
        .collect();
    assert_eq!(put.len(), 1);
    assert_eq!(put[0]["method"], "elicitation/create");
    assert_eq!(put[0]["params"]["mark"], "q-1");
    assert_eq!(scene.gateway.record_of(&first)["event"], "call.completed");
    let hello: Value = serde_json::from_str(&told(&scene, "\"initialize\"").body).unwrap();
    assert_eq!(
        hello["params"]["capabilities"],
        json!({ "elicitation": {} })
    );

    // The answer goes up; then the server asks again, and is answered again.
    let mut second = scene.open(&retried("echo", &asked, "Ada").token(&token));
    let answer: Value = serde_json::from_str(&told(&scene, "Ada").body).unwrap();
    let accepted = json!({ "action": "accept", "content": { "name": "Ada" } });
    assert_eq!(
        answer,
        json!({ "jsonrpc": "2.0", "id": "q-1", "result": accepted })
    );
    assert!(told(&scene, "Ada").header("mcp-session-id").is_some());
    let progress = json!({ "progressToken": number(&scene), "progress": 1 });
    let progress =
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": progress });
    let again = question("q-2", "elicitation/create");
    scene
        .upstream
        .push(&format!("data: {progress}\n\ndata: {again}\n\n"));
    let heard = second.until("notifications/progress").expect("progress");
    assert!(heard.contains(r#""progressToken":"p""#), "{heard}");
    let line = second.until("input_required").expect("the second question");
    let asked: Value = serde_json::from_str(line.trim_start_matches("data: ")).unwrap();
    let mut third = scene.open(&retried("echo", &asked["result"], "Grace").token(&token));
    assert!(told(&scene, "Grace").body.contains("q-2"));
    finish(&scene, "done");
    let done = third.until("done").expect("the answer");
    assert!(done.contains(r#""id":7"#) && done.contains(r#""resultType":"complete""#));
    let calls = scene.upstream.requests().into_iter();
    assert_eq!(
        calls
            .filter(|seen| seen.body.contains("tools/call"))
            .count(),
        2,
        "one refused in its era, one asked"
    );
}

#[test]
fn sta_05_asks_again_for_what_a_client_did_not_answer() {
    let scene = Scene::with(&permitting(FORMS, ""));
    scene.upstream.misbehave(asking("elicitation/create"));
    let token = scene.token("alice");
    let asked = result(&scene.send(&called("echo", &json!({})).token(&token)));
    let nothing =
        json!({ "inputResponses": { "other": {} }, "requestState": asked["requestState"] });
    let again = result(&scene.send(&called("echo", &nothing).token(&token)));
    assert_eq!(again["inputRequests"], asked["inputRequests"]);
    assert_ne!(again["requestState"], asked["requestState"]);
    let mut answered = scene.open(&retried("echo", &again, "Ada").token(&token));
    told(&scene, "Ada");
    finish(&scene, "done");
    assert!(answered.until("done").is_some());
}

#[test]
fn sta_05_refuses_a_request_state_that_does_not_fit() {
    let scene = Scene::with(&permitting(FORMS, ""));
    scene.upstream.misbehave(asking("elicitation/create"));
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let elsewhere = scene.draft("alice").claim("client_id", "another").sign();
    let asked = result(&scene.send(&called("echo", &json!({})).token(&alice)));
    let bobs = result(&scene.send(&called("echo", &json!({})).token(&bob)));
    let state = asked["requestState"].as_str().unwrap().to_owned();
    let refuses = |request: Request, reason| {
        scene.refuses(&request, (400, -32602), ("state.rejected", reason))
    };
    // Every part of it counts.
    for at in [0, 13, state.len() / 2, state.len() - 2] {
        let mut flipped = state.clone().into_bytes();
        flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
        let flipped = json!({ "inputRequests": asked["inputRequests"], "requestState": String::from_utf8(flipped).unwrap() });
        refuses(retried("echo", &flipped, "Eve").token(&alice), "mac");
    }
    let half = &state[..state.len() / 2];
    for broken in [
        json!(half),
        json!(""),
        json!(7),
        json!({}),
        json!("x".repeat(5_000)),
        Value::Null,
    ] {
        let broken = json!({ "inputRequests": asked["inputRequests"], "requestState": broken });
        refuses(retried("echo", &broken, "Eve").token(&alice), "mac");
    }
    // A token is no state, and a state is no token.
    let token = json!({ "inputRequests": {}, "requestState": alice });
    refuses(retried("echo", &token, "Eve").token(&alice), "mac");
    scene.unauthenticated(&called("echo", &json!({})).token(&state), "malformed");
    // Nobody else's, no other client's, no other tool's, no other arguments'.
    refuses(retried("echo", &asked, "Eve").token(&bob), "principal");
    refuses(
        retried("echo", &asked, "Eve").token(&elsewhere),
        "principal",
    );
    refuses(retried("read_note", &asked, "Eve").token(&alice), "digest");
    let mut others = answers(&asked, "Eve");
    others["arguments"] = json!({ "text": "hello", "more": true });
    refuses(called("echo", &others).token(&alice), "digest");
    let seen = scene.upstream.requests();
    assert!(seen.iter().all(|seen| !seen.body.contains("Eve")));

    // None of that has spoilt it for its own; and once is once.
    let mut answered = scene.open(&retried("echo", &asked, "Ada").token(&alice));
    assert_eq!(answered.response.status, 200);
    told(&scene, "Ada");
    refuses(retried("echo", &asked, "Ada").token(&alice), "reuse");
    let calls = scene.upstream.requests();
    let first = calls
        .iter()
        .find(|seen| seen.body.contains("tools/call") && seen.header("mcp-session-id").is_some());
    let first: Value = serde_json::from_str(&first.unwrap().body).unwrap();
    let content = json!({ "content": [{ "type": "text", "text": "done" }] });
    let answer = json!({ "jsonrpc": "2.0", "id": first["id"], "result": content });
    scene.upstream.push(&format!("data: {answer}\n\n"));
    assert!(answered.until("done").is_some());
    refuses(retried("echo", &asked, "Ada").token(&alice), "reuse");
    let _bobs = scene.open(&retried("echo", &bobs, "Bob").token(&bob));
    told(&scene, "Bob");
}

#[test]
fn authz_02_decides_about_a_retry_as_about_any_call() {
    let scene = Scene::with(&permitting(FORMS, ""));
    scene.upstream.misbehave(asking("elicitation/create"));
    let token = scene.token("alice");
    let asked = result(&scene.send(&called("echo", &json!({})).token(&token)));
    scene
        .gateway
        .reload("allow = [\"*\"", "allow = [\"read_note\"");
    let late = retried("echo", &asked, "Ada").token(&token);
    scene.refuses(&late, (403, 403), ("authz.deny", "no_rule"));
    scene
        .gateway
        .reload("allow = [\"read_note\"", "allow = [\"*\"");
    let _answered = wait_for("the rules of before", || {
        let answered = scene.open(&late);
        (answered.response.status == 200).then_some(answered)
    });
    told(&scene, "Ada");
}

#[test]
fn authz_02_puts_no_question_to_a_stateless_client_that_no_rule_permits_or_that_it_cannot_answer() {
    let can_all = json!({ "elicitation": {}, "sampling": {}, "roots": {} });
    let can_forms = json!({ "elicitation": {} });
    let all = ", \"ask:elicitation\", \"ask:sampling\", \"ask:roots\"";
    for (grants, can, method, reason) in [
        ("", &can_all, "elicitation/create", Some("reverse_request")),
        (
            FORMS,
            &can_all,
            "sampling/createMessage",
            Some("reverse_request"),
        ),
        (FORMS, &can_all, "roots/list", Some("reverse_request")),
        (all, &can_forms, "sampling/createMessage", None),
        (all, &can_forms, "roots/list", None),
        (all, &json!({}), "elicitation/create", None),
        (all, &can_all, "tools/call", None),
    ] {
        let scene = Scene::with(&permitting(grants, ""));
        scene.upstream.misbehave(asking(method));
        let call = called_by(can, "echo", &json!({})).token(&scene.token("alice"));
        let mut stream = scene.open(&call);
        let no = told(&scene, "-32601");
        let hello: Value = serde_json::from_str(&told(&scene, "\"initialize\"").body).unwrap();
        let expected = if grants == all { can } else { &can_forms };
        let expected = if grants.is_empty() {
            &json!({})
        } else {
            expected
        };
        assert_eq!(hello["params"]["capabilities"], *expected, "{method}");
        assert!(no.body.contains("q-1"), "{method} {no:?}");
        finish(&scene, "done");
        let mut before = String::new();
        assert!(stream.until_collecting("done", &mut before).is_some());
        assert!(!before.contains("mark"), "{method} {before}");
        wait_for("its record", || {
            let calls = scene.gateway.records("call.completed", None);
            (calls.len() == 1).then_some(())
        });
        let refused = || scene.gateway.records("upstream.refused", reason).len();
        let expected = usize::from(reason.is_some());
        wait_for("its no", || (refused() >= expected).then_some(()));
        assert_eq!(refused(), expected, "{method}");
    }
    // The benign twin: each kind, where it is permitted and declared.
    for method in ["elicitation/create", "sampling/createMessage", "roots/list"] {
        let scene = Scene::with(&permitting(all, ""));
        scene.upstream.misbehave(asking(method));
        let call = called_by(&can_all, "echo", &json!({})).token(&scene.token("alice"));
        let asked = result(&scene.send(&call));
        let put = asked["inputRequests"].as_object().unwrap().values().next();
        assert_eq!(put.unwrap()["method"], method);
    }
}

#[test]
fn sta_05_gives_up_a_call_whose_client_does_not_come_back() {
    let limits = "[servers.notes.limits]\nquestion_timeout = \"1s\"\n";
    let scene = Scene::with(&permitting(FORMS, limits));
    scene.upstream.misbehave(asking("elicitation/create"));
    let token = scene.token("alice");
    let asked = result(&scene.send(&called("echo", &json!({})).token(&token)));
    let lapsed = scene.gateway.expect("call.lapsed", Some("lapsed"));
    assert_eq!(lapsed["server"], "notes");
    assert!(
        lapsed["detail"]["owner"]
            .as_str()
            .unwrap()
            .contains("alice")
    );
    let cancelled: Value =
        serde_json::from_str(&told(&scene, "notifications/cancelled").body).unwrap();
    assert_eq!(cancelled["params"]["requestId"], number(&scene));
    assert!(told(&scene, "not answered").body.contains("q-1"));
    let late = retried("echo", &asked, "Ada").token(&token);
    scene.refuses(&late, (400, -32602), ("state.rejected", "expired"));
}

#[test]
fn sta_05_keeps_a_bounded_number_of_calls_for_each_principal() {
    let scene = Scene::with(&permitting(FORMS, ""));
    scene.upstream.misbehave(asking("elicitation/create"));
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let call = |token: &str| result(&scene.send(&called("echo", &json!({})).token(token)));
    let bobs = call(&bob);
    let first = call(&alice);
    let rest: Vec<Value> = (0..8).map(|_| call(&alice)).collect();
    let evicted = scene.gateway.expect("call.lapsed", Some("evicted"));
    assert!(
        evicted["detail"]["owner"]
            .as_str()
            .unwrap()
            .contains("alice")
    );
    let late = retried("echo", &first, "Ada").token(&alice);
    wait_for("the server to hear of it", || {
        let all = scene.upstream.requests();
        let is_told = |text: &str| all.iter().any(|seen| seen.body.contains(text));
        (is_told("notifications/cancelled") && is_told("not answered")).then_some(())
    });
    scene.refuses(&late, (400, -32602), ("state.rejected", "reuse"));
    for (asked, token, name) in [
        (&rest[0], &alice, "Grace"),
        (&rest[7], &alice, "Joan"),
        (&bobs, &bob, "Bob"),
    ] {
        let _answered = scene.open(&retried("echo", asked, name).token(token));
        told(&scene, name);
    }
}

#[test]
fn sta_05_keeps_calls_to_processes_too() {
    let script = Script::new(
        r#"*'"name":"ask"'*) call=$id; say '{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"who?"}}' ;;
    *'"id":"q1"'*) id=$call; text "$(printf %s "$line" | tr -d '"{}')" ;;"#,
    );
    let config = script.server();
    let scene =
        Scene::with(&config.replace("allow = [\"*\"]", "allow = [\"*\", \"ask:elicitation\"]"));
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let asked = result(&scene.send(&called("ask", &json!({})).token(&alice)));
    assert_eq!(asked["resultType"], "input_required");
    for (request, reason) in [
        (retried("ask", &asked, "Eve").token(&bob), "principal"),
        (retried("whoami", &asked, "Eve").token(&alice), "digest"),
    ] {
        scene.refuses(&request, (400, -32602), ("state.rejected", reason));
    }
    let answered = scene.send(&retried("ask", &asked, "Ada").token(&alice));
    let text = result(&answered)["content"][0]["text"].to_string();
    assert!(text.contains("name:Ada"), "{answered:?}");
    let again = retried("ask", &asked, "Ada").token(&alice);
    scene.refuses(&again, (400, -32602), ("state.rejected", "reuse"));

    // Without a grant the process hears no, and goes on.
    let scene = Scene::with(&config);
    let told = scene.send(&called("ask", &json!({})).token(&scene.token("alice")));
    let text = result(&told)["content"][0]["text"].to_string();
    assert!(text.contains("code:-32601"), "{told:?}");
    scene
        .gateway
        .expect("upstream.refused", Some("reverse_request"));
}
