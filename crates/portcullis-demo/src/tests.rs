//! The server as its client sees it: lines in, lines out.

use std::io::{BufRead, BufReader, Cursor, PipeReader, PipeWriter, Read, Write, pipe};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const MODERN: &str = "2026-07-28";
const HANDSHAKES: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

fn options(folder: &TempDir) -> Options {
    Options {
        folder: folder.path().join("demo"),
        clock: || 1_700_000_000_000,
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that a server writes for these lines.
fn run_lines(folder: &TempDir, lines: &[u8]) -> Vec<Value> {
    let output = Shared::default();
    serve(Cursor::new(lines), output.clone(), options(folder)).unwrap();
    let written = output.0.lock().unwrap();
    written
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

fn run(messages: &[Value]) -> Vec<Value> {
    let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
    run_lines(&tempfile::tempdir().unwrap(), lines.join("\n").as_bytes())
}

fn request(id: u64, method: &str, params: Value) -> Value {
    let mut request = json!({"jsonrpc": "2.0", "id": id, "method": method});
    request["params"] = params;
    request
}

/// A request of the stateless revision, from a client that can ask its user.
fn modern(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {}});
    request(id, method, params)
}

fn initialize(version: &str, capabilities: &Value) -> Value {
    let client = json!({"name": "test", "version": "1"});
    let params =
        json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": client});
    request(0, "initialize", params)
}

fn notification(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn tool(name: &str, arguments: &Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

/// Answers `messages` after a handshake.
fn run_session(version: &str, capabilities: &Value, messages: &[Value]) -> Vec<Value> {
    let mut all = vec![
        initialize(version, capabilities),
        notification("notifications/initialized", &json!({})),
    ];
    all.extend_from_slice(messages);
    run(&all).split_off(1)
}

/// The one answer to a request in the stateless revision.
fn ask(method: &str, params: Value) -> Value {
    let mut answers = run(&[modern(1, method, params)]);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0]["id"], 1);
    answers.remove(0)
}

#[test]
fn a_handshake_answers_a_known_version_or_the_newest() {
    for (requested, expected) in [
        (HANDSHAKES[0], HANDSHAKES[0]),
        (HANDSHAKES[1], HANDSHAKES[1]),
        (HANDSHAKES[2], HANDSHAKES[2]),
        ("2024-11-05", "2025-11-25"),
        (MODERN, "2025-11-25"),
        ("", "2025-11-25"),
    ] {
        let answers = run(&[initialize(requested, &json!({}))]);
        let result = &answers[0]["result"];
        assert_eq!(result["protocolVersion"], expected);
        assert_eq!(result["capabilities"]["tools"]["listChanged"], true);
        assert_eq!(result["serverInfo"]["name"], "portcullis-demo");
        assert_eq!(result.get("resultType"), None);
    }
    let answers = run(&[request(1, "initialize", json!({}))]);
    assert_eq!(answers[0]["error"]["code"], -32602);
}

#[test]
fn a_session_has_the_methods_of_its_era() {
    for version in HANDSHAKES {
        let level = json!({"level": "info"});
        let uri = json!({"uri": "demo://notes"});
        let note = tool("notes_add", &json!({"title": "t", "text": "x"}));
        let answers = run_session(
            version,
            &json!({}),
            &[
                request(1, "ping", json!({})),
                request(2, "logging/setLevel", level),
                request(3, "resources/subscribe", uri.clone()),
                request(4, "tools/call", note.clone()),
                request(5, "resources/unsubscribe", uri),
                request(6, "tools/call", note),
                request(7, "server/discover", json!({})),
                request(8, "subscriptions/listen", json!({"notifications": {}})),
                request(9, "logging/setLevel", json!({"level": "loud"})),
                request(10, "resources/read", json!({"uri": "note:///99"})),
            ],
        );
        let kinds: Vec<Value> = answers
            .iter()
            .map(|answer| match answer.get("method") {
                Some(method) => method.clone(),
                None => json!([answer["id"], answer["error"]["code"]]),
            })
            .collect();
        let log = "notifications/message";
        let list = "notifications/resources/list_changed";
        let updated = "notifications/resources/updated";
        let expected = json!([
            [1, null],
            [2, null],
            [3, null],
            log,
            list,
            updated,
            [4, null],
            [5, null],
            log,
            list,
            [6, null],
            [7, -32601],
            [8, -32601],
            [9, -32602],
            [10, -32002]
        ]);
        assert_eq!(Value::Array(kinds), expected, "{version}");
    }
}

#[test]
fn a_stateless_request_says_everything_itself() {
    let check = |meta: Value, code: i64| {
        let answers = run(&[request(1, "tools/list", json!({"_meta": meta}))]);
        assert_eq!(answers[0]["error"]["code"], code);
        answers[0]["error"]["data"].clone()
    };
    let version = "io.modelcontextprotocol/protocolVersion";
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    check(json!({}), -32602);
    check(json!({version: MODERN}), -32602);
    check(json!({capabilities: {}}), -32602);
    check(json!({version: 1, capabilities: {}}), -32602);
    check(json!({version: MODERN, capabilities: []}), -32602);
    let level = "io.modelcontextprotocol/logLevel";
    check(
        json!({version: MODERN, capabilities: {}, level: "loud"}),
        -32602,
    );
    let data = check(json!({version: "1900-01-01", capabilities: {}}), -32022);
    assert_eq!(
        data,
        json!({"supported": [MODERN], "requested": "1900-01-01"})
    );
    for method in [
        "ping",
        "initialize",
        "logging/setLevel",
        "resources/subscribe",
        "nothing",
    ] {
        assert_eq!(ask(method, json!({}))["error"]["code"], -32601, "{method}");
    }
    assert_eq!(
        run(&[request(1, "ping", json!({}))])[0]["result"],
        json!({})
    );
}

#[test]
fn both_eras_are_served_side_by_side() {
    let answers = run_session(
        "2025-11-25",
        &json!({}),
        &[
            modern(1, "tools/list", json!({})),
            request(2, "tools/list", json!({})),
        ],
    );
    assert_eq!(answers[0]["result"]["resultType"], "complete");
    assert_eq!(answers[1]["result"].get("resultType"), None);
    assert_eq!(answers[1]["result"].get("ttlMs"), None);
}

#[test]
fn stateless_results_say_how_long_they_hold() {
    let uri = json!({"uri": "note:///1"});
    for (method, params, scope) in [
        ("server/discover", json!({}), json!("public")),
        ("tools/list", json!({}), json!("public")),
        ("prompts/list", json!({}), json!("public")),
        ("resources/templates/list", json!({}), json!("public")),
        ("resources/list", json!({}), json!("private")),
        ("resources/read", uri, json!("private")),
        ("tools/call", tool("clock", &json!({})), Value::Null),
        (
            "prompts/get",
            json!({"name": "summarize_notes"}),
            Value::Null,
        ),
    ] {
        let result = &ask(method, params)["result"];
        assert_eq!(result["resultType"], "complete", "{method}");
        assert_eq!(result["cacheScope"], scope, "{method}");
        assert_eq!(result["ttlMs"].is_u64(), scope.is_string(), "{method}");
        assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"].is_object());
    }
    let discovered = ask("server/discover", json!({}));
    assert_eq!(discovered["result"]["supportedVersions"], json!([MODERN]));
}

#[test]
fn a_stream_is_acknowledged_tagged_and_ended() {
    let wanted = json!({"notifications": {
        "toolsListChanged": true,
        "promptsListChanged": true,
        "resourceSubscriptions": ["note:///4"],
    }});
    let note = tool("notes_add", &json!({"title": "t", "text": "x"}));
    let cancelled = notification("notifications/cancelled", &json!({"requestId": 3}));
    let answers = run(&[
        modern(1, "subscriptions/listen", wanted),
        modern(
            3,
            "subscriptions/listen",
            json!({"notifications": {"resourcesListChanged": true}}),
        ),
        cancelled,
        modern(2, "tools/call", note),
        modern(1, "tools/list", json!({})),
    ]);
    let tag = json!({"io.modelcontextprotocol/subscriptionId": 1});
    assert_eq!(
        answers[0]["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_eq!(
        answers[0]["params"],
        json!({
            "_meta": tag,
            "notifications": {"toolsListChanged": true, "resourceSubscriptions": ["note:///4"]},
        })
    );
    assert_eq!(answers[2]["method"], "notifications/resources/updated");
    assert_eq!(
        answers[2]["params"],
        json!({"_meta": tag, "uri": "note:///4"})
    );
    assert_eq!(answers[3]["id"], 2);
    assert_eq!(answers[4]["error"]["code"], -32600, "the id is in use");
    let end = &answers[5]["result"];
    assert_eq!(end["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    assert_eq!(end["resultType"], "complete");
    assert_eq!(answers.len(), 6);
}

#[test]
fn streams_have_a_bound() {
    let listen = |id| modern(id, "subscriptions/listen", json!({"notifications": {}}));
    let answers = run(&(0..17).map(listen).collect::<Vec<_>>());
    let refused: Vec<&Value> = answers
        .iter()
        .filter(|a| a.get("error").is_some())
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["error"]["code"], -32000);
}

fn check_tool(name: &str, arguments: &Value, pointer: &str, expected: &Value) {
    let answer = ask("tools/call", tool(name, arguments));
    let result = &answer["result"];
    assert_eq!(result["isError"], false, "{answer}");
    assert_eq!(result.pointer(pointer), Some(expected), "{answer}");
}

#[test]
fn tools_return_structured_values() {
    let created = "2023-11-14T22:13:20.000Z";
    let added = json!({"id": 4, "title": "t", "created": created});
    for (name, arguments, pointer, expected) in [
        ("notes_add", json!({"title": "t", "text": "x"}), "", added),
        (
            "notes_search",
            json!({"query": "INVOICE"}),
            "/matches/0/id",
            json!(3),
        ),
        ("notes_list", json!({}), "/total", json!(3)),
        ("notes_list", json!({"after": 2}), "/notes/0/id", json!(3)),
        ("notes_list", json!({"limit": 1}), "/notes/1", Value::Null),
        (
            "notes_delete",
            json!({"id": 1, "confirm": true}),
            "/deleted",
            json!(true),
        ),
        (
            "files_list",
            json!({}),
            "/entries/1/name",
            json!("readme.txt"),
        ),
        ("clock", json!({}), "/now", json!(created)),
    ] {
        if expected.is_null() {
            let answer = ask("tools/call", tool(name, &arguments));
            assert_eq!(answer["result"]["structuredContent"].pointer(pointer), None);
        } else {
            check_tool(
                name,
                &arguments,
                &format!("/structuredContent{pointer}"),
                &expected,
            );
        }
    }
}

#[test]
fn tools_return_texts() {
    let text = "/content/0/text";
    check_tool(
        "echo",
        &json!({"text": "a\u{202e}b"}),
        text,
        &json!("a\u{202e}b"),
    );
    let file = ask(
        "tools/call",
        tool("files_read", &json!({"path": "project.md"})),
    );
    assert!(
        file["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("# Project")
    );
    for kind in [
        "instruction",
        "hidden_unicode",
        "exfiltration_link",
        "ansi",
        "fake_tool_call",
    ] {
        check_tool("hostile", &json!({"kind": kind}), "/isError", &json!(false));
    }
}

#[test]
fn structured_results_are_mirrored_and_withheld_from_the_oldest_revision() {
    for version in HANDSHAKES {
        let call = request(1, "tools/call", tool("clock", &json!({})));
        let result = run_session(version, &json!({}), &[call])[0]["result"].clone();
        let text: Value =
            serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert!(text["now"].is_string());
        assert_eq!(
            result.get("structuredContent").is_some(),
            version != HANDSHAKES[0]
        );
    }
}

#[test]
fn wrong_arguments_are_told_to_the_model() {
    let check = |name: &str, arguments: Value, hint: &str| {
        let answer = ask("tools/call", tool(name, &arguments));
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(hint), "{text}");
    };
    check("notes_add", json!({"title": "t"}), "`text` is missing");
    check("notes_add", json!({"title": "", "text": "x"}), "`title`");
    check(
        "notes_add",
        json!({"title": "t", "text": "x".repeat(16 * 1024 + 1)}),
        "16384",
    );
    check("notes_search", json!({"query": 1}), "`query`");
    check(
        "notes_search",
        json!({"query": "x", "limit": 0}),
        "from 1 to 100",
    );
    check("notes_list", json!({"limit": 1.5}), "`limit`");
    check("notes_delete", json!({"id": 99}), "no note with this id");
    check(
        "notes_delete",
        json!({"id": 1, "confirm": "yes"}),
        "true or false",
    );
    check(
        "files_read",
        json!({"path": "../notes.json"}),
        "must not leave",
    );
    check(
        "files_read",
        json!({"path": "/etc/passwd"}),
        "must not leave",
    );
    check("files_read", json!({"path": "none"}), "no such file");
    check("files_list", json!({"path": "readme.txt"}), "kind");
    check("clock", json!({"zone": "CET"}), "it has: none");
    check("slow", json!({"seconds": 61}), "from 0 to 60");
    check("slow", json!({"seconds": -1}), "from 0 to 60");
    check("echo", json!({"text": "x", "more": 1}), "it has: text");
    check("hostile", json!({"kind": "nice"}), "enum");
}

#[test]
fn wrong_parameters_are_refused() {
    for (method, params) in [
        ("tools/call", json!({})),
        ("tools/call", tool("none", &json!({}))),
        ("tools/call", tool("echo", &json!([]))),
        ("tools/list", json!({"cursor": "x"})),
        ("resources/list", json!({"cursor": "x"})),
        ("resources/read", json!({})),
        ("resources/read", json!({"uri": "note:///x"})),
        (
            "resources/read",
            json!({"uri": "demo://files/..%2Fnotes.json"}),
        ),
        ("resources/read", json!({"uri": "file:///etc/passwd"})),
        ("prompts/get", json!({"name": "none"})),
        ("prompts/get", json!({"name": "review_text"})),
        (
            "prompts/get",
            json!({"name": "review_text", "arguments": {"text": 1}}),
        ),
        (
            "prompts/get",
            json!({"name": "review_text", "arguments": {"text": "", "focus": "x"}}),
        ),
        (
            "completion/complete",
            json!({"ref": {}, "argument": {"name": "x", "value": ""}}),
        ),
        ("subscriptions/listen", json!({})),
        (
            "subscriptions/listen",
            json!({"notifications": {"toolsListChanged": 1}}),
        ),
    ] {
        assert_eq!(
            ask(method, params.clone())["error"]["code"],
            -32602,
            "{method} {params}"
        );
    }
}

#[test]
fn resources_prompts_and_completions() {
    let listed = ask("resources/list", json!({}));
    let uris: Vec<&str> = listed["result"]["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| resource["uri"].as_str().unwrap())
        .collect();
    assert!(uris.contains(&"note:///1") && uris.contains(&"demo://files/readme.txt"));
    for uri in uris {
        let read = ask("resources/read", json!({"uri": uri}));
        assert_eq!(read["result"]["contents"][0]["uri"], uri, "{read}");
    }
    let prompt = ask(
        "prompts/get",
        json!({"name": "summarize_notes", "arguments": {"topic": "lunch"}}),
    );
    let text = prompt["result"]["messages"][0]["content"]["text"]
        .as_str()
        .unwrap();
    assert!(text.contains("42 euros") && !text.contains("Welcome"));
    let complete = |reference: Value, name: &str, value: &str| {
        let params = json!({"ref": reference, "argument": {"name": name, "value": value}});
        ask("completion/complete", params)["result"]["completion"]["values"].clone()
    };
    let review = json!({"type": "ref/prompt", "name": "review_text"});
    assert_eq!(complete(review, "focus", "C"), json!(["clarity"]));
    let file = json!({"type": "ref/resource", "uri": "demo://files/{name}"});
    assert_eq!(complete(file, "name", "r"), json!(["readme.txt"]));
    let note = json!({"type": "ref/resource", "uri": "note:///{id}"});
    assert_eq!(complete(note, "id", ""), json!(["1", "2", "3"]));
}

#[test]
fn the_list_of_resources_has_pages() {
    let note = |id| {
        modern(
            id,
            "tools/call",
            tool("notes_add", &json!({"title": "t", "text": "x"})),
        )
    };
    let mut messages: Vec<Value> = (1..=98).map(note).collect();
    messages.push(modern(200, "resources/list", json!({})));
    messages.push(modern(201, "resources/list", json!({"cursor": "100"})));
    let answers = run(&messages);
    let page = |id: u64| &answers.iter().find(|answer| answer["id"] == id).unwrap()["result"];
    assert_eq!(page(200)["nextCursor"], "100");
    assert_eq!(page(201)["resources"].as_array().unwrap().len(), 1);
    assert_eq!(page(201).get("nextCursor"), None);
}

#[test]
fn a_stateless_delete_asks_by_a_result() {
    let mut call = tool("notes_delete", &json!({"id": 2}));
    let asked = ask("tools/call", call.clone());
    let result = &asked["result"];
    assert_eq!(result["resultType"], "input_required");
    let question = &result["inputRequests"]["confirm_delete"];
    assert_eq!(question["method"], "elicitation/create");
    assert!(
        question["params"]["message"]
            .as_str()
            .unwrap()
            .contains("Delete note 2")
    );
    call["requestState"] = result["requestState"].clone();
    for (answer, deleted) in [
        (
            json!({"action": "accept", "content": {"confirm": true}}),
            true,
        ),
        (
            json!({"action": "accept", "content": {"confirm": false}}),
            false,
        ),
        (json!({"action": "decline"}), false),
        (json!("yes"), false),
    ] {
        call["inputResponses"] = json!({"confirm_delete": answer});
        let done = ask("tools/call", call.clone());
        assert_eq!(
            done["result"]["structuredContent"],
            json!({"id": 2, "deleted": deleted})
        );
    }
    call["inputResponses"] =
        json!({"confirm_delete": {"action": "accept", "content": {"confirm": true}}});
    call["requestState"] = json!("notes_delete:1");
    assert_eq!(
        ask("tools/call", call)["result"]["resultType"],
        "input_required"
    );
}

#[test]
fn a_delete_in_a_session_asks_by_a_request() {
    let call = request(1, "tools/call", tool("notes_delete", &json!({"id": 2})));
    let accept = json!({"action": "accept", "content": {"confirm": true}});
    for (answer, pointer, expected) in [
        (
            json!({"result": accept}),
            "/structuredContent/deleted",
            true,
        ),
        (
            json!({"result": {"action": "cancel"}}),
            "/structuredContent/deleted",
            false,
        ),
        (
            json!({"error": {"code": -1, "message": "no"}}),
            "/isError",
            true,
        ),
    ] {
        let mut answer = answer;
        answer["jsonrpc"] = json!("2.0");
        answer["id"] = json!("ask-1");
        let capabilities = json!({"elicitation": {"form": {}}});
        let answers = run_session("2025-11-25", &capabilities, &[call.clone(), answer]);
        assert_eq!(answers[0]["method"], "elicitation/create");
        assert_eq!(answers[0]["params"]["mode"], "form");
        let last = answers.last().unwrap();
        assert_eq!(last["id"], 1);
        assert_eq!(
            last["result"].pointer(pointer),
            Some(&json!(expected)),
            "{last}"
        );
    }
}

#[test]
fn a_client_that_cannot_ask_is_told_to_confirm() {
    let call = request(1, "tools/call", tool("notes_delete", &json!({"id": 2})));
    for (version, capabilities) in [
        ("2025-11-25", json!({})),
        ("2025-11-25", json!({"elicitation": {"url": {}}})),
        ("2025-03-26", json!({"elicitation": {}})),
    ] {
        let answers = run_session(version, &capabilities, std::slice::from_ref(&call));
        assert_eq!(answers[0]["result"]["isError"], true);
        assert!(answers[0].to_string().contains("confirm: true"));
    }
}

#[test]
fn a_cancelled_question_is_taken_back() {
    let capabilities = json!({"elicitation": {}});
    let answers = run_session(
        "2025-06-18",
        &capabilities,
        &[
            request(1, "tools/call", tool("notes_delete", &json!({"id": 2}))),
            notification("notifications/cancelled", &json!({"requestId": 1})),
            json!({"jsonrpc": "2.0", "id": "ask-1", "result": {"action": "accept", "content": {"confirm": true}}}),
            request(2, "resources/read", json!({"uri": "note:///2"})),
        ],
    );
    assert_eq!(answers[0]["params"].get("mode"), None);
    assert_eq!(answers[1]["method"], "notifications/cancelled");
    assert_eq!(answers[1]["params"]["requestId"], "ask-1");
    assert_eq!(answers[2]["id"], 2, "the note is still there");
    assert!(answers[2].get("result").is_some());
}

#[test]
fn questions_have_a_bound() {
    let call = |id| request(id, "tools/call", tool("notes_delete", &json!({"id": 2})));
    let calls: Vec<Value> = (1..=9).map(call).collect();
    let answers = run_session("2025-11-25", &json!({"elicitation": {}}), &calls);
    assert_eq!(answers[8]["error"]["code"], -32000);
}

/// A server that is talked to while it runs.
struct Client {
    input: PipeWriter,
    output: BufReader<PipeReader>,
    server: JoinHandle<Result<(), Error>>,
    _folder: TempDir,
}

impl Client {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (server_input, input) = pipe().unwrap();
        let (output, server_output) = pipe().unwrap();
        let options = options(&folder);
        let server = spawn(move || serve(BufReader::new(server_input), server_output, options));
        Self {
            input,
            output: BufReader::new(output),
            server,
            _folder: folder,
        }
    }

    fn send(&mut self, message: &Value) {
        self.input
            .write_all(format!("{message}\n").as_bytes())
            .unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Ends the input and returns what comes then.
    fn end(self) -> String {
        drop(self.input);
        let mut rest = String::new();
        let mut output = self.output;
        output.read_to_string(&mut rest).unwrap();
        self.server.join().unwrap().unwrap();
        rest
    }
}

fn slow(id: u64, seconds: f64) -> Value {
    let mut call = tool("slow", &json!({"seconds": seconds}));
    call["_meta"]["progressToken"] = json!("token");
    modern(id, "tools/call", call)
}

#[test]
fn a_slow_call_tells_its_progress_and_ends() {
    let mut client = Client::new();
    client.send(&slow(1, 0.01));
    let progress = client.receive();
    assert_eq!(progress["method"], "notifications/progress");
    assert_eq!(progress["params"]["progressToken"], "token");
    assert_eq!(progress["params"]["progress"], progress["params"]["total"]);
    let answer = client.receive();
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["result"]["resultType"], "complete");
    assert_eq!(client.end(), "");
}

#[test]
fn slow_calls_stop_no_other_and_end_with_the_input() {
    let mut client = Client::new();
    for id in 1..=8 {
        client.send(&slow(id, 60.0));
    }
    client.send(&slow(9, 60.0));
    let busy = client.receive();
    assert_eq!(busy["id"], 9);
    assert_eq!(busy["error"]["code"], -32000);
    client.send(&modern(10, "tools/call", tool("clock", &json!({}))));
    assert_eq!(client.receive()["id"], 10);
    client.send(&slow(1, 60.0));
    assert_eq!(
        client.receive()["error"]["code"],
        -32600,
        "the id is in use"
    );
    // Promptly, or the test takes a minute.
    client.end();
}

#[test]
fn a_cancelled_call_stops_and_is_not_answered() {
    let mut client = Client::new();
    let (mut rounds, mut busy) = (0, 0);
    while rounds < 20 {
        client.send(&slow(1, 60.0));
        client.send(&notification(
            "notifications/cancelled",
            &json!({"requestId": 1}),
        ));
        client.send(&modern(2, "tools/call", tool("clock", &json!({}))));
        let answer = client.receive();
        if answer["error"]["code"] == -32000 {
            // Those before are on their way out still.
            busy += 1;
            assert!(busy < 1000, "{answer}");
            assert_eq!(client.receive()["id"], 2);
            std::thread::sleep(std::time::Duration::from_millis(5));
            continue;
        }
        assert_eq!(answer["id"], 2, "{rounds}: {answer}");
        rounds += 1;
    }
    assert_eq!(client.end(), "");
}

#[test]
fn bad_lines_are_refused_without_an_id_and_the_next_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    for bad in ["{", "nonsense", "\u{0}", "{\"jsonrpc\":\"2.0\",\"id\":1"] {
        lines.extend_from_slice(bad.as_bytes());
        lines.push(b'\n');
    }
    lines.extend_from_slice(b"\xff\xfe\n \r\n");
    lines.resize(lines.len() + wire::MAX_LINE_BYTES + 1, b' ');
    lines.push(b'\n');
    lines.resize(lines.len() + 100_000, b'[');
    lines.push(b'\n');
    lines.extend_from_slice(request(7, "ping", json!({})).to_string().as_bytes());
    let answers = run_lines(&folder, &lines);
    assert_eq!(answers.len(), 8);
    for answer in &answers[..7] {
        assert_eq!(answer["error"]["code"], -32700);
        assert_eq!(answer.get("id"), None);
    }
    assert_eq!(answers[7]["id"], 7);
}

#[test]
fn batches_are_of_one_revision() {
    let batch = json!([
        request(1, "ping", json!({})),
        notification("notifications/initialized", &json!({})),
        request(2, "ping", json!({})),
    ]);
    let answers = run_session("2025-03-26", &json!({}), std::slice::from_ref(&batch));
    assert_eq!(
        answers,
        [json!([
            {"jsonrpc": "2.0", "id": 1, "result": {}},
            {"jsonrpc": "2.0", "id": 2, "result": {}},
        ])]
    );
    let over: Value = (0..65).map(|id| request(id, "ping", json!({}))).collect();
    for (version, batch) in [
        ("2025-03-26", over),
        ("2025-03-26", json!([])),
        ("2025-11-25", batch),
    ] {
        let answers = run_session(version, &json!({}), &[batch]);
        assert_eq!(answers[0]["error"]["code"], -32600);
    }
}

#[test]
fn nothing_is_written_outside_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    run_lines(&folder, b"");
    let names = |path: PathBuf| {
        let mut names: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(folder.path().into()), ["demo"]);
    assert_eq!(names(folder.path().join("demo")), ["files", "notes.json"]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "notes_add",
            "echo",
            "accept",
            MODERN,
            "note:///1",
            "../x",
            "100"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let keys = vec![
            "name",
            "arguments",
            "text",
            "title",
            "query",
            "path",
            "id",
            "uri",
            "cursor",
            "ref",
            "argument",
            "value",
            "_meta",
            "protocolVersion",
            "capabilities",
            "level",
            "requestId",
            "notifications",
            "resourceSubscriptions",
            "inputResponses",
            "requestState",
            "limit",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(keys), inner), 0..5).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let methods = vec![
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "tools/call",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "prompts/get",
        "completion/complete",
        "subscriptions/listen",
        "logging/setLevel",
        "notifications/cancelled",
        "other",
    ];
    let method = prop::sample::select(methods);
    let message = (any_json(), method, any_json(), any::<bool>()).prop_map(
        |(id, method, params, is_stateless)| {
            let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
            if !id.is_null() {
                message["id"] = id;
            }
            if is_stateless && message["params"].is_object() {
                let meta = modern(0, method, json!({}))["params"]["_meta"].clone();
                message["params"]["_meta"] = meta;
            }
            message.to_string().into_bytes()
        },
    );
    prop_oneof![
        4 => message,
        1 => any_json().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_input_ends_the_server(lines in prop::collection::vec(any_line(), 0..12)) {
        let mut input = lines.join(&b'\n');
        input.extend_from_slice(b"\n{\"jsonrpc\":\"2.0\",\"id\":\"last\",\"method\":\"ping\"}");
        let answers = run_lines(&tempfile::tempdir().unwrap(), &input);
        let last = answers.iter().rfind(|answer| answer["id"] == "last");
        prop_assert_eq!(last.map(|answer| answer["result"].clone()), Some(json!({})));
    }
}
