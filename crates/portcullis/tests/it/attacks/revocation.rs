//! ATK-014: who was revoked goes on with a token that has not expired, a session, a stream that is open.

use crate::harness::{Answer, Request, Scene, call, call_in, message, next_second, wait_for};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What an operator waits for at most until access has ended.
const BOUND: Duration = Duration::from_secs(2);

/// The usual configuration; the issuer's clock is as good as ours.
const EXACT: &str = "[issuers.idp]\nissuer = \"{idp}\"\nskew = \"0s\"\n[servers.notes]\nurl = \"{upstream}\"\nallow = [\"*\"]\n";

fn listen(session: &str, token: &str) -> Request {
    Request::in_session("GET", session).token(token)
}

impl Scene {
    fn revoke(&self, arguments: &[&str]) {
        let issuer = self.idp.issuer();
        self.gateway
            .runs("revoke", &[&["--issuer", &issuer], arguments].concat());
    }

    fn reinstate(&self, arguments: &[&str]) {
        let issuer = self.idp.issuer();
        self.gateway
            .runs("reinstate", &[&["--issuer", &issuer], arguments].concat());
    }

    /// Sends a request that must be refused, recorded and passed on to nobody. Meanwhile the server may be told that
    /// a session has ended.
    fn is_revoked(&self, request: &Request) {
        let posts = || {
            let seen = self.upstream.requests();
            seen.iter().filter(|seen| seen.method == "POST").count()
        };
        let before = posts();
        let response = self.send(request);
        assert_eq!(
            (response.status, response.code()),
            (401, 401),
            "{response:?}"
        );
        assert!(response.challenge().contains("error=\"invalid_token\""));
        let record = self.gateway.record_of(&response);
        assert_eq!(
            (&record["event"], &record["reason"]),
            (&json!("authn.reject"), &json!("revoked")),
            "{record}"
        );
        assert_eq!(posts(), before, "the upstream was reached");
    }

    fn ended(&self, event: &str, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} of {event}"), || {
            let records = self.gateway.records(event, Some("revoked"));
            (records.len() == count).then_some(records)
        })
    }
}

#[test]
fn auth_03_a_revoked_subject_loses_everything_within_two_seconds_and_nobody_else_does() {
    let scene = Scene::with(EXACT);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    let (hers, his) = (scene.session(&alice), scene.session(&bob));
    let is_asked = |seen: &crate::harness::Seen| seen.body.contains("\"forever\"");
    scene
        .upstream
        .misbehave(move |seen| is_asked(seen).then(|| Answer::events(": open\n\n")));
    let forever = |session: &str, token: &str| {
        let body = r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"forever","arguments":{}}}"#;
        call_in(session, token).body(body)
    };
    let lost = [
        scene.open(&listen(&hers, &alice)),
        scene.open(&forever(&hers, &alice)),
        scene.open(&call("forever").token(&alice)),
    ];
    let mut kept = [
        scene.open(&listen(&his, &bob)),
        scene.open(&forever(&his, &bob)),
    ];
    let before = scene.upstream.requests().len();

    let began = Instant::now();
    scene.revoke(&["--subject", "alice", "--reason", "left the company"]);
    for stream in lost {
        assert_eq!(stream.response.status, 200);
        stream.end();
    }
    let took = began.elapsed();
    assert!(took < BOUND, "the streams went on for {took:?}");
    let request = call("echo").token(&alice);
    scene.is_revoked(&request);
    scene.is_revoked(&call_in(&hers, &alice));
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    println!("streams were cut after {took:?}");

    let revoked = scene.gateway.expect("access.revoked", Some("subject"));
    assert_eq!(revoked["principal"]["sub"], "alice", "{revoked}");
    assert_eq!(revoked["detail"]["why"], "left the company", "{revoked}");
    assert!(
        revoked["detail"]["by"]
            .as_str()
            .unwrap()
            .starts_with("uid:")
    );
    for record in scene.ended("stream.closed", 3) {
        assert_eq!(record["principal"]["sub"], "alice", "{record}");
    }
    let session = scene.ended("session.terminated", 1).remove(0);
    let owner = session["detail"]["owner"].as_str().unwrap();
    assert!(owner.ends_with("|alice"), "{session}");
    // Two answers that were under way, and the two that were asked for afterwards.
    scene.ended("authn.reject", 4);
    assert_eq!(scene.gateway.records("exchange.abandoned", None).len(), 0);
    let told = wait_for("the server to be told", || {
        let since = scene.upstream.requests().split_off(before);
        since.into_iter().find(|seen| seen.method == "DELETE")
    });
    assert!(told.header("mcp-session-id").is_some());

    scene.upstream.notify("ev-1", "for-bob");
    for stream in &mut kept {
        stream.until("for-bob").expect("his streams stay");
    }
    scene.permits(&call_in(&his, &bob));

    // Who signs in again is let in again.
    next_second();
    scene.permits(&call("echo").token(&scene.token("alice")));
    scene.permits(&call_in(
        &scene.session(&scene.token("alice")),
        &scene.token("alice"),
    ));
    scene.is_revoked(&request);
}

