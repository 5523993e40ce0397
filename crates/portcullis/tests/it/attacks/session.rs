//! ATK-015, ATK-016 and ATK-017: session ids as tokens, other people's sessions, guessed and chosen ids.

use crate::harness::{Idp, Request, Scene, call, call_in, encode, hex, initialize, now};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::collections::HashSet;

/// Enough for a thousand sessions without a pause.
const BUSY: &str = "[quota]\nrequests_per_minute = 1000000\nburst = 1000000\n";
/// An id that has the right form and was never given.
const NEVER: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The three things that can be done with a session.
fn three(session: &str, token: &str) -> [Request; 3] {
    [
        call_in(session, token),
        Request::in_session("GET", session).token(token),
        Request::in_session("DELETE", session).token(token),
    ]
}

#[test]
fn man_2_lets_nobody_in_for_a_session_id() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let session = scene.session(&token);
    let expired = scene.draft("alice").claim("exp", now() - 100).sign();
    for request in three(&session, "") {
        scene.unauthenticated(&request.clone().unset("authorization"), "missing");
        scene.unauthenticated(
            &request
                .clone()
                .unset("authorization")
                .set("cookie", &format!("mcp-session-id={session}")),
            "missing",
        );
        scene.unauthenticated(&request.clone().token(&session), "malformed");
        scene.unauthenticated(&request.token(&expired), "expired");
    }
    // Nor does a connection on which somebody was known before know the next one.
    let first = call_in(&session, &token).body(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    let mut stream = scene.open(&first);
    assert_eq!(stream.response.status, 200);
    stream.until("result").unwrap();
    scene.unauthenticated(&first.unset("authorization"), "missing");
    scene.permits(&call_in(&session, &token));
}

#[test]
fn ses_02_tells_a_stolen_id_from_nothing() {
    let scene = Scene::new();
    let (alice, mallory) = (scene.token("alice"), scene.token("mallory"));
    let session = scene.session(&alice);
    for (stolen, random) in three(&session, &mallory).iter().zip(three(NEVER, &mallory)) {
        let stolen = scene.refuses(
            stolen,
            (404, 404),
            ("session.principal_mismatch", "principal_mismatch"),
        );
        let random = scene.refuses(&random, (404, 404), ("session.reject", "unknown"));
        assert_eq!(stolen.shape(), random.shape());
        assert!(!stolen.body.contains(&session));
    }
    scene.permits(&call_in(&session, &alice));
}

#[test]
fn ses_08_binds_a_session_to_its_principal_and_server() {
    let (idp, other) = (Idp::start(), Idp::start());
    let upstream = crate::harness::Upstream::start();
    let (one, two, url) = (idp.issuer(), other.issuer(), upstream.url());
    let config = format!(
        "[issuers.one]\nissuer = \"{one}\"\n[issuers.two]\nissuer = \"{two}\"\n[servers.notes]\nurl = \"{url}\"\nallow = [\"*\"]\n\
         [servers.finance]\nurl = \"{url}\"\nallow = [\"*\"]\n"
    );
    let scene = Scene {
        gateway: crate::harness::Gateway::start(&config),
        upstream,
        idp,
    };
    let alice = scene.token("alice");
    let session = scene.session(&alice);
    // The same name at another issuer, and names that a careless key would confuse.
    let namesake = other.draft("alice", &scene.gateway.url("notes")).sign();
    for token in [
        namesake,
        scene.token("Alice"),
        scene.token("alice "),
        scene.token(&format!("{one}|alice")),
        scene.token("alice|"),
    ] {
        for request in three(&session, &token) {
            scene.refuses(
                &request,
                (404, 404),
                ("session.principal_mismatch", "principal_mismatch"),
            );
        }
    }
    for id in ["alice:", "alice|", "alice%7C"].map(|prefix| format!("{prefix}{session}")) {
        scene.refuses(
            &call_in(&id, &scene.token("mallory")),
            (404, 404),
            ("session.reject", "unknown"),
        );
        scene.refuses(
            &call_in(&id, &alice),
            (404, 404),
            ("session.reject", "unknown"),
        );
    }
    // The owner's own session, at a server that it is not with.
    let finance = scene
        .idp
        .draft("alice", &scene.gateway.url("finance"))
        .sign();
    for request in three(&session, &finance) {
        scene.refuses(
            &request.to("/servers/finance/mcp"),
            (404, 404),
            ("session.reject", "unknown"),
        );
    }
    // A new token of the same principal: what is bound is the principal, not the token.
    scene.permits(&call_in(&session, &scene.token("alice")));
}

