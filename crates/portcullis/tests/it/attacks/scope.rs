//! ATK-009: more than the token was given for.

use crate::harness::{Idp, Request, Scene, call, call_in, initialize, message};
use serde_json::json;

const SCOPED: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
scopes = ["notes.read"]
allow = ["echo", "read_note", "write_note"]

[servers.notes.tools.write_note]
scopes = ["notes.write"]
"#;

fn insufficient(scene: &Scene, request: &Request, scope: &str) {
    let response = scene.refuses(request, (403, 403), ("authz.deny", "scope"));
    let metadata = format!(
        "http://{}/.well-known/oauth-protected-resource/servers/notes/mcp",
        scene.gateway.address
    );
    let expected = format!(
        "Bearer error=\"insufficient_scope\", scope=\"{scope}\", resource_metadata=\"{metadata}\""
    );
    assert_eq!(response.challenge(), expected);
    assert_eq!(
        scene.gateway.record_of(&response)["decision"]["effect"],
        "deny"
    );
}

#[test]
fn auth_10_names_exactly_what_a_call_needs() {
    let scene = Scene::with(SCOPED);
    let with = |scope: &str| scene.draft("alice").claim("scope", scope).sign();
    let (none, read, both) = (with(""), with("notes.read"), with("notes.write notes.read"));
    insufficient(
        &scene,
        &call("write_note").token(&read),
        "notes.read notes.write",
    );
    insufficient(&scene, &call("read_note").token(&none), "notes.read");
    insufficient(
        &scene,
        &message("tools/list", json!({})).token(&none),
        "notes.read",
    );
    insufficient(&scene, &initialize(&none), "notes.read");
    insufficient(
        &scene,
        &call("write_note").token(&with("notes.write")),
        "notes.read notes.write",
    );
    for wild in [
        "*",
        "all",
        "notes.*",
        "notes",
        "NOTES.READ",
        "notes.read.all",
        "notes.readx",
        "\"notes.read\"",
        "notes.read,notes.write",
        "notes.read\tnotes.write",
    ] {
        insufficient(&scene, &call("read_note").token(&with(wild)), "notes.read");
    }
    for claims in [
        json!({ "notes.read": true }),
        json!(true),
        json!([["notes.read"]]),
        json!(null),
    ] {
        let token = scene.draft("alice").claim("scope", claims).sign();
        insufficient(&scene, &call("read_note").token(&token), "notes.read");
    }
    // Roles are no scopes, and an alias is another tool.
    let role = scene
        .draft("alice")
        .claim("roles", json!(["notes.read", "admin"]))
        .sign();
    insufficient(&scene, &call("read_note").token(&role), "notes.read");
    for alias in [
        "Write_Note",
        "write_note ",
        "write-note",
        "notes__write_note",
        "write_note\u{200b}",
        "wr\u{131}te_note",
    ] {
        let arguments = json!({ "name": alias });
        let encoded = format!("=?base64?{}?=", base64(alias));
        let request = message("tools/call", arguments)
            .set("mcp-name", &encoded)
            .token(&read);
        scene.refuses(&request, (403, 403), ("authz.deny", "no_rule"));
    }
    // The step-up that the challenge asked for.
    scene.permits(&call("write_note").token(&both));
    scene.permits(&call("read_note").token(&read));
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn auth_10_takes_no_permission_from_headers() {
    let scene = Scene::with(SCOPED);
    let read = scene.draft("alice").claim("scope", "notes.read").sign();
    let session = scene.session(&read);
    let body = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"write_note"}}"#;
    // Before 2026-07-28 nobody compares these headers, so nobody may believe them either.
    let request = call_in(&session, &read)
        .body(body)
        .set("mcp-name", "read_note")
        .set("mcp-method", "tools/list");
    insufficient(
        &scene,
        &request.set("mcp-param-scope", "notes.write"),
        "notes.read notes.write",
    );
    scene.permits(&call_in(&session, &read));
}

#[test]
fn auth_10_judges_the_listening_stream_too() {
    let scene = Scene::with(SCOPED);
    let with = |scope: &str| scene.draft("alice").claim("scope", scope).sign();
    let session = scene.session(&with("notes.read other"));
    let listen = Request::in_session("GET", &session);
    let before = scene.upstream.requests().len();
    let stream = scene.open(&listen.clone().token(&with("other")));
    assert_eq!(
        stream.response.status, 403,
        "a token without the scope listens"
    );
    assert_eq!(scene.upstream.requests().len(), before);
    assert_eq!(
        scene
            .open(&listen.token(&with("notes.read")))
            .response
            .status,
        200
    );
}

#[test]
fn tok_10_judges_each_request_by_its_own_token() {
    let scene = Scene::with(SCOPED);
    let broad = scene
        .draft("alice")
        .claim("scope", "notes.read notes.write")
        .sign();
    let narrow = scene.draft("alice").claim("scope", "notes.read").sign();
    let session = scene.session(&broad);
    let body = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"write_note"}}"#;
    scene.permits(&call_in(&session, &broad).body(body));
    // After a refresh that gave less, the session gives no more than the token.
    insufficient(
        &scene,
        &call_in(&session, &narrow).body(body),
        "notes.read notes.write",
    );
    scene.permits(&call_in(&session, &narrow));
    scene.permits(&call_in(&session, &broad).body(body));
}

