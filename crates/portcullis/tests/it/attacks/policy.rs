//! What no rule permits, and who may not even ask.

use crate::harness::{Request, Scene, call, call_in, message};
use serde_json::json;

const GRANTED: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["read_*"]

[[grants]]
who = "user:alice"
allow = ["notes__write_note"]

[[grants]]
who = "role:admin"
allow = ["notes__delete_all"]
"#;

#[test]
fn authz_02_denies_what_no_rule_permits() {
    let scene = Scene::with(GRANTED);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    for tool in [
        "write_note",
        "delete_all",
        "echo",
        "READ_NOTE",
        "xread_note",
        "unheard_of",
        "*",
        "read",
    ] {
        let response = scene.refuses(
            &call(tool).token(&bob),
            (403, 403),
            ("authz.deny", "no_rule"),
        );
        assert_eq!(response.json()["error"]["message"], "not permitted");
        assert_eq!(response.challenge(), "", "no scope would help");
    }
    assert_eq!(scene.tools(&bob), ["read_note"]);
    assert_eq!(scene.tools(&alice), ["read_note", "write_note"]);
    scene.permits(&call("write_note").token(&alice));
    scene.permits(&call("read_note").token(&bob));
}

#[test]
fn authz_02_denies_everything_where_nothing_is_granted() {
    let scene =
        Scene::with("[issuers.idp]\nissuer = \"{idp}\"\n[servers.notes]\nurl = \"{upstream}\"\n");
    let token = scene.token("alice");
    for request in [
        call("echo"),
        message("resources/read", json!({ "uri": "file:///etc/passwd" }))
            .set("mcp-name", "file:///etc/passwd"),
        message("prompts/get", json!({ "name": "p" })).set("mcp-name", "p"),
    ] {
        scene.refuses(
            &request.token(&token),
            (403, 403),
            ("authz.deny", "no_rule"),
        );
    }
    let listed = scene.send(&message("tools/list", json!({})).token(&token));
    assert!(!listed.body.contains("echo"), "{listed:?}");
    // The twin: the same gateway, once something is granted.
    scene.gateway.reload(
        "[servers.notes]",
        "[[grants]]\nwho = \"anyone\"\nallow = [\"notes__echo\"]\n[servers.notes]",
    );
    scene.permits(&call("echo").token(&scene.token("alice")));
    scene.gateway.reload("notes__echo", "notes__read_note");
    let token = scene.token("alice");
    wait_until_denied(&scene, &token);
}

/// The second reload has its own record; the rules are swapped before it is written.
fn wait_until_denied(scene: &Scene, token: &str) {
    crate::harness::wait_for("the second reload", || {
        (scene.gateway.records("config.reloaded", None).len() >= 2).then_some(())
    });
    scene.refuses(
        &call("echo").token(token),
        (403, 403),
        ("authz.deny", "no_rule"),
    );
}

#[test]
fn authz_02_denies_methods_that_no_rule_can_name() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let session = scene.session(&token);
    for method in [
        "tools/destroy",
        "admin/reset",
        "TOOLS/CALL",
        "tools/call ",
        "tools//call",
        "rpc.discover",
        "__proto__",
        "",
        "sampling/createMessage",
        "elicitation/create",
        "roots/list",
    ] {
        let request = message(method, json!({ "name": "echo" })).token(&token);
        if !method.ends_with(' ') && !method.is_empty() {
            scene.refuses(&request, (404, -32601), ("authz.deny", "unknown_method"));
        }
        let body =
            json!({ "jsonrpc": "2.0", "id": 3, "method": method, "params": { "name": "echo" } });
        let request = call_in(&session, &token).body(&body.to_string());
        scene.refuses(&request, (200, -32601), ("authz.deny", "unknown_method"));
    }
    let notification =
        r#"{"jsonrpc":"2.0","method":"notifications/tools/call","params":{"name":"echo"}}"#;
    let before = scene.upstream.requests().len();
    let response = scene.send(&call_in(&session, &token).body(notification));
    assert_eq!(
        scene.gateway.record_of(&response)["reason"],
        "unknown_method"
    );
    assert_eq!(scene.upstream.requests().len(), before);
    scene.permits(&call_in(&session, &token));
    scene.permits(&call("echo").token(&token));
}

