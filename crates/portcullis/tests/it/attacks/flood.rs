//! Strangers who do too much of what is refused: the disk does not fill, and nothing they did is hidden.

use crate::harness::{Gateway, Key, Request, Scene, call, wait_for};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// How often each thing is done, and how many records of it there may be at once.
const FLOOD: u64 = 400;
const MOST: usize = 110;

/// The sums, once everything that was counted is in them.
fn sums(gateway: &Gateway, (event, reason): (&str, &str), count: u64) -> Vec<Value> {
    wait_for("every refusal in the log", || {
        (gateway.counted(event, reason) == count).then_some(())
    });
    let recorded = gateway.records(event, Some(reason)).len();
    assert!(recorded < MOST, "{recorded} records of {event} {reason}");
    gateway.records("flood.summarised", None)
}

fn claims(sums: &[Value]) -> Vec<String> {
    let all = sums.iter().filter_map(|sum| sum["detail"].as_object());
    let claims = all.flatten().filter(|(name, _)| name.starts_with("claim_"));
    claims
        .map(|(_, text)| text.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn tok_01_a_flood_of_refusals_does_not_fill_the_log_nor_hide_anything() {
    let scene = Scene::new();
    let strange = Key::ed("ed-1");
    let flood = call("echo").token(&scene.draft("mallory").key(&strange).sign());
    let hidden = scene.draft("mallory").claim("iss", "https://evil.example");
    let hidden = call("echo").token(&hidden.header("kid", "odd-one").sign());
    for _ in 0..FLOOD {
        assert_eq!(scene.send(&flood).status, 401);
    }
    // What is rare is recorded by itself, and says what the token claimed.
    let rare = scene.send(&hidden);
    assert_eq!(rare.status, 401);
    let record = scene.gateway.record_of(&rare);
    assert_eq!(record["reason"], "issuer", "{record}");
    assert_eq!(record["detail"]["claimed_issuer"], "https://evil.example");
    assert_eq!(record["detail"]["claimed_kid"], "odd-one");
    // Who is known is recorded as ever.
    scene.permits(&call("echo").token(&scene.token("alice")));

    let told = sums(&scene.gateway, ("authn.reject", "signature"), FLOOD);
    let sum = told.first().expect("a sum");
    assert_eq!(sum["detail"]["network"], "127.0.0.0/24", "{sum}");
    assert!(sum["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(sum["detail"]["first"].as_str() <= sum["detail"]["last"].as_str());
    let is_named = |claim: &String| claim.contains(" ed-1 ");
    assert!(claims(&told).iter().any(is_named), "{told:?}");
    assert_eq!(scene.gateway.verify().status.code(), Some(0));
}

#[test]
fn tok_01_what_hides_among_its_like_is_named_in_the_sum() {
    let scene = Scene::new();
    let claiming = |issuer: &str, key: &str| {
        let draft = scene.draft("mallory").claim("iss", issuer);
        call("echo").token(&draft.header("kid", key).sign())
    };
    let flood = claiming("https://noise.example", "k");
    let hidden = claiming("https://evil.example", "odd-one");
    for count in 0..FLOOD {
        let request = if count == 300 { &hidden } else { &flood };
        assert_eq!(scene.send(request).status, 401);
    }
    let told = sums(&scene.gateway, ("authn.reject", "issuer"), FLOOD);
    assert!(
        claims(&told).contains(&"https://evil.example odd-one 1".to_owned()),
        "{told:?}"
    );
}

#[test]
fn tok_01_what_never_became_a_request_is_counted_too_and_told_at_the_end() {
    let mut scene = Scene::new();
    let nowhere = Request::new("GET", "/nowhere");
    for _ in 0..FLOOD {
        let mut stream = TcpStream::connect(scene.gateway.address).unwrap();
        stream.write_all(b"NO HTTP\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(scene.send(&nowhere).status, 404);
    }
    assert!(scene.gateway.stop().success());
    for reason in ["broken", "path"] {
        assert_eq!(scene.gateway.counted("http.rejected", reason), FLOOD);
        assert!(scene.gateway.records("http.rejected", Some(reason)).len() < MOST);
    }
    let audit = scene.gateway.audit();
    assert_eq!(audit.last().unwrap()["event"], json!("gateway.stopped"));
    assert_eq!(scene.gateway.verify().status.code(), Some(0));
}

#[test]
fn tok_01_what_is_public_is_recorded_within_the_same_bounds() {
    let scene = Scene::new();
    let path = "/.well-known/oauth-protected-resource/servers/notes/mcp";
    for _ in 0..FLOOD {
        assert_eq!(scene.send(&Request::new("GET", path)).status, 200);
    }
    assert!(scene.gateway.records("metadata.served", None).len() < MOST);
    let sum = scene.gateway.expect("flood.summarised", None);
    let reasons = sum["detail"]["reasons"].as_str().unwrap();
    assert!(reasons.starts_with("metadata.served "), "{sum}");
}
