//! What it costs to know a caller: a token that nobody has verified before, of each kind; one that was; and a proof. And
//! what it costs to find the token that a server is shown, once an authorization server has given it.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portcullis_core::authenticate::{
    Algorithm, Binding, Claims, Credentials, Introspection, Issuer, KeySet, Keys, Principal,
    Proofs, Resource, Trust, Unauthenticated, Verified, verify,
};
use portcullis_core::credentials::{Exchange, Grant, Place, Scopes};
use portcullis_core::time::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ISSUER: &str = "https://idp.example";
const URL: &str = "https://gateway.example/servers/notes/mcp";

/// Tokens of one server that are kept (`credentials/kept.rs` of the gateway).
const KEPT: usize = 4096;

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A key, what it signs with, and its public half.
struct Signer {
    algorithm: &'static str,
    public: Value,
    sign: Sign,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ed25519() -> Result<Signer, Box<dyn Error>> {
    let pair = Ed25519KeyPair::generate()?;
    Ok(Signer {
        algorithm: "EdDSA",
        public: json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key()) }),
        sign: Box::new(move |text| pair.sign(text).as_ref().to_vec()),
    })
}

fn p256() -> Result<Signer, Box<dyn Error>> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let (_, point) = pair.public_key().as_ref().split_first().ok_or("no point")?;
    let (x, y) = point.split_at_checked(32).ok_or("no point")?;
    let public = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
    let sign = move |text: &[u8]| {
        let signature = pair.sign(&SystemRandom::new(), text);
        signature.map_or_else(|_| Vec::new(), |signature| signature.as_ref().to_vec())
    };
    Ok(Signer {
        algorithm: "ES256",
        public,
        sign: Box::new(sign),
    })
}

fn rsa2048() -> Result<Signer, Box<dyn Error>> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let public = pair.public_key();
    let modulus = public.modulus();
    let exponent = public.exponent();
    let public = json!({
        "kty": "RSA", "n": encode(modulus.big_endian_without_leading_zero()),
        "e": encode(exponent.big_endian_without_leading_zero()),
    });
    let sign = move |text: &[u8]| {
        let mut signature = vec![0; pair.public_modulus_len()];
        let signed = pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            text,
            &mut signature,
        );
        signed.map_or_else(|_| Vec::new(), |()| signature)
    };
    Ok(Signer {
        algorithm: "RS256",
        public,
        sign: Box::new(sign),
    })
}

impl Signer {
    fn signed(&self, mut header: Value, claims: &Value) -> String {
        if let Some(header) = header.as_object_mut() {
            header.insert("alg".to_owned(), json!(self.algorithm));
        }
        let parts = [header.to_string(), claims.to_string()].map(encode);
        let text = parts.join(".");
        let signature = encode((self.sign)(text.as_bytes()));
        format!("{text}.{signature}")
    }

    /// A token of some 500 bytes and one signature, bound to what `bound` says.
    fn token(&self, bound: &Value) -> String {
        let mut claims = json!({
            "iss": ISSUER, "sub": "somebody", "aud": URL, "client_id": "bench", "jti": "1",
            "iat": NOW.seconds(), "exp": NOW.seconds() + 600, "scope": "notes:read notes:write",
        });
        if let (Some(claims), false) = (claims.as_object_mut(), bound.is_null()) {
            claims.insert("cnf".to_owned(), bound.clone());
        }
        self.signed(json!({ "typ": "at+jwt", "kid": "bench" }), &claims)
    }

    fn proof(&self, token: &str, number: u64) -> String {
        let hash = encode(digest(&SHA256, token.as_bytes()));
        let claims = json!({
            "htm": "POST", "htu": URL, "ath": hash, "iat": NOW.seconds(), "jti": number.to_string(),
        });
        self.signed(json!({ "typ": "dpop+jwt", "jwk": self.public }), &claims)
    }

