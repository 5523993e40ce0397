//! What is permitted, and what is not.

use cedar_policy::Schema;

use super::*;
use crate::authorize::policy::action::FAMILIES;
use crate::authorize::policy::arguments::{MAX_BYTES, MAX_DEPTH, MAX_SCALARS, flatten};
use crate::authorize::policy::facts::moment;
use crate::authorize::policy::names::uid;
use crate::catalog::Rated;

/// Asks of one tool call whether it is permitted, and that it is visible if so.
fn check(policy: &Policy, question: &Question<'_>, expected: &str) {
    let decision = policy.decide(question);
    assert!(decision.is_err() || policy.is_visible(question));
    assert_eq!(said(decision), expected, "{question:?}\n{}", policy.text());
}

#[test]
fn authz_02_permits_nothing_by_default() {
    check(&cedar(""), &alice().calls("search", "{}"), "no rule");
    let server = Target::Server { server: "notes" };
    check(
        &cedar(""),
        &alice().asks(Action::UseServer, server),
        "no rule",
    );
}

#[test]
fn authz_02_forbid_wins_and_is_named() {
    let policy = cedar(
        r#"@id("all") permit (principal, action, resource);
        permit (principal, action == Action::"tools/call", resource);
        @id("no-delete") forbid (principal, action, resource == Tool::"notes__delete");"#,
    );
    check(
        &policy,
        &alice().calls("search", "{}"),
        "+all, test.cedar:2",
    );
    check(&policy, &alice().calls("delete", "{}"), "-no-delete");
}

