//! What comes down, and what is written down.

use super::*;
use crate::authenticate::{Principal, Resource, operating_system_user};
use crate::authorize::policy::{Policy, Sources};
use crate::authorize::{self, Circumstances, Gate, Strengths};
use crate::catalog::Pinned;
use crate::misuse::Anomaly;
use crate::protocol::{Headers, Id, Method, Revision};
use crate::quota::{self, Quota, Rate};
use crate::route::{self, Ticket};
use crate::session::{self, Sessions};
use crate::time::Timestamp;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_seconds(1_767_261_600);
const CIRCUMSTANCES: Circumstances<'static> = Circumstances {
    now: NOW,
    network: None,
    anomaly: Anomaly::CALM,
};
const EVERYTHING: &str = "permit (principal, action, resource);";

fn policy(cedar: &str) -> Policy {
    let files = [("test.cedar".to_owned(), cedar.to_owned())];
    Policy::compile(&Sources {
        cedar: &files,
        grants: &[],
        ..Sources::default()
    })
    .unwrap()
}

fn gate() -> Gate {
    Gate {
        resource: Resource {
            server: "notes".into(),
            audience: String::new(),
            metadata_url: String::new(),
            issuers: Vec::new(),
            scopes: Vec::new(),
            scopes_supported: Vec::new(),
            ..Resource::default()
        },
        tool_scopes: HashMap::new(),
        strengths: Strengths::default(),
        privileged: HashMap::default(),
        tenants: Vec::new(),
        is_aggregate: false,
    }
}

fn alice() -> Principal {
    operating_system_user(1, "alice", Timestamp::default())
}

fn session() -> Session {
    let limits = session::Limits {
        idle: Duration::MAX,
        absolute: Duration::MAX,
        most: 1,
        most_per_principal: 1,
    };
    let bound = Sessions::default().bind(alice(), &"notes".into(), None, (&limits, NOW));
    bound.unwrap()
}

fn slot(session: &Session) -> Slot {
    let wide = Rate {
        per_minute: 1_000_000,
        burst: 1_000_000,
    };
    let limits = quota::Limits {
        requests: wide,
        tool_requests: None,
        per_tool: HashMap::new(),
        concurrency: 1,
        bytes: wide,
        upstream_concurrency: 1,
    };
    Arc::<Quota>::default().take_slot(session, &limits).unwrap()
}

fn call(body: &str) -> Call {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Call::parse(body, &Headers::default(), Some(Revision::V2025_11_25)).unwrap()
}

/// What the policy says of a message of Alice's.
fn decide(policy: &Policy, body: &str) -> Result<Permit, authorize::Forbidden> {
    let (session, call) = (session(), call(body));
    let slot = slot(&session);
    let unrated = None;
    authorize::decide(
        policy,
        &gate(),
        (session, call, slot),
        unrated,
        CIRCUMSTANCES,
    )
}

/// The ticket of a message that everybody may send.
fn ticket(body: &str) -> Ticket {
    let permit = decide(&policy(EVERYTHING), body).unwrap();
    route::resolve(request(permit)).1
}

fn asking(method: &str) -> Ticket {
    ticket(&format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"{method}"}}"#
    ))
}

/// The one place that asks the room: what is passed on, or why nothing is.
fn released(message: &str, ticket: &Ticket, policy: &Policy) -> Result<Released, BadAnswer> {
    let message = Bytes::copy_from_slice(message.as_bytes());
    let pinned = Pinned::default();
    answer(message, ticket, (policy, &pinned), &gate(), CIRCUMSTANCES)
}

fn check(rows: &[(&str, &str)], ticket: &Ticket, policy: &Policy) {
    for (message, expected) in rows {
        let outcome = released(message, ticket, policy);
        let seen = match &outcome {
            Ok(released) => {
                assert_eq!(released.size(), message.len() as u64);
                match released.said() {
                    Said::Answer { code: None, .. } => "result",
                    Said::Answer { code: Some(_), .. } => "error",
                    Said::Request { .. } => "request",
                    Said::Notification { .. } => "notification",
                }
            }
            Err(bad) => bad.reason(),
        };
        assert_eq!(seen, *expected, "{message}");
        if let Ok(released) = outcome {
            assert_eq!(released.into_bytes(), message.as_bytes());
        }
    }
}

