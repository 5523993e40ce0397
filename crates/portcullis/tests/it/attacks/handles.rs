//! Tasks that a server keeps for its callers: the name of one is worth nothing to anybody else.

use crate::harness::{Answer, Request, Scene, Seen, call, call_in, message, wait_for};
use serde_json::{Value, json};

/// A server that makes a task of every call, named after the tool, and knows them all.
fn keeping(seen: &Seen) -> Option<Answer> {
    let message: Value = serde_json::from_str(&seen.body).unwrap_or_default();
    let params = &message["params"];
    let task = |id: &str| json!({ "taskId": id, "status": "working", "ttl": 60_000 });
    let result = match message["method"].as_str()? {
        "tools/call" if params["task"].is_object() => {
            json!({ "task": task(&format!("of-{}", params["name"].as_str()?)) })
        }
        "tools/call" => {
            let mut task = task(&format!("new-{}", params["name"].as_str()?));
            task["resultType"] = json!("task");
            task
        }
        "tasks/list" => {
            json!({ "tasks": [task("of-echo"), task("of-read_note"), task("of-nobody")] })
        }
        "tasks/get" | "tasks/cancel" | "tasks/update" => task(params["taskId"].as_str()?),
        "tasks/result" => json!({ "content": [{ "type": "text", "text": "secret" }] }),
        _ => return None,
    };
    let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    Some(Answer::json(200, "", &answer.to_string()))
}

/// A request in a session.
fn asks(session: &str, token: &str, method: &str, params: &Value) -> Request {
    let body = json!({ "jsonrpc": "2.0", "id": 3, "method": method, "params": params });
    call_in(session, token).body(&body.to_string())
}

fn made(scene: &Scene, session: &str, token: &str, tool: &str) {
    let params = json!({ "name": tool, "arguments": {}, "task": { "ttl": 60_000 } });
    let made = scene.permits(&asks(session, token, "tools/call", &params));
    assert_eq!(
        made.json()["result"]["task"]["taskId"],
        format!("of-{tool}")
    );
}

#[test]
fn ses_08_lets_a_task_be_used_by_its_principal_only() {
    let scene = Scene::new();
    scene.upstream.misbehave(keeping);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let (of_alice, of_bob) = (scene.session(&alice), scene.session(&bob));
    made(&scene, &of_alice, &alice, "echo");
    made(&scene, &of_bob, &bob, "read_note");
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let asks =
            |session, token, task: &str| asks(session, token, method, &json!({ "taskId": task }));
        scene.permits(&asks(&of_alice, &alice, "of-echo"));
        scene.permits(&asks(&of_bob, &bob, "of-read_note"));
        let theirs = scene.refuses(
            &asks(&of_bob, &bob, "of-echo"),
            (200, -32602),
            ("handle.principal_mismatch", "principal_mismatch"),
        );
        let unknown = scene.refuses(
            &asks(&of_bob, &bob, "of-nobody"),
            (200, -32602),
            ("handle.reject", "unknown"),
        );
        assert_eq!(
            theirs.json()["error"]["message"],
            unknown.json()["error"]["message"],
            "somebody else's looks like an unknown one"
        );
    }
    let listed = scene.permits(&asks(&of_alice, &alice, "tasks/list", &json!({})));
    let tasks = listed.json()["result"]["tasks"].clone();
    assert_eq!(tasks.as_array().map(Vec::len), Some(1), "{tasks}");
    assert_eq!(tasks[0]["taskId"], "of-echo");
    // Nor can a message be said to belong to it.
    let related = |task: &str| {
        let meta = json!({ "io.modelcontextprotocol/related-task": { "taskId": task } });
        asks(&of_bob, &bob, "tools/list", &json!({ "_meta": meta }))
    };
    scene.refuses(
        &related("of-echo"),
        (200, -32602),
        ("handle.principal_mismatch", "principal_mismatch"),
    );
    scene.permits(&related("of-read_note"));
    // A server that gives the same name to somebody else does not give the task away.
    made(&scene, &of_bob, &bob, "echo");
    let get = asks(&of_bob, &bob, "tasks/get", &json!({ "taskId": "of-echo" }));
    let mismatch = ("handle.principal_mismatch", "principal_mismatch");
    scene.refuses(&get, (200, -32602), mismatch);
}

#[test]
fn ses_08_binds_tasks_without_sessions_across_a_reload() {
    let scene = Scene::new();
    scene.upstream.misbehave(keeping);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let made = scene.permits(&call("echo").token(&alice));
    assert_eq!(made.json()["result"]["taskId"], "new-echo");
    scene
        .gateway
        .reload("allow = [\"*\"]", "allow = [\"*\", \"prompt:*\"]");
    let mismatch = ("handle.principal_mismatch", "principal_mismatch");
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let asks = message(method, json!({ "taskId": "new-echo" })).set("mcp-name", "new-echo");
        scene.permits(&asks.clone().token(&alice));
        scene.refuses(&asks.token(&bob), (200, -32602), mismatch);
    }
    // A method that 2026-07-28 has no more names nobody's task; a list of a server that still has one is narrowed.
    let result = message("tasks/result", json!({ "taskId": "new-echo" })).token(&alice);
    scene.refuses(&result, (404, -32601), ("authz.deny", "unknown_method"));
    let listed = scene.permits(&message("tasks/list", json!({})).token(&bob));
    assert_eq!(listed.json()["result"]["tasks"], json!([]));
    let watch = |task: &str| {
        let filter = json!({ "notifications": { "taskIds": [task] } });
        message("subscriptions/listen", filter)
    };
    scene.refuses(&watch("new-echo").token(&bob), (200, -32602), mismatch);
    scene.permits(&watch("new-echo").token(&alice));
}

#[test]
fn ses_08_tells_nobody_of_the_task_of_another() {
    let scene = Scene::new();
    scene.upstream.misbehave(keeping);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let (of_alice, of_bob) = (scene.session(&alice), scene.session(&bob));
    made(&scene, &of_alice, &alice, "echo");
    made(&scene, &of_bob, &bob, "read_note");
    let mut stream = scene.open(&Request::in_session("GET", &of_alice).token(&alice));
    let tell = |task: &str| {
        let params = json!({ "taskId": task, "status": "completed" });
        let said =
            json!({ "jsonrpc": "2.0", "method": "notifications/tasks/status", "params": params });
        wait_for("the open stream", || {
            (scene.upstream.push(&format!("data: {said}\n\n")) > 0).then_some(())
        });
    };
    tell("of-read_note");
    tell("of-nobody");
    tell("of-echo");
    let mut before = String::new();
    assert!(stream.until_collecting("of-echo", &mut before).is_some());
    assert!(!before.contains("of-"), "{before}");
    wait_for("a record of each", || {
        let gateway = &scene.gateway;
        let refused = gateway.records("upstream.refused", Some("foreign_task"));
        (refused.len() == 2).then_some(())
    });
}
