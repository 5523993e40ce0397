//! Conditions on the login, the network and what is declared: what is not known permits nothing.

use super::*;
use crate::authenticate::{ClaimKind, ClaimPath, DeclaredClaim};
use crate::authorize::Strength;
use crate::time::Timestamp;

const RULES: &str = r#"
@id("login") permit (principal, action == Action::"tools/call", resource == Tool::"notes__pay")
when {
  context has acr && context.acr == "gold" && context has amr && context.amr.contains("otp") &&
  context has auth_age && context.auth_age < 600
};
@id("office") permit (principal, action == Action::"tools/call", resource == Tool::"notes__export")
when { context.zones.contains("office") };
@id("device") permit (principal, action == Action::"tools/call", resource == Tool::"notes__write")
when { principal.claims has compliant && principal.claims.compliant };
@id("levels") permit (principal, action == Action::"tools/call", resource == Tool::"notes__write")
when { principal.claims has level && principal.claims.level >= 3 };
@id("teams") permit (principal, action == Action::"tools/call", resource == Tool::"notes__write")
when { principal.claims has teams && principal.claims.teams.contains("red") };
@id("plain") permit (principal, action == Action::"tools/call", resource == Tool::"notes__read");
@id("risk") forbid (principal, action, resource)
unless { principal.claims has risk && principal.claims.risk == "low" };
"#;

fn claim(name: &str, kind: ClaimKind) -> (String, DeclaredClaim) {
    let claim = DeclaredClaim {
        name: name.to_owned(),
        path: ClaimPath::new(vec![name.to_owned()]),
        kind,
        pushed: None,
    };
    (ISSUER.to_owned(), claim)
}

fn zone(name: &str, networks: &[&str]) -> Zone {
    let networks = networks.iter().map(|text| text.parse().unwrap());
    Zone {
        name: name.to_owned(),
        networks: networks.collect(),
    }
}

fn declared() -> Vec<(String, DeclaredClaim)> {
    vec![
        claim("compliant", ClaimKind::Bool),
        claim("level", ClaimKind::Long),
        claim("risk", ClaimKind::Text),
        claim("teams", ClaimKind::Texts),
    ]
}

fn zones() -> Vec<Zone> {
    vec![
        zone("home", &["192.0.2.0/24"]),
        zone("office", &["10.0.0.0/8", "2001:db8::/32"]),
        zone("people", &["192.0.2.7"]),
    ]
}

fn tried(
    text: &str,
    zones: &[Zone],
    claims: &[(String, DeclaredClaim)],
) -> Result<Policy, PolicyError> {
    Policy::compile(&Sources {
        cedar: &[("test.cedar".to_owned(), text.to_owned())],
        zones,
        claims,
        ..Sources::default()
    })
}

fn policy() -> Policy {
    tried(RULES, &zones(), &declared()).expect("policies compile")
}

fn with(declared: &[(&str, ClaimValue)]) -> Caller {
    let declared = declared.iter().cloned();
    let risk = ("risk".to_owned(), ClaimValue::Text("low".to_owned()));
    Caller {
        declared: declared
            .map(|(name, value)| (name.to_owned(), value))
            .chain([risk])
            .collect(),
        ..alice()
    }
}

#[test]
fn auth_04_a_login_that_is_not_known_permits_nothing() {
    let policy = policy();
    let said_of = |class: Option<&str>, methods: Option<&[&str]>, age: Option<i64>| {
        let methods = methods.map(|all| all.iter().map(ToString::to_string).collect());
        let at = age.map(|age| u64::try_from(NOW - age).unwrap());
        let caller = Caller {
            login: Authentication {
                class: class.map(str::to_owned),
                methods,
                time: at.map(Timestamp::from_seconds),
                is_anew: false,
            },
            ..with(&[])
        };
        said(policy.decide(&caller.calls("pay", "{}")))
    };
    let (gold, otp) = (Some("gold"), Some(&["pwd", "otp"][..]));
    for (class, methods, age, expected) in [
        (gold, otp, Some(0), "+login"),
        (gold, otp, Some(599), "+login"),
        (gold, otp, Some(-60), "+login"),
        (gold, otp, Some(600), "no rule"),
        (gold, otp, Some(-61), "no rule"),
        (gold, otp, None, "no rule"),
        (gold, Some(&[][..]), Some(0), "no rule"),
        (gold, None, Some(0), "no rule"),
        (Some("Gold"), otp, Some(0), "no rule"),
        (None, otp, Some(0), "no rule"),
        (None, None, None, "no rule"),
    ] {
        assert_eq!(
            said_of(class, methods, age),
            expected,
            "{class:?} {methods:?} {age:?}"
        );
    }
}

