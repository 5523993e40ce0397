//! Proofs of possession (RFC 9449): a small token that the client signs for one request.

mod nonce;
mod replay;
mod target;

use super::jwt::{decode, moment, optional_text, text};
use super::keys::brought;
use super::{Algorithm, Credentials, Resource, Thumbprint};
use crate::time::Timestamp;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::time::Duration;

pub use replay::Proofs;

/// What a proof may be signed with, as the metadata and the challenges name it.
pub const PROOF_ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "PS256", "RS256"];

/// How old a proof may be.
const WINDOW: Duration = Duration::from_mins(1);
/// By how much the client's clock may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(5);
/// The longest accepted proof, in bytes.
const MAX_PROOF_BYTES: usize = 8 * 1024;
/// The longest accepted `jti`, in bytes.
const MAX_ID_BYTES: usize = 512;

/// Header parameters that bring a further key or change how the proof is read.
const TROUBLE: &[&str] = &["jku", "x5u", "x5c", "crit", "b64", "zip"];
/// Members of a JWK that only its owner may know (RFC 7518 sections 6.2.2, 6.3.2 and 6.4).
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a proof does not show that the sender holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// No `DPoP` header where one is needed.
    #[error("no proof of possession")]
    Missing,
    /// More than one `DPoP` header.
    #[error("more than one proof")]
    Duplicate,
    /// Not such a proof: size, shape, `typ`, algorithm, or a `jwk` that is no public key.
    #[error("malformed proof")]
    Malformed,
    /// Signed with another key than the token is bound to.
    #[error("proof of another key")]
    OtherKey,
    /// The signature is wrong.
    #[error("signature of the proof does not verify")]
    Signature,
    /// `htm` is not the request's method.
    #[error("proof for another method")]
    Method,
    /// `htu` is not the resource's URL.
    #[error("proof for another url")]
    Url,
    /// `ath` is not the token's hash.
    #[error("proof for another token")]
    Token,
    /// `iat` is too old or lies in the future.
    #[error("proof of another time")]
    Time,
    /// No nonce of ours, or one that has ended.
    #[error("proof without a fresh nonce")]
    Nonce,
    /// Used before.
    #[error("proof was used before")]
    Replay,
    /// So many proofs were used that one more could not be remembered.
    #[error("too many proofs")]
    Full,
}

impl BadProof {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "dpop_missing",
            Self::Duplicate => "dpop_duplicate",
            Self::Malformed => "dpop_proof",
            Self::OtherKey => "dpop_key",
            Self::Signature => "dpop_signature",
            Self::Method => "dpop_htm",
            Self::Url => "dpop_htu",
            Self::Token => "dpop_ath",
            Self::Time => "dpop_iat",
            Self::Nonce => "dpop_nonce",
            Self::Replay => "dpop_replay",
            Self::Full => "dpop_full",
        }
    }
}

/// Verifies the proof that comes with a token (RFC 9449 section 4.3) and uses it up.
///
/// The key is compared before its signature is looked at, so nobody chooses the key we compute with.
///
/// # Errors
/// [`BadProof`].
pub(super) fn verify(
    credentials: &Credentials<'_>,
    (token, key): (&str, &Thumbprint),
    resource: &Resource,
    (proofs, now): (&Proofs, Timestamp),
) -> Result<(), BadProof> {
    let proof = only(credentials)?;
    let (signed, signature) = proof.rsplit_once('.').ok_or(BadProof::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(BadProof::Malformed)?;
    let header = decode(header).map_err(|_| BadProof::Malformed)?;
    let claims = decode(payload).map_err(|_| BadProof::Malformed)?;
    check_signature(&header, key, (signed, signature))?;
    check_request(&claims, credentials.method, &resource.url)?;
    check_token(&claims, token)?;
    if resource.needs_nonce && !proofs.knows_nonce(text(&claims, "nonce").as_deref(), now) {
        return Err(BadProof::Nonce);
    }
    use_up(&claims, key, (proofs, now))
}

/// What a proof that comes without a token is held against.
#[derive(Debug, Clone, Copy)]
pub struct Proved<'a> {
    /// The `DPoP` header; none where there was not just one.
    pub proof: &'a [u8],
    /// The request's HTTP method.
    pub method: &'a str,
    /// The endpoint's URL.
    pub url: &'a str,
}

