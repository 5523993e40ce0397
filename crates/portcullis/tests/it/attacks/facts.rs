//! Rules about the login behind a token, the network of the client, and what the issuer says of device and risk.

use crate::harness::{Draft, Idp, Request, Response, Scene, call, message, now, portcullis};
use serde_json::{Value, json};
use tempfile::TempDir;

const RULES: &str = r#"
@id("office-only")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__delete_all")
unless { context.zones.contains("office") };

@id("healthy-device")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__write_note")
unless { principal.claims has device_compliant && principal.claims.device_compliant };

@id("not-at-risk")
forbid (principal, action, resource)
when { principal.claims has risk && ["medium", "high"].contains(principal.claims.risk) };

@id("watched-inside")
permit (principal, action == Action::"resources/read", resource == Resource::"notes__note://a")
when { context.zones.contains("office") };

@id("strong-login")
permit (principal, action == Action::"tools/call", resource == Tool::"notes__pay")
when {
  context has acr && context.acr == "gold" && context has amr && context.amr.contains("otp") &&
  context has auth_age && context.auth_age < 600
};
"#;

const CONFIG: &str = r#"
[issuers.idp]
issuer = "{idp}"

[issuers.idp.claims]
device_compliant = { type = "bool", claim = "https://mdm.example/compliant" }
risk = { type = "string" }

[issuers.other]
issuer = "{other}"

[servers.notes]
url = "{upstream}"
allow = ["echo", "write_note", "delete_all"]

[zones.office]
networks = ["127.0.0.2", "2001:db8::/32"]
"#;

const COMPLIANT: &str = "https://mdm.example/compliant";
const OFFICE: [u8; 4] = [127, 0, 0, 2];

struct Ruled {
    scene: Scene,
    other: Idp,
    _files: TempDir,
}

impl Ruled {
    fn new() -> Self {
        let (files, other) = (tempfile::tempdir().unwrap(), Idp::start());
        let file = files.path().join("facts.cedar");
        std::fs::write(&file, RULES).unwrap();
        let config = CONFIG.replace("{other}", &other.issuer());
        let config = format!("{config}\n[policy]\nfiles = ['{}']\n", file.display());
        Self {
            scene: Scene::with(&config),
            other,
            _files: files,
        }
    }

    /// Must be denied by this rule; gives the record.
    fn denies(&self, request: &Request, (reason, rule): (&str, &str)) -> Value {
        let response = self
            .scene
            .refuses(request, (403, 403), ("authz.deny", reason));
        let record = self.scene.gateway.record_of(&response);
        assert_eq!(record["decision"]["rule"], rule, "{record}");
        record
    }

    fn permits(&self, request: &Request) -> Value {
        let response = self.scene.permits(request);
        self.scene.gateway.record_of(&response)
    }

    /// What `policy explain` says of a record, by itself.
    fn explained(&self, response: &Response) -> Value {
        let config = self.scene.gateway.data();
        let config = config.parent().unwrap().join("portcullis.toml");
        let config = config.to_str().unwrap();
        let ran = portcullis(&[
            "policy",
            "explain",
            "--id",
            &response.trace,
            "--config",
            config,
            "--json",
        ]);
        serde_json::from_slice(&ran.stdout).unwrap_or_default()
    }
}

#[test]
fn auth_05_a_rule_can_ask_for_a_named_network() {
    let ruled = Ruled::new();
    let scene = &ruled.scene;
    let delete = call("delete_all").token(&scene.token("alice"));
    let record = ruled.denies(&delete, ("forbidden", "office-only"));
    assert_eq!(record["detail"]["zones"], "");
    // What a client says of its own address is no fact.
    for name in ["x-forwarded-for", "forwarded", "x-real-ip", "via", "zones"] {
        for value in ["127.0.0.2", "for=127.0.0.2", "office"] {
            let lie = delete.clone().set(name, value);
            ruled.denies(&lie, ("forbidden", "office-only"));
        }
    }
    // From the office.
    let response = delete.send_from(OFFICE, scene.gateway.address);
    assert_eq!(response.status, 200, "{response:?}");
    let record = scene.gateway.record_of(&response);
    assert_eq!(record["detail"]["zones"], "office");
    assert_eq!(ruled.explained(&response)["alike"], true);
    // Nor is there another way in by the endpoint for all servers.
    let all = format!("http://{}/mcp", scene.gateway.address);
    let token = scene.idp.draft("alice", &all).sign();
    let by_all = call("notes__delete_all").to("/mcp").token(&token);
    let refused = by_all.send(scene.gateway.address);
    assert_eq!((refused.status, refused.code()), (403, 403), "{refused:?}");
    scene.gateway.expect("authz.deny", Some("forbidden"));
    let reached = by_all.send_from(OFFICE, scene.gateway.address);
    assert_eq!(reached.status, 200, "{reached:?}");
    // The office moves: another policy by its hash, with the same files.
    let before = record["decision"]["policy"].clone();
    scene.gateway.reload("127.0.0.2", "127.0.0.3");
    let response = delete.send_from(OFFICE, scene.gateway.address);
    assert_eq!(
        (response.status, response.code()),
        (403, 403),
        "{response:?}"
    );
    let record = scene.gateway.record_of(&response);
    assert_eq!(record["decision"]["rule"], "office-only");
    assert_ne!(record["decision"]["policy"], before);
    let moved = delete.send_from([127, 0, 0, 3], scene.gateway.address);
    assert_eq!(moved.status, 200, "{moved:?}");
}

