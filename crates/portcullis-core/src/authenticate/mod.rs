//! Who is calling? A verified access token (or, for `wrap`, the operating-system user) becomes a [`Principal`].

mod bearer;
mod cache;
mod challenge;
mod claimed;
mod claims;
mod implied;
mod declared;
mod tenant;
mod confirm;
mod dpop;
mod hint;
mod introspect;
mod jwt;
mod keys;
mod login;
mod resource;
mod revoked;
mod rights;
mod said;

use crate::secret::Secret;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use bearer::{Credentials, Scheme};
pub use cache::Verified;
pub use challenge::{challenges, metadata, step_up_challenges, wanted};
pub use claimed::Claimed;
pub(crate) use claimed::issued_for;
pub use claims::{ClaimPath, Claims, Vouching};
pub use confirm::{BadCertificate, Confirmation, Thumbprint};
pub use declared::{ClaimKind, ClaimValue, DeclaredClaim};
pub use dpop::{BadProof, PROOF_ALGORITHMS, Proofs, Proved, prove};
pub use hint::Lookalike;
pub(crate) use hint::hint;
pub use implied::{Cycle, Implied};
pub use introspect::{Form, Introspection, MAX_ANSWER_BYTES, NoAnswer, Question, encode};
pub(crate) use jwt::{check_audience, moment, open, signed_in};
pub use jwt::{names_other_key, signed_by};
pub use keys::{Algorithm, BadKeys, KeySet, Keys, UnknownAlgorithm};
pub use login::Authentication;
pub use resource::{Binding, Resource};
pub use revoked::{Cause, Named, Revoked};
pub use said::{Said, Topic};
pub use tenant::Membership;

/// The most that a clock may be off, whatever the configuration says.
pub const MAX_SKEW: Duration = Duration::from_mins(1);

/// Proof that the caller is known. Only this room makes one.
#[derive(Clone)]
pub struct Principal(Arc<Identity>, Option<Arc<Secret<String>>>);

/// What is known of a caller once the token has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who has made the token: its `iss`, or `os` for the operating system.
    pub issuer: String,
    /// The provider at which the user has signed in, where that is not the issuer itself.
    pub provider: Option<String>,
    /// Whom it names: the token's `sub`, or the claim that stands for it, or the numeric user id.
    pub subject: String,
    /// The OAuth client that presented it (`client_id`, else `azp`, unless the issuer calls it otherwise).
    pub client: Option<String>,
    /// The token's own id (`jti`).
    pub token_id: Option<String>,
    /// Granted scopes (`scope`, or Entra's `scp`), and those that they imply.
    pub scopes: Vec<String>,
    /// Those of `scopes` that the token does not name: others imply them.
    pub implied: Vec<String>,
    /// Roles, from the claim that the issuer's configuration names.
    pub roles: Vec<String>,
    /// Groups, from the claim that the issuer's configuration names.
    pub groups: Vec<String>,
    /// Whether the token does not name all groups: what rests on them cannot be decided.
    pub has_unknown_groups: bool,
    /// Every other claim that is a plain text.
    pub claims: Vec<(String, String)>,
    /// The claims that the configuration declares for policies, as far as the token has them.
    pub declared: Vec<(String, ClaimValue)>,
    /// The same as the token itself says, where its issuer may say otherwise by events.
    pub own_declared: Option<Vec<(String, ClaimValue)>>,
    /// What the token says of the login behind it.
    pub authentication: Authentication,
    /// When the token was made (`iat`), the beginning of time if it does not say; when the process of the
    /// operating-system user started.
    pub issued: Timestamp,
    /// What the token is bound to (`cnf`): the sender has shown to have it.
    pub bound: Option<Confirmation>,
    /// When the token ends; the end of time for the operating-system user.
    pub expires: Timestamp,
    /// How long the token lives in all (`exp - iat`); without `iat`, from when it was verified.
    pub lifetime: Duration,
    /// The tenant to which the caller belongs, if to any.
    pub tenant: Option<Arc<str>>,
    /// The server-side key of this principal: `<who vouches>|<subject>` with `|` and `%` escaped in both.
    pub key: Arc<str>,
}

impl Identity {
    /// Who vouches for the caller: whose the subject is, wherever one is named. That is the provider at which a user has signed
    /// in, and else the issuer of the token.
    pub fn vouched_by(&self) -> &str {
        self.provider.as_deref().unwrap_or(&self.issuer)
    }

