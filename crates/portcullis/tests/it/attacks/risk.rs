//! What an issuer says of device, risk and assurance after it has issued a token: policies go by it at the next call.

use super::signals::{BOUND, CAEP, push};
use crate::harness::{
    Draft, Key, Request, Scene, call, call_in, next_second, now, unsigned, wait_for,
};
use serde_json::{Value, json};
use std::time::Instant;
use tempfile::TempDir;

const COMPLIANT: &str = "https://mdm.example/compliant";

const RULES: &str = r#"
@id("healthy-device")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__write_note")
unless { principal.claims has device_compliant && principal.claims.device_compliant };

@id("not-at-risk")
forbid (principal, action, resource)
when { principal.claims has risk && ["medium", "high"].contains(principal.claims.risk) };

@id("assured")
forbid (principal, action == Action::"tools/call", resource == Tool::"notes__pay")
unless { principal.claims has assurance && principal.claims.assurance == "nist-aal2" };
"#;

const CONFIG: &str = r#"
[issuers.idp]
issuer = "{idp}"
skew = "0s"
signals = { audience = "https://gateway.example/signals/idp" }

[issuers.idp.claims]
device_compliant = { type = "bool", claim = "https://mdm.example/compliant", pushed = "device-compliance" }
risk = { type = "string", pushed = "risk-level" }
assurance = { type = "string", pushed = "assurance-level" }

[servers.notes]
url = "{upstream}"
allow = ["*"]
"#;

struct Judged {
    scene: Scene,
    _files: TempDir,
}

impl Judged {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("risk.cedar");
        std::fs::write(&file, RULES).unwrap();
        let config = format!("{CONFIG}\n[policy]\nfiles = ['{}']\n", file.display());
        Self {
            scene: Scene::with(&config),
            _files: files,
        }
    }

    /// A device that was compliant when the token was issued.
    fn token(&self, subject: &str) -> String {
        self.scene.draft(subject).claim(COMPLIANT, true).sign()
    }

    fn event(&self, subject: &str, kind: &str, members: &Value) -> Draft {
        let mut event = json!({ "event_timestamp": now() });
        let own = event.as_object_mut().unwrap();
        own.extend(members.as_object().unwrap().clone());
        let kind = format!("{CAEP}{kind}");
        let draft = self.scene.event(subject, &kind);
        draft.claim("events", json!({ kind: event }))
    }

    fn device(&self, subject: &str, is_compliant: bool) -> Draft {
        let (mut now, mut before) = ("not-compliant", "compliant");
        if is_compliant {
            std::mem::swap(&mut now, &mut before);
        }
        let members = json!({ "current_status": now, "previous_status": before });
        self.event(subject, "device-compliance-change", &members)
    }

    fn says(&self, event: &Draft) -> Value {
        self.scene.tells(event, "said")
    }

    /// Waits until a call is refused by this rule; gives the record.
    fn denied(&self, request: &Request, rule: &str) -> Value {
        let began = Instant::now();
        let refused = wait_for("the call to be refused", || {
            let response = self.scene.send(request);
            (response.status == 403).then_some(response)
        });
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
        let record = self.scene.gateway.record_of(&refused);
        assert_eq!(record["event"], "authz.deny", "{record}");
        assert_eq!(record["reason"], "forbidden", "{record}");
        assert_eq!(record["decision"]["rule"], rule, "{record}");
        record
    }

    /// Waits until a call is permitted.
    fn permitted(&self, request: &Request) {
        wait_for("the call to be permitted", || {
            (self.scene.send(request).status == 200).then_some(())
        });
    }
}

fn write(token: &str) -> Request {
    call("write_note").token(token)
}

