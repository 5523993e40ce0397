//! Access tokens, right and wrong ones: signed here, by hand, so that no library refuses to make them.

use super::gateway::now;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize, PublicKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

enum Material {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A signing key of an issuer.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    material: Arc<Material>,
}

impl Key {
    pub(crate) fn rsa(id: &str) -> Self {
        Self::new(
            id,
            Material::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        )
    }

    pub(crate) fn ec(id: &str) -> Self {
        Self::new(
            id,
            Material::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
        )
    }

    pub(crate) fn ed(id: &str) -> Self {
        Self::new(id, Material::Ed(Ed25519KeyPair::generate().unwrap()))
    }

    fn new(id: &str, material: Material) -> Self {
        Self {
            id: id.to_owned(),
            material: Arc::new(material),
        }
    }

    /// The algorithm that it is for.
    pub(crate) fn algorithm(&self) -> &'static str {
        match *self.material {
            Material::Rsa(_) => "RS256",
            Material::Ec(_) => "ES256",
            Material::Ed(_) => "EdDSA",
        }
    }

    /// The public half as a JWK (RFC 7517), without `alg` so that nothing but the gateway's rules decides.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &*self.material {
            Material::Rsa(pair) => {
                let public: &PublicKey = pair.public_key();
                let (n, e) = (
                    public.modulus().big_endian_without_leading_zero(),
                    public.exponent().big_endian_without_leading_zero(),
                );
                json!({ "kty": "RSA", "n": encode(n), "e": encode(e) })
            }
            Material::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Material::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The public half alone, as a proof brings it along.
    pub(crate) fn public(&self) -> Value {
        let mut jwk = self.jwk();
        let members = jwk.as_object_mut().unwrap();
        members.remove("kid");
        members.remove("use");
        jwk
    }

    /// Its name in the tokens that are bound to it (RFC 7638).
    pub(crate) fn thumbprint(&self) -> String {
        let public = self.public();
        let members: BTreeMap<_, _> = public.as_object().unwrap().iter().collect();
        let canonical = serde_json::to_string(&members).unwrap();
        encode(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    }

    /// The public half as the PEM file that attackers take for an HMAC key.
    pub(crate) fn public_pem(&self) -> Vec<u8> {
        let Material::Rsa(pair) = &*self.material else {
            panic!("only RSA keys are published so")
        };
        let der = pair.public_key().as_der().unwrap();
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        )
        .into_bytes()
    }

    fn sign(&self, algorithm: &str, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.material {
            Material::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding = match algorithm {
                    "PS256" => &RSA_PSS_SHA256,
                    "RS512" => &RSA_PKCS1_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(padding, &random, input, &mut signature).unwrap();
                signature
            }
            Material::Ec(pair) => pair.sign(&random, input).unwrap().as_ref().to_vec(),
            Material::Ed(pair) => pair.sign(input).as_ref().to_vec(),
        }
    }
}

/// A token that is still being written.
#[derive(Clone)]
pub(crate) struct Draft {
    header: Value,
    claims: Value,
    key: Key,
}

impl Draft {
    pub(crate) fn new(issuer: &str, subject: &str, audience: &str, key: &Key) -> Self {
        let claims = json!({
            "iss": issuer, "sub": subject, "aud": audience, "client_id": "agent",
            "iat": now(), "exp": now() + 600, "jti": format!("jti-{}", super::client::unique()),
        });
        Self {
            header: json!({ "typ": "at+jwt", "alg": key.algorithm(), "kid": key.id }),
            claims,
            key: key.clone(),
        }
    }

    /// A proof of possession (RFC 9449) of this key, for a request with this token.
    pub(crate) fn proof(key: &Key, (method, url): (&str, &str), token: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        let claims = json!({
            "htm": method, "htu": url, "ath": encode(hash.as_ref()), "iat": now(),
            "jti": format!("proof-{}", super::client::unique()),
        });
        Self {
            header: json!({ "typ": "dpop+jwt", "alg": key.algorithm(), "jwk": key.public() }),
            claims,
            key: key.clone(),
        }
    }

    /// Replaces all claims but the times.
    pub(crate) fn saying(mut self, claims: Value) -> Self {
        let times = ["iat", "exp"].map(|name| (name, self.claims[name].clone()));
        self.claims = claims;
        for (name, time) in times {
            self.claims[name] = time;
        }
        self
    }

    /// Sets a claim.
    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// Takes a claim away.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(name);
        self
    }

    /// Sets a member of the JOSE header; `null` takes it away.
    pub(crate) fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let header = self.header.as_object_mut().unwrap();
        if value.is_null() {
            header.remove(name)
        } else {
            header.insert(name.to_owned(), value)
        };
        self
    }

    /// Signs with another key, and says so.
    pub(crate) fn key(self, key: &Key) -> Self {
        let draft = Self {
            key: key.clone(),
            ..self
        };
        draft
            .header("alg", key.algorithm())
            .header("kid", key.id.as_str())
    }

    pub(crate) fn jti(&self) -> String {
        self.claims["jti"].as_str().unwrap().to_owned()
    }

    pub(crate) fn sign(&self) -> String {
        let input = self.input();
        let algorithm = self.header["alg"].as_str().unwrap_or_default();
        let signature = self.key.sign(algorithm, input.as_bytes());
        format!("{input}.{}", encode(&signature))
    }

    /// Signs with HMAC under any bytes at all.
    pub(crate) fn sign_hmac(&self, secret: &[u8]) -> String {
        let input = self.input();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
        format!("{input}.{}", encode(tag.as_ref()))
    }

    fn input(&self) -> String {
        format!(
            "{}.{}",
            encode(self.header.to_string().as_bytes()),
            encode(self.claims.to_string().as_bytes())
        )
    }
}

/// The same token with this signature instead.
pub(crate) fn unsigned(token: &str, signature: &str) -> String {
    let (input, _) = token.rsplit_once('.').unwrap();
    format!("{input}.{signature}")
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
