//! Which ID tokens and logout tokens count.

use super::*;
use crate::authenticate::{Algorithm, Claims, Introspection, Issuer, KeySet, Keys, Revoked, Trust};
use crate::secret::Secret;
use crate::time::Timestamp;
use aws_lc_rs::digest::{SHA512, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const CLIENT: &str = "gateway";
const ACCESS: &str = "access-token";
const CODE: &str = "code";

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn trust(revoked: Revoked) -> Trust {
    let x = encode(KEY.public_key().as_ref());
    let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x}]});
    let keys = KeySet::parse(jwks.to_string().as_bytes()).unwrap();
    let issuer = Issuer {
        issuer: ISSUER.to_owned(),
        algorithms: vec![Algorithm::EdDSA],
        token_types: vec!["at+jwt".to_owned()],
        max_lifetime: Duration::from_hours(1),
        skew: Duration::from_secs(30),
        claims: Claims::default(),
        lookalikes: Vec::new(),
        introspection: Introspection::Never,
    };
    Trust {
        issuers: HashMap::from([(ISSUER.to_owned(), issuer)]),
        keys: Keys(HashMap::from([(ISSUER.to_owned(), Arc::new(keys))])),
        revoked: Arc::new(revoked),
        generation: 1,
    }
}

fn sign(header: &str, claims: &Value) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims.to_string()));
    format!("{signed}.{}", encode(KEY.sign(signed.as_bytes()).as_ref()))
}

fn patched(mut base: Value, patch: &Value) -> Value {
    let members = base.as_object_mut().unwrap();
    for (name, value) in patch.as_object().unwrap() {
        members.remove(name);
        if !value.is_null() {
            members.insert(name.clone(), value.clone());
        }
    }
    base
}

fn half(text: &str) -> String {
    encode(&digest(&SHA512, text.as_bytes()).as_ref()[..32])
}

fn claims(patch: &Value) -> Value {
    let base = json!({
        "iss": ISSUER, "sub": "alice", "aud": CLIENT, "iat": NOW - 5, "exp": NOW + 300, "nonce": "n-1",
        "at_hash": half(ACCESS), "groups": ["ops"], "name": "Alice", "sid": "s-1", "auth_time": NOW - 60,
    });
    patched(base, patch)
}

const HEADER: &str = r#"{"alg":"EdDSA","kid":"ed"}"#;

fn judge(token: &str, revoked: Revoked) -> Result<SignedIn, NotSignedIn> {
    let answer = Answer {
        id_token: Secret::new(token.to_owned()),
        access_token: Some(Secret::new(ACCESS.to_owned())),
    };
    let nonce = Secret::new("n-1".to_owned());
    let expected = Expected {
        issuer: ISSUER,
        client: CLIENT,
        nonce: &nonce,
        subject: "sub",
        domains: &[],
    };
    let code = Secret::new(CODE.to_owned());
    let now = Timestamp::from_seconds(NOW);
    read_id_token(&answer, &code, &expected, &trust(revoked), now)
}

#[track_caller]
fn check(header: &str, patch: &Value, expected: Result<(), &str>) {
    let judged = judge(&sign(header, &claims(patch)), Revoked::default());
    let said = judged.map(drop).map_err(|why| why.reason().to_owned());
    assert_eq!(said, expected.map_err(str::to_owned), "{header} {patch}");
}

