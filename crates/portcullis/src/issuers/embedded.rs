//! The gateway's own issuer, for people without an identity provider: short-lived RFC 9068 tokens for one server.

use crate::keys::Signer;
use crate::random;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::authenticate::KeySet;
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use serde_json::json;
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

/// Our own issuer's keys, to verify with.
pub(crate) fn key_set(key: &Signer) -> anyhow::Result<KeySet> {
    KeySet::parse(&key.document()).context("our own issuer's key cannot be used")
}

/// Signs an access token (RFC 9068 section 2).
pub(crate) fn mint(
    key: &Signer,
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
    Ok(key.sign_here("at+jwt", &body)?)
}
