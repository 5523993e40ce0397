//! ATK-010: access that nobody needs any more stays, or is kept by whom it serves.

use crate::harness::{Scene, call, portcullis};
use serde_json::{Value, json};

const RULES: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["read_*"]

[servers.notes.tools.write_note]
scopes = ["notes:write"]

[servers.notes.tools.delete_all]
scopes = ["notes:delete"]

[boundary.clerks]
who = "role:clerk"
allow = ["notes__read_*"]

[[grants]]
who = "user:alice"
allow = ["notes__write_note", "notes__read_note"]

[[grants]]
who = "role:ghost"
allow = ["notes__delete_all"]
until = "2099-01-01"
"#;

/// Runs `access review` on the configuration of the scene; gives its exit code and its JSON.
fn told(scene: &Scene, arguments: &[&str]) -> (i32, Value) {
    let data = scene.gateway.data();
    let config = data.parent().unwrap().join("portcullis.toml");
    let config = config.to_str().unwrap();
    let asked = ["access", "review", "--config", config, "--json"];
    let ran = portcullis(&[&asked, arguments].concat());
    let json = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    (ran.status.code().unwrap(), json)
}

fn grant<'a>(told: &'a Value, rule: &str) -> &'a Value {
    let grants = told["grants"].as_array().unwrap();
    let found = grants.iter().find(|grant| grant["rule"] == rule);
    found.unwrap_or_else(|| panic!("no {rule}: {told}"))
}

#[test]
fn authz_05_every_grant_is_listed_with_its_last_use_and_what_is_of_no_use() {
    let scene = Scene::with(RULES);
    let writer = scene.draft("alice").claim("scope", "notes:write").sign();
    scene.permits(&call("write_note").token(&writer));
    scene.permits(&call("write_note").token(&writer));
    scene.permits(&call("read_note").token(&scene.token("bob")));
    let (code, listed) = told(&scene, &[]);
    assert_eq!(code, 0, "{listed}");
    let written = grant(&listed, "grant:user:alice notes__write_note");
    assert_eq!(written["who"], "user:alice");
    assert_eq!(written["what"], json!(["notes__write_note"]));
    assert_eq!(written["hits"], 2);
    assert!(written["last"].is_string(), "{written}");
    assert!(
        written["file"]
            .as_str()
            .unwrap()
            .ends_with("portcullis.toml")
            && written["line"].is_u64()
    );
    assert_eq!(written["key"], "grants[0].allow[0]");
    assert_eq!(written["until"], Value::Null);
    let shadowed = grant(&listed, "grant:user:alice notes__read_note");
    let wider = "grant:anyone notes__read_* (line ";
    assert!(shadowed["shadowed"].as_str().unwrap().starts_with(wider));
    let ghost = grant(&listed, "grant:role:ghost notes__delete_all");
    assert_eq!((&ghost["hits"], &ghost["last"]), (&json!(0), &Value::Null));
    assert_eq!(ghost["until"], "2099-01-01T00:00:00.000000Z");
    assert_eq!(ghost["shadowed"], Value::Null, "only what is so is said");

    let needed = |by: &str| {
        let scopes = listed["scopes"].as_array().unwrap();
        let found = scopes.iter().find(|one| one["needed_by"] == by);
        found.unwrap()["hits"].clone()
    };
    assert_eq!(needed("notes__write_note"), 2);
    assert_eq!(needed("notes__delete_all"), 0);
    let rules = listed["rules"].as_array().unwrap();
    let clerks = rules.iter().find(|rule| rule["rule"] == "boundary:clerks");
    assert_eq!(clerks.unwrap()["place"], "boundary.clerks");

    // How far back the log reaches, and nothing of what was before `--since`.
    let begins = listed["log_begins"].as_str().unwrap();
    assert!(begins > listed["since"].as_str().unwrap(), "{listed}");
    let (_, later) = told(&scene, &["--since", "2100-01-01"]);
    let later = grant(&later, "grant:user:alice notes__write_note");
    assert_eq!((&later["hits"], &later["id"]), (&json!(0), &written["id"]));
    assert_eq!(told(&scene, &["--since", "soon"]).0, 2);

    // A grant that is changed is another one.
    scene
        .gateway
        .reload("until = \"2099-01-01\"", "until = \"2098-01-01\"");
    let (_, changed) = told(&scene, &[]);
    let other = grant(&changed, "grant:role:ghost notes__delete_all");
    assert_ne!(other["id"], ghost["id"]);
    let same = grant(&changed, "grant:user:alice notes__write_note");
    assert_eq!(same["id"], written["id"]);
}
