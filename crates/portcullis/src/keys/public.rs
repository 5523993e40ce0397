//! The public half of a key: what others verify our word with (RFC 7517).

use super::Purpose;
use crate::lifecycle::LOG_NAME;
use anyhow::Context as _;
use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_audit::VerifierKey;
use portcullis_core::secret::Secret;
use serde::{Deserialize, Serialize};

/// A public key as a JWK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Public {
    kty: String,
    crv: String,
    /// The only algorithm that it is for.
    pub(crate) alg: String,
    #[serde(rename = "use")]
    usage: String,
    /// Its thumbprint (RFC 7638); the log's key goes by the id that signed notes have.
    pub(crate) kid: String,
    x: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

impl Public {
    /// That of a private key in PKCS #8.
    pub(super) fn of(purpose: Purpose, document: &Secret<Vec<u8>>) -> anyhow::Result<Self> {
        match purpose {
            Purpose::Issuer | Purpose::Audit | Purpose::Catalog => {
                let pair = Ed25519KeyPair::from_pkcs8(document.expose());
                let pair = pair.ok().context("not an Ed25519 key in PKCS #8")?;
                Self::ed25519(purpose, pair.public_key().as_ref()).context("no Ed25519 key")
            }
            Purpose::Assertion | Purpose::Client => {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.expose());
                let pair = pair.ok().context("not a P-256 key in PKCS #8")?;
                Self::p256(pair.public_key().as_ref())
            }
        }
    }

    /// That of a key in a token: the point as a DER octet string, or, as some write it, as it is.
    pub(super) fn of_point(purpose: Purpose, point: &[u8]) -> Option<Self> {
        match (purpose, point) {
            (Purpose::Issuer | Purpose::Audit | Purpose::Catalog, [0x04, 0x20, key @ ..] | key)
                if key.len() == 32 =>
            {
                Self::ed25519(purpose, key)
            }
            (Purpose::Assertion | Purpose::Client, [0x04, 0x41, key @ ..] | key)
                if key.len() == 65 =>
            {
                Self::p256(key).ok()
            }
            (
                Purpose::Issuer
                | Purpose::Assertion
                | Purpose::Client
                | Purpose::Audit
                | Purpose::Catalog,
                _,
            ) => None,
        }
    }

    /// The same as auditors know it, if it is one for the log.
    pub(super) fn verifier(&self) -> anyhow::Result<VerifierKey> {
        let key = URL_SAFE_NO_PAD.decode(&self.x)?;
        Ok(VerifierKey::new(LOG_NAME, &key)?)
    }

    fn ed25519(purpose: Purpose, key: &[u8]) -> Option<Self> {
        let x = URL_SAFE_NO_PAD.encode(key);
        let kid = match purpose {
            Purpose::Audit => VerifierKey::new(LOG_NAME, key).ok()?.id(),
            Purpose::Issuer | Purpose::Assertion | Purpose::Client | Purpose::Catalog => {
                thumbprint(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#))
            }
        };
        Some(Self {
            kid,
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
            x,
            y: None,
        })
    }

    /// From a point as SEC 1 writes it, uncompressed.
    fn p256(point: &[u8]) -> anyhow::Result<Self> {
        let point = point.strip_prefix(&[4]).unwrap_or_default();
        let (x, y) = point.split_at_checked(32).context("no point of P-256")?;
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Ok(Self {
            kid: thumbprint(&canonical),
            kty: "EC".to_owned(),
            crv: "P-256".to_owned(),
            alg: "ES256".to_owned(),
            usage: "sig".to_owned(),
            x,
            y: Some(y),
        })
    }
}

/// RFC 7638 section 3.
fn thumbprint(canonical: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}