#[test]
fn auth_05_an_address_is_in_its_zones_however_it_is_written() {
    let policy = policy();
    let caller = with(&[]);
    let asked = |network| Question {
        network,
        ..caller.calls("export", "{}")
    };
    for (network, expected) in [
        (Some("10.1.2.3"), "+office"),
        (Some("::ffff:10.1.2.3"), "+office"),
        (Some("::FFFF:0a01:0203"), "+office"),
        (Some("2001:db8:ffff::1"), "+office"),
        (Some("11.0.0.1"), "no rule"),
        (Some("::10.1.2.3"), "no rule"),
        (Some("10.1.2.3:80"), "no rule"),
        (Some("10.1.2.3, 192.0.2.7"), "no rule"),
        (Some("office"), "no rule"),
        (Some(""), "no rule"),
        (None, "no rule"),
    ] {
        assert_eq!(
            said(policy.decide(&asked(network))),
            expected,
            "{network:?}"
        );
    }
    let told = policy.looked_at(&asked(Some("::ffff:192.0.2.7")));
    let zones = told.iter().find(|(name, _)| *name == "zones");
    assert_eq!(zones.map(|(_, zones)| zones.as_str()), Some("home people"));
}

#[test]
fn auth_05_a_claim_permits_by_what_it_is_and_not_by_its_absence() {
    let policy = policy();
    let team = |name: &str| ClaimValue::Texts(vec![name.to_owned()]);
    for (claims, expected) in [
        (vec![("compliant", ClaimValue::Bool(true))], "+device"),
        (vec![("compliant", ClaimValue::Bool(false))], "no rule"),
        (vec![("level", ClaimValue::Long(3))], "+levels"),
        (vec![("level", ClaimValue::Long(2))], "no rule"),
        (vec![("teams", team("red"))], "+teams"),
        (vec![("teams", team("Red"))], "no rule"),
        (vec![], "no rule"),
        // Of another type than declared, or twice: never by our own hand, and if so, no.
        (
            vec![("compliant", ClaimValue::Text("true".to_owned()))],
            "unclear",
        ),
        (
            vec![
                ("level", ClaimValue::Long(3)),
                ("level", ClaimValue::Long(3)),
            ],
            "unclear",
        ),
    ] {
        let caller = with(&claims);
        let decision = policy.decide(&caller.calls("write", "{}"));
        assert_eq!(said(decision), expected, "{claims:?}");
    }
    // What a forbid asks for and nobody says is not there.
    let nobody = alice();
    assert_eq!(said(policy.decide(&nobody.calls("read", "{}"))), "-risk");
    assert_eq!(
        said(policy.decide(&with(&[]).calls("read", "{}"))),
        "+plain"
    );
}