#[test]
fn authz_03_gives_a_role_to_those_whose_issuer_says_so() {
    let scene = Scene::with(GRANTED);
    let with =
        |claim: &str, value: serde_json::Value| scene.draft("mallory").claim(claim, value).sign();
    for token in [
        with("role", json!("admin")),
        with("roles", json!("viewer admin")),
        with("roles", json!(["Admin"])),
        with("roles", json!(["admin "])),
        with("groups", json!(["admin"])),
        with("scope", json!("admin role:admin")),
        with("client_id", json!("admin")),
        with("sub", json!("role:admin")),
        with("sub", json!("user:alice")),
    ] {
        scene.refuses(
            &call("delete_all").token(&token),
            (403, 403),
            ("authz.deny", "no_rule"),
        );
    }
    // A role does not reach beyond its own grant either.
    let admin = with("roles", json!(["viewer", "admin"]));
    scene.refuses(
        &call("write_note").token(&admin),
        (403, 403),
        ("authz.deny", "no_rule"),
    );
    scene.permits(&call("delete_all").token(&admin));
    scene.permits(&call("delete_all").token(&with("roles", json!("admin"))));
    // What is neither a list nor a text is no token of ours: a rule may forbid what it means.
    let odd = with("roles", json!({ "admin": true }));
    scene.unauthenticated(&call("delete_all").token(&odd), "malformed");
}

#[test]
fn authz_03_keeps_clients_off_the_operators_listener_and_back() {
    let scene = Scene::new();
    let (admin, token) = (scene.gateway.admin, scene.token("alice"));
    let port = admin.port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::]:{port}"),
        "127.0.0.1".to_owned(),
        scene.gateway.address.to_string(),
        String::new(),
    ] {
        for path in ["/healthz", "/readyz", "/metrics"] {
            let response = Request::new("GET", path).set("host", &host).send(admin);
            assert_eq!(response.status, 403, "{host} {path}");
            assert!(!response.body.contains("portcullis"), "{response:?}");
        }
    }
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        &format!("http://localhost:{port}"),
    ] {
        assert_eq!(
            Request::new("GET", "/metrics")
                .set("origin", origin)
                .send(admin)
                .status,
            403,
            "{origin}"
        );
    }
    let launch = r#"{"command":"/bin/sh","args":["-c","id"]}"#;
    for (method, path) in [
        ("POST", "/"),
        ("POST", "/servers"),
        ("PUT", "/config"),
        ("DELETE", "/metrics"),
        ("POST", "/healthz"),
    ] {
        let response = Request::new(method, path)
            .set("content-type", "text/plain")
            .body(launch)
            .token(&token)
            .send(admin);
        assert_eq!(response.status, 403, "{method} {path}");
        let nobody = Request::new(method, path).body(launch).send(admin);
        assert_eq!(nobody.status, 405, "{method} {path}");
    }
    for path in [
        "/servers/notes/mcp",
        "/mcp",
        "/config",
        "/debug",
        "/servers?command=id",
    ] {
        let response = Request::new("GET", path).token(&token).send(admin);
        assert_eq!(response.status, 403, "{path}");
        let nobody = Request::new("GET", path).send(admin);
        assert_eq!(nobody.status, 404, "{path}");
    }
    for path in ["/metrics", "/readyz", "/healthz"] {
        assert_eq!(
            scene.send(&Request::new("GET", path).token(&token)).status,
            404,
            "{path} for clients"
        );
    }
    // Also what anybody on the machine may see is not shown to a client's token.
    for path in ["/healthz", "/readyz", "/metrics"] {
        let response = Request::new("GET", path).token(&token).send(admin);
        assert_eq!(response.status, 403, "{path}");
        assert!(!response.body.contains("portcullis_"), "{response:?}");
    }
    scene.gateway.expect("admin.rejected", Some("credentials"));
    scene.gateway.expect("admin.rejected", Some("host"));
    scene.gateway.expect("admin.rejected", Some("origin"));
    assert_eq!(scene.upstream.requests().len(), 0);
    assert_eq!(Request::new("GET", "/healthz").send(admin).status, 200);
    assert!(
        Request::new("GET", "/metrics")
            .send(admin)
            .body
            .contains("portcullis_")
    );
    scene.permits(&call("echo").token(&token));
}
