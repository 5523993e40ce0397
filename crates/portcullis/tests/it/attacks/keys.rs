//! ATK-007: key ids that nobody knows, by the hundred; and keys that change while all this goes on.

use crate::harness::{Key, Scene, call, wait_for};
use std::thread;
use std::time::Duration;

/// Threads that knock at once, and how often each of them does.
const KNOCKERS: usize = 4;
const KNOCKS: usize = 60;
/// How long a valid user may wait beside them, on a machine that does much else.
const FAST: Duration = Duration::from_secs(10);

#[test]
fn auth_08_fetches_keys_once_for_a_flood_of_unknown_key_ids() {
    let scene = Scene::new();
    let at_start = scene.idp.fetches();
    let good = scene.token("alice");
    thread::scope(|scope| {
        for knocker in 0..KNOCKERS {
            let scene = &scene;
            scope.spawn(move || {
                for knock in 0..KNOCKS {
                    let token = scene
                        .draft("alice")
                        .header("kid", format!("{knocker}-{knock}"))
                        .sign();
                    assert_eq!(scene.send(&call("echo").token(&token)).status, 401);
                }
            });
        }
        for _ in 0..KNOCKS / 4 {
            let began = std::time::Instant::now();
            assert_eq!(scene.send(&call("echo").token(&good)).status, 200);
            assert!(
                began.elapsed() < FAST,
                "a valid user waited {:?}",
                began.elapsed()
            );
        }
    });
    assert!(
        scene.idp.fetches() <= at_start + 1,
        "{} fetches",
        scene.idp.fetches() - at_start
    );
    let knocks = u64::try_from(KNOCKERS * KNOCKS).unwrap();
    wait_for("every knock in the log", || {
        (scene.gateway.counted("authn.reject", "kid") == knocks).then_some(())
    });
    let suppressed = scene.gateway.records("jwks.refresh_suppressed", None).len();
    assert!(suppressed > 0, "nothing tells of the flood");
    assert_eq!(scene.upstream.requests().len(), KNOCKS / 4);
}

#[test]
fn tok_08_rotates_keys_without_a_false_reject() {
    let scene = Scene::new();
    let (old, new) = (scene.idp.key("ed-1"), Key::ed("ed-2"));
    scene.permits(&call("echo").token(&scene.token("alice")));
    scene.idp.publish(&[old.clone(), new.clone()]);
    thread::scope(|scope| {
        for key in [&old, &new, &new, &new] {
            let scene = &scene;
            scope.spawn(move || {
                for _ in 0..20 {
                    let token = scene.draft("alice").key(key).sign();
                    let response = scene.send(&call("echo").token(&token));
                    assert_eq!(
                        response.status, 200,
                        "a false reject with {}: {response:?}",
                        key.id
                    );
                }
            });
        }
    });
    assert_eq!(scene.gateway.records("authn.reject", None).len(), 0);
}

#[test]
fn tok_08_forgets_a_key_that_its_issuer_withdrew() {
    let scene = Scene::new();
    let (old, new) = (scene.token("alice"), Key::ed("ed-2"));
    scene.permits(&call("echo").token(&old)); // verified, and remembered so
    scene.idp.publish(std::slice::from_ref(&new));
    scene.permits(&call("echo").token(&scene.draft("alice").key(&new).sign()));
    scene.unauthenticated(&call("echo").token(&old), "kid");
}

#[test]
fn tok_08_lets_nobody_in_while_an_issuer_is_unreachable() {
    let scene = Scene::new();
    scene.idp.publish(&[]);
    let unknown = scene.draft("alice").header("kid", "ed-2").sign();
    scene.unauthenticated(&call("echo").token(&unknown), "kid");
    wait_for("the failed fetch", || {
        scene.gateway.records("jwks.refresh_failed", None).pop()
    });
    // What it said before still counts.
    scene.permits(&call("echo").token(&scene.token("alice")));
}
