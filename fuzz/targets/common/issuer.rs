//! An issuer that has signed what it is given, and is trusted.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::authenticate::{
    Algorithm, Claims, Introspection, Issuer, KeySet, Keys, Trust,
};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub const ISSUER: &str = "https://idp.example";
/// In seconds.
pub const NOW: u64 = 1_800_000_000;

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key"));
pub static TRUST: LazyLock<Trust> = LazyLock::new(trust);

/// A JWT of that type with these claims, by the issuer.
pub fn issued(kind: &str, claims: &[u8]) -> String {
    let header = format!(r#"{{"alg":"EdDSA","typ":"{kind}","kid":"ed"}}"#);
    signed(&KEY, &header, claims)
}

/// A JWT by some key.
pub fn signed(key: &Ed25519KeyPair, header: &str, claims: &[u8]) -> String {
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).as_ref());
    format!("{input}.{signature}")
}

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