#[test]
fn auth_10_lists_what_could_be_called_and_nothing_else() {
    let scene = Scene::with(SCOPED);
    let read = scene.draft("alice").claim("scope", "notes.read").sign();
    assert_eq!(
        scene.tools(&read),
        ["echo", "read_note", "write_note"],
        "delete_all is for nobody"
    );
    scene.refuses(
        &call("delete_all").token(&read),
        (403, 403),
        ("authz.deny", "no_rule"),
    );
}

const TREE: &str = r#"
[issuers.idp]
issuer = "{idp}"

[issuers.idp.scope_implies]
"notes.admin" = ["notes.write"]
"notes.write" = ["notes.read"]

[issuers.other]
issuer = "{other}"

[servers.notes]
url = "{upstream}"
scopes = ["notes.read"]
allow = ["*"]

[servers.notes.tools.write_note]
scopes = ["notes.write"]

[servers.notes.tools.delete_all]
scopes = ["notes.delete"]
"#;

#[test]
fn auth_10_a_scope_has_what_it_implies_for_its_own_issuer_and_nothing_above() {
    let other = Idp::start();
    let scene = Scene::with(&TREE.replace("{other}", &other.issuer()));
    let with = |scope: &str| scene.draft("alice").claim("scope", scope).sign();
    let audience = scene.gateway.url("notes");
    let foreign = |scope: &str| other.draft("alice", &audience).claim("scope", scope).sign();
    let (read, write) = (call("read_note"), call("write_note"));
    // Up the tree there is nothing.
    insufficient(
        &scene,
        &write.clone().token(&with("notes.read")),
        "notes.read notes.write",
    );
    // The same words from an issuer that does not say so.
    insufficient(
        &scene,
        &read.clone().token(&foreign("notes.admin")),
        "notes.read notes.admin",
    );
    insufficient(
        &scene,
        &write.clone().token(&foreign("notes.write")),
        "notes.read notes.write",
    );
    for alike in ["NOTES.ADMIN", "notes.admin.x", "notes", "*"] {
        insufficient(&scene, &read.clone().token(&with(alike)), "notes.read");
    }
    // Nor does it imply what is beside it.
    insufficient(
        &scene,
        &call("delete_all").token(&with("notes.admin")),
        "notes.read notes.delete notes.admin",
    );
    for whole in ["notes.admin", "notes.write", "other notes.write"] {
        scene.permits(&read.clone().token(&with(whole)));
        scene.permits(&write.clone().token(&with(whole)));
    }
    scene.permits(&write.token(&foreign("notes.write notes.read")));
    let told = scene.gateway.explain("notes", &with("notes.admin"));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let words = r#"scopes ["notes.admin"], which imply ["notes.read", "notes.write"]"#;
    assert!(told.contains(words), "{told}");
}

#[test]
fn auth_10_a_client_that_asks_for_just_the_challenge_loses_nothing() {
    let other = Idp::start();
    let scene = Scene::with(&TREE.replace("{other}", &other.issuer()));
    let with = |scope: &str| scene.draft("alice").claim("scope", scope).sign();
    // What is of no use here is not asked for again, `offline_access` among it.
    let held = "openid notes.write mail.send offline_access";
    let response = scene.refuses(
        &call("delete_all").token(&with(held)),
        (403, 403),
        ("authz.deny", "scope"),
    );
    let challenge = response.challenge().to_owned();
    let asked = challenge
        .split_once("scope=\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let asked = asked.expect(&challenge).0;
    assert_eq!(asked, "notes.read notes.delete notes.write");
    let next = with(asked);
    scene.permits(&call("delete_all").token(&next));
    scene.permits(&call("write_note").token(&next));
    // One round is enough: the next challenge for the other thing would have brought it as well.
    let back = with("notes.read notes.delete");
    insufficient(
        &scene,
        &call("write_note").token(&back),
        "notes.read notes.write notes.delete",
    );
}

#[test]
fn auth_10_policies_see_what_is_implied_and_challenges_name_what_they_ask_for() {
    let other = Idp::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.cedar");
    let rules = r#"@id("audited") forbid (principal, action == Action::"tools/call", resource == Tool::"notes__echo")
unless { principal.scopes.contains("notes.audit") };"#;
    std::fs::write(&file, rules).unwrap();
    let tree = TREE.replace("{other}", &other.issuer());
    let tree = tree.replace(
        "\"notes.admin\" = [",
        "\"notes.admin\" = [\"notes.audit\", ",
    );
    let scene = Scene::with(&format!(
        "{tree}\n[policy]\nfiles = ['{}']\n",
        file.display()
    ));
    let with = |scope: &str| scene.draft("alice").claim("scope", scope).sign();
    insufficient(
        &scene,
        &call("echo").token(&with("notes.write")),
        "notes.read notes.audit notes.write",
    );
    insufficient(
        &scene,
        &call("write_note").token(&with("notes.read notes.audit x")),
        "notes.read notes.write notes.audit",
    );
    scene.permits(&call("echo").token(&with("notes.admin")));
}
