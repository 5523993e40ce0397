//! `portcullis policy`: what it says of rules, and how it ends.

use super::{Ran, run};
use serde_json::json;
use std::path::Path;

const CONFIG: &str = r#"
[issuers.corp]
issuer = "https://idp.example"
groups_claim = "memberOf"
scope_claim = "scp"

[issuers.partner]
issuer = "https://partner.example"
token_types = ["JWT"]

[servers.notes]
command = "true"
issuers = ["corp"]
scopes = ["notes"]
dpop = "required"

[servers.notes.tools.delete]
scopes = ["notes:delete"]

[servers.shared]
command = "true"

[policy]
files = ["policy.cedar"]

[[grants]]
who = "role:editor"
allow = ["notes__*", "resource:notes__note:///*", "prompt:notes__daily", "ask:notes__elicitation"]

[[grants]]
who = "group:readers"
allow = ["notes__read"]

[[grants]]
who = "user:https://partner.example|eve"
allow = ["shared__look"]

[[grants]]
who = "client:ide"
allow = ["shared__look"]
"#;

const CEDAR: &str = r#"
@id("small")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__pay")
unless { context.numbers.hasTag("amount") && context.numbers.getTag("amount") <= 100 };
@id("office-hours")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__publish")
unless { context.time.hour >= 7 && context.time.hour < 18 };
@id("inside")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__reset")
unless { context has network && context.network like "10.*" };
@id("acme")
forbid (principal, action, resource in Server::"shared")
when { principal.hasTag("tenant") && principal.getTag("tenant") == "other" };
"#;

const WHO: &str = r#"
time = "2026-11-29T10:00:00Z"

[who.ed]
roles = ["editor"]
scopes = ["notes"]

[who.chief]
user = "chief@example"
issuer = "corp"
roles = ["viewer", "editor"]
scopes = ["notes", "notes:delete"]

[who.reader]
groups = ["readers"]
scopes = ["notes"]

[who.eve]
issuer = "partner"

[who.ide]
issuer = "partner"
client = "ide"

[who.other]
issuer = "corp"
client = "ide"
claims = { tenant = "other" }
"#;

pub(super) fn home(cases: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("portcullis.toml", CONFIG),
        ("policy.cedar", CEDAR),
        ("cases.toml", &format!("{WHO}{cases}")),
    ] {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    home
}

fn tried(cases: &str) -> Ran {
    run(
        home(cases).path(),
        &["policy", "test", "cases.toml", "--json"],
    )
}

/// One case, and what comes of it: the answer, the reason of a denial, and the rule.
fn check(case: &str, (answer, reason, rule): (&str, &str, &str)) {
    let expect = if answer == "allow" { "deny" } else { "allow" };
    // What is expected is the contrary, so that a command that believes it does not pass.
    let ran = tried(&format!("[[case]]\n{case}\nexpect = \"{expect}\"\n"));
    assert_eq!(ran.code, 1, "{case} {ran:?}");
    let told = ran.json();
    let one = &told["cases"][0];
    let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        [text("came"), text("reason"), text("rule")],
        [answer, reason, rule],
        "{case} {told}"
    );
    assert_eq!(told["failed"], 1);
}

