//! ATK-026: headers that say one thing to whoever routes by them, and a body that says another.

use crate::harness::{Answer, Scene, call, call_in, message, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

fn sentinel(text: &str) -> String {
    format!("=?base64?{}?=", STANDARD.encode(text))
}

#[test]
fn authz_02_refuses_headers_that_disagree_with_the_body() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let honest = || call("delete_all").token(&token);
    let version = "mcp-protocol-version";
    for (what, request) in [
        ("another tool", honest().set("mcp-name", "read_note")),
        (
            "another tool, encoded",
            honest().set("mcp-name", &sentinel("read_note")),
        ),
        (
            "encoded twice",
            honest().set("mcp-name", &sentinel(&sentinel("delete_all"))),
        ),
        (
            "a broken sentinel",
            honest().set("mcp-name", "=?base64?***?="),
        ),
        (
            "a sentinel that is no UTF-8",
            honest().set("mcp-name", "=?base64?/w==?="),
        ),
        ("another case", honest().set("mcp-name", "Delete_All")),
        (
            "both names",
            honest().set("mcp-name", "read_note, delete_all"),
        ),
        ("two names", honest().add("mcp-name", "read_note")),
        (
            "the same name twice",
            honest().add("Mcp-Name", "delete_all"),
        ),
        ("no name", honest().unset("mcp-name")),
        ("an empty name", honest().set("mcp-name", "")),
        ("another method", honest().set("mcp-method", "tools/list")),
        ("no method", honest().unset("mcp-method")),
        ("two methods", honest().add("mcp-method", "tools/call")),
        (
            "another case of the method",
            honest().set("mcp-method", "Tools/Call"),
        ),
        (
            "an argument twice",
            honest()
                .add("mcp-param-region", "eu")
                .add("Mcp-Param-Region", "us"),
        ),
        (
            "too many arguments",
            (0..65).fold(honest(), |request, number| {
                request.add(&format!("mcp-param-a{number}"), "x")
            }),
        ),
        ("no version", honest().unset(version)),
        ("an older version", honest().set(version, "2025-11-25")),
        (
            "an older version, and nothing to compare",
            honest()
                .set(version, "2025-06-18")
                .unset("mcp-name")
                .unset("mcp-method"),
        ),
        ("an unknown version", honest().set(version, "2099-01-01")),
    ] {
        println!("{what}");
        let response = scene.refuses(
            &request,
            (400, -32020),
            ("request.header_mismatch", "header_mismatch"),
        );
        assert_eq!(
            response.json()["id"],
            7,
            "the client can tell which request it was"
        );
    }
    assert_eq!(scene.send(&honest().add(version, "2026-07-28")).status, 400);
    assert_eq!(scene.upstream.requests().len(), 0);
    scene.permits(&honest());
    scene.permits(&honest().set("mcp-name", &sentinel("delete_all")));
    scene.permits(&honest().add("mcp-param-region", "eu"));
}

/// A server whose tool wants an argument in a header.
fn with_header(scene: &Scene) {
    scene.upstream.misbehave(|seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let schema = json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
        } });
        let tools = [
            json!({ "name": "echo", "inputSchema": schema }),
            json!({ "name": "read_note", "inputSchema": { "type": "object" } }),
        ];
        let result = json!({ "resultType": "complete", "tools": tools });
        let answer = json!({ "jsonrpc": "2.0", "id": body["id"], "result": result });
        (body["method"] == "tools/list").then(|| Answer::json(200, "", &answer.to_string()))
    });
}

#[test]
fn authz_02_refuses_mirrored_arguments_that_disagree_once_the_schema_is_known() {
    let scene = Scene::new();
    let token = scene.token("alice");
    with_header(&scene);
    let region = "mcp-param-region";
    let with = |tool: &str, arguments: Value| {
        let params = json!({ "name": tool, "arguments": arguments });
        let request = message("tools/call", params).token(&token);
        request.set("mcp-name", tool)
    };
    let echo = |region: &str| with("echo", json!({ "region": region }));
    // Nobody has said yet what this header mirrors: it is passed on as it came.
    let unknown = scene.permits(&echo("eu").add(region, "us"));
    assert_eq!(unknown.status, 200);
    let last = scene.upstream.requests().pop().expect("a request");
    assert_eq!(last.header(region), Some("us"));
    assert_eq!(scene.tools(&token), ["echo", "read_note"]);
    for (what, request) in [
        ("another value", echo("eu").add(region, "us")),
        ("another case", echo("eu").add(region, "EU")),
        (
            "another value, encoded",
            echo("eu").add(region, &sentinel("us")),
        ),
        (
            "a broken sentinel",
            echo("eu").add(region, "=?base64?***?="),
        ),
        ("no header", echo("eu")),
        (
            "a header for nothing",
            with("echo", json!({})).add(region, "eu"),
        ),
    ] {
        println!("{what}");
        scene.refuses(
            &request,
            (400, -32020),
            ("request.header_mismatch", "header_mismatch"),
        );
    }
    scene.permits(&echo("eu").add(region, "eu"));
    scene.permits(
        &echo("eu")
            .add(region, &sentinel("eu"))
            .add("mcp-param-more", "x"),
    );
    scene.permits(&with("echo", json!({})));
    scene.permits(&with("echo", json!({ "region": null })));
    scene.permits(&with("read_note", json!({ "region": "eu" })).add(region, "us"));
    // Stdio and revisions with sessions have no such headers, so nothing is missing there.
    let session = scene.session(&token);
    let body = json!({
        "jsonrpc": "2.0", "id": 4, "method": "tools/call",
        "params": { "name": "echo", "arguments": { "region": "eu" } },
    });
    scene.permits(&call_in(&session, &token).body(&body.to_string()));
    // A list that names it no more ends it.
    scene.upstream.misbehave(|_| None);
    scene.tools(&token);
    scene.permits(&echo("eu"));
}

#[test]
fn authz_02_does_not_let_an_older_version_around_the_policy() {
    let scene = Scene::with(
        "[issuers.idp]\nissuer = \"{idp}\"\n[servers.notes]\nurl = \"{upstream}\"\nallow = [\"read_note\", \"echo\"]\n",
    );
    let token = scene.token("alice");
    let session = scene.session(&token);
    let body = |name: &str| {
        json!({ "jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": { "name": name } })
            .to_string()
    };
    for version in ["2025-11-25", "2025-06-18", "2025-03-26"] {
        let request = call_in(&session, &token)
            .set("mcp-protocol-version", version)
            .set("mcp-name", "read_note");
        scene.refuses(
            &request.clone().body(&body("delete_all")),
            (403, 403),
            ("authz.deny", "no_rule"),
        );
        scene.permits(&request.body(&body("read_note")));
    }
    // What needs no session is at least said to be so by both.
    let without = post(&body("read_note")).token(&token);
    scene.refuses(
        &without.clone().set("mcp-protocol-version", "2026-07-28"),
        (400, -32602),
        ("request.malformed", "meta"),
    );
    scene.refuses(&without, (400, -32600), ("session.reject", "missing"));
    let request = post(&body("read_note"))
        .token(&token)
        .set("mcp-protocol-version", "1999-01-01");
    let response = scene.refuses(&request, (400, -32022), ("request.malformed", "version"));
    assert!(
        response.json()["error"]["data"]["supported"]
            .as_array()
            .is_some_and(|known| known.len() > 1)
    );
    scene.permits(&message("tools/list", json!({})).token(&token));
}
