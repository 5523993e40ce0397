//! The gateway's own issuer, for people without an identity provider: short-lived RFC 9068 tokens for one server.

use crate::random;
use anyhow::Context as _;
use aws_lc_rs::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portcullis_core::authenticate::KeySet;
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// The `client_id` of tokens that the command line made.
const CLIENT: &str = "portcullis-cli";

/// What a token says.
#[derive(Debug)]
pub(crate) struct Claims<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) lifetime: Duration,
    /// What it is bound to: a member of `cnf`, and the thumbprint.
    pub(crate) bound: Option<(&'static str, String)>,
}

/// The public half of a key as a JWKS document.
pub(crate) fn jwks(key: &Secret<Vec<u8>>) -> anyhow::Result<String> {
    let (id, x) = public(key)?;
    let key =
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": x });
    Ok(json!({ "keys": [key] }).to_string())
}

/// The same, to verify with.
pub(crate) fn key_set(key: &Secret<Vec<u8>>) -> anyhow::Result<KeySet> {
    KeySet::parse(jwks(key)?.as_bytes()).context("our own issuer's key cannot be used")
}

/// Signs an access token (RFC 9068 section 2).
pub(crate) fn mint(
    key: &Secret<Vec<u8>>,
    claims: &Claims<'_>,
    now: Timestamp,
) -> anyhow::Result<Secret<String>> {
    let id = random::bytes::<16>().context("no entropy for a token id")?;
    let mut body = json!({
        "iss": claims.issuer,
        "sub": claims.subject,
        "aud": claims.audience,
        "client_id": CLIENT,
        "scope": claims.scopes.join(" "),
        "iat": now.seconds(),
        "exp": now.plus(claims.lifetime).seconds(),
        "jti": URL_SAFE_NO_PAD.encode(id),
    });
    if let (Some((kind, thumbprint)), Some(body)) = (&claims.bound, body.as_object_mut()) {
        body.insert("cnf".to_owned(), json!({ *kind: thumbprint }));
    }
    sign(key, "at+jwt", &body)
}

/// Signs any claims.
pub(crate) fn sign(
    key: &Secret<Vec<u8>>,
    kind: &str,
    claims: &Value,
) -> anyhow::Result<Secret<String>> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(kind.to_owned());
    header.kid = Some(public(key)?.0);
    let signing = EncodingKey::from_ed_der(key.expose());
    let token = jsonwebtoken::encode(&header, claims, &signing).context("cannot sign a token")?;
    Ok(Secret::new(token))
}

/// Key id (RFC 7638 thumbprint) and public key, base64url.
fn public(key: &Secret<Vec<u8>>) -> anyhow::Result<(String, String)> {
    let pair = Ed25519KeyPair::from_pkcs8(key.expose())
        .ok()
        .context("not an Ed25519 key in PKCS #8")?;
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let thumbprint = digest::digest(&digest::SHA256, canonical.as_bytes());
    Ok((URL_SAFE_NO_PAD.encode(thumbprint.as_ref()), x))
}
