//! Whatever a proof is made of: nobody without the key uses a bound token, and who has it uses each proof once, for
//! the request that it names.

#![no_main]

#[path = "common/issuer.rs"]
mod issuer;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuer::{ISSUER, NOW, TRUST, issued, signed};
use libfuzzer_sys::fuzz_target;
use portcullis_core::authenticate::{
    BadProof, Binding, Credentials, Proofs, Resource, Unauthenticated, Verified, verify,
};
use portcullis_core::time::Timestamp;
use serde_json::{Value, json};
use std::sync::LazyLock;

const URL: &str = "https://gateway.example/servers/notes/mcp";

/// All that a proof is held against.
struct Scene {
    client: Ed25519KeyPair,
    token: String,
    resource: Resource,
    verified: Verified,
}

static SCENE: LazyLock<Scene> = LazyLock::new(scene);

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn scene() -> Scene {
    let client = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).expect("a key");
    let x = encode(client.public_key());
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let thumbprint = encode(digest(&SHA256, canonical.as_bytes()));
    let claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": URL, "iat": NOW, "exp": NOW + 600,
        "cnf": { "jkt": thumbprint },
    });
    Scene {
        token: issued("at+jwt", claims.to_string().as_bytes()),
        client,
        resource: Resource {
            server: "notes".into(),
            audience: URL.to_owned(),
            issuers: vec![ISSUER.to_owned()],
            url: URL.to_owned(),
            dpop: Binding::Required,
            ..Resource::default()
        },
        verified: Verified::default(),
    }
}

fn send(proof: &[u8], proofs: &Proofs) -> Result<(), Unauthenticated> {
    let authorization = format!("DPoP {}", SCENE.token);
    let credentials = Credentials {
        authorization: Some(authorization.as_bytes()),
        count: 1,
        in_query: false,
        proof: Some(proof),
        proofs: 1,
        certificate: None,
        method: "POST",
    };
    let memory = (&SCENE.verified, proofs);
    let now = Timestamp::from_seconds(NOW);
    verify(&credentials, &SCENE.resource, &TRUST, memory, now).map(drop)
}

/// Nobody signed this.
fn expect_refused(proof: &[u8]) {
    let refused = send(proof, &Proofs::default()).expect_err("nobody signed this");
    assert!(matches!(refused, Unauthenticated::Proof(_)), "{refused}");
}

/// Claims that the client did sign.
fn expect_bound(claims: &[u8]) {
    let x = encode(SCENE.client.public_key());
    let header = format!(
        r#"{{"alg":"EdDSA","typ":"dpop+jwt","jwk":{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}}}"#
    );
    let (proof, proofs) = (signed(&SCENE.client, &header, claims), Proofs::default());
    if send(proof.as_bytes(), &proofs).is_err() {
        return;
    }
    let claims: Value = serde_json::from_slice(claims).expect("json");
    assert_eq!(claims["htm"], "POST");
    let target = claims["htu"].as_str().expect("a text");
    assert!(
        target
            .to_ascii_lowercase()
            .starts_with("https://gateway.example")
    );
    assert!(!target.contains(['?', '#', '@']));
    assert_eq!(
        claims["ath"],
        encode(digest(&SHA256, SCENE.token.as_bytes()))
    );
    let made = claims["iat"].as_f64().expect("a number");
    assert!((made - NOW as f64).abs() <= 61.0);
    assert!(claims["jti"].as_str().is_some_and(|id| !id.is_empty()));
    let again = send(proof.as_bytes(), &proofs);
    assert_eq!(again, Err(Unauthenticated::Proof(BadProof::Replay)));
}

fuzz_target!(|input: &[u8]| {
    expect_refused(input);
    // Header, claims and signature in plain text, so that the mutations reach behind the encoding.
    let parts: Vec<String> = input.splitn(3, |byte| *byte == b'\n').map(encode).collect();
    expect_refused(parts.join(".").as_bytes());
    expect_bound(input);
    // A token's hash is nothing that a mutation finds.
    let hash = encode(digest(&SHA256, SCENE.token.as_bytes()));
    expect_bound(
        &String::from_utf8_lossy(input)
            .replace("HASH", &hash)
            .into_bytes(),
    );
});
