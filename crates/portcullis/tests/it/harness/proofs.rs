//! What a peer that knows RFC 9449 asks of a proof, checked with nothing of the gateway's.

use super::gateway::now;
use super::http::Seen;
use super::jwt::encode;
use aws_lc_rs::digest;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What one peer has seen, and wants.
#[derive(Default)]
pub(crate) struct Proofs {
    used: BTreeSet<String>,
    /// The nonce that a proof must have.
    pub(crate) nonce: Option<String>,
}

/// Why a proof is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadProof {
    Nonce,
    Wrong(String),
}

impl From<&str> for BadProof {
    fn from(why: &str) -> Self {
        Self::Wrong(why.to_owned())
    }
}

impl Proofs {
    /// The thumbprint of the key that made the proof of this request.
    pub(crate) fn check(
        &mut self,
        seen: &Seen,
        url: &str,
        token: Option<&str>,
    ) -> Result<String, BadProof> {
        let proof = seen.header("dpop").ok_or("no proof")?;
        let header = decode_header(proof).map_err(|_| "header")?;
        let key = header.jwk.ok_or("no jwk")?;
        if header.typ.as_deref() != Some("dpop+jwt") || header.alg != Algorithm::ES256 {
            return Err("typ or alg".into());
        }
        let mut rules = Validation::new(Algorithm::ES256);
        rules.required_spec_claims.clear();
        (rules.validate_exp, rules.validate_aud) = (false, false);
        let verifying = DecodingKey::from_jwk(&key).map_err(|_| "jwk")?;
        let claims = decode::<Value>(proof, &verifying, &rules).map_err(|_| "signature")?;
        let claims = claims.claims;
        if claims["htm"] != seen.method.as_str() || claims["htu"] != url {
            return Err(BadProof::Wrong(format!(
                "{claims} for {} {url}",
                seen.method
            )));
        }
        let hash = token.map(|token| digest::digest(&digest::SHA256, token.as_bytes()));
        let hash = hash.map_or(Value::Null, |hash| encode(hash.as_ref()).into());
        if claims["ath"] != hash
            || claims["iat"]
                .as_u64()
                .is_none_or(|at| at.abs_diff(now()) > 60)
        {
            return Err("ath or iat".into());
        }
        if let Some(nonce) = &self.nonce
            && claims["nonce"] != nonce.as_str()
        {
            return Err(BadProof::Nonce);
        }
        let id = claims["jti"].as_str().ok_or("no jti")?;
        if !self.used.insert(id.to_owned()) {
            return Err("used".into());
        }
        let key = serde_json::to_value(&key).unwrap();
        assert!(key.get("d").is_none(), "the private half is shown");
        let members = ["crv", "kty", "x", "y"].map(|name| (name, &key[name]));
        let canonical = serde_json::to_string(&BTreeMap::from(members)).unwrap();
        let print = digest::digest(&digest::SHA256, canonical.as_bytes());
        Ok(encode(print.as_ref()))
    }
}