/// A case; then the answer, the reason of a denial, and the rule.
const ROWS: &[(&str, (&str, &str, &str))] = &[
    (
        "who = \"ed\"\nserver = \"notes\"\ntool = \"write\"",
        ("allow", "", "grant:role:editor notes__*"),
    ),
    (
        "who = \"reader\"\nserver = \"notes\"\ntool = \"read\"",
        ("allow", "", "grant:group:readers notes__read"),
    ),
    (
        "who = \"reader\"\nserver = \"notes\"\ntool = \"write\"",
        ("deny", "no_rule", ""),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\ntool = \"delete\"",
        ("deny", "scope", ""),
    ),
    (
        "who = \"chief\"\nserver = \"notes\"\ntool = \"delete\"",
        ("allow", "", "grant:role:editor notes__*"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\ntool = \"pay\"\narguments = { amount = 100 }",
        ("allow", "", "grant:role:editor notes__*"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\ntool = \"pay\"\narguments = { amount = 101 }",
        ("deny", "forbidden", "small"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\ntool = \"pay\"",
        ("deny", "forbidden", "small"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\ntool = \"publish\"",
        ("allow", "", "grant:role:editor notes__*"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\ntool = \"publish\"\ntime = \"2026-11-29T18:00:00Z\"",
        ("deny", "forbidden", "office-hours"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\ntool = \"reset\"",
        ("deny", "forbidden", "inside"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\ntool = \"reset\"\nnetwork = \"10.0.0.9\"",
        ("allow", "", "grant:role:editor notes__*"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\nresource = \"note:///a\"",
        ("allow", "", "grant:role:editor resource:notes__note:///*"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\nresource = \"file:///a\"",
        ("deny", "no_rule", ""),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\nresource = \"note:///a\"\nmethod = \"resources/subscribe\"\nera = \"2025-06-18\"",
        ("allow", "", "grant:role:editor resource:notes__note:///*"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\nprompt = \"daily\"",
        ("allow", "", "grant:role:editor prompt:notes__daily"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\nprompt = \"daily\"\nmethod = \"completion/complete\"",
        ("allow", "", "grant:role:editor prompt:notes__daily"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\nask = \"elicitation\"",
        ("allow", "", "grant:role:editor elicitation:notes"),
    ),
    (
        "who = \"ed\"\nserver = \"notes\"\nask = \"roots\"\nera = \"2025-11-25\"",
        ("deny", "no_rule", ""),
    ),
    (
        "who = \"reader\"\nserver = \"notes\"\nmethod = \"tools/list\"",
        ("allow", "", "grant:group:readers notes__read"),
    ),
    (
        "who = \"reader\"\nserver = \"notes\"\nmethod = \"prompts/list\"",
        ("deny", "no_rule", ""),
    ),
    (
        "who = \"reader\"\nserver = \"notes\"\nmethod = \"ping\"\nera = \"2025-03-26\"",
        ("allow", "", "grant:group:readers notes__read"),
    ),
    (
        "who = \"reader\"\nserver = \"notes\"\nmethod = \"ping\"",
        ("deny", "unknown_method", ""),
    ),
    (
        "who = \"reader\"\nserver = \"notes\"\nmethod = \"tools/destroy\"",
        ("deny", "unknown_method", ""),
    ),
    (
        "who = \"eve\"\nserver = \"shared\"\ntool = \"look\"",
        (
            "allow",
            "",
            "grant:user:https://partner.example|eve shared__look",
        ),
    ),
    (
        "who = \"eve\"\nserver = \"notes\"\ntool = \"look\"",
        ("deny", "issuer", ""),
    ),
    (
        "who = \"ide\"\nserver = \"shared\"\ntool = \"look\"",
        ("allow", "", "grant:client:ide shared__look"),
    ),
    (
        "who = \"other\"\nserver = \"shared\"\ntool = \"look\"",
        ("deny", "forbidden", "acme"),
    ),
];

#[test]
fn authz_01_cases_are_judged_as_calls_are() {
    for (case, expected) in ROWS {
        check(case, *expected);
    }
}

#[test]
fn authz_01_what_differs_is_told_with_its_reason() {
    let base = "[[case]]\nname = \"one\"\nwho = \"ed\"\nserver = \"notes\"\n";
    let rows = [
        (
            "tool = \"write\"\nexpect = \"allow\"\nrule = \"grant:role:editor notes__*\"",
            0,
            "cases: 1, all as expected",
        ),
        (
            "tool = \"delete\"\nexpect = \"deny\"\nreason = \"scope\"",
            0,
            "all as expected",
        ),
        (
            "tool = \"pay\"\nexpect = \"deny\"\nrule = \"small\"",
            0,
            "all as expected",
        ),
        (
            "tool = \"write\"\nexpect = \"deny\"",
            1,
            "one: expected deny; allowed by grant:role:editor notes__*",
        ),
        (
            "tool = \"write\"\nexpect = \"allow\"\nrule = \"x\"",
            1,
            "one: expected the rule \"x\"; allowed by grant:role:editor",
        ),
        (
            "tool = \"delete\"\nexpect = \"allow\"",
            1,
            "one: expected allow; denied (scope), scopes needed: notes notes:delete",
        ),
        (
            "tool = \"pay\"\nexpect = \"deny\"\nreason = \"no_rule\"",
            1,
            "expected the reason \"no_rule\"; denied (forbidden) by small",
        ),
        (
            "method = \"completion/complete\"\nexpect = \"deny\"",
            1,
            "one: it never came to a decision",
        ),
    ];
    for (case, code, says) in rows {
        let home = home(&format!("{base}{case}\n"));
        let ran = run(home.path(), &["policy", "test", "cases.toml"]);
        assert_eq!(
            (ran.code, ran.out.contains(says)),
            (code, true),
            "{case} {ran:?}"
        );
    }
}

#[test]
fn authz_01_what_cannot_be_judged_is_no_success() {
    let case = "[[case]]\nwho = \"ed\"\nserver = \"notes\"\ntool = \"write\"\nexpect = \"allow\"\n";
    let change = |old: &str, new: &str| {
        assert!(case.contains(old), "{old}");
        case.replace(old, new)
    };
    for (cases, says) in [
        (String::new(), "must have from 1"),
        ("[[case]\n".to_owned(), "expected"),
        (change("\"ed\"", "\"nobody\""), "there is no [who.nobody]"),
        (
            change("\"notes\"", "\"note\""),
            "no server \"note\"; there are: notes, shared",
        ),
        (change("\"notes\"", "\"*\""), "no server \"*\""),
        (change("\"notes\"", "\"shared\""), "name one with `issuer`"),
        (change("tool =", "tol ="), "unknown field `tol`"),
        (change("\"allow\"", "\"maybe\""), "unknown variant"),
        (change("tool = \"write\"", ""), "none of `tool`"),
        (
            change("tool =", "resource = \"x\"\ntool ="),
            "more than one of",
        ),
        (
            change("tool =", "method = \"prompts/get\"\ntool ="),
            "does not fit",
        ),
        (
            change("tool = \"write\"", "ask = \"money\""),
            "not for \"money\"",
        ),
        (change("tool =", "era = \"1999\"\ntool ="), "no revision"),
        (change("tool =", "time = \"noon\"\ntool ="), "is no time"),
        (
            [case, "[who.x]\nclaims = { sub = \"y\" }\n"]
                .concat()
                .replace("\"ed\"", "\"x\""),
            "not written by hand",
        ),
    ] {
        let ran = run(home(&cases).path(), &["policy", "test", "cases.toml"]);
        assert_eq!(
            (ran.code, ran.err.contains(says)),
            (2, true),
            "{cases} {ran:?}"
        );
    }
    let home = home(case);
    let ran = run(
        home.path(),
        &["policy", "test", "cases.toml", "--config", "cases.toml"],
    );
    assert_eq!(
        (ran.code, ran.err.contains("portcullis check")),
        (2, true),
        "{ran:?}"
    );
    assert_eq!(run(home.path(), &["policy", "test", "none.toml"]).code, 2);
    let ran = run(home.path(), &["policy", "test", "cases.toml", "--json"]);
    assert_eq!((ran.code, &ran.json()["passed"]), (0, &json!(1)), "{ran:?}");
}

#[test]
fn authz_01_the_example_comes_out_as_it_says() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let file = examples.join("desktop.cases.toml").display().to_string();
    let home = tempfile::tempdir().unwrap();
    let ran = run(home.path(), &["policy", "test", &file]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "cases: 5, all as expected\n"),
        "{ran:?}"
    );
    let conditional = examples.join("conditional.cases.toml");
    let conditional = conditional.display().to_string();
    let ran = run(home.path(), &["policy", "test", &conditional]);
    let expected = (0, "cases: 8, all as expected\n");
    assert_eq!((ran.code, ran.out.as_str()), expected, "{ran:?}");
    let other = examples.join("minimal.toml").display().to_string();
    assert_eq!(
        run(home.path(), &["policy", "test", &file, "--config", &other]).code,
        2
    );
}

#[test]
fn authz_01_a_question_is_answered_in_plain_words() {
    let home = home("");
    let rows = [
        (
            "--server notes --tool write --role editor --scope notes",
            0,
            "Allowed by grant:role:editor notes__* (grants[0].allow[0], line ",
        ),
        (
            "--server notes --tool write --scope notes",
            0,
            "It would be allowed to role:editor, by grant:role:editor notes__*",
        ),
        (
            "--server notes --tool delete --role editor --scope notes",
            0,
            "Denied (scope): the token lacks notes:delete.",
        ),
        (
            "--server notes --tool pay --role editor --scope notes",
            0,
            "Denied (forbidden): small (",
        ),
        (
            "--server notes --tool x --issuer partner",
            0,
            "does not trust the issuer",
        ),
        (
            "--server notes --tool x --resource y",
            2,
            "more than one of",
        ),
        ("--server note --tool x", 2, "no server \"note\""),
        ("--tool x", 2, "--server"),
        ("--server notes --tool x --claim y", 2, "NAME=TEXT"),
        ("--server notes --tool x --arguments 7", 2, "no JSON object"),
    ];
    for (asked, code, says) in rows {
        let asked: Vec<&str> = asked.split(' ').collect();
        let named = ["policy", "explain", "--config", "portcullis.toml"];
        let ran = run(home.path(), &[&named[..], &asked].concat());
        let said = [ran.out.as_str(), &ran.err].concat();
        assert_eq!(
            (ran.code, said.contains(says)),
            (code, true),
            "{asked:?} {ran:?}"
        );
    }
}

#[test]
fn auth_05_an_explanation_says_what_rules_look_at_and_what_scopes_imply() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let config = examples.join("conditional.toml").display().to_string();
    let home = tempfile::tempdir().unwrap();
    let explain = |more: &[&str]| {
        let asked = [
            "policy", "explain", "--config", &config, "--server", "payments",
        ];
        let asked = [&asked[..], &["--tool", "transfer", "--json"], more].concat();
        run(home.path(), &asked)
    };
    let sound = [
        "--claim",
        "https://mdm.example.com/compliant:=true",
        "--claim",
        "risk=low",
        "--claim",
        "amr:=[\"otp\"]",
        "--claim",
        "auth_time:=1795946300",
        "--time",
        "2026-11-29T10:00:00Z",
        "--network",
        "10.1.2.3",
    ];
    let ran = explain(&[&sound[..], &["--scope", "payments:admin"]].concat());
    let told = ran.json();
    assert_eq!(told["verdict"]["effect"], "allow", "{ran:?}");
    assert_eq!(told["implied"], json!(["payments:read", "payments:write"]));
    let looked_at = json!([
        "amr = [\"otp\"]",
        "auth_age = 100",
        "claims = {\"device_compliant\":true,\"risk\":\"low\"}"
    ]);
    assert_eq!(told["looked_at"], looked_at);
    let ran = explain(&[&sound[..], &["--scope", "payments:read"]].concat());
    let told = ran.json();
    assert_eq!(told["verdict"]["reason"], "scope", "{ran:?}");
    assert_eq!(
        told["words"][0],
        "Denied (scope): the token lacks payments:write."
    );
    let ran = explain(&["--scope", "payments:write", "--claim", "risk:=7"]);
    assert_eq!(ran.json()["verdict"]["effect"], json!(null), "{ran:?}");
    assert_eq!(explain(&["--claim", "risk:=low"]).code, 2);
}
