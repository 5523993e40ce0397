//! The rung above the floor: the relay asks for a token, and verifies it as the gateway does.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use portcullis_core::authenticate::{
    self, Algorithm, Claims, Credentials, Introspection, Issuer, KeySet, Keys, Proofs, Resource,
    Trust, Verified,
};
use portcullis_core::time::Timestamp;
use serde_json::{Value, json};

use crate::clock;

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://relay.example/mcp";
const KEY_ID: &str = "bench";
const LIFETIME: Duration = Duration::from_hours(1);

/// Lets through who bears a token.
#[derive(Debug)]
pub(super) struct Door {
    resource: Resource,
    trust: Trust,
    verified: Verified,
    proofs: Proofs,
}

impl Door {
    /// Makes a key, and leaves a token that it signed in a file.
    pub(super) fn new(token: &Path) -> anyhow::Result<Self> {
        let key = Ed25519KeyPair::generate().context("no key")?;
        fs::write(token, sign(&key)?).with_context(|| format!("write {}", token.display()))?;
        Ok(Self {
            resource: Resource {
                server: "relay".into(),
                audience: AUDIENCE.to_owned(),
                issuers: vec![ISSUER.to_owned()],
                ..Resource::default()
            },
            trust: trust(&key)?,
            verified: Verified::default(),
            proofs: Proofs::default(),
        })
    }

    /// Verifies the token that the headers bear.
    pub(super) fn admit(&self, headers: &HeaderMap) -> anyhow::Result<()> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let authorization = all.next().map(header::HeaderValue::as_bytes);
        let credentials = Credentials {
            authorization,
            count: usize::from(authorization.is_some()) + all.count(),
            ..Credentials::default()
        };
        let now = Timestamp::from_seconds(seconds()?);
        let (resource, trust) = (&self.resource, &self.trust);
        let memory = (&self.verified, &self.proofs);
        authenticate::verify(&credentials, resource, trust, memory, now)?;
        Ok(())
    }
}

fn seconds() -> anyhow::Result<u64> {
    Ok(clock::today().duration_since(UNIX_EPOCH)?.as_secs())
}

fn sign(key: &Ed25519KeyPair) -> anyhow::Result<String> {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let now = seconds()?;
    let header = part(&json!({"alg": "EdDSA", "typ": "at+jwt", "kid": KEY_ID}));
    let claims = part(&json!({
        "iss": ISSUER, "sub": "somebody", "aud": AUDIENCE, "client_id": "bench", "jti": "1",
        "iat": now, "exp": now + LIFETIME.as_secs(),
    }));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    Ok(format!("{signed}.{signature}"))
}

fn trust(key: &Ed25519KeyPair) -> anyhow::Result<Trust> {
    let x = URL_SAFE_NO_PAD.encode(key.public_key());
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": KEY_ID}]});
    let keys = KeySet::parse(keys.to_string().as_bytes())?;
    let issuer = Issuer {
        issuer: ISSUER.to_owned(),
        algorithms: vec![Algorithm::EdDSA],
        token_types: vec!["at+jwt".to_owned()],
        max_lifetime: LIFETIME,
        skew: Duration::ZERO,
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
