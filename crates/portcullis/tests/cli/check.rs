//! `portcullis check`.

use super::run;
use serde_json::Value;
use std::path::Path;

const GOOD: &str = r#"
[issuers.local]
embedded = true

[servers.notes]
command = "true"
args = ["--api-key", "hunter2", "--port=7", "ghp_0123456789abcdefghij"]
env = { API_TOKEN = { file = "secret" }, LEVEL = "info" }
allow = ["search"]

[servers.remote]
url = "https://remote.example/mcp?apiKey=hunter2"
headers = { Authorization = { file = "secret" } }

[[grants]]
who = "role:admin"
allow = ["remote__*"]
"#;

fn write(directory: &Path, text: &str) {
    std::fs::write(directory.join("portcullis.toml"), text).unwrap();
    std::fs::write(directory.join("secret"), "hunter2\n").unwrap();
}

#[test]
fn a_good_file_is_good_and_its_meaning_has_no_secret() {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), GOOD);
    for arguments in [
        &["check"][..],
        &["check", "portcullis.toml"],
        &["check", "--config", "portcullis.toml"],
    ] {
        let ran = run(home.path(), arguments);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (0, "portcullis.toml: good\n"),
            "{ran:?}"
        );
    }
    let text = run(home.path(), &["check", "--print"]);
    let json = run(home.path(), &["check", "--print", "--json"]);
    for ran in [&text, &json] {
        assert_eq!(ran.code, 0);
        for hidden in ["hunter2", "ghp_"] {
            assert!(!ran.out.contains(hidden), "{}", ran.out);
        }
    }
    for shown in [
        "anyone may  tool search",
        "role:admin may  every tool",
        "API_TOKEN, LEVEL",
        "sends authorization",
        "--port=7",
    ] {
        assert!(text.out.contains(shown), "{shown}: {}", text.out);
    }
    let json = json.json();
    assert_eq!(
        (&json["sound"], &json["problems"]),
        (&Value::from(true), &Value::Array(Vec::new()))
    );
    let notes = &json["meaning"]["servers"]["notes"];
    assert_eq!(notes["grants"]["anyone"][0], "tool search");
    assert_eq!(notes["reached"]["transport"], "stdio");
    assert_eq!(json["meaning"]["policy"].as_str().map(str::len), Some(64));
}

#[test]
fn a_problem_is_shown_with_line_column_and_fix() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        &GOOD
            .replace("embedded = true", "embeded = true")
            .replace("\"remote__*\"", "\"remot__*\""),
    );
    let text = run(home.path(), &["check"]);
    assert_eq!(text.code, 1);
    assert!(
        text.out.contains("portcullis.toml:3:1\n")
            && text.out.contains("help: did you mean `embedded`?"),
        "{}",
        text.out
    );
    assert!(
        text.out.contains(" | embeded = true\n") && text.out.contains("^^^^^^^"),
        "{}",
        text.out
    );
    let json = run(home.path(), &["check", "--json"]);
    assert_eq!(json.code, 1);
    let json = json.json();
    assert_eq!(json["sound"], false);
    let first = &json["problems"][0];
    assert_eq!(
        (&first["line"], &first["column"], &first["key"]),
        (&3.into(), &1.into(), &"issuers.local.embeded".into())
    );
    assert!(first["reason"].is_string() && first["fix"].is_string() && first["file"].is_string());
    write(home.path(), "not toml");
    assert_eq!(
        run(home.path(), &["check", "--json"]).json()["problems"][0]["line"],
        1
    );
}

#[test]
fn a_problem_of_a_policy_is_shown_alike() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        &format!("{GOOD}\n[policy]\nfiles = [\"a.cedar\"]\n"),
    );
    let policy = "// mine\npermit (principal, action == Action::\"tools/call\", resource)\nwhen { principal.agee > 3 };\n";
    std::fs::write(home.path().join("a.cedar"), policy).unwrap();
    let text = run(home.path(), &["check"]);
    assert_eq!(text.code, 1, "{text:?}");
    assert!(
        text.out.contains("a.cedar:") && text.out.contains("\n  |") | text.out.contains(" |\n"),
        "{}",
        text.out
    );
    let json = run(home.path(), &["check", "--json"]).json();
    let first = &json["problems"][0];
    assert!(
        first["file"].as_str().unwrap().ends_with("a.cedar"),
        "{json}"
    );
    assert!(
        first["line"].as_u64().is_some_and(|line| line >= 2) && first["column"].is_u64(),
        "{json}"
    );
    std::fs::write(
        home.path().join("a.cedar"),
        policy.replace("principal.agee > 3", "true"),
    )
    .unwrap();
    assert_eq!(run(home.path(), &["check"]).code, 0);
}

#[test]
fn a_file_that_cannot_be_read_ends_with_2() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(home.path(), &["check", "none.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("none.toml"));
}

#[test]
fn the_schema_is_printed_without_a_file() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(home.path(), &["check", "--schema"]);
    assert_eq!(ran.code, 0);
    assert!(ran.json()["properties"]["servers"].is_object());
}

