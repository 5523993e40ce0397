//! The answer of an authorization server: what is taken is what it says, for no more than was asked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::authenticate::operating_system_user;
use portcullis_core::credentials::{Exchange, Grant, Jag, Scopes, SubjectToken};
use portcullis_core::time::Timestamp;
use serde_json::Value;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ASKED: [&str; 2] = ["read", "write"];

fn expect_no_more(grant: Grant, input: &[u8]) {
    let exchange = Exchange {
        grant,
        audience: "https://notes.example".into(),
        resource: None,
        max_age: Duration::from_secs(60),
        bound_to: None,
    };
    let want = Scopes::new(ASKED, []).for_other(&operating_system_user(1, "a", NOW));
    let Ok(token) = exchange.believe(&want, input, NOW) else {
        return;
    };
    let answer: Value = serde_json::from_slice(input).expect("json");
    let text = token.text.expose();
    assert_eq!(answer["access_token"], text.as_str());
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(token.id.bytes().all(|byte| byte.is_ascii_graphic()));
    let kind = answer["token_type"].as_str().expect("a text");
    assert!(kind.eq_ignore_ascii_case("bearer"));
    assert!(NOW < token.until && token.until <= NOW.plus(Duration::from_secs(60)));
    if let Some(scope) = answer.get("scope") {
        let mut issued = scope.as_str().expect("a text").split(' ');
        assert!(issued.all(|one| one.is_empty() || ASKED.contains(&one)));
    }
}

/// A word of an identity provider is taken only for the place that it was asked for.
fn expect_for_one_place(input: &[u8]) {
    let jag = Jag {
        authority: "https://as.example".to_owned(),
        resource: "https://notes.example/mcp".to_owned(),
        client: "gate".to_owned(),
        subject: SubjectToken::Access,
    };
    let want = Scopes::new(ASKED, []).for_other(&operating_system_user(1, "a", NOW));
    let Ok(grant) = jag.believe(&want, input, NOW) else {
        return;
    };
    let answer: Value = serde_json::from_slice(input).expect("json");
    assert_eq!(answer["access_token"], grant.text.expose().as_str());
    assert_eq!(
        answer["issued_token_type"],
        "urn:ietf:params:oauth:token-type:id-jag"
    );
    assert_eq!(grant.text.expose().split('.').count(), 3);
    assert!(
        grant
            .id
            .is_none_or(|id| id.bytes().all(|byte| byte.is_ascii_graphic()))
    );
}

fuzz_target!(|input: &[u8]| {
    for grant in [
        Grant::Exchange,
        Grant::OnBehalfOf,
        Grant::ClientCredentials,
        Grant::IdJag,
    ] {
        expect_no_more(grant, input);
    }
    expect_for_one_place(input);
});