#[test]
fn auth_05_a_device_that_is_no_more_compliant_is_refused_at_the_next_call_until_it_is_again() {
    let mut judged = Judged::new();
    let (alice, bob) = (judged.token("alice"), judged.token("bob"));
    judged.scene.permits(&write(&alice));
    let record = judged.says(&judged.device("alice", false));
    assert_eq!(
        record["detail"]["said"], "device-compliance false",
        "{record}"
    );
    assert_eq!(record["detail"]["subject"], "alice", "{record}");
    let record = judged.denied(&write(&alice), "healthy-device");
    assert_eq!(record["detail"]["claims"], r#"{"device_compliant":false}"#);
    // Her token is good for all else, and nobody else is concerned.
    judged.scene.permits(&call("echo").token(&alice));
    judged.scene.permits(&write(&bob));
    assert!(
        judged
            .scene
            .gateway
            .records("access.revoked", None)
            .is_empty()
    );
    // A token that does not say otherwise later is no way out; it is kept over a restart.
    next_second();
    let silent = judged.scene.token("alice");
    judged.denied(&write(&silent), "healthy-device");
    judged.scene.gateway.restart();
    judged.denied(&write(&alice), "healthy-device");
    // What a later token says is newer.
    let later = judged.token("alice");
    judged.scene.permits(&write(&later));
    judged.denied(&write(&alice), "healthy-device");
    // Compliant again, for every token.
    judged.says(&judged.device("alice", true));
    for token in [&alice, &silent, &later] {
        judged.permitted(&write(token));
    }
    judged.scene.permits(&write(&alice));
}

#[test]
fn auth_05_what_nobody_has_signed_for_us_of_a_device_changes_nothing() {
    let judged = Judged::new();
    let scene = &judged.scene;
    let alice = judged.token("alice");
    let bad = || judged.device("alice", false);
    let stranger = Key::ed("ed-1");
    for (token, code, reason) in [
        (unsigned(&bad().sign(), ""), "invalid_key", "signature"),
        (bad().key(&stranger).sign(), "invalid_key", "signature"),
        (
            bad().claim("aud", "https://other.example").sign(),
            "invalid_audience",
            "audience",
        ),
        (
            bad().claim("iss", "https://rogue.example").sign(),
            "invalid_issuer",
            "issuer",
        ),
        (
            bad().header("typ", "at+jwt").sign(),
            "invalid_request",
            "typ",
        ),
    ] {
        scene.dismisses(&push(&token), (400, code), reason);
        scene.permits(&write(&alice));
    }
    // One that was taken once counts once, and one that is older than what is known does not count.
    let first = bad();
    judged.says(&first);
    judged.denied(&write(&alice), "healthy-device");
    judged.says(&judged.device("alice", true));
    judged.permitted(&write(&alice));
    scene.dismisses(&push(&first.sign()), (202, ""), "replayed");
    let old = json!({ "current_status": "not-compliant", "event_timestamp": now() - 600 });
    judged.says(&judged.event("alice", "device-compliance-change", &old));
    // What comes after them is in effect, so they were looked at.
    judged.says(&judged.device("bob", false));
    judged.denied(&write(&judged.scene.token("bob")), "healthy-device");
    scene.permits(&write(&alice));
    // What cannot be read is no fact: her tokens are over, as where nobody asks for facts.
    let odd = json!({ "current_status": "unknown" });
    scene.tells(
        &judged.event("alice", "device-compliance-change", &odd),
        "ended",
    );
    scene.is_out(&alice);
}

#[test]
fn auth_05_a_higher_risk_ends_open_streams_and_policies_decide_anew() {
    let judged = Judged::new();
    let scene = &judged.scene;
    let (alice, bob) = (judged.token("alice"), judged.token("bob"));
    let (hers, his) = (scene.session(&alice), scene.session(&bob));
    let listen = |session: &str, token: &str| Request::in_session("GET", session).token(token);
    let lost = scene.open(&listen(&hers, &alice));
    let mut kept = scene.open(&listen(&his, &bob));
    let began = Instant::now();
    let risk = |level: &str| {
        let members = json!({ "current_level": level, "principal": "USER" });
        judged.event("alice", "risk-level-change", &members)
    };
    let record = judged.says(&risk("HIGH"));
    assert_eq!(record["detail"]["said"], "risk-level high", "{record}");
    lost.end();
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    let closed = scene.gateway.expect("stream.closed", Some("changed"));
    assert_eq!(closed["principal"]["sub"], "alice", "{closed}");
    judged.denied(&listen(&hers, &alice), "not-at-risk");
    judged.denied(&call_in(&hers, &alice), "not-at-risk");
    scene.upstream.notify("ev-1", "for-bob");
    kept.until("for-bob").expect("his stream stays");
    // Low again: the same session goes on.
    judged.says(&risk("LOW"));
    judged.permitted(&call_in(&hers, &alice));
    // The level of assurance is a text of the issuer's.
    let pay = call("pay").token(&bob);
    judged.denied(&pay, "assured");
    let members = json!({ "namespace": "NIST-AAL", "current_level": "nist-aal2" });
    judged.says(&judged.event("bob", "assurance-level-change", &members));
    judged.permitted(&pay);
}