const ANSWERS: &[(&str, &str)] = &[
    (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, "result"),
    (
        r#"{ "result":{"x":[1]} , "jsonrpc":"2.0", "id":7 }"#,
        "result",
    ),
    (
        r#"{"jsonrpc":"2.0","id":8,"result":{}}"#,
        "answer_not_asked",
    ),
    (
        r#"{"jsonrpc":"2.0","id":"7","result":{}}"#,
        "answer_not_asked",
    ),
    (r#"{"jsonrpc":"2.0","result":{}}"#, "answer_not_asked"),
    (
        r#"{"jsonrpc":"2.0","id":7.0,"result":{}}"#,
        "malformed_answer",
    ),
    (
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        "malformed_answer",
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"x"}}"#,
        "error",
    ),
    (
        r#"{"jsonrpc":"2.0","id":8,"error":{"code":1,"message":""}}"#,
        "answer_not_asked",
    ),
    // An error about what could not be read bears no id.
    (
        r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":""}}"#,
        "error",
    ),
    (
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":""}}"#,
        "error",
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":1.5}}"#,
        "malformed_answer",
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"error":{"message":"x"}}"#,
        "malformed_answer",
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"error":"no"}"#,
        "malformed_answer",
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1}}"#,
        "malformed_answer",
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}"#,
        "malformed_answer",
    ),
    (r#"{"jsonrpc":"2.0","id":7}"#, "malformed_answer"),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{"a":1,"a":2}}"#,
        "malformed_answer",
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"Result":{},"result":{}}"#,
        "malformed_answer",
    ),
    (
        r#"[{"jsonrpc":"2.0","id":7,"result":{}}]"#,
        "malformed_answer",
    ),
    (
        r#"{"jsonrpc":"2.0","id":7,"result":{}}{}"#,
        "malformed_answer",
    ),
    ("", "malformed_answer"),
];

#[test]
fn inj_13_passes_the_answer_that_was_asked_for() {
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a"}}"#;
    check(ANSWERS, &ticket(call), &policy(""));
}

#[test]
fn inj_13_a_stream_that_asked_nothing_gets_no_answer() {
    let listening = Ticket::listening(&session(), None, String::new());
    let rows = [
        (
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
            "answer_not_asked",
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
            "notification",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request"),
    ];
    check(&rows, &listening, &policy(EVERYTHING));
    assert_eq!(listening.revision(), Revision::V2025_03_26);
}

#[test]
fn authz_03_a_server_asks_only_what_a_rule_permits() {
    let sample = r#"{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{}}"#;
    let elicit = r#"{"jsonrpc":"2.0","id":2,"method":"elicitation/create","params":{}}"#;
    let roots = r#"{"jsonrpc":"2.0","id":3,"method":"roots/list"}"#;
    let call = r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"a"}}"#;
    let unknown = r#"{"jsonrpc":"2.0","id":5,"method":"shell/run"}"#;
    let no = "reverse_request";
    let ticket = asking("ping");
    let all = [
        (sample, no),
        (elicit, no),
        (roots, no),
        (call, no),
        (unknown, no),
    ];
    check(&all, &ticket, &policy(""));
    let some = policy(r#"permit (principal, action == Action::"elicitation/create", resource);"#);
    let rows = [(sample, no), (elicit, "request"), (roots, no), (call, no)];
    check(&rows, &ticket, &some);
    let rows = [
        (sample, "request"),
        (roots, "request"),
        (call, no),
        (unknown, no),
    ];
    check(&rows, &ticket, &policy(EVERYTHING));
    let null_id = r#"{"jsonrpc":"2.0","id":null,"method":"roots/list"}"#;
    check(
        &[(null_id, "malformed_answer")],
        &ticket,
        &policy(EVERYTHING),
    );
    let said = released(sample, &ticket, &policy(EVERYTHING))
        .unwrap()
        .said()
        .clone();
    assert_eq!(
        said,
        Said::Request {
            method: Method::Sampling,
            id: Id::Text("s1".into())
        }
    );
}

