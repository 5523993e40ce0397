//! Whatever an enterprise's provider signs as an assertion: it is refused, or it is for us, for the client, and for now.

#![no_main]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use portcullis_core::authenticate::{
    Algorithm, Claims, Introspection, Issuer, KeySet, Keys, Trust,
};
use portcullis_core::openid::{Enterprise, read_assertion};
use portcullis_core::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const ISSUER: &str = "https://idp.example";
const OWN: &str = "https://gate.example";
const NOW: u64 = 1_800_000_000;

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key"));
static TRUST: LazyLock<Trust> = LazyLock::new(trust);

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
    let providers = BTreeMap::from([(ISSUER, "sub")]);
    let expected = Enterprise {
        providers: &providers,
        own: OWN,
        client: "desk",
        key: None,
    };
    let now = Timestamp::from_seconds(NOW);
    let sign = |kind: &str| {
        let header = format!(r#"{{"alg":"EdDSA","typ":"{kind}","kid":"ed"}}"#);
        let payload = URL_SAFE_NO_PAD.encode(claims);
        let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header));
        let signature = URL_SAFE_NO_PAD.encode(KEY.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    };
    for kind in ["JWT", "at+jwt", "logout+jwt"] {
        assert!(read_assertion(&sign(kind), &expected, &TRUST, now).is_err());
    }
    let Ok(assertion) = read_assertion(&sign("oauth-id-jag+jwt"), &expected, &TRUST, now) else {
        return;
    };
    let read: serde_json::Value = serde_json::from_slice(claims).expect("strict JSON");
    assert_eq!(read["iss"], ISSUER);
    assert!(read["aud"] == OWN || read["aud"] == serde_json::json!([OWN]));
    assert_eq!(read["client_id"], "desk");
    assert_eq!(read["jti"], assertion.id());
    assert_eq!(read["sub"], assertion.user().identity().subject.as_str());
    assert!(read.get("cnf").is_none(), "nobody has proven a key");
    assert!(now < assertion.until() && assertion.until() <= now.plus(Duration::from_secs(660)));
    assert!(!assertion.resources().is_empty());
});
