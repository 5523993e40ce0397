//! Many requests with one bound token, each with a proof of its own: what a proof costs.
//!
//! `proof STEP COUNT` with STEP `bearer` (a plain token that was verified before), `sign` (a proof is made and not
//! looked at) or `verify` (and looked at). The difference of the last two is the cost of a proof; its key is one of
//! P-256.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::authenticate::{
    Algorithm, Binding, Claims, Credentials, Introspection, Issuer, KeySet, Keys, Proofs, Resource,
    Trust, Verified, verify,
};
use portcullis_core::time::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const URL: &str = "https://gateway.example/servers/notes/mcp";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Bearer,
    Sign,
    Verify,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let step = match arguments.next().as_deref() {
        Some("bearer") => Step::Bearer,
        Some("sign") => Step::Sign,
        Some("verify") => Step::Verify,
        Some(_) | None => return Err("proof bearer|sign|verify COUNT".into()),
    };
    let count: u64 = arguments.next().ok_or("how many?")?.parse()?;
    let issuer = Ed25519KeyPair::from_seed_unchecked(&[7; 32])?;
    let client = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let (jwk, thumbprint) = public(&client).ok_or("no point")?;
    let bound = match step {
        Step::Bearer => Value::Null,
        Step::Sign | Step::Verify => json!({ "jkt": thumbprint }),
    };
    let token = token(&issuer, bound);
    let authorization = match step {
        Step::Bearer => format!("Bearer {token}"),
        Step::Sign | Step::Verify => format!("DPoP {token}"),
    };
    let (trust, resource) = (trust(&issuer)?, resource());
    let (cache, proofs) = (Verified::default(), Proofs::default());
    // The first verifies the token.
    for number in 0..=count {
        let proof = match step {
            Step::Bearer => None,
            Step::Sign | Step::Verify => Some(proof(&client, &jwk, (&token, number))?),
        };
        if step == Step::Sign {
            continue;
        }
        let credentials = Credentials {
            authorization: Some(authorization.as_bytes()),
            count: 1,
            in_query: false,
            proof: proof.as_deref().map(str::as_bytes),
            proofs: 1,
            certificate: None,
            method: "POST",
        };
        let now = Timestamp::from_seconds(NOW);
        verify(&credentials, &resource, &trust, (&cache, &proofs), now)?;
    }
    Ok(())
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public half of a key and its thumbprint (RFC 7638).
fn public(key: &EcdsaKeyPair) -> Option<(Value, String)> {
    let (_, point) = key.public_key().as_ref().split_first()?;
    let (x, y) = point.split_at_checked(32)?;
    let (x, y) = (encode(x), encode(y));
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
    Some((jwk, encode(digest(&SHA256, canonical.as_bytes()))))
}

fn proof(
    key: &EcdsaKeyPair,
    jwk: &Value,
    (token, number): (&str, u64),
) -> Result<String, Box<dyn Error>> {
    let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
    let hash = encode(digest(&SHA256, token.as_bytes()));
    let claims = json!({
        "htm": "POST", "htu": URL, "ath": hash, "iat": NOW, "jti": number.to_string(),
    });
    let signed = format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    );
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes())?;
    Ok(format!("{signed}.{}", encode(signature.as_ref())))
}

fn token(key: &Ed25519KeyPair, bound: Value) -> String {
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "bench" });
    let mut claims = json!({
        "iss": ISSUER, "sub": "somebody", "aud": URL, "client_id": "bench", "jti": "1",
        "iat": NOW, "exp": NOW + 600, "scope": "notes",
    });
    if let (Some(claims), false) = (claims.as_object_mut(), bound.is_null()) {
        claims.insert("cnf".to_owned(), bound);
    }
    let signed = format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    );
    let signature = encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn trust(key: &Ed25519KeyPair) -> Result<Trust, Box<dyn Error>> {
    let x = encode(key.public_key());
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "bench" }] });
    let keys = KeySet::parse(keys.to_string().as_bytes())?;
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
    Ok(Trust {
        issuers: HashMap::from([(ISSUER.to_owned(), issuer)]),
        keys: Keys(HashMap::from([(ISSUER.to_owned(), Arc::new(keys))])),
        revoked: Arc::default(),
        generation: 1,
    })
}

fn resource() -> Resource {
    Resource {
        server: "notes".into(),
        audience: URL.to_owned(),
        issuers: vec![ISSUER.to_owned()],
        url: URL.to_owned(),
        dpop: Binding::Accepted,
        ..Resource::default()
    }
}
