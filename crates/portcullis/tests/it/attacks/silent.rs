//! Servers of 2025-03-26 that need consent and say nothing of themselves: only where that is written is anything assumed.

use super::consent::{OPEN, connected, link, scene as before, works};
use crate::harness::{Browser, Consenting, Scene, wait_for};
use serde_json::json;

const ASSUMED: &str = "without_metadata = true\nregister = true\n";

fn asked(server: &Consenting) {
    let asked = server.own("/authorize").pop().unwrap();
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["resource"], server.upstream.url());
    assert_eq!(asked["client_id"], "registered");
    let redeemed = server.own("/token").pop().unwrap();
    assert_eq!(redeemed["resource"], server.upstream.url());
    assert!(server.authority.heard().is_empty(), "nobody else is asked");
}

/// Nobody is sent anywhere, and the record says why.
fn refuses(scene: &Scene, server: &Consenting, (event, reason): (&str, &str)) {
    let url = link(scene, "alice");
    let page = Browser::default().connects(&scene.gateway, &url);
    assert!(page.status >= 400, "{reason} {page:?}");
    let found = wait_for("the record of a page", || {
        scene.gateway.records(event, Some(reason)).pop()
    });
    assert_eq!(found["outcome"]["status"], page.status, "{found}");
    for path in ["/authorize", "/token", "/register"] {
        assert!(server.own(path).is_empty(), "{reason} {path}");
    }
}

#[test]
fn tok_15_a_server_that_says_nothing_of_itself_is_signed_in_to_where_that_is_written() {
    for of_authority in [Some(404), None] {
        let (scene, server) = before(Consenting::silent([404, 404], of_authority), ASSUMED);
        connected(&scene);
        works(&scene, "alice");
        asked(&server);
        let registered = server.own("/register").len();
        assert_eq!(registered, 1);
    }
}

#[test]
fn tok_15_nothing_is_assumed_of_a_server_where_nothing_is_written() {
    let (scene, server) = before(Consenting::silent([404, 404], None), OPEN);
    refuses(&scene, &server, ("oauth.refused", "status"));
}

#[test]
fn tok_15_nothing_is_assumed_of_a_server_that_says_anything() {
    // What cannot be had just now is not what is not there.
    for (of_resource, of_authority) in [
        ([500, 500], None),
        ([403, 403], None),
        ([403, 404], None),
        ([404, 500], None),
        ([404, 404], Some(503)),
    ] {
        let server = Consenting::silent(of_resource, of_authority);
        let (scene, server) = before(server, ASSUMED);
        refuses(&scene, &server, ("oauth.refused", "status"));
    }
    // What is there counts as it is, and has to be sound.
    let (scene, server) = before(Consenting::silent([200, 200], None), ASSUMED);
    refuses(&scene, &server, ("oauth.metadata_rejected", "malformed"));
    for (name, value, reason) in [
        ("code_challenge_methods_supported", json!(["plain"]), "pkce"),
        ("issuer", json!("https://elsewhere.example"), "issuer"),
    ] {
        let (scene, server) = before(Consenting::silent([404, 404], None), ASSUMED);
        server.authority.says(name, value);
        refuses(&scene, &server, ("oauth.metadata_rejected", reason));
    }
    // A server that names its metadata is none of 2025-03-26, also if there is nothing.
    let (scene, server) = before(Consenting::silent([404, 404], None), ASSUMED);
    let named = server
        .upstream
        .url()
        .replace("/mcp", "/.well-known/oauth-protected-resource/x");
    *server.metadata.lock().unwrap() = Some(named);
    refuses(&scene, &server, ("oauth.refused", "status"));
}
