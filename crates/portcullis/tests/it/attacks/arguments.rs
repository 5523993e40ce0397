//! TOK-10 and AUTH-10 by argument, and decisions that are made again from what was recorded (SIEM-04).

use crate::harness::{AMPLE, Request, Scene, message};
use portcullis_core::authorize::policy::{
    Action, Denied, Policy, Question, Sources, Subject, Target,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Notes under `/public/` are for everyone with `notes.read`, those under `/restricted/` need a scope of their own;
/// a limit may be up to 10.
const POLICY: &str = r#"
@id("public")
permit (principal, action == Action::"tools/call", resource == Tool::"notes__read_note")
when {
  principal.scopes.contains("notes.read") && context.arguments.hasTag("path") &&
  context.arguments.getTag("path") like "/public/*"
};
@id("restricted")
permit (principal, action == Action::"tools/call", resource == Tool::"notes__read_note")
when {
  principal.scopes.contains("notes.read") && principal.scopes.contains("notes.restricted") &&
  context.arguments.hasTag("path") && context.arguments.getTag("path") like "/restricted/*"
};
@id("few")
permit (principal, action == Action::"tools/call", resource == Tool::"notes__echo")
when { context.numbers.hasTag("options.limit") && context.numbers.getTag("options.limit") <= 10 };
@id("plumbing")
permit (principal, action in [Action::"server/use", Action::"tools/list"], resource);
@id("never")
forbid (principal, action, resource)
when { context.arguments.hasTag("path") && context.arguments.getTag("path") like "*..*" };
"#;

struct Ruled {
    scene: Scene,
    _files: tempfile::TempDir,
}

impl Ruled {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("notes.cedar");
        std::fs::write(&file, POLICY).unwrap();
        let scene = Scene::with(&format!(
            "[issuers.idp]\nissuer = \"{{idp}}\"\n[servers.notes]\nurl = \"{{upstream}}\"\n[policy]\nfiles = ['{}']\n{AMPLE}",
            file.display()
        ));
        Self {
            scene,
            _files: files,
        }
    }

    fn token(&self, scope: &str) -> String {
        self.scene.draft("alice").claim("scope", scope).sign()
    }

    fn lacks(&self, request: &Request, scope: &str) {
        let response = self
            .scene
            .refuses(request, (403, 403), ("authz.deny", "scope"));
        let challenge = response.challenge();
        assert!(
            challenge.contains(&format!("error=\"insufficient_scope\", scope=\"{scope}\"")),
            "{challenge}"
        );
    }

    fn denies(&self, request: &Request, reason: &str) {
        let response = self
            .scene
            .refuses(request, (403, 403), ("authz.deny", reason));
        assert_eq!(response.challenge(), "", "no scope would help");
    }
}

fn with(tool: &str, arguments: &Value) -> Request {
    message(
        "tools/call",
        json!({ "name": tool, "arguments": arguments }),
    )
    .set("mcp-name", tool)
}

fn read(path: &str) -> Request {
    with("read_note", &json!({ "path": path }))
}

#[test]
fn tok_10_asks_for_another_scope_where_the_argument_needs_one() {
    let ruled = Ruled::new();
    let (none, plain, both) = (
        ruled.token(""),
        ruled.token("notes.read"),
        ruled.token("notes.read notes.restricted"),
    );
    ruled.scene.permits(&read("/public/a").token(&plain));
    ruled.lacks(&read("/public/a").token(&none), "notes.read");
    ruled.lacks(
        &read("/restricted/a").token(&plain),
        "notes.restricted notes.read",
    );
    ruled.lacks(
        &read("/restricted/a").token(&none),
        "notes.read notes.restricted",
    );
    ruled.scene.permits(&read("/restricted/a").token(&both));
    // After a refresh that gave less, the same call of the same principal is refused.
    ruled.lacks(
        &read("/restricted/a").token(&ruled.token("notes.read")),
        "notes.restricted notes.read",
    );
    let record = ruled
        .scene
        .gateway
        .record_of(&ruled.scene.permits(&read("/restricted/a").token(&both)));
    assert_eq!(record["decision"]["rule"], "restricted");
}

