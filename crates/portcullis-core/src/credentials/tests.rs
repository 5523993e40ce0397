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

fn exchange(grant: Grant) -> Exchange {
    Exchange {
        grant,
        audience: "https://notes.example".into(),
        resource: None,
        max_age: Duration::from_mins(10),
        bound_to: None,
    }
}

/// Somebody whose token is over in five minutes, and who wants these scopes.
fn wanting(scope: &str) -> Want {
    let caller = operating_system_user(1, "a", NOW).with_token("theirs");
    Want {
        principal: caller.until(NOW.plus(Duration::from_mins(5))),
        scope: scope.into(),
    }
}

fn jwt(claims: &Value) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({ "alg": "RS256" })), part(claims))
}

fn good() -> Value {
    json!({
        "access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "scope": "a",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    })
}

#[track_caller]
fn check(grant: Grant, change: &Value, expected: Result<u64, NoCredential>) {
    let mut answer = good();
    for (name, value) in change.as_object().unwrap() {
        answer[name] = value.clone();
    }
    answer
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    let believed = exchange(grant).believe(&wanting("a b"), answer.to_string().as_bytes(), NOW);
    let lives = believed.map(|token| token.until.since(NOW).as_secs());
    assert_eq!(lives, expected, "{answer}");
}

#[test]
fn tok_16_an_answer_is_a_token_for_this_upstream_and_no_more_than_was_asked() {
    use NoCredential::{Broken, Echoed, Lifetime, Scope, Type};
    for (change, expected) in [
        (json!({}), Ok(60)),
        (json!({ "token_type": "bearer", "scope": "b a" }), Ok(60)),
        (json!({ "scope": null }), Ok(60)),
        (json!({ "expires_in": "60" }), Ok(60)),
        // Never longer than what was brought, and than is allowed.
        (json!({ "expires_in": 1_000_000 }), Ok(300)),
        (json!({ "expires_in": 0 }), Err(Lifetime)),
        (json!({ "expires_in": 1 }), Err(Lifetime)),
        (json!({ "expires_in": -1 }), Err(Lifetime)),
        (json!({ "expires_in": null }), Err(Lifetime)),
        (json!({ "scope": "a c" }), Err(Scope)),
        (json!({ "scope": "a.default" }), Err(Scope)),
        (json!({ "scope": 7 }), Err(Broken)),
        (json!({ "token_type": "N_A" }), Err(Type)),
        (json!({ "token_type": "DPoP" }), Err(Type)),
        (json!({ "token_type": null }), Err(Type)),
        (json!({ "issued_token_type": null }), Err(Type)),
        (
            json!({ "issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token" }),
            Err(Type),
        ),
        (json!({ "access_token": "theirs" }), Err(Echoed)),
        (json!({ "access_token": null }), Err(Broken)),
        (json!({ "access_token": "" }), Err(Broken)),
        (json!({ "access_token": "two words" }), Err(Broken)),
        (
            json!({ "access_token": "line\r\nX-User: root" }),
            Err(Broken),
        ),
    ] {
        check(Grant::Exchange, &change, expected);
    }
    others_and_broken_ones();
}

#[test]
fn tok_16_a_token_that_can_be_read_is_for_this_upstream_alone() {
    use NoCredential::{Audience, Lifetime, Scope};
    let own = json!("https://notes.example");
    let token = |claims: Value| json!({ "access_token": jwt(&claims) });
    for (change, expected) in [
        (token(json!({ "aud": own })), Ok(60)),
        (
            token(json!({ "aud": [own], "exp": 1_000_030, "scope": "a" })),
            Ok(30),
        ),
        (
            token(json!({ "aud": [own, "https://other.example"] })),
            Err(Audience),
        ),
        (token(json!({ "aud": [] })), Err(Audience)),
        (
            token(json!({ "aud": "https://notes.example/" })),
            Err(Audience),
        ),
        (token(json!({})), Err(Audience)),
        (token(json!({ "aud": own, "exp": 999_999 })), Err(Lifetime)),
        (token(json!({ "aud": own, "scp": "a admin" })), Err(Scope)),
        (
            token(json!({ "aud": own, "scope": ["a", "admin"] })),
            Err(Scope),
        ),
    ] {
        check(Grant::Exchange, &change, expected);
    }
}

fn others_and_broken_ones() {
    use NoCredential::Broken;
    let only = json!({ "issued_token_type": null });
    check(Grant::OnBehalfOf, &only, Ok(60));
    // A token for nobody in particular may outlive the caller's.
    let long = json!({ "issued_token_type": null, "expires_in": 1_000_000 });
    check(Grant::ClientCredentials, &long, Ok(600));
    let (exchange, want) = (exchange(Grant::Exchange), wanting("a b"));
    for broken in [
        &b"{"[..],
        b"[]",
        b"null",
        b"{\"access_token\":\"x\",\"access_token\":\"y\"}",
    ] {
        let believed = exchange.believe(&want, broken, NOW);
        assert_eq!(believed.unwrap_err(), Broken);
    }
}

#[test]
fn tok_16_entra_asks_for_all_that_was_consented_to() {
    let exchange = exchange(Grant::OnBehalfOf);
    let want = wanting("api://notes/.default");
    let issued = |scope: &str| {
        let mut answer = good();
        answer["scope"] = json!(scope);
        exchange
            .believe(&want, answer.to_string().as_bytes(), NOW)
            .map(|_| ())
    };
    assert_eq!(issued("api://notes/Read api://notes/Write"), Ok(()));
    assert_eq!(issued("Read"), Ok(()));
    assert_eq!(issued("api://other/Read"), Err(NoCredential::Scope));
}

#[test]
fn tok_16_asks_for_this_upstream_and_these_scopes() {
    let asked = |grant, want: &Want, actor: Option<&str>| {
        let actor = actor.map(|actor| Secret::new(actor.to_owned()));
        let form = exchange(grant).form(want, actor.as_ref(), NOW);
        form.map(|form| form.expose().clone())
    };
    let (want, kind) = (
        wanting("a b"),
        "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A",
    );
    let audience = "audience=https%3A%2F%2Fnotes.example";
    assert_eq!(
        asked(Grant::Exchange, &want, Some("ours")).unwrap(),
        format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=theirs\
             &subject_token_type={kind}access_token&requested_token_type={kind}access_token&{audience}\
             &actor_token=ours&actor_token_type={kind}jwt&scope=a%20b"
        )
    );
    assert_eq!(
        asked(Grant::OnBehalfOf, &want, None).unwrap(),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=theirs\
         &requested_token_use=on_behalf_of&scope=a%20b"
    );
    assert_eq!(
        asked(Grant::ClientCredentials, &want, None).unwrap(),
        "grant_type=client_credentials&scope=a%20b"
    );
    assert_eq!(
        asked(Grant::IdJag, &want, Some("word")).unwrap(),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=word&scope=a%20b"
    );
    let nobody = scopes().for_other(&operating_system_user(1, "a", NOW));
    assert_eq!(
        asked(Grant::Exchange, &nobody, None),
        Err(NoCredential::Nothing)
    );
    let late = Want {
        principal: want.principal.clone().until(NOW),
        ..want
    };
    assert_eq!(
        asked(Grant::Exchange, &late, None),
        Err(NoCredential::Expired)
    );
}

#[test]
fn tok_16_asks_for_a_word_to_one_authorization_server_for_one_server() {
    let (want, kind) = (
        wanting("a b"),
        "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A",
    );
    let jag = Jag {
        authority: "https://as.example".to_owned(),
        resource: "https://notes.example/mcp".to_owned(),
        client: "gate".to_owned(),
        subject: SubjectToken::Id,
    };
    assert_eq!(
        *jag.form(&want, NOW).unwrap().expose(),
        format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&requested_token_type={kind}id-jag\
             &audience=https%3A%2F%2Fas.example&resource=https%3A%2F%2Fnotes.example%2Fmcp&subject_token=theirs\
             &subject_token_type={kind}id_token&scope=a%20b"
        )
    );
    let nobody = scopes().for_other(&operating_system_user(1, "a", NOW));
    let unsent = jag.form(&nobody, NOW).map(drop);
    assert_eq!(unsent, Err(NoCredential::Nothing));
    let late = jag.form(&want, NOW.plus(Duration::from_hours(1))).map(drop);
    assert_eq!(late, Err(NoCredential::Expired));
}

#[test]
fn tok_15_a_token_is_shown_for_the_very_caller_and_token_and_scopes() {
    let exchange = exchange(Grant::Exchange);
    let place = |token: &str, scope: &str| {
        let principal = operating_system_user(1, "a", NOW).with_token(token);
        exchange.place(&Want {
            principal,
            scope: scope.into(),
        })
    };
    assert_eq!(place("one", "a"), place("one", "a"));
    assert_ne!(place("one", "a"), place("two", "a"));
    assert_ne!(place("one", "a"), place("one", "b"));
    assert_ne!(place("ab", "c"), place("a", "bc"));
}
