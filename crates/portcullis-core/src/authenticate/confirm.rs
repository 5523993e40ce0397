//! What a token is bound to (`cnf`, RFC 7800): a token that is bound is never taken without the proof.

use super::dpop::{self, BadProof};
use super::{Binding, Credentials, Proofs, Resource, Scheme, Unauthenticated};
use crate::time::Timestamp;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::fmt;

/// The SHA-256 thumbprint of a key (RFC 7638).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Reads 32 bytes in base64url; `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn of(canonical: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// The key that a token is bound to, unless whoever has it may use it.
///
/// # Errors
/// [`Unauthenticated::Bound`] if it is bound to anything that cannot be checked here.
pub(super) fn bound_key(
    claims: &Map<String, Value>,
) -> Result<Option<Thumbprint>, Unauthenticated> {
    let Some(bound) = claims.get("cnf") else {
        return Ok(None);
    };
    let members = bound.as_object().ok_or(Unauthenticated::Bound)?;
    let key = members.get("jkt").and_then(Value::as_str);
    match (key.and_then(Thumbprint::parse), members.len()) {
        (Some(key), 1) => Ok(Some(key)),
        (Some(_) | None, _) => Err(Unauthenticated::Bound),
    }
}

/// Whether this server takes tokens that are presented like that; before any of it is read.
pub(super) const fn expect_scheme(
    scheme: Scheme,
    resource: &Resource,
) -> Result<(), Unauthenticated> {
    match (resource.dpop, scheme) {
        (Binding::Off, Scheme::Dpop) => Err(Unauthenticated::Scheme),
        (Binding::Required, Scheme::Bearer) => Err(Unauthenticated::Proof(BadProof::Missing)),
        (Binding::Off | Binding::Accepted, Scheme::Bearer)
        | (Binding::Accepted | Binding::Required, Scheme::Dpop) => Ok(()),
    }
}

/// Whether the sender of a verified token is the one that it was given to (RFC 9449 section 7.1).
pub(super) fn expect_sender(
    bound: Option<Thumbprint>,
    (credentials, presented): (&Credentials<'_>, (Scheme, &str)),
    resource: &Resource,
    (proofs, now): (&Proofs, Timestamp),
) -> Result<(), Unauthenticated> {
    let (scheme, token) = presented;
    match (scheme, bound) {
        (Scheme::Bearer, None) => Ok(()),
        (Scheme::Bearer, Some(_)) => Err(match resource.dpop {
            Binding::Off => Unauthenticated::Bound,
            Binding::Accepted | Binding::Required => BadProof::Missing.into(),
        }),
        (Scheme::Dpop, None) => Err(Unauthenticated::Bound),
        (Scheme::Dpop, Some(key)) => {
            dpop::verify(credentials, (token, &key), resource, (proofs, now))?;
            Ok(())
        }
    }
}
