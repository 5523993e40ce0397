//! What servers are shown, by row.

use super::*;
use crate::authenticate::operating_system_user;
use crate::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

fn scopes() -> Scopes {
    let tools = [("write".to_owned(), vec!["notes:write", "notes:read"])];
    Scopes::new(["notes:read"], tools)
}

fn said(subject: Subject, lifetime: u64) -> Value {
    let assertion = Assertion {
        issuer: "https://gate.example/credentials".into(),
        audience: "https://notes.example".into(),
        actor: "https://gate.example".into(),
        lifetime: Duration::from_secs(lifetime),
        subject,
    };
    let want = scopes().for_other(&operating_system_user(1000, "alice", NOW));
    let claims = assertion.claims(&want, ("trace", "id"), NOW).unwrap();
    serde_json::to_value(claims).unwrap()
}

#[test]
fn tok_02_an_assertion_names_user_client_gateway_upstream_and_call() {
    let expected = json!({
        "iss": "https://gate.example/credentials", "sub": "1000", "aud": "https://notes.example",
        "act": { "sub": "https://gate.example" }, "client_id": "https://gate.example",
        "scope": "notes:read", "iat": 1_000_000, "exp": 1_000_060, "jti": "id", "txn": "trace",
    });
    assert_eq!(said(Subject::Plain, 60), expected);
    assert_eq!(said(Subject::Qualified, 60)["sub"], "os|1000");
}

#[test]
fn tok_16_an_assertion_lives_for_seconds_whatever_is_configured() {
    assert_eq!(said(Subject::Plain, 1)["exp"], 1_000_001);
    assert_eq!(said(Subject::Plain, 1_000_000)["exp"], 1_000_300);
}

#[test]
fn tok_16_a_set_of_scopes_is_one_text() {
    let (scopes, caller) = (scopes(), operating_system_user(1, "a", NOW));
    assert_eq!(scopes.for_other(&caller).scope(), "notes:read");
    assert_eq!(&*scopes.of_tools["write"], "notes:read notes:write");
    assert_eq!(Scopes::default().for_other(&caller).scope(), "");
}
