//! ATK-014, ATK-099: events that have to be fetched are forged, misdirected, replayed, lost on the way, or never come.

use super::signals::{AUDIENCE, BOUND, CAEP, RISC};
use crate::harness::{
    AMPLE, Doing, Draft, Host, Key, Request, Scene, Transmitter, call, call_in, next_second, now,
    wait_for,
};
use serde_json::json;
use std::time::{Duration, Instant};

const SECRET: &str = "open-sesame";

struct Fed {
    scene: Scene,
    transmitter: Transmitter,
}

impl Fed {
    /// `more` are further keys of the feed.
    fn with(more: &str) -> Self {
        let transmitter = Transmitter::start(SECRET);
        let scene = Self::at(&transmitter, more);
        Self { scene, transmitter }
    }

    fn at(transmitter: &Transmitter, more: &str) -> Scene {
        let url = transmitter.url();
        let config = format!(
            "{AMPLE}[issuers.idp]\nissuer = \"{{idp}}\"\nskew = \"0s\"\n\
             [issuers.idp.signals]\naudience = \"{AUDIENCE}\"\n\
             poll = {{ url = \"{url}\", bearer = {{ env = \"FEED\" }}{more} }}\n\
             [servers.notes]\nurl = \"{{upstream}}\"\nallow = [\"*\"]\n"
        );
        Scene::started(&format!("export FEED={SECRET}"), &config)
    }

    /// Has an event ready under its own id.
    fn has(&self, event: &Draft) {
        self.transmitter.has(&event.jti(), &event.sign());
    }

    /// Has an event ready that must be refused so.
    fn refuses(&self, id: &str, token: &str, (code, reason): (&str, &str)) {
        self.transmitter.has(id, token);
        assert_eq!(self.transmitter.until_refused(id), code, "{reason}");
        let records = self.scene.gateway.records("signal.refused", Some(reason));
        let record = records.iter().find(|record| record["detail"]["id"] == id);
        let record = record.unwrap_or_else(|| panic!("{reason}: {records:?}"));
        assert_eq!(record["detail"]["delivery"], "poll", "{record}");
        assert!(!self.transmitter.is_taken(id), "{reason}");
    }
}

#[test]
fn auth_03_who_is_disabled_is_out_within_two_seconds_where_events_are_fetched() {
    let fed = Fed::with("");
    let scene = &fed.scene;
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let (hers, his) = (scene.session(&alice), scene.session(&bob));
    let listen =
        |session: &str, token: &str| scene.open(&Request::in_session("GET", session).token(token));
    let (lost, mut kept) = (listen(&hers, &alice), listen(&his, &bob));

    let event = scene.event("alice", &format!("{RISC}account-disabled"));
    let began = Instant::now();
    fed.has(&event);
    lost.end();
    let took = began.elapsed();
    assert!(took < BOUND, "the stream went on for {took:?}");
    scene.is_out(&alice);
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    println!("the stream was cut after {took:?}");
    fed.transmitter.until_taken(&event.jti());
    let record = scene.gateway.expect("signal.accepted", None);
    for (fact, expected) in [
        ("delivery", "poll"),
        ("effect", "disabled"),
        ("event", "account-disabled"),
        ("subject", "alice"),
        ("id", event.jti().as_str()),
        ("issuer", scene.idp.issuer().as_str()),
    ] {
        assert_eq!(record["detail"][fact], expected, "{record}");
    }
    scene.gateway.expect("access.revoked", Some("subject"));
    scene.is_out(&scene.draft("alice").claim("iat", now()).sign());

    // The twin: everybody else goes on, and she does once her account is enabled.
    scene.upstream.notify("ev-1", "for-bob");
    kept.until("for-bob").expect("his stream stays");
    scene.permits(&call_in(&his, &bob));
    fed.has(&scene.event("alice", &format!("{RISC}account-enabled")));
    scene.gateway.expect("access.reinstated", Some("subject"));
    next_second();
    scene.is_in(&scene.token("alice"));

    // What waits is waited for, and nobody was told the secret.
    let asked = fed.transmitter.seen();
    assert!(asked.len() < 20, "{}", asked.len());
    let first: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(
        first,
        json!({ "maxEvents": 15, "returnImmediately": true, "ack": [] })
    );
    assert!(asked[1].body.contains("\"returnImmediately\":false"));
    assert!(!scene.gateway.traces().contains(SECRET));
}

#[test]
fn auth_03_forged_misdirected_and_replayed_events_change_nothing_where_they_are_fetched() {
    let fed = Fed::with("");
    let scene = &fed.scene;
    let admin = scene.token("admin");
    let revoked = format!("{CAEP}session-revoked");
    let good = || scene.event("admin", &revoked);
    let foreign = json!({ "format": "iss_sub", "iss": "https://other.example", "sub": "admin" });
    let stranger = Key::ed("ed-1");
    for (event, expected) in [
        (good().key(&stranger), ("invalid_key", "signature")),
        (good().header("alg", "none"), ("invalid_key", "alg")),
        (
            good().claim("iss", "https://other.example"),
            ("invalid_issuer", "issuer"),
        ),
        (
            good().claim("aud", scene.gateway.url("notes")),
            ("invalid_audience", "audience"),
        ),
        (good().header("typ", "at+jwt"), ("invalid_request", "typ")),
        (
            good().claim("iat", now() - 90_000),
            ("invalid_request", "time"),
        ),
        (
            good().claim("sub_id", foreign),
            ("access_denied", "foreign"),
        ),
    ] {
        fed.refuses(&event.jti(), &event.sign(), expected);
    }
    // Under another id than its own it would count again.
    fed.refuses("other", &good().sign(), ("invalid_request", "claims"));
    fed.refuses("none", "a.b.c", ("invalid_request", "malformed"));
    scene.permits(&call("echo").token(&admin));
    assert!(scene.gateway.records("access.revoked", None).is_empty());

    // The twin, which comes again although it was acknowledged.
    let event = good();
    fed.transmitter.does(Doing::Forgetful);
    fed.has(&event);
    scene.is_out(&admin);
    let replayed = scene.gateway.expect("signal.refused", Some("replayed"));
    assert_eq!(replayed["detail"]["id"], event.jti(), "{replayed}");
    next_second();
    scene.is_in(&scene.token("admin"));
    assert_eq!(scene.gateway.records("access.revoked", None).len(), 1);
    assert_eq!(scene.gateway.records("signal.accepted", None).len(), 1);
    let before = fed.transmitter.seen().len();
    next_second();
    let asked = fed.transmitter.seen().len() - before;
    assert!(asked <= 3, "no haste for what is no news: {asked}");
}

