//! What does not compile, and how it says so.

use super::*;
use crate::authorize::policy::action::{FAMILIES, nearest};

/// Compiles one file that has exactly one problem, and gives it back.
fn check(text: &str, position: (usize, usize), words: &str) {
    let error = compile(text, &[]).expect_err("does not compile");
    let shown = error.to_string();
    let [problem] = error.problems.as_slice() else {
        panic!("one problem: {shown}");
    };
    let found = problem.position.map(|place| (place.line, place.column));
    assert_eq!(found, Some(position), "{shown}");
    assert!(shown.contains(words), "{shown}");
}

#[test]
fn authz_02_refuses_text_that_is_not_cedar() {
    check(
        "permit (principal, action, resource)",
        (1, 37),
        "unexpected end of input",
    );
    check(
        "permit (principal, action, resource);\n  allow (principal, action, resource);",
        (2, 3),
        "allow",
    );
    check(
        "permit (principal == ?principal, action, resource);",
        (1, 1),
        "slot",
    );
}

#[test]
fn authz_02_refuses_what_the_schema_does_not_know() {
    let typo = "\npermit (principal, action == Action::\"tools/cal\", resource);";
    check(typo, (2, 1), "did you mean Action::\"tools/call\"");
    let unknown = "permit (principal, action, resource) when { principal.admin };";
    check(unknown, (1, 45), "admin");
    let optional = "permit (principal, action, resource) when { context.network == \"\" };";
    check(optional, (1, 45), "network");
    let untested =
        "permit (principal, action, resource) when { context.arguments.getTag(\"a\") == \"\" };";
    check(untested, (1, 45), "tag");
    let mixed = "permit (principal, action, resource) when { context.era == 1 };";
    check(mixed, (1, 45), "types");
}

#[test]
fn authz_02_refuses_what_could_never_apply() {
    let wrong = "permit (principal, action == Action::\"tools/call\", resource is Server);";
    check(wrong, (1, 1), "impossible");
    let bare = "permit (principal, action, resource == Tool::\"search\");";
    check(bare, (1, 1), "server__name");
    let bare = "permit (principal == Principal::\"alice\", action, resource);";
    check(bare, (1, 1), "issuer|subject");
    let never = "permit (principal, action, resource) when { false };";
    check(never, (1, 1), "impossible");
}

#[test]
fn authz_02_refuses_to_name_the_arguments_themselves() {
    let text = "permit (principal, action, resource) when { Arguments::\"\".hasTag(\"a\") };";
    check(text, (1, 1), "context.arguments");
}

#[test]
fn siem_04_refuses_names_that_the_audit_could_confuse() {
    let twice = "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);";
    check(twice, (2, 1), "another policy");
    check(
        "@id(\"grant:x\") permit (principal, action, resource);",
        (1, 1),
        "grant",
    );
    check(
        "@id(\"\") permit (principal, action, resource);",
        (1, 1),
        "empty",
    );
}

#[test]
fn siem_04_a_policy_without_an_id_is_named_by_its_place() {
    let text =
        "// permit (principal, action, resource);\n\n  permit (principal, action, resource);";
    let decision = cedar(text).decide(&alice().calls("search", "{}"));
    assert_eq!(said(decision), "+test.cedar:3");
}

#[test]
fn every_problem_of_every_source_is_told() {
    let text = "permit (principal, action == Action::\"x\", resource);
        permit (principal, action, resource is Nothing);";
    let grants = [
        grant("anyone", &["notes", "tool:notes__x", "__x", "sampling:"]),
        grant("user:alice", &[]),
        Grant {
            id: String::new(),
            who: Who::Anyone,
            allow: vec!["*".to_owned()],
            until: None,
            held: None,
        },
    ];
    let grants = [&grants[..], &grants[..1]].concat();
    let broken = ("broken.cedar".to_owned(), "permit".to_owned());
    let cedar = [("test.cedar".to_owned(), text.to_owned()), broken];
    let sources = Sources {
        cedar: &cedar,
        grants: &grants,
        ..Sources::default()
    };
    let error = Policy::compile(&sources)
        .expect_err("does not compile")
        .to_string();
    for words in [
        "test.cedar:1:1: there is no Action::\"x\"",
        "test.cedar:2:48: ",
        "broken.cedar:1:7: ",
        "\"notes\" has no `__`",
        "all of a server: notes__*",
        "\"tool:notes__x\" is of an unknown kind",
        "\"__x\" has an empty part",
        "\"sampling:\" has an empty part",
        "grant user:alice : allows nothing",
        "grant : its id is empty",
        "that of another grant",
    ] {
        assert!(error.contains(words), "{words} in\n{error}");
    }
}

#[test]
fn a_mistyped_action_is_told_the_nearest() {
    for (name, expected) in [
        ("tools/cal", Some("tools/call")),
        ("tool/cal", Some("tools/call")),
        ("toolscalled", Some("tools/call")),
        ("prompt/got", Some("prompts/get")),
        ("raed", Some("read")),
        ("delete", None),
        ("x", None),
        ("", None),
    ] {
        assert_eq!(
            nearest(
                name,
                Action::ALL.map(Action::as_str).into_iter().chain(FAMILIES)
            ),
            expected
        );
    }
}

#[test]
fn who_is_parsed_strictly() {
    let subject = |issuer: Option<&str>, subject: &str| {
        Ok(Who::Subject {
            issuer: issuer.map(str::to_owned),
            subject: subject.to_owned(),
        })
    };
    for (text, expected) in [
        ("anyone", Ok(Who::Anyone)),
        ("user:alice", subject(None, "alice")),
        ("user:auth0|4711", subject(None, "auth0|4711")),
        (
            "user:https://i.example|a|b",
            subject(Some("https://i.example"), "a|b"),
        ),
        ("role:a:b", Ok(Who::Role("a:b".to_owned()))),
        ("client:ide", Ok(Who::Client("ide".to_owned()))),
        ("*", Err(NoSuchWho::UnknownKind)),
        ("alice", Err(NoSuchWho::UnknownKind)),
        ("Role:x", Err(NoSuchWho::UnknownKind)),
        ("user:", Err(NoSuchWho::Empty)),
        ("user:*", Err(NoSuchWho::Wildcard)),
        ("role:a*", Err(NoSuchWho::Wildcard)),
    ] {
        assert_eq!(text.parse(), expected, "{text}");
    }
}

#[test]
fn auth_05_refuses_a_step_up_that_cannot_be_asked_for_or_cannot_help() {
    let file = |annotation: &str, condition: &str| {
        format!(
            "permit (principal, action, resource);\n{annotation}\nforbid (principal, action, resource) {condition};"
        )
    };
    let fresh = "unless { context has auth_age && context.auth_age <= 300 }";
    for annotation in [
        "@step_up",
        "@step_up(\"loa=3\")",
        "@step_up(\"max_age=5m\")",
    ] {
        check(&file(annotation, fresh), (2, 1), "@step_up");
    }
    let useless = file(
        "@step_up(\"max_age=300\")",
        "unless { context.era == \"\" }",
    );
    check(&useless, (2, 1), "context.auth_age");
    cedar(&file("@step_up(\"max_age=300\")", fresh));
}
