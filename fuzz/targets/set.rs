//! Whatever an issuer signs as a security event: it is refused, or everybody reads the same in it.

#![no_main]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use portcullis_core::authenticate::{
    Algorithm, Claims, Introspection, Issuer, KeySet, Keys, Topic, Trust,
};
use portcullis_core::signals::{Effect, Receiver, read};
use portcullis_core::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://gateway.example/signals/idp";
const NOW: u64 = 1_800_000_000;

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key"));
static TRUST: LazyLock<Trust> = LazyLock::new(trust);
static RECEIVER: LazyLock<Receiver> = LazyLock::new(|| Receiver {
    issuer: ISSUER.to_owned(),
    audience: AUDIENCE.to_owned(),
    topics: vec![Topic::DeviceCompliance, Topic::RiskLevel],
});

fn trust() -> Trust {
    let x = URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref());
    let jwks = serde_json::json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x}]});
    let issuer = Issuer {
        issuer: ISSUER.to_owned(),
        algorithms: vec![Algorithm::EdDSA],
        token_types: vec!["at+jwt".to_owned()],
        max_lifetime: Duration::from_secs(3600),
        skew: Duration::from_secs(30),
        claims: Claims::default(),
        lookalikes: Vec::new(),
        introspection: Introspection::Never,
    };
    let keys = KeySet::parse(jwks.to_string().as_bytes()).expect("a key set");
    Trust {
        issuers: HashMap::from([(ISSUER.to_owned(), issuer)]),
        keys: Keys(HashMap::from([(ISSUER.to_owned(), Arc::new(keys))])),
        revoked: Arc::default(),
        generation: 1,
    }
}

fuzz_target!(|claims: &[u8]| {
    let now = Timestamp::from_seconds(NOW);
    assert!(
        read(claims, &RECEIVER, &TRUST, now).is_err(),
        "nobody signed this"
    );
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"secevent+jwt","kid":"ed"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(KEY.sign(signed.as_bytes()).as_ref());
    let Ok(signal) = read(
        format!("{signed}.{signature}").as_bytes(),
        &RECEIVER,
        &TRUST,
        now,
    ) else {
        return;
    };
    let read: serde_json::Value = serde_json::from_slice(claims).expect("strict JSON");
    assert_eq!(read["iss"], ISSUER);
    assert_eq!(read["jti"], signal.id.as_str());
    assert!(read["aud"] == AUDIENCE || read["aud"].is_array());
    assert_eq!(
        read["events"].as_object().map(serde_json::Map::len),
        Some(1)
    );
    match signal.effect {
        Effect::Nothing => {}
        Effect::End(subject)
        | Effect::Disable(subject)
        | Effect::Enable(subject)
        | Effect::Say(subject, ..) => {
            let id = &read["sub_id"];
            let name = if id["format"] == "opaque" {
                &id["id"]
            } else {
                &id["sub"]
            };
            assert_eq!(name, subject.name.as_str());
            assert!(subject.since <= now);
        }
    }
});