#[test]
fn auth_02_a_preset_is_shown_as_the_keys_that_it_stands_for() {
    let home = tempfile::tempdir().unwrap();
    let preset = "[issuers.corp]\nprovider = \"entra\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db47\"\n\
                  [servers.notes]\ncommand = \"true\"\naudience = \"6e74172b-be56-4843-9ff4-e66a39bb12e3\"\n";
    write(home.path(), preset);
    let text = run(home.path(), &["check", "--print"]);
    for shown in [
        "corp: https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0 (entra); Rs256",
        "token types JWT",
        "subject oid; client azp; scopes scp; roles roles; groups groups",
        "needs tid = 72f988bf-86f1-41af-91ab-2d7cd011db47",
        "needs ver = 2.0",
        "needs one of scp, roles",
        "refuses tokens with nonce, at_hash, c_hash",
    ] {
        assert!(text.out.contains(shown), "{shown}: {}", text.out);
    }
    let json = run(home.path(), &["check", "--print", "--json"]).json();
    let corp = &json["meaning"]["issuers"]["corp"];
    assert_eq!(corp["provider"], "entra");
    assert_eq!(corp["claims"]["subject_claim"], "oid", "{corp}");
    assert_eq!(corp["claims"]["required_claims"]["ver"][0], "2.0", "{corp}");
}

const WRONG: &[(&str, &str)] = &[
    (
        "[boundary.x]\nwho = \"anyone\"\n",
        "needs `who` and `allow`",
    ),
    (
        "[boundary.\"a b\"]\nwho = \"anyone\"\nallow = []\n",
        "64 letters",
    ),
    (
        "[boundary.x]\nwho = \"issuer:lokal\"\nallow = []\n",
        "did you mean `local`?",
    ),
    (
        "[boundary.x]\nwho = \"anyone\"\nallow = [\"note__x\"]\n",
        "no server has this name",
    ),
    (
        "[[grants]]\nwho = \"issuer:local\"\nallow = [\"notes__x\"]\n",
        "not a kind of principal",
    ),
    (
        "[[grants]]\nwho = \"anyone\"\nallow = [\"notes__x\"]\nuntil = \"7d\"\n",
        "not a moment",
    ),
];

#[test]
fn authz_03_a_grant_that_gives_less_than_it_says_is_told() {
    let home = tempfile::tempdir().unwrap();
    let more = r#"
[boundary.admins]
who = "role:admin"
allow = ["remote__read_*", "ask:remote__sampling"]

[boundary.local]
who = "issuer:local"
allow = ["notes__*"]

[[grants]]
who = "role:admin"
allow = ["remote__read_a*", "remote__read_x", "notes__x", "remote__write", "ask:remote__*"]

[[grants]]
who = "user:http://127.0.0.1:8848|eve"
allow = ["remote__x"]

[[grants]]
who = "role:guest"
allow = ["notes__*"]
until = "2026-01-01"
"#;
    write(home.path(), &format!("{GOOD}{more}"));
    let text = run(home.path(), &["check"]);
    let told = [
        "\"role:admin remote__*\" reaches beyond [boundary.admins]",
        "\"role:admin notes__x\" lies beyond [boundary.admins]",
        "\"role:admin remote__write\" lies beyond",
        "\"role:admin sampling:remote elicitation:remote roots:remote\" reaches beyond",
        "\"user:http://127.0.0.1:8848|eve remote__x\" lies beyond [boundary.local]",
        "\"role:guest notes__*\" is over since 2026-01-01T00:00:00",
    ];
    for told in told {
        assert!(text.out.contains(told), "{told} {text:?}");
    }
    let json = run(home.path(), &["check", "--json", "--print"]).json();
    assert_eq!(json["warnings"].as_array().unwrap().len(), told.len());
    assert_eq!(json["sound"], true);
    let within = &json["meaning"]["boundaries"]["admins"]["within"]["remote"];
    assert_eq!(within[0], "every tool read_*");
    for (wrong, says) in WRONG {
        write(home.path(), &format!("{GOOD}{wrong}"));
        let ran = run(home.path(), &["check"]);
        assert_eq!(
            (ran.code, ran.out.contains(says)),
            (1, true),
            "{wrong} {ran:?}"
        );
    }
}

#[test]
fn tok_15_keys_and_their_ages_are_shown() {
    let home = tempfile::tempdir().unwrap();
    let own = "[keys.rotate_every]\nissuer = \"90d\"\nwrapping = \"365d\"\n\
               [issuers.local]\nembedded = true\n\
               [servers.notes]\nurl = \"https://notes.example/mcp\"\n\
               credentials = { kind = \"assertion\", audience = \"notes\", own_key = true }\n\
               [servers.mail]\nurl = \"https://mail.example/mcp\"\n\
               credentials = { kind = \"assertion\", audience = \"mail\" }\n";
    write(home.path(), own);
    let text = run(home.path(), &["check", "--print"]);
    for shown in [
        "Keys       issuer is replaced once older than 7776000 s\n",
        "Keys       wrapping is replaced once older than 31536000 s\n",
    ] {
        assert!(text.out.contains(shown), "{shown}: {text:?}");
    }
    let own = text.out.matches("signed with a key for this server alone");
    assert_eq!(own.count(), 1, "{text:?}");
    let json = run(home.path(), &["check", "--print", "--json"]).json();
    let meaning = &json["meaning"];
    assert_eq!(
        meaning["rotate_every_seconds"],
        serde_json::json!({ "issuer": 7_776_000, "wrapping": 31_536_000 })
    );
    for (server, is_own) in [("notes", true), ("mail", false)] {
        let shown = &meaning["servers"][server]["credentials"];
        assert_eq!(shown["own_key"], is_own, "{shown}");
    }
}