#[test]
fn ses_02_binds_a_session_to_the_client_too() {
    let scene = Scene::new();
    let own = scene.token("alice");
    let session = scene.session(&own);
    let other = scene
        .draft("alice")
        .claim("client_id", "another-app")
        .sign();
    let response = scene.send(&call_in(&session, &other));
    assert_eq!(
        response.status, 404,
        "another client of the same user has the session"
    );
    scene.permits(&call_in(&session, &own));
}

#[test]
fn ses_05_draws_ids_that_cannot_be_guessed() {
    const COUNT: usize = 1000;
    let mut scene = Scene::and(BUSY);
    let token = scene.token("alice");
    let mut ids = HashSet::new();
    let mut ones = 0;
    let mut last = Vec::new();
    for round in 0..=COUNT {
        if round == COUNT - 100 {
            scene.gateway.restart(); // nor does a restart begin the sequence again
            last = Vec::new();
        }
        let id = scene.session(&token);
        assert_eq!(id.len(), 43, "{id}");
        let bytes = URL_SAFE_NO_PAD
            .decode(&id)
            .expect("base64url without padding");
        assert_eq!(encode(&bytes), id);
        assert!(bytes.len() >= 16, "at least 128 bits");
        ones += bytes.iter().map(|byte| byte.count_ones()).sum::<u32>();
        assert!(
            last.is_empty() || bytes[..8] != last[..8],
            "a counter or a time"
        );
        last = bytes;
        assert!(ids.insert(id), "an id was given twice");
    }
    let expected = u32::try_from(ids.len() * 128).unwrap();
    assert!(
        ones.abs_diff(expected) < 1600,
        "{ones} of {} bits are set",
        2 * expected
    );
    let seen = scene.upstream.requests();
    assert!(seen.iter().all(|seen| {
        !ids.iter()
            .any(|id| seen.header("mcp-session-id") == Some(id))
    }));
    let written = scene.gateway.traces();
    assert!(
        ids.iter().all(|id| !written.contains(id.as_str())),
        "a session id was written"
    );
}

#[test]
fn ses_07_forgets_sessions_over_a_restart() {
    let mut scene = Scene::new();
    let token = scene.token("alice");
    let session = scene.session(&token);
    scene.gateway.restart();
    scene.refuses(
        &call_in(&session, &token),
        (404, 404),
        ("session.reject", "unknown"),
    );
    let again = scene.session(&token);
    assert_ne!(again, session);
    scene.permits(&call_in(&again, &token));
}

#[test]
fn ses_06_knows_one_form_of_an_id() {
    let scene = Scene::new();
    let token = scene.token("alice");
    let session = scene.session(&token);
    let bytes = URL_SAFE_NO_PAD.decode(&session).unwrap();
    let not_canonical = {
        let last = session.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let place = alphabet.find(last).unwrap();
        format!("{}{}", &session[..42], &alphabet[place + 1..place + 2]) // the same bytes, if spare bits did not count
    };
    for id in [
        format!("{session}="),
        base64::engine::general_purpose::STANDARD.encode([0xff; 32]),
        base64::engine::general_purpose::STANDARD_NO_PAD.encode([0xff; 32]),
        hex(&bytes),
        not_canonical,
        session.to_lowercase() + "a",
        format!("{session}{session}"),
        format!("{session},{session}"),
        format!("{session};path=/"),
        format!("\"{session}\""),
        session[..42].to_owned(),
        "A".repeat(8192),
        "../../etc/passwd".to_owned(),
        "%00".to_owned(),
        "0".to_owned(),
        "undefined".to_owned(),
        String::new(),
    ] {
        let response = scene.refuses(
            &call_in(&id, &token),
            (404, 404),
            ("session.reject", "unknown"),
        );
        assert!(
            id.len() < 4 || !response.body.contains(&id),
            "an unknown id was echoed"
        );
    }
    let twice = call_in(&session, &token).add("mcp-session-id", &session);
    assert_eq!(scene.send(&twice).status, 400);
    let none = call_in(&session, &token).unset("mcp-session-id");
    scene.refuses(&none, (400, -32600), ("session.reject", "missing"));
    scene.permits(&call_in(&session, &token));
}

