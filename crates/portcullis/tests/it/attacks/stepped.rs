//! Rules that say no until the caller has a better login, and say which (RFC 9470).

use crate::harness::{Draft, Request, Scene, call, now, portcullis};
use serde_json::Value;
use tempfile::TempDir;

const RULES: &str = r#"
@id("fresh-login")
@step_up("acr=urn:example:gold; max_age=300")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__write_note")
unless {
  context has acr && context.acr == "urn:example:gold" && context has auth_age && context.auth_age <= 300
};

@id("never-guests")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__write_note")
when { principal.hasTag("kind") && principal.getTag("kind") == "guest" };

@id("pays")
@step_up("max_age=60")
permit (principal, action == Action::"tools/call", resource == Tool::"notes__pay")
when { context has auth_age && context.auth_age <= 60 };

@id("too-strict")
@step_up("max_age=3600")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__delete_all")
unless { context has auth_age && context.auth_age <= 10 };
"#;

const CONFIG: &str = r#"
[issuers.idp]
issuer = "{idp}"

[servers.notes]
url = "{upstream}"
allow = ["echo", "write_note", "delete_all"]
"#;

const GOLD: &str = "acr_values=\"urn:example:gold\", max_age=\"300\", ";

struct Asked {
    scene: Scene,
    _files: TempDir,
}

impl Asked {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("stepped.cedar");
        std::fs::write(&file, RULES).unwrap();
        let config = format!("{CONFIG}\n[policy]\nfiles = ['{}']\n", file.display());
        Self {
            scene: Scene::with(&config),
            _files: files,
        }
    }

    fn gold(&self, age: u64) -> Draft {
        let draft = self.scene.draft("alice").claim("auth_time", now() - age);
        draft.claim("acr", "urn:example:gold")
    }

    /// Must be told to step up, by a challenge with these words; gives the record.
    fn told(&self, request: &Request, reason: &str, words: &str) -> Value {
        let event = ("authn.step_up_required", reason);
        let response = self.scene.refuses(request, (401, 401), event);
        let challenge = response.challenge();
        let expected = format!(
            "Bearer error=\"insufficient_user_authentication\", \
             error_description=\"stronger or newer authentication needed\", {words}resource_metadata="
        );
        assert!(challenge.starts_with(&expected), "{challenge}");
        self.scene.gateway.record_of(&response)
    }

    fn denied(&self, request: &Request, reason: &str, rule: &Value) {
        let event = ("authz.deny", reason);
        let response = self.scene.refuses(request, (403, 403), event);
        let record = self.scene.gateway.record_of(&response);
        assert_eq!(record["decision"]["rule"], *rule, "{record}");
    }
}

#[test]
fn auth_05_a_rule_asks_for_a_better_login_instead_of_only_saying_no() {
    let asked = Asked::new();
    let write = |draft: Draft| call("write_note").token(&draft.sign());
    // A stolen token of this morning's login, and one of a weaker login, which says what it likes in other places.
    let weak = asked.scene.draft("alice").claim("auth_time", now());
    let record = asked.told(&write(asked.gold(4000)), "auth_time", GOLD);
    assert_eq!(record["decision"]["rule"], "fresh-login", "{record}");
    assert_eq!(record["decision"]["effect"], "deny", "{record}");
    assert_eq!(
        record["detail"]["required"],
        "acr=urn:example:gold; max_age=300"
    );
    asked.told(&write(weak), "acr", GOLD);
    asked.told(&write(asked.scene.draft("alice")), "acr", GOLD);
    // After it, the same call is permitted; what no such rule speaks of never needed it.
    asked.scene.permits(&write(asked.gold(5)));
    let none = asked.scene.token("alice");
    asked.scene.permits(&call("echo").token(&none));
    // What only a rule with a fresh login permits is asked for likewise.
    let record = asked.told(&call("pay").token(&none), "auth_time", "max_age=\"60\", ");
    assert_eq!(record["decision"]["rule"], "pays", "{record}");
    let fresh = asked.gold(5).sign();
    asked.scene.permits(&call("pay").token(&fresh));
}

#[test]
fn auth_05_a_plain_no_stays_a_plain_no() {
    let asked = Asked::new();
    // A login would not help whom another rule forbids it too.
    let guest = asked.scene.draft("mallory").claim("kind", "guest");
    let both = Value::from("fresh-login, never-guests");
    let write = |draft: &Draft| call("write_note").token(&draft.clone().sign());
    asked.denied(&write(&guest), "forbidden", &both);
    let guest = asked.gold(5).claim("kind", "guest");
    asked.denied(&write(&guest), "forbidden", &Value::from("never-guests"));
    // Nor does the one that is asked for, if the rule wants more than that: nobody is sent in circles.
    let strict = Value::from("too-strict");
    let late = asked.gold(100).sign();
    for token in [&late, &asked.gold(4000).sign()] {
        asked.denied(&call("delete_all").token(token), "forbidden", &strict);
    }
    asked.denied(&call("unknown").token(&late), "no_rule", &Value::from(""));
}

#[test]
fn auth_05_a_step_up_that_cannot_be_asked_for_stops_the_start() {
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("gateway.toml");
    let rules = files.path().join("rules.cedar");
    let text = CONFIG
        .replace("{idp}", "https://idp.example")
        .replace("{upstream}", "https://notes.example");
    let text = format!("{text}\n[policy]\nfiles = ['{}']\n", rules.display());
    std::fs::write(&config, text).unwrap();
    let file = config.to_str().unwrap();
    for (from, to, words) in [
        ("max_age=60", "max_age=1m", "seconds"),
        ("max_age=60", "level=3", "acr=VALUES"),
    ] {
        std::fs::write(&rules, RULES.replace(from, to)).unwrap();
        let told = portcullis(&["check", file]);
        let shown = String::from_utf8_lossy(&told.stderr).into_owned();
        let shown = shown + &String::from_utf8_lossy(&told.stdout);
        assert!(!told.status.success(), "{shown}");
        assert!(shown.contains("rules.cedar:13:1"), "{shown}");
        assert!(shown.contains(words), "{shown}");
    }
    std::fs::write(&rules, RULES).unwrap();
    assert!(portcullis(&["check", file]).status.success());
}
