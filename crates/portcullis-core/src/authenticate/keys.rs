//! Signing keys of the trusted issuers, as their JWKS (RFC 7517) gave them.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{AlgorithmFamily, DecodingKey};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// The most keys of one set that are looked at.
const MAX_KEYS: usize = 64;
/// The shortest accepted RSA modulus, in base64url characters (2048 bits).
const MIN_RSA_CHARS: usize = 342;

/// A signature algorithm that an issuer may be allowed: asymmetric ones only (RFC 8725 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the names are those of RFC 7518 section 3.1 and RFC 8037"
)]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// A name that is no allowed algorithm.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown or symmetric algorithm")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Ok(match name {
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "EdDSA" => Self::EdDSA,
            _ => return Err(UnknownAlgorithm),
        })
    }
}

impl Algorithm {
    pub(super) const fn library(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as A;
        match self {
            Self::RS256 => A::RS256,
            Self::RS384 => A::RS384,
            Self::RS512 => A::RS512,
            Self::PS256 => A::PS256,
            Self::PS384 => A::PS384,
            Self::PS512 => A::PS512,
            Self::ES256 => A::ES256,
            Self::ES384 => A::ES384,
            Self::EdDSA => A::EdDSA,
        }
    }

    fn fits(self, key: &Key) -> bool {
        key.algorithm.is_none_or(|only| only == self)
            && key.material.family() == self.family()
            && key.curve.as_deref() == self.curve()
    }

    /// The only curve of the algorithm (RFC 7518 section 3.4; of `EdDSA`, Ed25519 alone is taken).
    const fn curve(self) -> Option<&'static str> {
        match self {
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => {
                None
            }
            Self::ES256 => Some("P-256"),
            Self::ES384 => Some("P-384"),
            Self::EdDSA => Some("Ed25519"),
        }
    }

    const fn family(self) -> AlgorithmFamily {
        match self {
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => {
                AlgorithmFamily::Rsa
            }
            Self::ES256 | Self::ES384 => AlgorithmFamily::Ec,
            Self::EdDSA => AlgorithmFamily::Ed,
        }
    }
}

struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    curve: Option<String>,
    material: DecodingKey,
}

/// The usable signing keys of one issuer.
#[derive(Default)]
pub struct KeySet(Vec<Key>);

/// A document that is no JWKS.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON Web Key Set with usable signing keys")]
pub struct BadKeys;

impl KeySet {
    /// Reads a JWKS document; keys that are symmetric, too short, for encryption or of an unknown
    /// kind are passed over.
    ///
    /// # Errors
    /// [`BadKeys`] if nothing usable is left.
    pub fn parse(document: &[u8]) -> Result<Self, BadKeys> {
        let document: Value = serde_json::from_slice(document).map_err(|_| BadKeys)?;
        let listed = document
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(BadKeys)?;
        let keys: Vec<Key> = listed.iter().take(MAX_KEYS).filter_map(key).collect();
        if keys.is_empty() {
            Err(BadKeys)
        } else {
            Ok(Self(keys))
        }
    }

    /// Whether a token that one of these has signed could be verified.
    pub fn has_key_for(&self, algorithms: &[Algorithm]) -> bool {
        let fits = |key: &Key| algorithms.iter().any(|algorithm| algorithm.fits(key));
        self.0.iter().any(fits)
    }

    /// The key for a token's `kid` and algorithm; without a `kid`, the only one that fits.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| algorithm.fits(key));
        if let Some(id) = id {
            return fitting
                .find(|key| key.id.as_deref() == Some(id))
                .map(|key| &key.material);
        }
        let only = fitting.next()?;
        fitting.next().is_none().then_some(&only.material)
    }
}

fn key(value: &Value) -> Option<Key> {
    let signs = value.get("use").is_none_or(|usage| usage == "sig");
    let verifies = value.get("key_ops").is_none_or(|operations| {
        let mut listed = operations.as_array().into_iter().flatten();
        listed.any(|operation| operation == "verify")
    });
    let is_long = value
        .get("n")
        .and_then(Value::as_str)
        .is_none_or(|n| n.len() >= MIN_RSA_CHARS);
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let is_symmetric = matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
    if !signs || !verifies || !is_long || is_symmetric {
        return None;
    }
    let named = value.get("alg").and_then(Value::as_str);
    Some(Key {
        id: jwk.common.key_id.clone(),
        algorithm: named.map(Algorithm::from_str).transpose().ok()?,
        curve: value.get("crv").and_then(Value::as_str).map(str::to_owned),
        material: DecodingKey::from_jwk(&jwk).ok()?,
    })
}

/// The key that a proof brings along, if it is a public one for that algorithm, as strict as an issuer's.
pub(super) fn brought(value: &Value, algorithm: Algorithm) -> Option<DecodingKey> {
    let key = key(value)?;
    algorithm.fits(&key).then_some(key.material)
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| key.id.as_deref()))
            .finish()
    }
}

/// The key sets of all issuers, by `iss`: a `kid` of one never verifies a token of another.
#[derive(Debug, Default)]
pub struct Keys(pub HashMap<String, std::sync::Arc<KeySet>>);
