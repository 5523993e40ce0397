//! What ends by itself, and what nothing exceeds.

use super::*;

/// A caller whom every kind of `who` can name.
fn alice() -> Caller {
    Caller {
        client: Some("ide"),
        groups: vec!["engineering".to_owned()],
        ..super::alice().role("analyst")
    }
}

fn bounded(grants: &[Grant], who: &str, allow: &[&str]) -> Policy {
    let who = match who.strip_prefix("issuer:") {
        Some(issuer) => Who::Issuer(issuer.to_owned()),
        None => who.parse().expect("who"),
    };
    let boundary = Boundary {
        id: "cap".to_owned(),
        who,
        allow: allow.iter().map(ToString::to_string).collect(),
    };
    let sources = Sources {
        cedar: &[],
        grants,
        boundaries: &[boundary],
        ..Sources::default()
    };
    Policy::compile(&sources).expect("compiles")
}

/// Each action with a target, in the pattern of a grant that covers it.
fn questions(alice: &Caller) -> Vec<(&'static str, Question<'_>)> {
    let (server, name) = ("notes", "search");
    let uri = "note:///a";
    let at = |action, target| alice.asks(action, target);
    vec![
        ("tool", at(Action::CallTool, Target::Tool { server, name })),
        (
            "read",
            at(Action::ReadResource, Target::Resource { server, uri }),
        ),
        (
            "subscribe",
            at(Action::SubscribeResource, Target::Resource { server, uri }),
        ),
        (
            "complete uri",
            at(Action::Complete, Target::Resource { server, uri }),
        ),
        (
            "prompt",
            at(Action::GetPrompt, Target::Prompt { server, name }),
        ),
        (
            "complete prompt",
            at(Action::Complete, Target::Prompt { server, name }),
        ),
        (
            "list tools",
            at(Action::ListTools, Target::Server { server }),
        ),
        (
            "list resources",
            at(Action::ListResources, Target::Server { server }),
        ),
        (
            "list prompts",
            at(Action::ListPrompts, Target::Server { server }),
        ),
        ("use", at(Action::UseServer, Target::Server { server })),
        ("sample", at(Action::Sample, Target::Server { server })),
        ("elicit", at(Action::Elicit, Target::Server { server })),
        ("roots", at(Action::ListRoots, Target::Server { server })),
    ]
}

/// What of everything that is granted stays possible within a boundary.
fn check(who: &str, allow: &[&str], expected: &[&str]) {
    let everything = [
        "*",
        "resource:*__*",
        "prompt:*__*",
        "sampling:*",
        "elicitation:*",
        "roots:*",
    ];
    let policy = bounded(&[grant("anyone", &everything)], who, allow);
    let alice = alice();
    let mut possible = Vec::new();
    for (name, question) in questions(&alice) {
        let decided = policy.decide(&question);
        let beyond = Err(Denied::Beyond {
            rule: "boundary:cap".to_owned(),
        });
        assert!(decided.is_ok() || decided == beyond, "{name} {decided:?}");
        assert_eq!(policy.is_visible(&question), decided.is_ok(), "{name}");
        if decided.is_ok() {
            possible.push(name);
        }
    }
    assert_eq!(possible, expected, "{who} {allow:?}");
}

#[test]
fn authz_03_nothing_exceeds_a_boundary() {
    let all: Vec<&str> = questions(&alice()).iter().map(|(name, _)| *name).collect();
    let resources = ["read", "subscribe", "complete uri", "list resources", "use"];
    for who in [
        "anyone",
        "role:analyst",
        "group:engineering",
        "user:alice",
        "client:ide",
        "issuer:https://idp.example",
    ] {
        check(who, &[], &[]);
        check(who, &["notes__search"], &["tool", "list tools", "use"]);
        check(who, &["notes__sea*"], &["tool", "list tools", "use"]);
        check(who, &["notes__search2"], &["list tools", "use"]);
        check(who, &["other__*"], &[]);
        check(who, &["resource:notes__note:*"], &resources);
        check(
            who,
            &["prompt:notes__*"],
            &["prompt", "complete prompt", "list prompts", "use"],
        );
        check(who, &["elicitation:notes", "roots:other"], &["elicit"]);
        let everything = [
            "*",
            "resource:*__*",
            "prompt:*__*",
            "sampling:*",
            "elicitation:*",
            "roots:*",
        ];
        check(who, &everything, &all);
    }
    for who in [
        "role:other",
        "group:analyst",
        "user:bob",
        "client:other",
        "issuer:https://other.example",
    ] {
        check(who, &[], &all);
    }
}