#[test]
fn auth_03_an_event_that_was_taken_and_not_acknowledged_comes_again_and_counts_once() {
    let mut fed = Fed::with("");
    let alice = fed.scene.token("alice");
    fed.transmitter.does(Doing::Deaf);
    let event = fed.scene.event("alice", &format!("{RISC}account-disabled"));
    fed.has(&event);
    fed.scene.gateway.expect("signal.accepted", None);
    fed.scene.gateway.kill();
    assert!(!fed.transmitter.is_taken(&event.jti()), "nobody heard it");
    fed.transmitter.does(Doing::Duty);
    fed.scene.gateway.restart();
    fed.transmitter.until_taken(&event.jti());
    fed.scene.is_out(&alice);
    fed.scene.gateway.expect("signal.refused", Some("replayed"));
    assert_eq!(fed.scene.gateway.records("signal.accepted", None).len(), 1);
    let bob = fed.scene.token("bob");
    fed.scene.permits(&call("echo").token(&bob));
}

#[test]
fn auth_03_an_event_that_cannot_be_kept_is_not_acknowledged() {
    let fed = Fed::with("");
    let alice = fed.scene.token("alice");
    fed.scene.permits(&call("echo").token(&alice));
    let file = fed.scene.gateway.data().join("state.db");
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).unwrap();
    let event = fed.scene.event("alice", &format!("{RISC}account-disabled"));
    fed.has(&event);
    wait_for("it not to be kept", || {
        let said = fed.scene.gateway.stderr();
        said.contains("a security event was not kept").then_some(())
    });
    next_second();
    assert!(!fed.transmitter.is_taken(&event.jti()), "it would be lost");
    assert!(
        fed.scene
            .gateway
            .records("signal.accepted", None)
            .is_empty()
    );

    std::fs::rename(&aside, &file).unwrap();
    fed.transmitter.until_taken(&event.jti());
    fed.scene.is_out(&alice);
    fed.scene.gateway.expect("signal.accepted", None);
}

#[test]
fn auth_03_a_feed_that_is_silent_is_told_and_denies_where_that_is_wanted() {
    let lure = Host::lure();
    let elsewhere = format!("location: {}/poll\r\n", lure.url());
    let elsewhere: &'static str = elsewhere.leak();
    let transmitter = Transmitter::start(SECRET);
    let gone = || Doing::Says(307, elsewhere, "{}".to_owned());
    transmitter.does(gone());
    let strict = Fed::at(&transmitter, ", stale_after = \"2s\", on_stale = \"deny\"");
    let lax = Fed::at(&transmitter, ", stale_after = \"2s\"");
    let alice = strict.token("alice");
    let is_kept_out = || {
        let expected = ("gateway.unavailable", "feed");
        let response = strict.refuses(&call("echo").token(&alice), (503, -32603), expected);
        assert!(response.header("retry-after").is_some(), "{response:?}");
    };
    // Nobody knows yet whether she was disabled.
    is_kept_out();
    lax.permits(&call("echo").token(&lax.token("alice")));
    for (scene, effect) in [(&strict, "denied"), (&lax, "none")] {
        let record = scene.gateway.expect("signal.feed_stale", None);
        assert_eq!(record["detail"]["effect"], effect, "{record}");
        assert_eq!(record["detail"]["error"], "answered with status 307");
    }
    is_kept_out();
    lax.permits(&call("echo").token(&lax.token("alice")));

    transmitter.does(Doing::Duty);
    for scene in [&strict, &lax] {
        scene.gateway.expect("signal.feed_fresh", None);
        scene.permits(&call("echo").token(&scene.token("alice")));
    }
    let session = strict.session(&alice);
    let stream = strict.open(&Request::in_session("GET", &session).token(&alice));
    let broken = r#"{"sets":{},"sets":{}}"#.to_owned();
    transmitter.does(Doing::Says(200, "", broken));
    let began = Instant::now();
    stream.end();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "it went on for {took:?}");
    is_kept_out();
    wait_for("it to be told again", || {
        let told = lax.gateway.records("signal.feed_stale", None);
        (told.len() == 2).then_some(())
    });
    transmitter.does(Doing::Duty);
    wait_for("the feed", || {
        (strict.send(&call("echo").token(&alice)).status == 200).then_some(())
    });
    // Who does not have to be heard any more keeps nobody out.
    transmitter.does(gone());
    wait_for("it to be stale", || {
        (strict.send(&call("echo").token(&alice)).status == 503).then_some(())
    });
    strict
        .gateway
        .reload("on_stale = \"deny\"", "on_stale = \"record\"");
    strict.permits(&call("echo").token(&alice));
    assert!(lure.seen().is_empty(), "redirects lead nowhere");
}
