//! What was decided can be counted and explained from the log.

use crate::harness::{Scene, call, portcullis, wait_for};
use serde_json::{Value, json};

const RULES: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["read_*"]

[[grants]]
who = "user:alice"
allow = ["notes__read_note", "notes__write_note"]

[[grants]]
who = "role:ghost"
allow = ["notes__delete_all"]
"#;

/// Runs a command on the configuration of the scene; gives its exit code and its JSON.
fn told(scene: &Scene, arguments: &[&str]) -> (i32, Value) {
    let data = scene.gateway.data();
    let config = data.parent().unwrap().join("portcullis.toml");
    let config = config.to_str().unwrap();
    let ran = portcullis(&[&["policy"], arguments, &["--config", config, "--json"]].concat());
    let json = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    (ran.status.code().unwrap(), json)
}

fn row<'a>(told: &'a Value, list: &str, key: &str, name: &str) -> &'a Value {
    let rows = told[list].as_array().unwrap();
    rows.iter()
        .find(|row| row[key] == name)
        .unwrap_or_else(|| panic!("no {name}: {told}"))
}

#[test]
fn authz_01_every_rule_is_counted_and_what_changes_nothing_is_told() {
    let scene = Scene::with(RULES);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    scene.permits(&call("read_note").token(&bob));
    scene.permits(&call("write_note").token(&alice));
    scene.permits(&call("write_note").token(&alice));
    scene.refuses(
        &call("delete_all").token(&bob),
        (403, 403),
        ("authz.deny", "no_rule"),
    );
    scene.unauthenticated(&call("read_note"), "missing");
    let (code, listed) = told(&scene, &["inventory"]);
    assert_eq!(code, 0, "{listed}");
    let rule = |name: &str| row(&listed, "rules", "rule", name);
    let written = rule("grant:user:alice notes__write_note");
    assert_eq!(
        (&written["hits"], &written["shadowed"]),
        (&json!(2), &Value::Null)
    );
    assert!(
        written["place"]
            .as_str()
            .unwrap()
            .starts_with("grants[0].allow[1], line ")
    );
    let shadowed = &rule("grant:user:alice notes__read_note")["shadowed"];
    let wider = "grant:anyone notes__read_* (line ";
    assert!(shadowed.as_str().unwrap().starts_with(wider), "{listed}");
    let ghost = rule("grant:role:ghost notes__delete_all");
    assert_eq!((&ghost["hits"], &ghost["last"]), (&json!(0), &Value::Null));
    let point = |id: &str| row(&listed, "points", "id", id)["hits"].clone();
    assert_eq!(point("authorize/tools/call"), 4);
    assert_eq!(point("identify"), 1);
    assert_eq!(point("quota"), 0);
    // Nothing is counted of what was before.
    let (_, later) = told(&scene, &["inventory", "--since", "2100-01-01"]);
    assert_eq!(row(&later, "points", "id", "identify")["hits"], 0);
    assert_eq!(later["records"], 0);
    assert_eq!(told(&scene, &["inventory", "--since", "soon"]).0, 2);
}

#[test]
fn authz_01_a_refusal_is_explained_by_its_correlation_id() {
    let scene = Scene::with(RULES);
    let bob = scene.token("bob");
    let denied = scene.refuses(
        &call("delete_all").token(&bob),
        (403, 403),
        ("authz.deny", "no_rule"),
    );
    let id = denied.json()["error"]["data"]["correlationId"]
        .as_str()
        .unwrap()
        .to_owned();
    let (code, why) = told(&scene, &["explain", "--id", &id]);
    assert_eq!((code, &why["alike"]), (0, &json!(true)), "{why}");
    assert_eq!(why["record"]["reason"], "no_rule");
    assert_eq!(why["today"]["verdict"]["reason"], "no_rule");
    assert_eq!(why["today"]["near"][0]["who"], "role:ghost", "{why}");
    let passed = scene.permits(&call("read_note").token(&bob));
    let (code, why) = told(&scene, &["explain", "--id", &passed.trace]);
    assert_eq!(
        (code, &why["today"]["verdict"]["effect"]),
        (0, &json!("allow")),
        "{why}"
    );
    // With other rules, a record alone does not tell: it holds no roles.
    let seen = scene.gateway.records("config.reloaded", None).len();
    scene
        .gateway
        .reload("notes__delete_all\"", "notes__delete_*\"");
    wait_for("the reload", || {
        (scene.gateway.records("config.reloaded", None).len() > seen).then_some(())
    });
    let (code, why) = told(&scene, &["explain", "--id", &id]);
    assert_eq!((code, &why["alike"]), (2, &Value::Null), "{why}");
    let (code, why) = told(&scene, &["explain", "--id", &id, "--role", "ghost"]);
    assert_eq!((code, &why["alike"]), (0, &json!(false)), "{why}");
    let (code, why) = told(&scene, &["explain", "--id", &id, "--role", "other"]);
    assert_eq!((code, &why["alike"]), (0, &json!(true)), "{why}");
    // A refusal before any rule was asked, an id that nothing has, and no id at all.
    let stranger = scene.send(&call("read_note"));
    assert_eq!(told(&scene, &["explain", "--id", &stranger.trace]).0, 2);
    assert_eq!(told(&scene, &["explain", "--id", &"0".repeat(32)]).0, 1);
    assert_eq!(told(&scene, &["explain", "--id", "delete_all"]).0, 2);
}