#[test]
fn auth_03_a_token_or_a_client_is_revoked_alone_and_reinstated() {
    let scene = Scene::new();
    let draft = scene.draft("alice");
    let (first, jti) = (draft.sign(), draft.jti());
    let second = scene.draft("alice").claim("client_id", "other").sign();
    let rows = [
        ("token", ["--token-id", jti.as_str()]),
        ("client", ["--client", "agent"]),
        ("subject", ["--subject", "alice"]),
    ];
    for (kind, arguments) in rows {
        let (mine, others) = (scene.session(&first), scene.session(&second));
        scene.permits(&call_in(&mine, &first)); // it is known by now, and must be forgotten
        scene.revoke(&arguments);
        let record = scene.gateway.expect("access.revoked", Some(kind));
        assert_eq!(record["detail"]["issuer"], scene.idp.issuer().as_str());
        scene.is_revoked(&call_in(&mine, &first));
        if kind == "subject" {
            scene.is_revoked(&call_in(&others, &second));
        } else {
            scene.permits(&call_in(&others, &second));
        }
        scene.reinstate(&arguments);
        scene.gateway.expect("access.reinstated", Some(kind));
        scene.permits(&call("echo").token(&first));
        let gone = scene.send(&call_in(&mine, &first));
        assert_eq!(gone.status, 404, "what has ended stays so: {gone:?}");
    }
}

#[test]
fn auth_03_locks_out_until_a_time_and_over_a_restart() {
    let mut scene = Scene::with(EXACT);
    let (alice, bob) = (scene.token("alice"), scene.token("bob"));
    scene.permits(&call("echo").token(&alice));
    scene.gateway.stop();
    scene.revoke(&["--subject", "alice", "--until", "1h"]);
    scene.gateway.restart();
    scene.gateway.expect("access.revoked", Some("subject"));
    scene.is_revoked(&call("echo").token(&alice));
    scene.is_revoked(&call("echo").token(&scene.token("alice")));
    scene.permits(&call("echo").token(&bob));
    scene.gateway.restart();
    scene.is_revoked(&call("echo").token(&alice));
    let recorded = scene.gateway.records("access.revoked", None);
    assert_eq!(recorded.len(), 1, "recorded once: {recorded:?}");
}

#[test]
fn tok_11_a_stolen_token_is_revoked_by_itself() {
    let scene = Scene::with(
        "[issuers.local]\nembedded = true\n[servers.notes]\nurl = \"{upstream}\"\nallow = [\"*\"]\n",
    );
    let (stolen, own) = (scene.gateway.token("notes"), scene.gateway.token("notes"));
    scene.permits(&call("echo").token(&stolen));
    let data = scene.gateway.data().display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["revoke", "--data", &data, "--token", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = command.stdin.take().unwrap();
    writeln!(input, "{stolen}").unwrap();
    drop(input);
    assert!(command.wait().unwrap().success());
    scene.gateway.expect("access.revoked", Some("token"));
    scene.is_revoked(&call("echo").token(&stolen));
    scene.permits(&call("echo").token(&own));
    assert!(!scene.gateway.traces().contains(&stolen));
}

#[test]
fn auth_03_serves_nobody_while_it_cannot_know_who_is_revoked() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let request = call("echo").token(&token);
    scene.permits(&request);
    let file = scene.gateway.data().join("state.db");
    let aside = file.with_extension("aside");
    let began = Instant::now();
    std::fs::rename(&file, &aside).unwrap();
    scene.permits(&request); // what was read a moment ago is believed for a moment
    wait_for("nobody to be served", || {
        (scene.send(&request).status == 503).then_some(())
    });
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(8)).contains(&took),
        "{took:?}"
    );
    scene.refuses(&request, (503, -32603), ("gateway.unavailable", "state"));
    let list = message("tools/list", json!({})).token("forged");
    scene.refuses(&list, (503, -32603), ("gateway.unavailable", "state"));
    assert_eq!(scene.gateway.ask_admin("/readyz").status, 503);
    scene.gateway.expect("state.unreadable", None);

    std::fs::rename(&aside, &file).unwrap();
    wait_for("everybody to be served again", || {
        (scene.send(&request).status == 200).then_some(())
    });
    scene.permits(&request);
    scene.gateway.expect("state.readable", None);
    assert_eq!(scene.gateway.records("state.unreadable", None).len(), 1);
    assert_eq!(scene.gateway.ask_admin("/readyz").status, 200);
}