#[test]
fn auth_05_what_is_watched_is_decided_about_as_if_it_were_read() {
    let ruled = Ruled::new();
    let filter = json!({ "notifications": { "resourceSubscriptions": ["note://a"] } });
    let listen = message("subscriptions/listen", filter).token(&ruled.scene.token("alice"));
    let record = ruled.denies(&listen, ("no_rule", ""));
    assert_eq!(record["detail"]["zones"], "", "{record}");
}

#[test]
fn auth_05_a_rule_can_ask_for_what_the_issuer_says_of_device_and_risk() {
    let ruled = Ruled::new();
    let scene = &ruled.scene;
    let alice = || scene.draft("alice");
    let write = |draft: Draft| call("write_note").token(&draft.sign());
    // Not known, and known to be otherwise.
    let record = ruled.denies(&write(alice()), ("forbidden", "healthy-device"));
    assert_eq!(record["detail"]["claims"], "{}");
    let record = ruled.denies(
        &write(alice().claim(COMPLIANT, false).claim("risk", "low")),
        ("forbidden", "healthy-device"),
    );
    let told = r#"{"device_compliant":false,"risk":"low"}"#;
    assert_eq!(record["detail"]["claims"], told);
    ruled.denies(
        &write(alice().claim("device_compliant", true)),
        ("forbidden", "healthy-device"),
    );
    // What is there and of another type refuses the token: it could be what a rule forbids.
    for (claim, value) in [
        (COMPLIANT, json!("true")),
        (COMPLIANT, json!(1)),
        (COMPLIANT, json!(null)),
        (COMPLIANT, json!([true])),
        ("risk", json!(["high"])),
        ("risk", json!({ "level": "high" })),
        ("risk", json!("x".repeat(257))),
    ] {
        let odd = alice().claim(COMPLIANT, true).claim(claim, value);
        scene.unauthenticated(&write(odd), "claim");
    }
    // A rule about another tool's caller holds for every action.
    let risky = alice().claim(COMPLIANT, true).claim("risk", "high");
    ruled.denies(&write(risky.clone()), ("forbidden", "not-at-risk"));
    ruled.denies(
        &call("echo").token(&risky.sign()),
        ("forbidden", "not-at-risk"),
    );
    // An issuer for which nothing is declared says nothing.
    let foreign = ruled.other.draft("alice", &scene.gateway.url("notes"));
    ruled.denies(
        &write(foreign.claim(COMPLIANT, true)),
        ("forbidden", "healthy-device"),
    );
    // The benign twin, which can be decided again from its record alone.
    let sound = write(alice().claim(COMPLIANT, true).claim("risk", "low"));
    let response = scene.permits(&sound);
    let told = ruled.explained(&response);
    assert_eq!(told["alike"], true, "{told}");
    assert_eq!(told["today"]["verdict"]["effect"], "allow", "{told}");
}

#[test]
fn auth_04_a_rule_can_ask_for_a_strong_and_recent_login() {
    let ruled = Ruled::new();
    let scene = &ruled.scene;
    let strong = || {
        let draft = scene.draft("alice").claim("acr", "gold");
        let draft = draft.claim("amr", json!(["pwd", "otp"]));
        draft.claim("auth_time", now() - 60)
    };
    let pay = |draft: Draft| call("pay").token(&draft.sign());
    for weak in [
        scene.draft("alice"),
        strong().without("acr"),
        strong().without("amr"),
        strong().without("auth_time"),
        strong().claim("acr", "bronze"),
        strong().claim("acr", json!(["gold"])),
        strong().claim("amr", json!(["pwd"])),
        strong().claim("amr", "otp"),
        strong().claim("amr", json!(["otp", 1])),
        strong().claim("auth_time", now() - 601),
        strong().claim("auth_time", now() + 3600),
        strong().claim("auth_time", now().to_string()),
    ] {
        ruled.denies(&pay(weak), ("no_rule", ""));
    }
    let record = ruled.permits(&pay(strong()));
    let detail = &record["detail"];
    assert_eq!(
        (&detail["acr"], &detail["amr"]),
        (&json!("gold"), &json!(r#"["pwd","otp"]"#))
    );
    let age: u64 = detail["auth_age"].as_str().unwrap().parse().unwrap();
    assert!((60..120).contains(&age), "{record}");
    let response = scene.permits(&pay(strong()));
    let told = ruled.explained(&response);
    assert_eq!(told["alike"], true, "{told}");
    assert_eq!(told["today"]["verdict"]["rule"], "strong-login", "{told}");
    // A record tells only what the rules that concern its call look at.
    let record = ruled.permits(&call("echo").token(&strong().sign()));
    for absent in ["acr", "amr", "auth_age", "zones"] {
        assert!(record["detail"].get(absent).is_none(), "{record}");
    }
}