#[test]
fn cd_08_an_id_token_is_of_this_transaction_and_for_us() {
    check(HEADER, &json!({}), Ok(()));
    check(HEADER, &json!({"aud": [CLIENT]}), Ok(()));
    check(HEADER, &json!({"aud": [CLIENT], "azp": CLIENT}), Ok(()));
    check(
        HEADER,
        &json!({"aud": [CLIENT, "other"], "azp": CLIENT}),
        Ok(()),
    );
    check(HEADER, &json!({"at_hash": null}), Ok(()));
    check(HEADER, &json!({"c_hash": half(CODE)}), Ok(()));
    check(HEADER, &json!({"exp": NOW - 29}), Ok(()));
    for (patch, reason) in [
        (json!({"nonce": null}), "nonce"),
        (json!({"nonce": "n-2"}), "nonce"),
        (json!({"nonce": ["n-1"]}), "nonce"),
        (json!({"nonce": ""}), "nonce"),
        (json!({"aud": "other"}), "audience"),
        (json!({"aud": null}), "audience"),
        (json!({"aud": ["other"]}), "audience"),
        (json!({"aud": [CLIENT, "other"]}), "azp"),
        (json!({"azp": "other"}), "azp"),
        (json!({"azp": 7}), "azp"),
        (json!({"aud": [CLIENT, "other"], "azp": "other"}), "azp"),
        (json!({"at_hash": half("another")}), "hash"),
        (json!({"at_hash": 7}), "hash"),
        (json!({"c_hash": half("another")}), "hash"),
        (json!({"iss": "https://evil.example"}), "issuer"),
        (json!({"iss": null}), "issuer"),
        (json!({"exp": null}), "lifetime"),
        (json!({"exp": NOW - 31}), "expired"),
        (json!({"iat": null}), "iat"),
        (json!({"iat": NOW - 700, "exp": NOW + 9}), "iat"),
        (json!({"iat": NOW + 40}), "nbf"),
        (json!({"nbf": NOW + 40}), "nbf"),
        (json!({"sub": null}), "subject"),
        (json!({"sub": ""}), "subject"),
        (json!({"_claim_names": {"roles": "elsewhere"}}), "claim"),
    ] {
        check(HEADER, &patch, Err(reason));
    }
    for (header, reason) in [
        (r#"{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}"#, "typ"),
        (r#"{"alg":"EdDSA","kid":"ed","typ":"logout+jwt"}"#, "typ"),
        (r#"{"alg":"none","kid":"ed"}"#, "alg"),
        (r#"{"alg":"HS256","kid":"ed"}"#, "alg"),
        (r#"{"alg":"RS256","kid":"ed"}"#, "alg"),
        (r#"{"alg":"EdDSA","kid":"other"}"#, "kid"),
        (
            r#"{"alg":"EdDSA","kid":"ed","jku":"https://evil.example"}"#,
            "header",
        ),
    ] {
        check(header, &json!({}), Err(reason));
    }
    let token = sign(HEADER, &claims(&json!({})));
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = judge(&format!("{signed}.{}", encode([7; 64])), Revoked::default());
    assert_eq!(forged.unwrap_err().reason(), "signature");
}

#[test]
fn cd_08_what_is_believed_of_a_user() {
    let user = judge(&sign(HEADER, &claims(&json!({}))), Revoked::default()).unwrap();
    let identity = user.identity();
    assert_eq!((&*identity.issuer, &*identity.subject), (ISSUER, "alice"));
    assert_eq!(identity.groups, ["ops"]);
    assert!(identity.scopes.is_empty());
    assert_eq!(
        (user.name(), user.session(), user.sub()),
        (Some("Alice"), Some("s-1"), Some("alice"))
    );
    // Whoever was revoked does not come in again by signing in with what was issued before.
    let mut revoked = Revoked::default();
    let now = Timestamp::from_seconds(NOW);
    revoked.subject(ISSUER, "alice", (now, None));
    let refused = judge(&sign(HEADER, &claims(&json!({}))), revoked);
    assert_eq!(refused.unwrap_err().reason(), "revoked");
}

#[test]
fn cd_08_an_answer_without_an_id_token_says_nothing() {
    let read = |text: &str| {
        Answer::parse(text.as_bytes())
            .map(drop)
            .map_err(|why| why.reason())
    };
    assert_eq!(read(r#"{"id_token":"x","access_token":"y"}"#), Ok(()));
    assert_eq!(read(r#"{"access_token":"y"}"#), Err("no_id_token"));
    assert_eq!(read("[]"), Err("malformed"));
    assert_eq!(read(""), Err("malformed"));
}

#[test]
fn man_4_a_provider_says_where_it_is() {
    let document = |patch: &Value| {
        let base = json!({
            "issuer": ISSUER, "authorization_endpoint": format!("{ISSUER}/authorize"),
            "token_endpoint": format!("{ISSUER}/token"),
        });
        Provider::parse(patched(base, patch).to_string().as_bytes(), ISSUER)
    };
    let provider = document(&json!({})).unwrap();
    let asking = Asking {
        client: CLIENT,
        redirect: "https://g.example/account/callback",
        scope: "openid profile",
        state: "s",
        nonce: "n",
        verifier: "v",
        classes: "gold silver",
        is_anew: true,
    };
    let url = authorization_url(&provider, &asking);
    for part in [
        "code_challenge_method=S256",
        "nonce=n",
        "state=s",
        "scope=openid+profile",
        "acr_values=gold+silver",
        "prompt=login",
    ] {
        assert!(url.contains(part), "{url}");
    }
    assert!(!url.contains("resource="), "{url}");
    for (patch, reason) in [
        (json!({"issuer": "https://idp.example/"}), "issuer"),
        (json!({"token_endpoint": "file:///etc/passwd"}), "url"),
        (json!({"authorization_endpoint": "javascript:x"}), "url"),
        (
            json!({"code_challenge_methods_supported": ["plain"]}),
            "pkce",
        ),
        (json!({"authorization_endpoint": null}), "malformed"),
    ] {
        assert_eq!(document(&patch).unwrap_err().reason(), reason, "{patch}");
    }
    assert_eq!(
        metadata_urls("https://idp.example/t"),
        [
            "https://idp.example/t/.well-known/openid-configuration",
            "https://idp.example/.well-known/oauth-authorization-server/t",
            "https://idp.example/.well-known/openid-configuration/t",
        ]
    );
}

fn logout(header: &str, patch: &Value) -> Result<LogoutToken, NotSignedIn> {
    let base = json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW - 5, "exp": NOW + 100, "jti": "l-1", "sub": "alice",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    let token = sign(header, &patched(base, patch));
    let now = Timestamp::from_seconds(NOW);
    read_logout(&token, (ISSUER, CLIENT), &trust(Revoked::default()), now)
}

const LOGOUT: &str = r#"{"alg":"EdDSA","kid":"ed","typ":"logout+jwt"}"#;

#[test]
fn man_4_a_logout_token_ends_what_it_names() {
    let ended = |patch: Value| logout(LOGOUT, &patch).map(|token| token.ended);
    assert_eq!(ended(json!({})), Ok(Ended::Subject("alice".to_owned())));
    assert_eq!(
        ended(json!({"sid": "s-1"})),
        Ok(Ended::Session("s-1".to_owned()))
    );
    assert!(logout(HEADER, &json!({})).is_ok());
    for (patch, reason) in [
        (json!({"nonce": "n-1"}), "logout"),
        (json!({"events": null}), "logout"),
        (json!({"events": {"other": {}}}), "logout"),
        (
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout": 1}}),
            "logout",
        ),
        (json!({"jti": null}), "logout"),
        (json!({"sub": null}), "logout"),
        (json!({"sub": "x".repeat(600)}), "logout"),
        (json!({"aud": "other"}), "audience"),
        (json!({"iss": "https://evil.example"}), "issuer"),
        (json!({"iat": NOW - 400}), "iat"),
        (json!({"iat": NOW + 60}), "iat"),
        (json!({"exp": NOW - 60}), "expired"),
    ] {
        assert_eq!(
            logout(LOGOUT, &patch).unwrap_err().reason(),
            reason,
            "{patch}"
        );
    }
    let other = logout(r#"{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}"#, &json!({}));
    assert_eq!(other.unwrap_err().reason(), "typ");
}

proptest! {
    #[test]
    fn cd_08_reads_anything_and_believes_nothing_of_it(token in ".{0,200}") {
        prop_assert!(judge(&token, Revoked::default()).is_err());
        let now = Timestamp::from_seconds(NOW);
        let read = read_logout(&token, (ISSUER, CLIENT), &trust(Revoked::default()), now);
        prop_assert!(read.is_err());
    }
}