    /// The scopes that the token itself names.
    pub fn named_scopes(&self) -> Vec<String> {
        let named = self.scopes.iter();
        let named = named.filter(|scope| !self.implied.contains(scope));
        named.cloned().collect()
    }
}

impl Principal {
    fn new(identity: Identity) -> Self {
        Self(Arc::new(identity), None)
    }

    /// The same with a token at hand.
    #[cfg(test)]
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.1 = Some(Arc::new(Secret::new(token.to_owned())));
        self
    }

    /// The same with another end.
    #[cfg(test)]
    pub(crate) fn until(self, expires: Timestamp) -> Self {
        let identity = Identity {
            expires,
            ..(*self.0).clone()
        };
        Self(Arc::new(identity), self.1)
    }

    /// The token by which the caller is known, where the resource exchanges it for another.
    pub(crate) fn brought(&self) -> Option<&Secret<String>> {
        self.1.as_deref()
    }
}

impl std::ops::Deref for Principal {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Principal({})", self.key)
    }
}

/// The principal of a local pipe: whoever runs the process, as the kernel says, and since when.
pub fn operating_system_user(uid: u32, name: &str, started: Timestamp) -> Principal {
    Principal::new(Identity {
        issuer: "os".to_owned(),
        provider: None,
        subject: uid.to_string(),
        client: None,
        token_id: None,
        scopes: Vec::new(),
        implied: Vec::new(),
        roles: Vec::new(),
        groups: Vec::new(),
        has_unknown_groups: false,
        claims: vec![("name".to_owned(), name.to_owned())],
        declared: Vec::new(),
        own_declared: None,
        authentication: Authentication::default(),
        issued: started,
        bound: None,
        expires: Timestamp::from_micros(u64::MAX),
        lifetime: Duration::MAX,
        tenant: None,
        key: key_of("os", &uid.to_string()),
    })
}

/// The server-side key of a principal ([`Identity::key`]).
pub fn key_of(issuer: &str, subject: &str) -> Arc<str> {
    let escape = |text: &str| text.replace('%', "%25").replace('|', "%7C");
    format!("{}|{}", escape(issuer), escape(subject)).into()
}

/// One issuer that the configuration trusts.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Compared with `iss` byte for byte.
    pub issuer: String,
    /// What it may sign with (RFC 8725 section 3.1); never empty, never symmetric.
    pub algorithms: Vec<Algorithm>,
    /// Accepted `typ` header values, lower case, without `application/`.
    pub token_types: Vec<String>,
    /// The longest accepted `exp - iat`.
    pub max_lifetime: Duration,
    /// Clock tolerance, at most [`MAX_SKEW`].
    pub skew: Duration,
    /// What it calls things.
    pub claims: Claims,
    /// Other names under which its provider's tokens may come; they are refused.
    pub lookalikes: Vec<Lookalike>,
    /// Which tokens it is asked about.
    pub introspection: Introspection,
}

/// All that a token is verified against: one consistent set, replaced whole.
#[derive(Debug)]
pub struct Trust {
    /// The trusted issuers, by `iss`.
    pub issuers: HashMap<String, Issuer>,
    /// Their keys.
    pub keys: Keys,
    /// What was revoked.
    pub revoked: Arc<Revoked>,
    /// Changes whenever anything above does; cached verifications of another generation are void.
    pub generation: u64,
}