#[test]
fn auth_10_is_not_talked_out_of_it_by_other_forms_of_an_argument() {
    let ruled = Ruled::new();
    let both = ruled.token("notes.read notes.restricted");
    for path in ["/public/../restricted/a", "/restricted/..%2f", ".."] {
        ruled.denies(&read(path).token(&both), "forbidden");
    }
    for arguments in [
        json!({}),
        json!({ "Path": "/public/a" }),
        json!({ "path": ["/public/a"] }),
        json!({ "path": { "": "/public/a" } }),
        json!({ "path.": "/public/a" }),
        json!({ "path": "/PUBLIC/a" }),
        json!({ "path": " /public/a" }),
        json!({ "path": "public/a" }),
        json!({ "path": null }),
        json!({ "a": { "path": "/public/a" } }),
    ] {
        ruled.denies(&with("read_note", &arguments).token(&both), "no_rule");
    }
    // Two readings of one argument are none.
    let twice = read("/public/a").token(&both).body(
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_note","arguments":{"path":"/public/a","p\u0061th":"/restricted/a"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    );
    ruled
        .scene
        .refuses(&twice, (400, -32700), ("request.malformed", "duplicate"));
    for limit in [
        json!(11),
        json!(10.5),
        json!("10"),
        json!(1e30),
        json!(null),
        json!([1]),
        json!(true),
    ] {
        let request = with("echo", &json!({ "options": { "limit": limit } }));
        ruled.denies(&request.token(&both), "no_rule");
    }
    let flat = with("echo", &json!({ "options.limit": 1 }));
    ruled.denies(&flat.token(&both), "no_rule");
    let many: Vec<u32> = (0..2000).collect();
    let much = with("echo", &json!({ "options": { "limit": 1 }, "many": many }));
    ruled.denies(&much.token(&both), "indeterminate");
    for limit in [json!(10), json!(10.0), json!(-1)] {
        let request = with("echo", &json!({ "options": { "limit": limit } }));
        ruled.scene.permits(&request.token(&both));
    }
    // What could be called with some argument is listed, also without the scopes for it.
    assert_eq!(ruled.scene.tools(&both), ["echo", "read_note"]);
}

/// What the record says, put to the policy of that name once more.
///
/// Enough is recorded for principal, client, tool, arguments that held no secret, time and network. Roles, groups,
/// scopes and further claims of the token are not: the caller of this function gives the scopes.
fn decided_again(policy: &Policy, record: &Value, scopes: &[String]) -> (&'static str, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let arguments = RawValue::from_string(record["arguments"]["view"].to_string()).unwrap();
    let [issuer, subject] = ["iss", "sub"].map(|part| text(&record["principal"][part]));
    let [client, server, name, peer] =
        ["client", "server", "target", "peer"].map(|part| text(&record[part]));
    let (era, network) = (
        text(&record["detail"]["revision"]),
        peer.rsplit_once(':').unwrap().0.to_owned(),
    );
    assert_eq!(record["method"], "tools/call");
    let question = Question {
        subject: Subject {
            issuer: &issuer,
            vouched_by: &issuer,
            subject: &subject,
            client: Some(&client),
            roles: &[],
            groups: &[],
            has_unknown_groups: false,
            scopes,
            claims: &[],
            declared: &[],
            authentication: None,
        },
        action: Action::CallTool,
        target: Target::Tool {
            server: &server,
            name: &name,
        },
        arguments: Some(&arguments),
        time: 0, // no policy here reads it
        era: &era,
        anomaly: portcullis_core::misuse::Anomaly::CALM,
        network: Some(&network),
        rated: None,
    };
    match policy.decide(&question) {
        Ok(allowed) => ("allow", allowed.rule),
        Err(Denied::Forbidden { rule }) => ("deny", rule),
        Err(_) => ("deny", String::new()),
    }
}

#[test]
fn siem_04_decides_again_as_it_was_decided() {
    let ruled = Ruled::new();
    let wide = vec!["notes.read".to_owned(), "notes.restricted".to_owned()];
    let narrow = vec!["notes.read".to_owned()];
    for number in 0..20 {
        for scopes in [&wide, &narrow] {
            let token = ruled.token(&scopes.join(" "));
            for request in [
                read(&format!("/public/{number}")),
                read(&format!("/restricted/{number}")),
                read(&format!("/other/../{number}")),
                with("echo", &json!({ "options": { "limit": number } })),
                with(
                    "delete_all",
                    &json!({ "number": number, "quoted": "\"\\\n" }),
                ),
            ] {
                ruled.scene.send(&request.token(&token));
            }
        }
    }
    // The policy that the records name is the one of the file, whoever compiles it.
    let file = ("copy.cedar".to_owned(), POLICY.to_owned());
    let policy = Policy::compile(&Sources {
        cedar: &[file],
        grants: &[],
        ..Sources::default()
    })
    .unwrap();
    let records = ruled.scene.gateway.exchanges();
    let decided: Vec<&Value> = records
        .iter()
        .filter(|record| record["decision"].is_object())
        .collect();
    assert_eq!(decided.len(), 200);
    let mut kinds = std::collections::BTreeSet::new();
    for (place, record) in decided.iter().enumerate() {
        assert_eq!(record["decision"]["policy"], policy.hash(), "{record}");
        let scopes = if place / 5 % 2 == 0 { &wide } else { &narrow };
        let (effect, rule) = decided_again(&policy, record, scopes);
        assert_eq!(
            (&record["decision"]["effect"], &record["decision"]["rule"]),
            (&json!(effect), &json!(rule)),
            "{record}"
        );
        kinds.insert(rule);
    }
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["", "few", "never", "public", "restricted"]
    );
}
