//! ATK-014, ATK-099: who was disabled at the identity provider goes on; an event is forged, replayed or misdirected.

use crate::harness::{
    Draft, Request, Response, Scene, call, call_in, encode, next_second, now, unsigned, wait_for,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What is waited for at most until access has ended.
pub(super) const BOUND: Duration = Duration::from_secs(2);
pub(super) const AUDIENCE: &str = "https://gateway.example/signals/idp";
pub(super) const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
pub(super) const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";

const HEARD: &str = r#"
[issuers.idp]
issuer = "{idp}"
skew = "0s"
signals = { audience = "https://gateway.example/signals/idp" }

[servers.notes]
url = "{upstream}"
allow = ["*"]
"#;

pub(super) fn push(token: &str) -> Request {
    Request::new("POST", "/signals/idp")
        .set("content-type", "application/secevent+jwt")
        .set("accept", "application/json")
        .body(token)
}

impl Scene {
    /// An event of this subject, still to be changed.
    pub(super) fn event(&self, subject: &str, kind: &str) -> Draft {
        let sub_id = json!({ "format": "iss_sub", "iss": self.idp.issuer(), "sub": subject });
        self.idp
            .draft(subject, AUDIENCE)
            .header("typ", "secevent+jwt")
            .without("sub")
            .without("exp")
            .without("client_id")
            .claim("sub_id", sub_id)
            .claim("events", json!({ kind: { "event_timestamp": now() } }))
    }

    /// Pushes an event that must be taken, and waits until it is in effect.
    pub(super) fn tells(&self, event: &Draft, effect: &str) -> Value {
        let response = self.send(&push(&event.sign()));
        assert_eq!(
            (response.status, response.body.as_str()),
            (202, ""),
            "{response:?}"
        );
        let record = self.gateway.record_of(&response);
        assert_eq!(record["event"], "signal.accepted", "{record}");
        assert_eq!(record["detail"]["effect"], effect, "{record}");
        assert_eq!(record["detail"]["id"], event.jti(), "{record}");
        record
    }

    /// Pushes what must be answered and recorded so.
    pub(super) fn dismisses(
        &self,
        request: &Request,
        (status, code): (u16, &str),
        reason: &str,
    ) -> Response {
        let response = self.send(request);
        assert_eq!(response.status, status, "{reason}: {response:?}");
        if status == 400 || status == 401 {
            assert_eq!(response.json()["err"], code, "{reason}: {response:?}");
        }
        let record = self.gateway.record_of(&response);
        let (event, why) = (&record["event"], &record["reason"]);
        assert_eq!(
            (event, why),
            (&json!("signal.refused"), &json!(reason)),
            "{record}"
        );
        response
    }

    pub(super) fn is_out(&self, token: &str) {
        let refused = wait_for("the token to be refused", || {
            let response = self.send(&call("echo").token(token));
            (response.status == 401).then_some(response)
        });
        assert!(refused.challenge().contains("error=\"invalid_token\""));
        let record = self.gateway.record_of(&refused);
        let (event, reason) = (&record["event"], &record["reason"]);
        let expected = (&json!("authn.reject"), &json!("revoked"));
        assert_eq!((event, reason), expected, "{record}");
    }

    pub(super) fn is_in(&self, token: &str) {
        wait_for("the token to be accepted", || {
            (self.send(&call("echo").token(token)).status == 200).then_some(())
        });
        self.permits(&call("echo").token(token));
    }
}

#[test]
fn auth_05_a_session_that_the_provider_revokes_ends_within_two_seconds_and_no_other_does() {
    let scene = Scene::with(HEARD);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let (hers, his) = (scene.session(&alice), scene.session(&bob));
    let listen =
        |session: &str, token: &str| scene.open(&Request::in_session("GET", session).token(token));
    let lost = listen(&hers, &alice);
    let mut kept = listen(&his, &bob);

    let began = Instant::now();
    let event = scene.event("alice", &format!("{CAEP}session-revoked"));
    let record = scene.tells(&event, "ended");
    assert_eq!(record["detail"]["subject"], "alice", "{record}");
    assert_eq!(record["detail"]["issuer"], scene.idp.issuer().as_str());
    lost.end();
    let took = began.elapsed();
    assert!(took < BOUND, "the stream went on for {took:?}");
    scene.is_out(&alice);
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    println!("the stream was cut after {took:?}");
    let revoked = scene.gateway.expect("access.revoked", Some("subject"));
    assert_eq!(revoked["detail"]["why"], "session-revoked", "{revoked}");
    assert!(
        revoked["detail"]["by"]
            .as_str()
            .unwrap()
            .starts_with("issuer:")
    );

    scene.upstream.notify("ev-1", "for-bob");
    kept.until("for-bob").expect("his stream stays");
    scene.permits(&call_in(&his, &bob));
    // Who signs in again is let in again.
    next_second();
    scene.permits(&call("echo").token(&scene.token("alice")));
}

#[test]
fn auth_05_an_event_reaches_whom_it_names_where_users_are_called_by_another_claim() {
    let by_object = HEARD.replace("skew", "subject_claim = \"oid\"\nskew");
    let scene = Scene::with(&by_object);
    let token = |subject: &str, object: &str| scene.draft(subject).claim("oid", object).sign();
    let (alice, bob) = (token("alice", "1"), token("bob", "alice"));
    scene.is_in(&alice);
    let lost = scene.open(&Request::in_session("GET", &scene.session(&alice)).token(&alice));
    let event = scene.event("alice", &format!("{CAEP}session-revoked"));
    scene.tells(&event, "ended");
    lost.end();
    scene.is_out(&alice);
    // Whoever only has such an object id is somebody else.
    scene.is_in(&bob);
}

#[test]
fn auth_03_a_disabled_account_stays_out_until_it_is_enabled_and_an_event_counts_once() {
    let mut scene = Scene::with(HEARD);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    scene.permits(&call("echo").token(&alice));
    let disabled = scene.event("alice", &format!("{RISC}account-disabled"));
    scene.tells(&disabled, "disabled");
    scene.is_out(&alice);
    scene.is_out(&scene.draft("alice").claim("iat", now()).sign());
    scene.permits(&call("echo").token(&bob));

    // It is known after a restart, and so is the event.
    scene.gateway.restart();
    scene.is_out(&alice);
    let enabled = scene.event("alice", &format!("{RISC}account-enabled"));
    scene.tells(&enabled, "enabled");
    scene.gateway.expect("access.reinstated", Some("subject"));
    next_second();
    scene.permits(&call("echo").token(&scene.token("alice")));
    scene.is_out(&alice);
    let late = scene.token("alice");
    scene.is_in(&late);
    scene.gateway.restart();
    scene.dismisses(&push(&disabled.sign()), (202, ""), "replayed");
    scene.is_in(&late);

    // What an operator has revoked is not the provider's to give back.
    let issuer = scene.idp.issuer();
    scene.gateway.runs(
        "revoke",
        &["--issuer", &issuer, "--subject", "bob", "--until", "1h"],
    );
    scene.is_out(&bob);
    scene.tells(
        &scene.event("bob", &format!("{RISC}account-enabled")),
        "enabled",
    );
    scene.tells(
        &scene.event("carol", &format!("{CAEP}session-revoked")),
        "ended",
    );
    wait_for("both to be in effect", || {
        (scene.gateway.records("access.revoked", None).len() >= 3).then_some(())
    });
    scene.unauthenticated(&call("echo").token(&bob), "revoked");
}

#[test]
fn auth_05_forged_replayed_and_misdirected_events_change_nothing() {
    let scene = Scene::with(HEARD);
    let (admin, stranger) = (scene.token("admin"), crate::harness::Key::ed("ed-1"));
    let revoked = format!("{CAEP}session-revoked");
    let good = || scene.event("admin", &revoked);
    let foreign = json!({ "format": "iss_sub", "iss": "https://other.example", "sub": "admin" });
    let mail = json!({ "format": "email", "email": "admin@example.com" });
    let two = json!({ &revoked: {}, format!("{CAEP}credential-change"): {} });
    for (token, code, reason) in [
        (unsigned(&good().sign(), ""), "invalid_key", "signature"),
        (good().header("alg", "none").sign(), "invalid_key", "alg"),
        (good().sign_hmac(b"secret"), "invalid_key", "signature"),
        (good().key(&stranger).sign(), "invalid_key", "signature"),
        (
            good().claim("aud", scene.gateway.url("notes")).sign(),
            "invalid_audience",
            "audience",
        ),
        (
            good().claim("iss", "https://other.example").sign(),
            "invalid_issuer",
            "issuer",
        ),
        (
            good().header("typ", "at+jwt").sign(),
            "invalid_request",
            "typ",
        ),
        (
            scene.idp.draft("admin", AUDIENCE).sign(),
            "invalid_request",
            "typ",
        ),
        (
            good().claim("iat", now() + 60).sign(),
            "invalid_request",
            "time",
        ),
        (
            good().claim("iat", now() - 90_000).sign(),
            "invalid_request",
            "time",
        ),
        (good().without("jti").sign(), "invalid_request", "claims"),
        (
            good().claim("sub", "admin").sign(),
            "invalid_request",
            "claims",
        ),
        (
            good().claim("sub_id", foreign).sign(),
            "access_denied",
            "foreign",
        ),
        (
            good().claim("sub_id", mail).sign(),
            "invalid_request",
            "subject",
        ),
        (
            good().claim("events", two).sign(),
            "invalid_request",
            "events",
        ),
        ("a.b.c".to_owned(), "invalid_request", "malformed"),
        (String::new(), "invalid_request", "malformed"),
        (encode(b"{}"), "invalid_request", "malformed"),
    ] {
        scene.dismisses(&push(&token), (400, code), reason);
    }
    let json = push(&good().sign()).set("content-type", "application/json");
    scene.dismisses(&json, (400, "invalid_request"), "media_type");
    let large = "a".repeat(70_000);
    for (request, expected, recorded) in [
        (push(&good().sign()).to("/signals/other"), 404, "path"),
        (push(&good().sign()).method("PUT"), 405, "method"),
        (push(&large), 413, "too_large"),
    ] {
        let response = scene.send(&request);
        assert_eq!(response.status, expected, "{response:?}");
        let record = scene.gateway.record_of(&response);
        assert_eq!(
            (&record["event"], &record["reason"]),
            (&json!("http.rejected"), &json!(recorded))
        );
    }
    // An event is no access token.
    let event = scene
        .event("admin", &revoked)
        .claim("aud", scene.gateway.url("notes"));
    let token = event.claim("sub", "admin").claim("exp", now() + 60).sign();
    scene.unauthenticated(&call("echo").token(&token), "typ");

    scene.permits(&call("echo").token(&admin));
    assert!(scene.gateway.records("access.revoked", None).is_empty());
    // The twin: the same event, as it should be, and then again.
    let event = good();
    scene.tells(&event, "ended");
    scene.dismisses(&push(&event.sign()), (202, ""), "replayed");
    scene.is_out(&admin);
    scene.gateway.expect("access.revoked", None);
    assert_eq!(scene.gateway.records("access.revoked", None).len(), 1);
    assert!(!scene.gateway.traces().contains(&event.sign()));
}

#[test]
fn auth_05_events_without_the_agreed_bearer_token_or_too_many_are_refused() {
    let agreed = HEARD.replace(
        "signals/idp\" }",
        "signals/idp\", bearer = { env = \"PUSH\" } }",
    );
    let scene = Scene::started("export PUSH=open-sesame", &agreed);
    let kind = format!("{CAEP}credential-change");
    let token = scene.event("alice", &kind).sign();
    for request in [
        push(&token),
        push(&token).token("open-sesamf"),
        push(&token).set("authorization", "Basic open-sesame"),
    ] {
        let response = scene.dismisses(&request, (401, "authentication_failed"), "bearer");
        assert_eq!(response.challenge(), "Bearer");
    }
    let response = scene.send(&push(&token).token("open-sesame"));
    assert_eq!(response.status, 202, "{response:?}");
    assert!(!scene.gateway.traces().contains("open-sesame"));
    let bob = scene.token("bob");
    let mut last = response;
    for _ in 0..200 {
        last = scene.send(&push("x").token("open-sesame"));
        if last.status == 429 {
            break;
        }
    }
    assert_eq!(last.status, 429, "{last:?}");
    assert!(last.header("retry-after").is_some());
    let record = scene.gateway.record_of(&last);
    let (event, reason) = (&record["event"], &record["reason"]);
    assert_eq!(
        (event, reason),
        (&json!("ratelimit.triggered"), &json!("network"))
    );
    scene.permits(&call("echo").token(&bob));
}