#[test]
fn ses_08_reads_what_initialize_settled() {
    let ticket = asking("initialize");
    let message = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#);
    let settled = released(
        &message(r#"{"protocolVersion":"2025-06-18"}"#),
        &ticket,
        &policy(""),
    );
    let expected = Said::Answer {
        code: None,
        revision: Some("2025-06-18".to_owned()),
    };
    assert_eq!(settled.unwrap().said(), &expected);
    for result in ["{}", "null", "[]", r#"{"protocolVersion":1}"#] {
        let bad = released(&message(result), &ticket, &policy("")).unwrap_err();
        assert_eq!(bad.reason(), "malformed_answer", "{result}");
    }
}

/// A policy that permits these tools, whatever the arguments.
fn only(tools: &[&str]) -> Policy {
    let rules = tools.iter().map(|tool| {
        format!(
            "permit (principal, action == Action::\"tools/call\", resource == Tool::\"notes__{tool}\");\n"
        )
    });
    policy(&rules.collect::<String>())
}

/// The list that the client gets of this one.
fn narrowed(method: &str, result: &str, policy: &Policy) -> Result<String, &'static str> {
    let message = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#);
    let released = released(&message, &asking(method), policy).map_err(|bad| bad.reason())?;
    let text = String::from_utf8(released.into_bytes().to_vec()).unwrap();
    let inner = text
        .strip_prefix(r#"{"jsonrpc":"2.0","id":7,"result":"#)
        .unwrap();
    Ok(inner.strip_suffix('}').unwrap().to_owned())
}

#[test]
fn authz_03_a_list_keeps_the_bytes_of_what_it_keeps() {
    let (a, b, c) = (
        r#"{ "name":"a", "x":1.10,"description":"\u0041" }"#,
        r#"{"name":"\u0062","name2":"a"}"#,
        r#"{"inputSchema":{"type":"object"},"name":"c"}"#,
    );
    let list = |entries: &str| format!(r#"{{ "nextCursor":"n","tools":[ {entries} ], "ttlMs":5}}"#);
    let all = list(&format!("{a} ,\n{b},{c}"));
    for (permitted, expected) in [
        (&["a", "b", "c"][..], all.clone()),
        (&["a", "c"], list(&format!("{a},{c}"))),
        (&["b"], list(b)),
        (&["c"], list(c)),
        (&[], list("")),
        (&["other"], list("")),
    ] {
        assert_eq!(
            narrowed("tools/list", &all, &only(permitted)).unwrap(),
            expected
        );
    }
    assert_eq!(
        narrowed("tools/list", &list(""), &only(&[])).unwrap(),
        list("")
    );
}

#[test]
fn authz_02_a_list_that_cannot_be_read_is_not_shown() {
    for result in [
        r#"{"tools":{}}"#,
        r#"{"tools":"a"}"#,
        r#"{"tools":[1]}"#,
        r#"{"tools":[null]}"#,
        r#"{"tools":[{}]}"#,
        r#"{"tools":[{"name":1}]}"#,
        r#"{"tools":[{"title":"a"}]}"#,
        "[]",
        "7",
    ] {
        let outcome = narrowed("tools/list", result, &only(&["a"]));
        assert_eq!(outcome, Err("unreadable_list"), "{result}");
    }
    for result in ["{}", r#"{"tools":null}"#, r#"{"tools":[]}"#] {
        assert_eq!(narrowed("tools/list", result, &only(&[])).unwrap(), result);
    }
}

#[test]
fn authz_03_every_kind_of_list_is_narrowed() {
    let read =
        r#"permit (principal, action in Action::"read", resource in Server::"notes") when { "#;
    let uri = policy(&format!(
        "{read} resource is Resource && resource.uri like \"file:///ok*\" }};"
    ));
    let prompt = policy(&format!(
        "{read} resource is Prompt && resource.name == \"ok\" }};"
    ));
    for (method, policy, result, expected) in [
        (
            "resources/list",
            &uri,
            r#"{"resources":[{"uri":"file:///ok/a","name":"x"},{"uri":"file:///no","name":"x"}]}"#,
            r#"{"resources":[{"uri":"file:///ok/a","name":"x"}]}"#,
        ),
        (
            "resources/templates/list",
            &uri,
            r#"{"resourceTemplates":[{"uriTemplate":"file:///no/{x}"},{"uriTemplate":"file:///ok/{x}"}]}"#,
            r#"{"resourceTemplates":[{"uriTemplate":"file:///ok/{x}"}]}"#,
        ),
        (
            "prompts/list",
            &prompt,
            r#"{"prompts":[{"name":"no"},{"name":"ok"}]}"#,
            r#"{"prompts":[{"name":"ok"}]}"#,
        ),
        // What looks like a list is none where no list was asked for.
        (
            "ping",
            &uri,
            r#"{"tools":[{"name":"no"}]}"#,
            r#"{"tools":[{"name":"no"}]}"#,
        ),
    ] {
        assert_eq!(
            narrowed(method, result, policy).unwrap(),
            expected,
            "{method}"
        );
    }
}

const TOOLS: &[&str] = &["read", "write", "re__ad", "%5F", "a b", "_"];
const ARGUMENTS: &[&str] = &[
    "{}",
    r#"{"path":"/a/b"}"#,
    r#"{"path":"/b"}"#,
    r#"{"n":1}"#,
    r#"{"n":7,"path":"/a"}"#,
];
/// Each can be met by one of the arguments, and none depends on the time or the place.
const CONDITIONS: &[&str] = &[
    "true",
    "resource.name == \"write\"",
    "resource.name like \"re*\"",
    "principal.subject == \"1\"",
    "principal.subject == \"2\"",
    "principal.hasTag(\"name\") && principal.getTag(\"name\") == \"alice\"",
    "context.arguments.hasTag(\"path\") && context.arguments.getTag(\"path\") like \"/a*\"",
    "context.numbers.hasTag(\"n\") && context.numbers.getTag(\"n\") > 4",
];
const SCOPES: &[&str] = &[
    "principal, action, resource",
    "principal, action == Action::\"tools/call\", resource",
    "principal, action in Action::\"call\", resource in Server::\"notes\"",
    "principal, action == Action::\"tools/call\", resource == Tool::\"notes__read\"",
    "principal, action == Action::\"tools/call\", resource in Server::\"mail\"",
    "principal == Principal::\"os|1\", action == Action::\"tools/call\", resource",
];

/// Permits with any condition; forbids with one that does not depend on the arguments, since what
/// one forbids for some arguments another may still permit.
fn policies() -> impl Strategy<Value = String> {
    use proptest::sample::select;
    let permit = (select(SCOPES), select(CONDITIONS)).prop_map(|(scope, condition)| {
        let condition = format!("resource is Tool && {condition}");
        format!("permit ({scope}) when {{ {condition} }};")
    });
    let plain: Vec<&str> = CONDITIONS
        .iter()
        .copied()
        .filter(|c| !c.contains("context"))
        .collect();
    let forbid = (select(SCOPES), select(plain)).prop_map(|(scope, condition)| {
        format!("forbid ({scope}) when {{ resource is Tool && {condition} }};")
    });
    let rule = prop_oneof![3 => permit, 1 => forbid];
    proptest::collection::vec(rule, 0..5).prop_map(|rules| rules.join("\n"))
}

fn shown(policy: &Policy) -> BTreeSet<String> {
    let entries: Vec<Value> = TOOLS.iter().map(|name| json!({"name": name})).collect();
    let result = json!({ "tools": entries }).to_string();
    let list: Value =
        serde_json::from_str(&narrowed("tools/list", &result, policy).unwrap()).unwrap();
    let listed = list["tools"].as_array().unwrap().iter();
    listed
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

fn callable(policy: &Policy) -> BTreeSet<String> {
    let permits = |tool: &&str| {
        ARGUMENTS.iter().any(|arguments| {
            let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            decide(policy, &body).is_ok()
        })
    };
    TOOLS
        .iter()
        .filter(|tool| permits(tool))
        .map(ToString::to_string)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn authz_03_a_list_shows_what_can_be_called_and_nothing_else(cedar in policies()) {
        let policy = policy(&cedar);
        prop_assert_eq!(shown(&policy), callable(&policy), "{}", cedar);
    }
}

#[test]
fn authz_03_a_forbid_for_some_arguments_hides_nothing() {
    let text = r#"permit (principal, action == Action::"tools/call", resource);
        forbid (principal, action == Action::"tools/call", resource)
        when { context.arguments.hasTag("path") };"#;
    let policy = policy(text);
    assert_eq!(shown(&policy).len(), TOOLS.len());
    assert_eq!(shown(&policy), callable(&policy));
}

fn view(arguments: &str) -> Value {
    summarize(Bytes::copy_from_slice(arguments.as_bytes()), View::Redacted)
        .view
        .unwrap()
}

#[test]
fn siem_07_a_view_holds_no_secrets() {
    let secret = "hunter2hunter2";
    for arguments in [
        json!({"password": secret}),
        json!({"Pass-Word": secret}),
        json!({"user": {"API_KEY": [secret, {"x": secret}]}}),
        json!({"accessToken": {"value": secret}}),
        json!({"X-Authorization-Header": secret}),
        json!({"set_cookie": 1, "COOKIES": secret}),
        json!({"list": [{"clientSecret": secret}]}),
        json!({"a": format!("sk-{secret}")}),
        json!({"a": format!("curl -H 'Authorization: Bearer {secret}'")}),
        json!({"a": format!("x -----BEGIN PRIVATE KEY-----\n{secret}")}),
        json!({"a": format!("{{\"k\":\"ghp_{secret}\"}}")}),
        json!({"a": format!("key=AKIA{secret},")}),
        json!({"a": format!("eyJhbGciOi{secret}")}),
    ] {
        let shown = view(&arguments.to_string()).to_string();
        assert!(!shown.contains(secret), "{arguments} {shown}");
        assert!(shown.contains("[redacted]"), "{shown}");
    }
    let plain = json!({"path": "/a", "n": 1.5, "ok": [true, null], "text": "sk- and ghp_"});
    assert_eq!(view(&plain.to_string()), plain);
}

#[test]
fn siem_07_a_view_is_bounded() {
    let long = "ä".repeat(300);
    let shown = view(&json!({ "a": long }).to_string());
    assert_eq!(shown["a"].as_str().unwrap().chars().count(), 257);
    let summarize = |length: usize, how| {
        let text = format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        summarize(Bytes::from(text), how)
    };
    assert!(summarize(2048, View::Redacted).view.is_some());
    assert!(summarize(2049, View::Redacted).view.is_none());
    let digest = summarize(100, View::Digest);
    assert_eq!((digest.view, digest.bytes.len()), (None, 100));
}

/// Arguments with a secret under a secret name, somewhere.
fn planted() -> impl Strategy<Value = Value> {
    let name = "[a-zA-Z_-]{0,4}(password|passwd|secret|token|apiKey|API-KEY|Authorization|cookie|credentials|private_key|session-id)[A-Z_]{0,4}";
    let secret = prop_oneof![
        Just(json!("planted-value")),
        Just(json!(["planted-value"])),
        Just(json!({"deep": {"er": "planted-value"}})),
    ];
    let leaf = prop_oneof![
        (name, secret).prop_map(|(name, secret)| json!({ name: secret })),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,300}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn siem_07_redaction_is_idempotent_and_shows_no_secret(arguments in planted()) {
        let once = redact::redact(arguments);
        prop_assert!(!once.to_string().contains("planted-value"), "{}", once);
        prop_assert_eq!(redact::redact(once.clone()), once);
    }
}