#[test]
fn ses_04_never_takes_an_id_that_a_client_chose() {
    let scene = Scene::new();
    let token = scene.token("alice");
    for chosen in [NEVER, "upstream-0", "chosen"] {
        let request = initialize(&token).set("mcp-session-id", chosen);
        let response = scene.refuses(&request, (404, 404), ("session.reject", "unknown"));
        assert_eq!(response.header("mcp-session-id"), None);
        scene.refuses(
            &call_in(chosen, &token),
            (404, 404),
            ("session.reject", "unknown"),
        );
    }
    assert_eq!(scene.gateway.records("session.created", None).len(), 0);
    // Nor does an attacker's session become the victim's by a login in it.
    let mallory = scene.session(&scene.token("mallory"));
    let request = initialize(&token).set("mcp-session-id", &mallory);
    scene.refuses(
        &request,
        (404, 404),
        ("session.principal_mismatch", "principal_mismatch"),
    );
    let own = scene.session(&token);
    assert_ne!(own, mallory);
    scene.permits(&call_in(&own, &token));
    scene.permits(&call("echo").token(&token).set("mcp-session-id", NEVER)); // of no meaning where there are no sessions
}

#[test]
fn ses_12_a_session_of_before_other_rights_is_worth_nothing_after_them() {
    let scene = Scene::new();
    let draft = || {
        let draft = scene.draft("alice").claim("scope", "notes.read");
        let draft = draft.claim("roles", json!(["viewer", "editor"]));
        draft.claim("groups", json!(["staff"]))
    };
    let low = draft().sign();
    for (raised, what) in [
        (draft().claim("acr", "urn:example:gold"), "a stronger login"),
        (
            draft().claim("roles", json!(["viewer", "admin"])),
            "another role",
        ),
        (draft().claim("roles", json!(["viewer"])), "one role less"),
        (
            draft().claim("groups", json!(["staff", "board"])),
            "a group",
        ),
        (draft().claim("scope", "notes.read notes.write"), "a scope"),
    ] {
        // As an attacker would, who has fixed the id before the victim steps up.
        let fixed = scene.session(&low);
        scene.permits(&call_in(&fixed, &low));
        let raised = raised.sign();
        for request in three(&fixed, &raised) {
            let fixed = scene.session(&low);
            let request = request.set("mcp-session-id", &fixed);
            // The server hears that the session is over, and nothing else.
            let refused = scene.send(&request);
            assert_eq!(refused.status, 404, "{what} {refused:?}");
            let record = scene.gateway.record_of(&refused);
            let told = (&record["event"], &record["reason"]);
            assert_eq!(told, (&json!("session.reject"), &json!("rights_changed")));
            assert!(!refused.body.contains(&fixed), "{what}");
            // It is over, for whoever has it, and with whatever token.
            for token in [&raised, &low] {
                let late = call_in(&fixed, token);
                let late = scene.send(&late);
                assert_eq!(late.status, 404, "{what} {late:?}");
                assert_eq!(scene.gateway.record_of(&late)["reason"], "unknown");
            }
        }
        let own = scene.session(&raised);
        assert_ne!(own, fixed, "{what}");
        scene.permits(&call_in(&own, &raised));
    }
    let over = scene
        .gateway
        .expect("session.terminated", Some("rights_changed"));
    assert!(
        over["detail"]["owner"]
            .as_str()
            .unwrap()
            .ends_with("|alice")
    );
    // A new token of the same rights, told in another order, goes on in the same session.
    let session = scene.session(&low);
    let same = draft()
        .claim("roles", json!(["editor", "viewer", "editor"]))
        .sign();
    scene.permits(&call_in(&session, &same));
    scene.permits(&call_in(&session, &low));
}