/// The key that a proof shows, where a token is asked for (RFC 9449 section 5). It is used up.
///
/// # Errors
/// [`BadProof`].
pub fn prove(
    proved: &Proved<'_>,
    (proofs, now): (&Proofs, Timestamp),
) -> Result<Thumbprint, BadProof> {
    let proof = std::str::from_utf8(proved.proof).map_err(|_| BadProof::Malformed)?;
    if proof.len() > MAX_PROOF_BYTES {
        return Err(BadProof::Malformed);
    }
    let (signed, signature) = proof.rsplit_once('.').ok_or(BadProof::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(BadProof::Malformed)?;
    let header = decode(header).map_err(|_| BadProof::Malformed)?;
    let claims = decode(payload).map_err(|_| BadProof::Malformed)?;
    let key = header.get("jwk").and_then(thumbprint);
    let key = key.ok_or(BadProof::Malformed)?;
    check_signature(&header, &key, (signed, signature))?;
    check_request(&claims, proved.method, proved.url)?;
    use_up(&claims, &key, (proofs, now))?;
    Ok(key)
}

fn use_up(
    claims: &Map<String, Value>,
    key: &Thumbprint,
    (proofs, now): (&Proofs, Timestamp),
) -> Result<(), BadProof> {
    let made = moment(claims, "iat").ok().flatten();
    let made = made.ok_or(BadProof::Malformed)?;
    if made > now.plus(AHEAD) || now > made.plus(WINDOW) {
        return Err(BadProof::Time);
    }
    let id = text(claims, "jti").filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES);
    let nonce = text(claims, "nonce");
    let shown = (&*id.ok_or(BadProof::Malformed)?, nonce.as_deref());
    proofs.use_up(key, shown, (made, now))
}

fn only<'a>(credentials: &Credentials<'a>) -> Result<&'a str, BadProof> {
    let proof = credentials.proof.ok_or(BadProof::Missing)?;
    if credentials.proofs != 1 {
        return Err(BadProof::Duplicate);
    }
    std::str::from_utf8(proof)
        .ok()
        .filter(|proof| proof.len() <= MAX_PROOF_BYTES)
        .ok_or(BadProof::Malformed)
}

fn check_signature(
    header: &Map<String, Value>,
    bound: &Thumbprint,
    (signed, signature): (&str, &str),
) -> Result<(), BadProof> {
    let parameter = |name| optional_text(header, name).ok().flatten();
    if parameter("typ").as_deref() != Some("dpop+jwt")
        || TROUBLE.iter().any(|name| header.contains_key(*name))
    {
        return Err(BadProof::Malformed);
    }
    let algorithm: Algorithm = parameter("alg")
        .filter(|name| PROOF_ALGORITHMS.contains(&name.as_str()))
        .and_then(|name| name.parse().ok())
        .ok_or(BadProof::Malformed)?;
    let key = header.get("jwk").ok_or(BadProof::Malformed)?;
    if PRIVATE.iter().any(|name| key.get(name).is_some()) {
        return Err(BadProof::Malformed);
    }
    if thumbprint(key).ok_or(BadProof::Malformed)? != *bound {
        return Err(BadProof::OtherKey);
    }
    let key = brought(key, algorithm).ok_or(BadProof::Malformed)?;
    let library = algorithm.library();
    match jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, library) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(BadProof::Signature),
    }
}

/// The thumbprint of a public key (RFC 7638 section 3), over the members that its kind must have.
fn thumbprint(key: &Value) -> Option<Thumbprint> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let member = |name: &str| {
        let text = key.get(name)?.as_str()?;
        text.bytes().all(is_plain).then_some(text)
    };
    let canonical = match member("kty")? {
        "EC" => {
            let (curve, x, y) = (member("crv")?, member("x")?, member("y")?);
            format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
        }
        "OKP" => {
            let (curve, x) = (member("crv")?, member("x")?);
            format!(r#"{{"crv":"{curve}","kty":"OKP","x":"{x}"}}"#)
        }
        "RSA" => {
            let (exponent, modulus) = (member("e")?, member("n")?);
            format!(r#"{{"e":"{exponent}","kty":"RSA","n":"{modulus}"}}"#)
        }
        _ => return None,
    };
    Some(Thumbprint::of(canonical.as_bytes()))
}

/// The proof is for this request: its method, and our own URL.
fn check_request(claims: &Map<String, Value>, method: &str, url: &str) -> Result<(), BadProof> {
    let claim = |name| claims.get(name).and_then(Value::as_str);
    if claim("htm").ok_or(BadProof::Malformed)? != method {
        return Err(BadProof::Method);
    }
    if !target::is_same(claim("htu").ok_or(BadProof::Malformed)?, url) {
        return Err(BadProof::Url);
    }
    Ok(())
}

/// And for this token.
fn check_token(claims: &Map<String, Value>, token: &str) -> Result<(), BadProof> {
    let claim = |name| claims.get(name).and_then(Value::as_str);
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    if claim("ath").ok_or(BadProof::Malformed)? != URL_SAFE_NO_PAD.encode(hash.as_ref()) {
        return Err(BadProof::Token);
    }
    Ok(())
}