    fn trusted(&self) -> Result<Trust, Box<dyn Error>> {
        let mut key = self.public.clone();
        if let Some(key) = key.as_object_mut() {
            key.insert("kid".to_owned(), json!("bench"));
        }
        let keys = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes())?;
        let algorithm: Algorithm = self.algorithm.parse().map_err(|_| "no such algorithm")?;
        let issuer = Issuer {
            issuer: ISSUER.to_owned(),
            algorithms: vec![algorithm],
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

fn credentials(authorization: &str) -> Credentials<'_> {
    Credentials {
        authorization: Some(authorization.as_bytes()),
        count: 1,
        method: "POST",
        ..Credentials::default()
    }
}

/// A token of each kind that was never seen, and one that was.
fn verifying(bench: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let resource = resource();
    for signer in [ed25519()?, p256()?, rsa2048()?] {
        let trust = signer.trusted()?;
        let authorization = format!("Bearer {}", signer.token(&Value::Null));
        let brought = credentials(&authorization);
        let known = |cache: &Verified| -> Result<Principal, Unauthenticated> {
            verify(
                &brought,
                &resource,
                &trust,
                (cache, &Proofs::default()),
                NOW,
            )
        };
        known(&Verified::default())?;
        bench.bench_function(&format!("token/{}", signer.algorithm), |timed| {
            timed.iter_batched(
                Verified::default,
                |cache| known(&cache),
                BatchSize::SmallInput,
            );
        });
    }
    let (signer, cache) = (ed25519()?, Verified::default());
    let trust = signer.trusted()?;
    let authorization = format!("Bearer {}", signer.token(&Value::Null));
    let (brought, proofs) = (credentials(&authorization), Proofs::default());
    let known = || verify(&brought, &resource, &trust, (&cache, &proofs), NOW);
    known()?;
    bench.bench_function("token/remembered", |timed| timed.iter(known));
    Ok(())
}

/// A token that is remembered, each time with a new proof.
fn proving(bench: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let (issuer, resource) = (ed25519()?, resource());
    let trust = issuer.trusted()?;
    for client in [ed25519()?, p256()?, rsa2048()?] {
        let key = &client.public;
        let member = |name: &str| key.get(name).cloned().unwrap_or_default();
        // In the order of their names (RFC 7638 section 3.2).
        let names: &[&str] = match client.algorithm {
            "RS256" => &["e", "kty", "n"],
            "ES256" => &["crv", "kty", "x", "y"],
            _ => &["crv", "kty", "x"],
        };
        let members: Vec<String> = names
            .iter()
            .map(|name| format!("\"{name}\":{}", member(name)))
            .collect();
        let canonical = format!("{{{}}}", members.join(","));
        let thumbprint = encode(digest(&SHA256, canonical.as_bytes()));
        let token = issuer.token(&json!({ "jkt": thumbprint }));
        let authorization = format!("DPoP {token}");
        let (cache, mut number) = (Verified::default(), 0_u64);
        let mut next = || {
            number += 1;
            client.proof(&token, number)
        };
        let known = |proofs: &Proofs, proof: &str| {
            let brought = Credentials {
                proof: Some(proof.as_bytes()),
                proofs: 1,
                ..credentials(&authorization)
            };
            verify(&brought, &resource, &trust, (&cache, proofs), NOW)
        };
        known(&Proofs::default(), &next())?;
        bench.bench_function(&format!("proof/{}", client.algorithm), |timed| {
            let proofs = Proofs::default(); // else there would be no room for more of one key
            timed.iter_batched(
                &mut next,
                |proof| known(&proofs, &proof),
                BatchSize::SmallInput,
            );
        });
    }
    Ok(())
}

/// A token that an authorization server gave, among as many as are kept: the gateway's own table has a lock around this.
fn finding(bench: &mut Criterion) -> Result<(), Box<dyn Error>> {
    // No two of its signatures are the same, so that each is another token.
    let issuer = p256()?;
    let resource = Resource {
        exchanges: true,
        ..resource()
    };
    let (trust, proofs) = (issuer.trusted()?, Proofs::default());
    let exchange = Exchange {
        grant: Grant::Exchange,
        audience: "https://notes.example".into(),
        resource: None,
        max_age: Duration::from_mins(1),
        bound_to: None,
    };
    let known = || {
        let authorization = format!("Bearer {}", issuer.token(&Value::Null));
        let brought = credentials(&authorization);
        let fresh = Verified::default();
        verify(&brought, &resource, &trust, (&fresh, &proofs), NOW)
    };
    let scopes = Scopes::new(["mcp"], []);
    let mut kept: HashMap<Place, Arc<str>> = HashMap::new();
    let mut want = scopes.for_other(&known()?);
    for number in 0..KEPT {
        want = scopes.for_other(&known()?);
        kept.insert(exchange.place(&want), number.to_string().into());
    }
    if kept.len() != KEPT {
        return Err("two tokens are one".into());
    }
    bench.bench_function("exchanged/kept", |timed| {
        timed.iter(|| kept.get(&exchange.place(&want)).map(Arc::clone));
    });
    Ok(())
}

fn all(bench: &mut Criterion) {
    for part in [verifying, proving, finding] {
        let done = part(bench);
        assert!(done.is_ok(), "{done:?}");
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