/// Why a caller is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// No credentials at all.
    #[error("no credentials")]
    Missing,
    /// Another scheme than `Bearer`, or not one token after it.
    #[error("not a bearer credential")]
    Scheme,
    /// More than one `Authorization` header.
    #[error("more than one authorization header")]
    Duplicate,
    /// A token in the query string (RFC 6750 section 5.3).
    #[error("token in the query string")]
    Query,
    /// Not a JWS of ours: size, shape, base64 or JSON.
    #[error("malformed token")]
    Malformed,
    /// A header that brings its own key, or a critical extension (`jwk`, `jku`, `x5u`, `x5c`, `crit`).
    #[error("forbidden token header")]
    Header,
    /// An algorithm that this issuer may not use.
    #[error("algorithm not allowed")]
    Algorithm,
    /// Another kind of token (`typ`), such as an ID token.
    #[error("token type not accepted")]
    Type,
    /// `iss` is not an issuer that this server trusts.
    #[error("issuer not trusted")]
    Issuer,
    /// No key of that issuer has this `kid`: its keys may have rotated.
    #[error("unknown signing key")]
    UnknownKey {
        /// The trusted issuer whose keys may be stale.
        issuer: String,
    },
    /// The signature is wrong.
    #[error("signature does not verify")]
    Signature,
    /// `exp` has passed.
    #[error("token expired")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("token not valid yet")]
    NotYet,
    /// No `exp`, or it lives longer than allowed.
    #[error("token lifetime not accepted")]
    Lifetime,
    /// `aud` does not name this resource.
    #[error("token is for another audience")]
    Audience,
    /// No usable `sub`, or of the claim that stands for it.
    #[error("token has no subject")]
    Subject,
    /// Not the claims of an access token of this issuer: an ID token, another tenant's.
    #[error("claim `{name}` is not that of an access token of this issuer")]
    Claim {
        /// A claim that the configuration names.
        name: String,
    },
    /// Bound in a way that cannot be checked here, or presented as if it were bound (RFC 7800, RFC 9449).
    #[error("token is not bound to what was shown")]
    Bound,
    /// The sender has not shown to hold the key that the token is bound to.
    #[error(transparent)]
    Proof(#[from] BadProof),
    /// The connection does not show that the token is the sender's.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// Revoked by id, by subject, by client or by a claim.
    #[error("token revoked")]
    Revoked {
        /// What the revocation follows from.
        cause: Cause,
    },
    /// Its issuer has said something else of the caller since it was looked at.
    #[error("not what was known of the caller")]
    Changed,
    /// Nobody knows before its issuer was asked (RFC 7662).
    #[error("issuer not asked")]
    Unasked {
        /// The trusted issuer to ask.
        issuer: String,
    },
    /// Its issuer says that it is none, or none any more.
    #[error("token not active")]
    Inactive,
}

impl Unauthenticated {
    /// The challenge's word for it; `None` where nothing was presented that could be wrong.
    pub const fn error(&self, scheme: Scheme) -> Option<&'static str> {
        challenge::error(self, scheme)
    }

    /// The audit record's word for it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Scheme => "scheme",
            Self::Duplicate => "duplicate",
            Self::Query => "query",
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::Algorithm => "alg",
            Self::Type => "typ",
            Self::Issuer => "issuer",
            Self::UnknownKey { .. } => "kid",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYet => "nbf",
            Self::Lifetime => "lifetime",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::Claim { .. } => "claim",
            Self::Bound => "cnf",
            Self::Proof(why) => why.reason(),
            Self::Certificate(why) => why.reason(),
            Self::Revoked { .. } => "revoked",
            Self::Changed => "changed",
            Self::Unasked { .. } => "introspection",
            Self::Inactive => "inactive",
        }
    }
}

/// Verifies an access token (RFC 9068 section 4, algorithms as in RFC 8725 section 3.1).
///
/// A token that was verified before for the same resource is found in the cache, whose entries never outlive the
/// token or the `trust` they were made under. What a token is bound to is looked for each time; a proof is used up. Cost: one
/// hash, or one signature; one more for a proof.
///
/// # Errors
/// [`Unauthenticated`]; it never contains any part of the token.
pub fn verify(
    credentials: &Credentials<'_>,
    resource: &Resource,
    trust: &Trust,
    (cache, proofs): (&Verified, &Proofs),
    now: Timestamp,
) -> Result<Principal, Unauthenticated> {
    let (scheme, token) = credentials.token()?;
    confirm::expect_scheme(scheme, resource)?;
    let mut principal = known(token, resource, trust, cache, now)?;
    resource.expect_lifetime(&principal)?;
    let presented = (credentials, (scheme, token));
    confirm::expect_sender(principal.bound, presented, resource, (proofs, now))?;
    if resource.exchanges {
        principal.1 = Some(Arc::new(Secret::new(token.to_owned())));
    }
    Ok(principal)
}

/// Whom the token names, whoever sent it.
fn known(
    token: &str,
    resource: &Resource,
    trust: &Trust,
    cache: &Verified,
    now: Timestamp,
) -> Result<Principal, Unauthenticated> {
    let place = cache::place(token, &resource.audience);
    if let Some(principal) = cache.find(&place, trust.generation, now) {
        return jwt::still_valid(principal, trust, now);
    }
    let verified = jwt::verify(token, resource, trust, now);
    let principal = Principal::new(introspect::or_ask(verified, resource, trust)?);
    cache.keep(place, trust.generation, principal.clone());
    Ok(principal)
}

#[cfg(test)]
mod tests;
