//! Which events are taken, and what they mean.

use super::*;
use crate::authenticate::{Algorithm, Claims, Introspection, Issuer, KeySet, Keys};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://gateway.example/signals/idp";
const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let x = encode(KEY.public_key().as_ref());
    let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x}]});
    let keys = KeySet::parse(jwks.to_string().as_bytes()).unwrap();
    let issuer = Issuer {
        issuer: ISSUER.to_owned(),
        algorithms: vec![Algorithm::EdDSA],
        token_types: vec!["at+jwt".to_owned(), "jwt".to_owned()],
        max_lifetime: Duration::from_hours(1),
        skew: Duration::from_secs(30),
        claims: Claims::default(),
        lookalikes: Vec::new(),
        introspection: Introspection::Never,
    };
    Trust {
        issuers: HashMap::from([(ISSUER.to_owned(), issuer)]),
        keys: Keys(HashMap::from([(ISSUER.to_owned(), Arc::new(keys))])),
        revoked: Arc::default(),
        generation: 1,
    }
});

fn sign(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = encode(KEY.sign(signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

fn hear(header: &str, claims: &str) -> Result<Signal, Unheard> {
    let receiver = Receiver {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        topics: Vec::new(),
    };
    let now = Timestamp::from_seconds(NOW);
    read(sign(header, claims).as_bytes(), &receiver, &TRUST, now)
}

fn claims(patch: &Value) -> String {
    let mut base = json!({
        "iss": ISSUER, "aud": AUDIENCE, "iat": NOW - 5, "jti": "e-1",
        "sub_id": {"format": "iss_sub", "iss": ISSUER, "sub": "alice"},
        "events": {format!("{CAEP}session-revoked"): {"event_timestamp": NOW - 9}},
    });
    let members = base.as_object_mut().unwrap();
    for (name, value) in patch.as_object().unwrap() {
        members.remove(name);
        if !value.is_null() {
            members.insert(name.clone(), value.clone());
        }
    }
    base.to_string()
}

const HEADER: &str = r#"{"alg":"EdDSA","typ":"secevent+jwt","kid":"ed"}"#;

fn check(header: &str, claims: &str, expected: (&str, &str)) {
    let why = hear(header, claims).expect_err(claims);
    assert_eq!((why.code(), why.reason()), expected, "{header} {claims}");
}

#[test]
fn auth_05_takes_only_what_the_issuer_has_signed_for_us_as_an_event() {
    assert!(hear(HEADER, &claims(&json!({}))).is_ok());
    for (header, reason) in [
        (r#"{"alg":"EdDSA","typ":"at+jwt","kid":"ed"}"#, "typ"),
        (r#"{"alg":"EdDSA","typ":"JWT","kid":"ed"}"#, "typ"),
        (r#"{"alg":"EdDSA","kid":"ed"}"#, "typ"),
    ] {
        check(header, &claims(&json!({})), ("invalid_request", reason));
    }
    for (header, reason) in [
        (r#"{"alg":"none","typ":"secevent+jwt"}"#, "alg"),
        (r#"{"alg":"HS256","typ":"secevent+jwt","kid":"ed"}"#, "alg"),
        (r#"{"alg":"ES256","typ":"secevent+jwt","kid":"ed"}"#, "alg"),
        (r#"{"alg":"EdDSA","typ":"secevent+jwt","kid":"no"}"#, "kid"),
        (
            r#"{"alg":"EdDSA","typ":"secevent+jwt","kid":"ed","jwk":{}}"#,
            "header",
        ),
    ] {
        check(header, &claims(&json!({})), ("invalid_key", reason));
    }
}

#[test]
fn auth_05_takes_only_events_of_now_for_us_with_one_reading() {
    let two = json!({format!("{CAEP}session-revoked"): {}, format!("{CAEP}credential-change"): {}});
    for (patch, code, reason) in [
        (
            json!({"iss": "https://evil.example"}),
            "invalid_issuer",
            "issuer",
        ),
        (json!({"iss": null}), "invalid_issuer", "issuer"),
        (
            json!({"aud": "https://other.example"}),
            "invalid_audience",
            "audience",
        ),
        (json!({"aud": null}), "invalid_audience", "audience"),
        (json!({"jti": null}), "invalid_request", "claims"),
        (json!({"jti": ""}), "invalid_request", "claims"),
        (json!({"jti": "x".repeat(513)}), "invalid_request", "claims"),
        (json!({"sub": "alice"}), "invalid_request", "claims"),
        (json!({"exp": NOW + 60}), "invalid_request", "claims"),
        (json!({"events": null}), "invalid_request", "claims"),
        (json!({"iat": null}), "invalid_request", "time"),
        (json!({"iat": NOW + 31}), "invalid_request", "time"),
        (json!({"iat": NOW - 86_401}), "invalid_request", "time"),
        (json!({"iat": "now"}), "invalid_request", "malformed"),
        (json!({"events": {}}), "invalid_request", "events"),
        (json!({"events": two}), "invalid_request", "events"),
        (
            json!({"events": {format!("{CAEP}session-revoked"): 1}}),
            "invalid_request",
            "events",
        ),
        (
            json!({"events": {format!("{CAEP}session-revoked"): {"event_timestamp": NOW + 31}}}),
            "invalid_request",
            "time",
        ),
    ] {
        check(HEADER, &claims(&patch), (code, reason));
    }
    let twice = claims(&json!({})).replacen('{', r#"{"jti":"e-0","#, 1);
    check(HEADER, &twice, ("invalid_request", "malformed"));
}

#[test]
fn auth_05_an_event_is_about_a_subject_of_its_issuer_or_about_nobody() {
    for (id, expected) in [
        (
            json!({"format": "iss_sub", "iss": ISSUER, "sub": "alice"}),
            Ok("alice"),
        ),
        (json!({"format": "opaque", "id": "alice"}), Ok("alice")),
        (
            json!({"format": "iss_sub", "iss": "https://other.example", "sub": "admin"}),
            Err(Unheard::Foreign),
        ),
        (
            json!({"format": "iss_sub", "sub": "alice"}),
            Err(Unheard::Subject),
        ),
        (
            json!({"format": "iss_sub", "iss": ISSUER}),
            Err(Unheard::Subject),
        ),
        (
            json!({"format": "email", "email": "alice@example.com"}),
            Err(Unheard::Subject),
        ),
        (
            json!({"format": "opaque", "id": "a", "iss": ISSUER}),
            Err(Unheard::Subject),
        ),
        (
            json!({"format": "opaque", "id": ["a"]}),
            Err(Unheard::Subject),
        ),
        (json!({"format": "opaque", "id": ""}), Err(Unheard::Subject)),
        (
            json!({"user": {"format": "opaque", "id": "a"}}),
            Err(Unheard::Subject),
        ),
        (json!("alice"), Err(Unheard::Subject)),
        (json!(null), Err(Unheard::Subject)),
    ] {
        let outcome = hear(HEADER, &claims(&json!({"sub_id": id})));
        let found = outcome.map(|signal| signal.effect);
        let expected = expected.map(|name| {
            Effect::End(Subject {
                name: name.to_owned(),
                since: Timestamp::from_seconds(NOW - 9),
            })
        });
        assert_eq!(found, expected, "{id}");
    }
}

/// Family, event, its members, and what it means.
fn rows() -> Vec<(&'static str, &'static str, Value, &'static str)> {
    vec![
        (CAEP, "session-revoked", json!({}), "end"),
        (CAEP, "token-claims-change", json!({"claims": {}}), "end"),
        (
            CAEP,
            "credential-change",
            json!({"change_type": "update"}),
            "end",
        ),
        (
            CAEP,
            "device-compliance-change",
            json!({"current_status": "not-compliant"}),
            "end",
        ),
        (
            CAEP,
            "device-compliance-change",
            json!({"current_status": "compliant"}),
            "nothing",
        ),
        (CAEP, "device-compliance-change", json!({}), "end"),
        (
            CAEP,
            "assurance-level-change",
            json!({"change_direction": "decrease"}),
            "end",
        ),
        (
            CAEP,
            "assurance-level-change",
            json!({"change_direction": "increase"}),
            "nothing",
        ),
        (
            CAEP,
            "risk-level-change",
            json!({"current_level": "HIGH"}),
            "end",
        ),
        (
            CAEP,
            "risk-level-change",
            json!({"current_level": "LOW"}),
            "nothing",
        ),
        (CAEP, "session-established", json!({}), "nothing"),
        (
            RISC,
            "account-disabled",
            json!({"reason": "hijacking"}),
            "disable",
        ),
        (RISC, "account-purged", json!({}), "disable"),
        (RISC, "account-enabled", json!({}), "enable"),
        (RISC, "identifier-changed", json!({}), "nothing"),
    ]
}

#[test]
fn auth_05_says_what_each_event_means() {
    let word = |effect: &Effect| match effect {
        Effect::Nothing => "nothing",
        Effect::End(_) => "end",
        Effect::Disable(_) => "disable",
        Effect::Enable(_) => "enable",
        Effect::Say(..) => "say",
    };
    let rows = rows();
    for (family, kind, event, expected) in rows {
        let patch = json!({"events": {format!("{family}{kind}"): event}});
        let signal = hear(HEADER, &claims(&patch)).unwrap();
        assert_eq!(
            (signal.event, word(&signal.effect)),
            (kind, expected),
            "{event}"
        );
    }
    let other = json!({"events": {"https://vendor.example/session-revoked": {}}, "sub_id": null});
    let signal = hear(HEADER, &claims(&other)).unwrap();
    assert_eq!((signal.event, signal.effect), ("unknown", Effect::Nothing));
}

proptest! {
    #[test]
    fn auth_05_whatever_is_signed_has_one_reading_or_none(
        id in "[a-z]{0,3}", at in NOW - 100..NOW + 100, name in "\\PC{0,6}",
    ) {
        let sub_id = json!({"format": "opaque", "id": name});
        let written = claims(&json!({"jti": id, "iat": at, "sub_id": sub_id}));
        match hear(HEADER, &written) {
            Ok(signal) => {
                prop_assert!(at <= NOW + 30 && !id.is_empty() && !name.is_empty());
                prop_assert_eq!(signal.id, id);
            }
            Err(why) => prop_assert!(!why.reason().is_empty()),
        }
    }
}

#[test]
fn auth_05_what_policies_judge_is_said_and_ends_nothing() {
    let receiver = Receiver {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        topics: Topic::ALL.map(|(_, topic)| topic).to_vec(),
    };
    let check = |event: &str, members: Value, expected: Option<&str>| {
        let events = json!({ "events": { format!("{CAEP}{event}"): members } });
        let token = sign(HEADER, &claims(&events));
        let now = Timestamp::from_seconds(NOW);
        let signal = read(token.as_bytes(), &receiver, &TRUST, now).unwrap();
        let said = match signal.effect {
            Effect::Say(subject, topic, value) => {
                assert_eq!(subject.name, "alice");
                Some(format!("{} {value}", topic.name()))
            }
            Effect::Nothing | Effect::End(_) | Effect::Disable(_) | Effect::Enable(_) => None,
        };
        assert_eq!(said.as_deref(), expected, "{event}");
    };
    let device = "device-compliance-change";
    let status = |status: &str| json!({ "current_status": status });
    check(device, status("compliant"), Some("device-compliance true"));
    check(
        device,
        status("not-compliant"),
        Some("device-compliance false"),
    );
    check(device, status("Compliant"), None);
    check(device, json!({}), None);
    let level = |level: &str| json!({ "current_level": level });
    check("risk-level-change", level("HIGH"), Some("risk-level high"));
    check(
        "risk-level-change",
        level("MEDIUM"),
        Some("risk-level medium"),
    );
    check("risk-level-change", level("LOW"), Some("risk-level low"));
    check("risk-level-change", level("low"), None);
    check("risk-level-change", json!({ "current_level": 1 }), None);
    let assurance = "assurance-level-change";
    check(
        assurance,
        level("nist-aal2"),
        Some("assurance-level nist-aal2"),
    );
    check(assurance, level(""), None);
    check(assurance, level(&"x".repeat(257)), None);
    check("session-revoked", json!({}), None);
}