#[test]
fn authz_02_denies_when_a_policy_cannot_be_evaluated() {
    let overflow = r#"permit (principal, action, resource);
        forbid (principal, action, resource) when {
          context.numbers.hasTag("n") && context.numbers.getTag("n") * 2 > 10 };"#;
    let policy = cedar(overflow);
    check(
        &policy,
        &alice().calls("search", r#"{"n": 1}"#),
        "+test.cedar:1",
    );
    check(
        &policy,
        &alice().calls("search", r#"{"n": 6}"#),
        "-test.cedar:2",
    );
    let broken = alice();
    let broken = broken.calls("search", r#"{"n": 9223372036854775807}"#);
    check(&policy, &broken, "unclear");
}

#[test]
fn authz_02_denies_arguments_without_one_reading() {
    let policy = cedar(
        r#"permit (principal, action, resource)
        unless { context.arguments.hasTag("path") && context.arguments.getTag("path") == "/x" };"#,
    );
    check(
        &policy,
        &alice().calls("read", r#"{"path": "/y"}"#),
        "+test.cedar:1",
    );
    for arguments in [
        r#"{"path": "/y", "path": "/x"}"#,
        r#"{"a": {"b": 1}, "a": {"c": 1}}"#,
        "[]",
        "7",
        "null",
        r#"{"n": 1e999}"#,
    ] {
        check(&policy, &alice().calls("read", arguments), "unclear");
    }
}

#[test]
fn authz_02_denies_a_claim_that_comes_twice() {
    let policy = cedar(
        r#"permit (principal, action, resource)
        when { principal.hasTag("tenant") && principal.getTag("tenant") == "acme" };"#,
    );
    let caller = alice().claim("tenant", "acme");
    check(&policy, &caller.calls("search", "{}"), "+test.cedar:1");
    let caller = alice().claim("tenant", "evil").claim("tenant", "acme");
    check(&policy, &caller.calls("search", "{}"), "unclear");
}

#[test]
fn authz_02_denies_an_action_on_the_wrong_kind_of_target() {
    let policy = cedar("permit (principal, action, resource);");
    let prompt = Target::Prompt {
        server: "notes",
        name: "summarize",
    };
    let caller = alice();
    let question = caller.asks(Action::CallTool, prompt);
    check(&policy, &question, "unclear");
    assert!(!policy.is_visible(&question));
    check(
        &policy,
        &caller.asks(Action::GetPrompt, prompt),
        "+test.cedar:1",
    );
}

#[test]
fn authz_02_every_action_applies_as_the_schema_says() {
    let schema: Schema = include_str!("../schema.cedarschema")
        .parse()
        .expect("schema");
    let policy = cedar("permit (principal, action, resource);");
    let (server, name) = ("notes", "x");
    let targets = [
        ("Tool", Target::Tool { server, name }),
        ("Resource", Target::Resource { server, uri: name }),
        ("Prompt", Target::Prompt { server, name }),
        ("Server", Target::Server { server }),
    ];
    assert_eq!(schema.actions().count(), Action::ALL.len() + FAMILIES.len());
    let caller = alice();
    for action in Action::ALL {
        let uid = uid(&policy.compiled.types.action, action.as_str());
        let kinds = schema
            .resources_for_action(&uid)
            .expect("an action of the schema");
        let kinds: Vec<String> = kinds.map(ToString::to_string).collect();
        for (kind, target) in targets {
            let permitted = policy.decide(&caller.asks(action, target)).is_ok();
            assert_eq!(
                permitted,
                kinds.iter().any(|known| known == kind),
                "{action:?} {kind}"
            );
        }
    }
}

#[test]
fn authz_02_flattening_has_bounds() {
    let flat = |text: &str| {
        let raw = serde_json::from_str::<&RawValue>(text).expect("JSON");
        flatten(raw).map(|flat| flat.texts.len())
    };
    let many = |count: usize| format!(r#"{{"a":[{}]}}"#, vec!["1"; count].join(","));
    assert_eq!(flat(&many(MAX_SCALARS)).ok(), Some(MAX_SCALARS));
    assert!(flat(&many(MAX_SCALARS + 1)).is_err());
    let long = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes));
    assert_eq!(flat(&long(MAX_BYTES - 1)).ok(), Some(1));
    assert!(flat(&long(MAX_BYTES)).is_err());
    let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert_eq!(flat(&deep(MAX_DEPTH)).ok(), Some(1));
    assert!(flat(&deep(MAX_DEPTH + 1)).is_err());
}

#[test]
fn tok_10_arguments_are_found_by_their_paths() {
    let arguments = r#"{"path":"/a","o":{"depth":2,"x.y":true,"50%":null},"list":[1.5,[7.0]],
        "big":18446744073709551615,"e":{},"f":[],"":-3}"#;
    let raw = serde_json::from_str::<&RawValue>(arguments).expect("JSON");
    let flat = flatten(raw).expect("flat");
    let texts = [
        ("path", "/a"),
        ("o.depth", "2"),
        ("o.x%2Ey", "true"),
        ("o.50%25", "null"),
        ("list.0", "1.5"),
        ("list.1.0", "7"),
        ("big", "18446744073709551615"),
        ("", "-3"),
    ];
    let texts = texts.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(flat.texts, texts);
    let numbers = [("o.depth", 2), ("list.1.0", 7), ("", -3)];
    assert_eq!(
        flat.numbers,
        numbers.map(|(path, number)| (path.to_owned(), number))
    );
}

#[test]
fn tok_10_scope_depends_on_the_argument() {
    let policy = cedar(
        r#"@id("public") permit (principal, action == Action::"tools/call", resource)
        when { principal.scopes.contains("files.read") }
        when { context.arguments.hasTag("path") && context.arguments.getTag("path") like "/public/*" };
        @id("restricted") permit (principal, action == Action::"tools/call", resource)
        when { principal.scopes.containsAll(["files.read", "files.restricted"]) };"#,
    );
    let (none, read) = (alice(), alice().scope("files.read"));
    let both = read.clone().scope("files.restricted");
    let (public, restricted) = (r#"{"path":"/public/a"}"#, r#"{"path":"/restricted/a"}"#);
    check(&policy, &read.calls("read", public), "+public");
    check(&policy, &read.calls("read", restricted), "no rule");
    check(&policy, &both.calls("read", restricted), "+restricted");
    let missing =
        |caller: &Caller, arguments| policy.missing_scopes(&caller.calls("read", arguments));
    assert_eq!(missing(&none, public), ["files.read"]);
    assert_eq!(missing(&read, restricted), ["files.restricted"]);
    assert_eq!(
        missing(&none, restricted),
        ["files.read", "files.restricted"]
    );
    assert_eq!(missing(&both, restricted), [""; 0]);
}

#[test]
fn auth_10_a_wildcard_scope_grants_nothing() {
    let policy = cedar(
        r#"permit (principal, action, resource) when { principal.scopes.contains("tools.execute") };"#,
    );
    for scope in ["*", "all", "tools.*", "tools.read"] {
        let caller = alice().scope(scope);
        let question = caller.calls("search", "{}");
        check(&policy, &question, "no rule");
        assert!(!policy.is_visible(&question));
        assert_eq!(policy.missing_scopes(&question), ["tools.execute"]);
    }
    let nothing = cedar("");
    assert_eq!(
        nothing.missing_scopes(&alice().calls("search", "{}")),
        [""; 0]
    );
}

#[test]
fn authz_03_a_boundary_caps_every_grant() {
    let boundary = r#"@id("boundary") forbid (principal, action, resource)
        unless { principal.hasTag("tenant") && principal.getTag("tenant") == "acme" };"#;
    let policy = compile(boundary, &[grant("anyone", &["*"])]).expect("compiles");
    let acme = alice().claim("tenant", "acme");
    check(&policy, &acme.calls("search", "{}"), "+grant:anyone *");
    for outsider in [
        alice(),
        alice().role("admin"),
        alice().claim("tenant", "other"),
    ] {
        let question = outsider.calls("search", "{}");
        check(&policy, &question, "-boundary");
        assert!(!policy.is_visible(&question));
    }
}

#[test]
fn authz_03_names_cannot_be_forged() {
    let policy = granted("user:https://idp.example|alice", &["notes__search"]);
    let check_subject = |issuer, subject, expected| {
        let mut question = alice();
        question.subject = "unused";
        let mut question = question.calls("search", "{}");
        question.subject.issuer = issuer;
        question.subject.subject = subject;
        assert_eq!(
            policy.decide(&question).is_ok(),
            expected,
            "{issuer} {subject}"
        );
    };
    check_subject(ISSUER, "alice", true);
    check_subject("https://idp.example|alice", "", false);
    check_subject("https://idp.example", "|alice", false);
    check_subject("https://idp.exampl", "e|alice", false);
    check_subject("https:", "//idp.example|alice", false);
    check_subject("https://idp.example%7Calice", "", false);
    check_subject(ISSUER, "alice\", resource);", false);
    check_subject(ISSUER, "Alice", false);

    let policy = granted("anyone", &["a__b__c"]);
    let caller = alice();
    for (server, name, expected) in [
        ("a", "b__c", true),
        ("a__b", "c", false),
        ("a_", "_b__c", false),
        ("a%5F%5Fb", "c", false),
        ("a__b__c", "", false),
    ] {
        let question = caller.asks(Action::CallTool, Target::Tool { server, name });
        assert_eq!(
            policy.decide(&question).is_ok(),
            expected,
            "{server} {name}"
        );
    }
}

#[test]
fn authz_03_grants_match_their_text_and_no_more() {
    for (pattern, server, name, expected) in [
        ("notes__search", "notes", "search", true),
        ("notes__search", "notes", "search2", false),
        ("notes__*", "notes", "x", true),
        ("notes__*", "notes2", "x", false),
        ("notes__re*d", "notes", "read", true),
        ("notes__re*d", "notes", "reader", false),
        ("notes__a*b*c", "notes", "a-b-c", true),
        ("notes__a*b*c", "notes", "acb", false),
        ("*__read", "mail", "read", true),
        ("*__read", "mail", "reads", false),
        ("prod-*__*", "prod-1", "x", true),
        ("prod-*__*", "dev-1", "x", false),
        ("*", "mail", "x", true),
        (r#"notes__"||true"#, "notes", "x", false),
        (r"notes__\*", "notes", "x", false),
        ("notes__!read", "notes", "write", false),
        ("notes__.*", "notes", "xx", false),
        ("notes__?", "notes", "x", false),
        ("notes__[a-z]", "notes", "b", false),
    ] {
        let policy = granted("anyone", &[pattern]);
        let caller = alice();
        let question = caller.asks(Action::CallTool, Target::Tool { server, name });
        assert_eq!(
            policy.decide(&question).is_ok(),
            expected,
            "{pattern} {server} {name}"
        );
        assert_eq!(
            policy.is_visible(&question),
            expected,
            "{pattern} {server} {name}"
        );
        let list = caller.asks(Action::ListTools, Target::Server { server });
        assert!(!expected || policy.decide(&list).is_ok(), "{pattern}: list");
        let sample = caller.asks(Action::Sample, Target::Server { server });
        assert!(policy.decide(&sample).is_err(), "{pattern}: sampling");
    }
}

#[test]
fn authz_03_grants_of_other_kinds() {
    let server = Target::Server { server: "notes" };
    let (public, secret) = ("note:///public/a", "note:///secret");
    let resource = |uri| Target::Resource {
        server: "notes",
        uri,
    };
    let prompt = Target::Prompt {
        server: "notes",
        name: "sum",
    };
    for (pattern, action, target, expected) in [
        (
            "resource:notes__note:///public/*",
            Action::ReadResource,
            resource(public),
            true,
        ),
        (
            "resource:notes__note:///public/*",
            Action::ReadResource,
            resource(secret),
            false,
        ),
        (
            "resource:notes__*",
            Action::SubscribeResource,
            resource(secret),
            true,
        ),
        (
            "resource:notes__*",
            Action::Complete,
            resource(secret),
            true,
        ),
        ("resource:notes__*", Action::ListResources, server, true),
        ("resource:notes__*", Action::ListTools, server, false),
        ("resource:notes__*", Action::GetPrompt, prompt, false),
        ("prompt:notes__sum", Action::GetPrompt, prompt, true),
        ("prompt:notes__sum", Action::Complete, prompt, true),
        ("prompt:notes__sum", Action::UseServer, server, true),
        (
            "prompt:notes__sum",
            Action::ReadResource,
            resource(public),
            false,
        ),
        ("*", Action::ReadResource, resource(public), false),
        ("sampling:notes", Action::Sample, server, true),
        ("sampling:notes", Action::Elicit, server, false),
        ("elicitation:*", Action::Elicit, server, true),
        ("roots:note*", Action::ListRoots, server, true),
        ("roots:note", Action::ListRoots, server, false),
    ] {
        let policy = granted("anyone", &[pattern]);
        let decision = policy.decide(&alice().asks(action, target)).is_ok();
        assert_eq!(decision, expected, "{pattern} {action:?}");
    }
}

/// Policies beside one that permits everything, which mention a group; and what is said to a caller of unknown groups.
#[rustfmt::skip]
const GROUPED: &[(&str, &str)] = &[
    ("", "+all"),
    ("@id(\"f\") forbid (principal in Group::\"out\", action, resource);", "?f"),
    ("@id(\"f\") forbid (principal, action, resource) when { principal in [Group::\"out\"] };", "?f"),
    ("@id(\"f\") forbid (principal, action, resource) unless { principal in Group::\"out\" };", "?f"),
    ("@id(\"f\") forbid (principal in Group::\"out\", action, resource in Server::\"mail\");", "+all"),
    ("@id(\"f\") forbid (principal in Group::\"out\", action in Action::\"read\", resource);", "+all"),
    ("@id(\"f\") forbid (principal in Group::\"out\", action, resource);\n@id(\"g\") forbid (principal, action, resource);", "-f, g"),
    ("permit (principal, action, resource) unless { principal in Group::\"out\" };", "+all"),
];

#[test]
fn auth_02_unknown_groups_are_not_taken_for_none() {
    let mut caller = alice();
    caller.has_unknown_groups = true;
    let check = |text: &str, expected: &str| {
        let policy = cedar(text);
        let question = caller.calls("search", "{}");
        assert_eq!(said(policy.decide(&question)), expected, "{text}");
        let is_permitted = expected.starts_with('+');
        assert_eq!(policy.is_visible(&question), is_permitted, "{text}");
        assert!(policy.missing_scopes(&question).is_empty());
    };
    for (text, expected) in GROUPED {
        let all = "@id(\"all\") permit (principal, action, resource);";
        check(&format!("{all}\n{text}"), expected);
    }
    for permit in [
        "permit (principal in Group::\"in\", action, resource);",
        "permit (principal, action, resource) unless { principal in Group::\"out\" };",
    ] {
        check(permit, "no rule");
    }
}

#[test]
fn authz_03_grants_reach_only_those_they_name() {
    let (mut grouped, mut client) = (alice(), alice());
    grouped.groups = vec!["analyst".to_owned()];
    client.client = Some("ide");
    let role = alice().role("analyst");
    for (who, caller, expected) in [
        ("anyone", alice(), true),
        ("user:alice", alice(), true),
        ("user:https://idp.example|alice", alice(), true),
        ("user:https://other.example|alice", alice(), false),
        ("user:bob", alice(), false),
        ("role:analyst", role.clone(), true),
        ("role:analyst", grouped.clone(), false),
        ("group:analyst", grouped, true),
        ("group:analyst", role, false),
        ("client:ide", client, true),
        ("client:ide", alice(), false),
    ] {
        let policy = granted(who, &["notes__*"]);
        let decision = policy.decide(&caller.calls("search", "{}"));
        assert_eq!(decision.is_ok(), expected, "{who}");
    }
}

#[test]
fn policies_read_time_and_network() {
    let policy = cedar(
        r#"permit (principal, action, resource) when {
          context.time.hour >= 9 && context.time.hour < 17 && context.time.weekday <= 5 &&
          context.era == "2025-11-25" && context has network && context.network like "192.0.2.*" };"#,
    );
    assert!(policy.depends_on_context());
    let caller = alice();
    let question = caller.calls("search", "{}");
    check(&policy, &question, "+test.cedar:1");
    let changes: [fn(&mut Question<'_>); 5] = [
        |question| question.time += 8 * 3600,
        |question| question.time += 2 * 86400,
        |question| question.era = "2026-07-28",
        |question| question.network = None,
        |question| question.network = Some("198.51.100.1"),
    ];
    for change in changes {
        let mut question = question;
        change(&mut question);
        check(&policy, &question, "no rule");
        assert!(policy.is_visible(&question));
    }
    assert!(!granted("role:x", &["*"]).depends_on_context());
}

#[test]
fn time_has_its_parts_in_utc() {
    for (seconds, hour, weekday) in [
        (0, 0, 4),
        (-1, 23, 3),
        (NOW, 10, 4),
        (1_767_484_800, 0, 7),
        (i64::MIN, 8, 7),
        (i64::MAX, 15, 7),
    ] {
        let [_, (_, found_hour), (_, found_weekday)] = moment(seconds);
        assert_eq!((found_hour, found_weekday), (hour, weekday), "{seconds}");
    }
}

#[test]
fn lists_show_what_some_arguments_could_get() {
    let policy = cedar(
        r#"permit (principal in Role::"reader", action, resource == Tool::"notes__read")
        when { principal has client && context.arguments.hasTag("path") };
        forbid (principal, action, resource) when { context.arguments.hasTag("danger") };
        forbid (principal in Role::"banned", action, resource);
        permit (principal, action, resource == Tool::"notes__guarded")
        when { (context has network && principal has client) || (context.era == "" && principal has client) }
        when { principal.client == "ide" };
        permit (principal in Role::"guard", action, resource == Tool::"notes__guarded");"#,
    );
    let mut reader = alice().role("reader");
    assert!(
        !policy.is_visible(&reader.calls("read", "{}")),
        "a client is asked for"
    );
    reader.client = Some("ide");
    for arguments in ["{}", r#"{"path":1}"#, r#"{"danger":1}"#, "[]"] {
        assert!(
            policy.is_visible(&reader.calls("read", arguments)),
            "{arguments}"
        );
    }
    check(&policy, &reader.calls("read", "{}"), "no rule");
    check(
        &policy,
        &reader.calls("read", r#"{"path":1}"#),
        "+test.cedar:1",
    );
    let dangerous = r#"{"path":1,"danger":1}"#;
    check(&policy, &reader.calls("read", dangerous), "-test.cedar:3");
    assert!(!policy.is_visible(&reader.calls("write", "{}")));
    assert!(!policy.is_visible(&alice().calls("read", "{}")));
    assert!(!policy.is_visible(&reader.role("banned").calls("read", "{}")));
    // Without its guard, the first rule of `guarded` fails; that hides nothing, and shows nothing.
    assert!(!policy.is_visible(&alice().calls("guarded", "{}")));
    let mut guard = alice().role("guard");
    let mut question = guard.calls("guarded", "{}");
    question.network = None;
    check(&policy, &question, "+test.cedar:8");
    guard.client = Some("ide");
    check(
        &policy,
        &guard.calls("guarded", "{}"),
        "+test.cedar:5, test.cedar:8",
    );
}

#[test]
fn siem_04_the_hash_is_of_the_meaning() {
    let (one, two) = (
        "@id(\"a\") permit (principal, action, resource);",
        "@id(\"b\")
        forbid (principal, action, resource) // never
        when { principal has client };",
    );
    let policy = cedar(&[one, two].concat());
    assert_eq!(policy.hash().len(), 64);
    assert_eq!(policy.hash(), cedar(&[two, "\n\n", one].concat()).hash());
    assert_ne!(policy.hash(), cedar(one).hash());
    assert_ne!(
        granted("user:a", &["*"]).hash(),
        granted("user:b", &["*"]).hash()
    );
    assert_ne!(cedar("").hash(), cedar(one).hash());
}

#[test]
fn siem_04_a_policy_is_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&cedar(""));
}

#[test]
fn dyn_04_a_list_knows_the_risk_as_a_call_does() {
    let rated = Rated::of(40, ["secret-path"]);
    let asker = alice();
    for (condition, unknown, known) in [
        ("context.tool.risk > 39", false, false),
        ("context.tool.risk > 40", false, true),
        (
            "context.tool.findings.contains(\"secret-path\")",
            true,
            false,
        ),
        ("context.tool.findings.contains(\"unknown\")", false, true),
    ] {
        let forbids = format!("forbid (principal, action, resource) when {{ {condition} }};");
        let permits = format!("permit (principal, action, resource) unless {{ {condition} }};");
        let all = "permit (principal, action, resource);";
        for text in [format!("{all}\n{forbids}"), permits] {
            let policy = cedar(&text);
            for (rated, expected) in [(None, unknown), (Some(&rated), known)] {
                let question = Question {
                    rated,
                    ..asker.calls("search", "{}")
                };
                assert_eq!(policy.decide(&question).is_ok(), expected, "{text}");
                assert_eq!(policy.is_visible(&question), expected, "{text}");
            }
            // What is no tool has no risk.
            let target = Target::Server { server: "notes" };
            let question = asker.asks(Action::UseServer, target);
            assert!(policy.decide(&question).is_ok(), "{text}");
        }
    }
}