#[test]
fn auth_05_only_what_is_declared_can_be_named() {
    for (condition, words) in [
        ("principal has claims.rsk", "no principal.claims.rsk"),
        ("principal has clint", "no principal.clint"),
        ("context has networks", "no context.networks"),
        ("principal.claims.risk == \"low\"", "risk"),
        (
            "principal.claims has rsk && principal.claims.rsk == \"low\"",
            "rsk",
        ),
        (
            "principal.claims has risk && principal.claims.risk == true",
            "types",
        ),
        (
            "principal.claims has level && principal.claims.level == \"3\"",
            "types",
        ),
        ("context.acr == \"gold\"", "acr"),
        ("context.auth_age < 5", "auth_age"),
        (
            "context.zones.contains(\"ofice\")",
            "declare it: [zones.ofice]",
        ),
        (
            "context.zones.containsAny([\"office\", \"x\"])",
            "no zone \"x\"",
        ),
    ] {
        let text = format!("\nforbid (principal, action, resource) unless {{ {condition} }};");
        let Err(error) = tried(&text, &zones(), &declared()) else {
            panic!("compiles: {condition}");
        };
        let [problem] = error.problems.as_slice() else {
            panic!("{error}");
        };
        assert_eq!(problem.position.map(|place| place.line), Some(2), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(tried(RULES, &zones(), &[]).is_err());
    let twice = [
        claim("risk", ClaimKind::Text),
        claim("risk", ClaimKind::Bool),
    ];
    assert!(tried("", &[], &twice).is_err());
}

#[test]
fn siem_04_another_declaration_is_another_policy() {
    let hash = |zones: &[Zone], claims: &[(String, DeclaredClaim)]| {
        let policy = tried("permit (principal, action, resource);", zones, claims);
        policy.expect("compiles").hash().to_owned()
    };
    let risk = claim("risk", ClaimKind::Text);
    let mut elsewhere = risk.clone();
    elsewhere.1.path = ClaimPath::new(vec!["x".to_owned(), "risk".to_owned()]);
    let foreign = ("https://other.example".to_owned(), risk.1.clone());
    let hashes = [
        hash(&[], &[]),
        hash(&[zone("a", &["10.0.0.0/8"])], &[]),
        hash(&[zone("b", &["10.0.0.0/8"])], &[]),
        hash(&[zone("a", &["10.0.0.0/9"])], &[]),
        hash(&[], &[risk]),
        hash(&[], &[claim("risk", ClaimKind::Bool)]),
        hash(&[], &[elsewhere]),
        hash(&[], &[foreign]),
    ];
    let different: BTreeSet<&String> = hashes.iter().collect();
    assert_eq!(different.len(), hashes.len());
}

#[test]
fn siem_04_tells_what_the_rules_that_concern_a_call_look_at() {
    let policy = policy();
    assert!(policy.looks_further());
    assert!(!cedar("permit (principal, action, resource);").looks_further());
    let caller = Caller {
        login: Authentication {
            class: Some("gold".to_owned()),
            methods: Some(vec!["pwd".to_owned()]),
            time: None,
            is_anew: false,
        },
        ..with(&[("level", ClaimValue::Long(3))])
    };
    let told = |tool: &str| {
        let told = policy.looked_at(&caller.calls(tool, "{}"));
        let lines = told.iter().map(|(name, text)| format!("{name}={text}"));
        lines.collect::<Vec<_>>().join("; ")
    };
    let claims = r#"claims={"level":3,"risk":"low"}"#;
    assert_eq!(told("pay"), format!(r#"acr=gold; amr=["pwd"]; {claims}"#));
    assert_eq!(told("export"), format!("zones=home people; {claims}"));
    assert_eq!(told("read"), claims);
}

const ASKING: &str = r#"
@id("base") permit (principal, action == Action::"tools/call", resource)
unless { resource == Tool::"notes__pay" };
@id("fresh") @step_up("max_age=300")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__write")
unless { context has auth_age && context.auth_age < 300 };
@id("gold") @step_up("acr=gold silver; max_age=600")
forbid (principal in Role::"admin", action == Action::"tools/call", resource == Tool::"notes__write")
unless { context has acr && ["gold", "silver"].contains(context.acr) && context has auth_age && context.auth_age <= 600 };
@id("plain") forbid (principal in Role::"guest", action == Action::"tools/call", resource == Tool::"notes__write");
@id("pays") @step_up("acr=gold")
permit (principal, action == Action::"tools/call", resource == Tool::"notes__pay")
when { context has acr && context.acr == "gold" };
@id("two") @step_up("acr=gold tin")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__two")
unless { context has acr && context.acr == "gold" };
"#;

fn asked_for(caller: &Caller, tool: &str, anyway: &Strength) -> Option<String> {
    let policy = cedar(ASKING);
    let question = caller.calls(tool, "{}");
    assert!(policy.decide(&question).is_err(), "{tool}");
    let asked = policy.step_up(&question, anyway);
    asked.map(|(strength, rule)| format!("{rule}: {strength}"))
}

#[test]
fn auth_05_a_rule_says_which_login_it_wants_and_only_where_that_would_help() {
    let none = Strength::default();
    let asks = |caller: &Caller, tool| asked_for(caller, tool, &none);
    assert_eq!(
        asks(&alice(), "write").as_deref(),
        Some("fresh: max_age=300")
    );
    assert_eq!(
        asks(&alice().role("admin"), "write").as_deref(),
        Some("fresh, gold: acr=gold silver; max_age=300")
    );
    assert_eq!(asks(&alice(), "pay").as_deref(), Some("pays: acr=gold"));
    // A rule without an annotation forbids too; one of the logins that would be asked for would not do; nor do both.
    assert_eq!(asks(&alice().role("guest"), "write"), None);
    assert_eq!(asks(&alice(), "two"), None);
    let tin = Strength {
        classes: vec!["tin".to_owned()],
        ..Strength::default()
    };
    assert_eq!(asked_for(&alice().role("admin"), "write", &tin), None);
    // What is needed anyway is asked for with it.
    assert_eq!(
        asked_for(&alice(), "write", &tin).as_deref(),
        Some("fresh: acr=tin; max_age=300")
    );
}

#[test]
fn auth_05_an_annotation_changes_no_decision() {
    let (asking, bare) = (cedar(ASKING), {
        let lines = ASKING
            .lines()
            .map(|line| match line.split_once("@step_up") {
                Some((before, _)) => before,
                None => line,
            });
        cedar(&lines.collect::<Vec<_>>().join("\n"))
    });
    let logins = [None, Some("gold"), Some("silver"), Some("tin")]
        .into_iter()
        .flat_map(|class| [None, Some(10_u64), Some(299), Some(601)].map(|age| (class, age)));
    for ((class, age), role) in
        logins.flat_map(|login| ["admin", "guest", "user"].map(|role| (login, role)))
    {
        let mut caller = alice().role(role);
        caller.login.class = class.map(str::to_owned);
        let now = u64::try_from(NOW).unwrap();
        caller.login.time = age.map(|age| Timestamp::from_seconds(now - age));
        for tool in ["write", "pay", "two", "read"] {
            let question = caller.calls(tool, "{}");
            assert_eq!(asking.decide(&question), bare.decide(&question));
        }
    }
}
