//! What a token is bound to (`cnf`, RFC 7800): a token that is bound is never taken without the proof.

use super::dpop::{self, BadProof};
use super::{Binding, Credentials, Proofs, Resource, Scheme, Unauthenticated};
use crate::time::Timestamp;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::fmt;

/// The SHA-256 thumbprint of a key (RFC 7638), or of a certificate (RFC 8705 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Reads 32 bytes in base64url; `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// That of a key in its canonical form, or of a certificate in DER.
    pub fn of(canonical: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, canonical).as_ref());
        Self(bytes)
    }

    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a token is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Confirmation {
    /// A key of the client (`jkt`, RFC 9449): each request proves that the sender holds it.
    Key(Thumbprint),
    /// A certificate of the client (`x5t#S256`, RFC 8705): the connection proves that the sender has its key.
    Certificate(Thumbprint),
}

impl Confirmation {
    /// What no other one has.
    pub(crate) fn bytes(&self) -> [u8; 33] {
        let (kind, Thumbprint(thumbprint)) = match self {
            Self::Key(key) => (b'k', key),
            Self::Certificate(certificate) => (b'c', certificate),
        };
        let mut bytes = [kind; 33];
        let (_, rest) = bytes.split_at_mut(1);
        rest.copy_from_slice(thumbprint);
        bytes
    }
}

/// Why a connection does not show that the token is the sender's (RFC 8705 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// The connection was made without a client certificate, or is no TLS of ours.
    #[error("no client certificate")]
    Missing,
    /// Another certificate than the token's.
    #[error("not the client certificate that the token is bound to")]
    Other,
    /// The token is bound to no certificate, and has to be.
    #[error("token is not bound to a client certificate")]
    Unbound,
}

impl BadCertificate {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "mtls_missing",
            Self::Other => "mtls_certificate",
            Self::Unbound => "mtls_unbound",
        }
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a token is bound to, unless whoever has it may use it.
///
/// # Errors
/// [`Unauthenticated::Bound`] if it is bound to anything that cannot be checked here.
pub(super) fn confirmation(
    claims: &Map<String, Value>,
) -> Result<Option<Confirmation>, Unauthenticated> {
    let Some(bound) = claims.get("cnf") else {
        return Ok(None);
    };
    let mut members = bound.as_object().ok_or(Unauthenticated::Bound)?.iter();
    let (Some((name, value)), None) = (members.next(), members.next()) else {
        return Err(Unauthenticated::Bound);
    };
    let thumbprint = value.as_str().and_then(Thumbprint::parse);
    match (name.as_str(), thumbprint) {
        ("jkt", Some(key)) => Ok(Some(Confirmation::Key(key))),
        ("x5t#S256", Some(certificate)) => Ok(Some(Confirmation::Certificate(certificate))),
        (_, Some(_) | None) => Err(Unauthenticated::Bound),
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

/// Whether the sender of a verified token is the one that it was given to (RFC 9449 section 7.1, RFC 8705 section 3).
pub(super) fn expect_sender(
    bound: Option<Confirmation>,
    (credentials, presented): (&Credentials<'_>, (Scheme, &str)),
    resource: &Resource,
    (proofs, now): (&Proofs, Timestamp),
) -> Result<(), Unauthenticated> {
    let (scheme, token) = presented;
    match (scheme, bound) {
        (Scheme::Bearer, None) => match resource.mtls {
            Binding::Off | Binding::Accepted => Ok(()),
            Binding::Required => Err(BadCertificate::Unbound.into()),
        },
        (Scheme::Bearer, Some(Confirmation::Certificate(own))) => {
            expect_certificate(own, credentials.certificate, resource)
        }
        (Scheme::Bearer, Some(Confirmation::Key(_))) => Err(match resource.dpop {
            Binding::Off => Unauthenticated::Bound,
            Binding::Accepted | Binding::Required => BadProof::Missing.into(),
        }),
        (Scheme::Dpop, None | Some(Confirmation::Certificate(_))) => Err(Unauthenticated::Bound),
        (Scheme::Dpop, Some(Confirmation::Key(key))) => {
            dpop::verify(credentials, (token, &key), resource, (proofs, now))?;
            Ok(())
        }
    }
}

fn expect_certificate(
    own: Thumbprint,
    shown: Option<Thumbprint>,
    resource: &Resource,
) -> Result<(), Unauthenticated> {
    match (resource.mtls, shown) {
        (Binding::Off, _) => Err(Unauthenticated::Bound),
        (Binding::Accepted | Binding::Required, None) => Err(BadCertificate::Missing.into()),
        (Binding::Accepted | Binding::Required, Some(shown)) if shown == own => Ok(()),
        (Binding::Accepted | Binding::Required, Some(_)) => Err(BadCertificate::Other.into()),
    }
}