#[test]
fn authz_03_a_boundary_permits_nothing_and_two_intersect() {
    let policy = bounded(&[], "anyone", &["notes__search"]);
    assert_eq!(
        said(policy.decide(&alice().calls("search", "{}"))),
        "no rule"
    );
    let caps = [("one", "notes__s*"), ("two", "notes__*h")].map(|(id, allow)| Boundary {
        id: id.to_owned(),
        who: Who::Anyone,
        allow: vec![allow.to_owned()],
    });
    let policy = Policy::compile(&Sources {
        cedar: &[],
        grants: &[grant("anyone", &["*"])],
        boundaries: &caps,
        ..Sources::default()
    });
    let policy = policy.expect("compiles");
    for (tool, expected) in [
        ("search", "+grant:anyone *"),
        ("start", "beyond boundary:two"),
        ("fetch", "beyond boundary:one"),
        ("get", "beyond boundary:one, boundary:two"),
    ] {
        assert_eq!(
            said(policy.decide(&alice().calls(tool, "{}"))),
            expected,
            "{tool}"
        );
    }
    let cedar = [(
        "p".to_owned(),
        "@id(\"boundary:x\") permit (principal, action, resource);".to_owned(),
    )];
    let twice = [caps[0].clone(), caps[0].clone()];
    for (cedar, boundaries) in [(&cedar[..], &[][..]), (&[], &twice[..])] {
        let sources = Sources {
            cedar,
            grants: &[],
            boundaries,
            ..Sources::default()
        };
        assert!(Policy::compile(&sources).is_err());
    }
}

#[test]
fn authz_05_a_grant_that_a_review_holds_back_ends_when_it_says() {
    let held = |from, until| Grant {
        until,
        held: Some(Held { from, review: 7 }),
        ..grant("user:alice", &["notes__search"])
    };
    let alice = alice();
    for (grants, at, expected) in [
        (vec![held(100, None)], 99, "+grant:"),
        (vec![held(100, None)], 100, " held by 7"),
        (vec![held(100, Some(200))], 300, " held by 7"),
        // It was over before.
        (vec![held(100, Some(50))], 60, "over "),
        (
            vec![held(100, None), grant("anyone", &["notes__*"])],
            100,
            "+grant:",
        ),
    ] {
        let policy = compile("", &grants).unwrap();
        let question = Question {
            time: at,
            ..alice.calls("search", "{}")
        };
        let came = said(policy.decide(&question));
        assert!(came.contains(expected), "{at} {came}");
        assert_eq!(policy.is_visible(&question), expected == "+grant:");
    }
}

#[test]
fn authz_05_a_grant_ends_by_itself() {
    let until = |who: &str, allow: &[&str], until| Grant {
        until: Some(until),
        ..grant(who, allow)
    };
    let alice = alice();
    for (who, allow) in [
        ("anyone", "notes__search"),
        ("role:analyst", "notes__*"),
        ("user:alice", "notes__search"),
        ("user:https://idp.example|alice", "*__sea*"),
        ("client:ide", "*"),
    ] {
        let policy = compile("", &[until(who, &[allow], NOW)]).expect("compiles");
        let at = |time| Question {
            time,
            ..alice.calls("search", "{}")
        };
        let rule = format!("grant:{who} {allow}");
        assert_eq!(said(policy.decide(&at(NOW - 1))), format!("+{rule}"));
        assert_eq!(said(policy.decide(&at(NOW))), format!("over {rule}"));
        assert!(policy.is_visible(&at(NOW - 1)));
        assert!(!policy.is_visible(&at(NOW)));
        assert!(!policy.depends_on_context());
        let ended = |after, by| {
            policy
                .ended(after, by)
                .map(|(rule, _)| rule.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ended(NOW - 1, NOW), [rule]);
        assert_eq!(ended(NOW, NOW + 9), [] as [String; 0]);
        assert_eq!(ended(NOW - 9, NOW - 1), [] as [String; 0]);
    }
    // What another rule permits stays permitted, and what another forbids is told as that.
    let both = [
        until("anyone", &["notes__search"], NOW),
        grant("role:analyst", &["notes__*"]),
    ];
    let policy = compile("", &both).expect("compiles");
    assert_eq!(
        said(policy.decide(&alice.calls("search", "{}"))),
        "+grant:role:analyst notes__*"
    );
    assert_ne!(
        policy.hash(),
        compile(
            "",
            &[
                until("anyone", &["notes__search"], NOW + 1),
                both[1].clone()
            ]
        )
        .expect("compiles")
        .hash()
    );
    // The annotation of a policy of one's own says nothing.
    let own = cedar("@until(\"0\") permit (principal, action, resource);");
    assert_eq!(
        said(own.decide(&alice.calls("search", "{}"))),
        "+test.cedar:1"
    );
}
