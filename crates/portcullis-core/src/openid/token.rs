//! One ID token: signature first, then every claim that ties it to us, to this transaction and to this answer.

use super::NotSignedIn;
use crate::authenticate::{
    Algorithm, Identity, MAX_SKEW, Trust, Unauthenticated, check_audience, moment, open, signed_in,
};
use crate::secret::Secret;
use crate::sign_in::Disbelieved;
use crate::time::Timestamp;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// The oldest ID token that is taken: it was made while somebody waited for it.
const MAX_AGE: Duration = Duration::from_mins(10);
/// The largest one, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Letters of a name that are kept.
const MAX_NAME: usize = 128;

/// Who has signed in, as the provider has signed it. Only [`read_id_token`] and assertions make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    identity: Identity,
    name: Option<String>,
    session: Option<String>,
    sub: Option<String>,
}

/// What an ID token is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// Our name there.
    pub client: &'a str,
    /// What was sent along.
    pub nonce: &'a Secret<String>,
    /// The claim that names the user in ID tokens.
    pub subject: &'a str,
    /// The organizations (`hd`) of which the user must be, if any are named.
    pub domains: &'a [String],
}

/// The answer of a token endpoint (OpenID Connect Core section 3.1.3.3).
#[derive(Debug)]
pub struct Answer {
    /// Who it is.
    pub id_token: Secret<String>,
    /// What is used for nothing but to see that both came together.
    pub access_token: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct RawAnswer {
    id_token: Option<String>,
    access_token: Option<String>,
}

impl Answer {
    /// Reads it.
    ///
    /// # Errors
    /// [`NotSignedIn`].
    pub fn parse(answer: &[u8]) -> Result<Self, NotSignedIn> {
        let raw: RawAnswer = serde_json::from_slice(answer).map_err(|_| Disbelieved::Malformed)?;
        let access_token = raw.access_token.map(Secret::new);
        Ok(Self {
            id_token: Secret::new(raw.id_token.ok_or(NotSignedIn::NoToken)?),
            access_token,
        })
    }
}

impl SignedIn {
    /// Whom the provider has asserted to be signed in there.
    pub(super) const fn asserted(
        identity: Identity,
        name: Option<String>,
        sub: Option<String>,
    ) -> Self {
        Self {
            identity,
            name,
            session: None,
            sub,
        }
    }

    /// What is known of the user, groups and roles among it.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A name to show, as the provider has it: a foreign text.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The provider's own session (`sid`), by which it says that it has ended.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// What the provider calls the user in what it tells us of logouts, whichever claim names the user here.
    pub fn sub(&self) -> Option<&str> {
        self.sub.as_deref()
    }
}

/// Judges an ID token (OpenID Connect Core section 3.1.3.7) that came with `answer` for `code`.
///
/// # Errors
/// [`NotSignedIn`]; it never contains any part of the token.
pub fn read_id_token(
    answer: &Answer,
    code: &Secret<String>,
    expected: &Expected<'_>,
    trust: &Trust,
    now: Timestamp,
) -> Result<SignedIn, NotSignedIn> {
    let token = answer.id_token.expose();
    if token.len() > MAX_BYTES {
        return Err(Unauthenticated::Malformed.into());
    }
    let (header, claims, issuer) = open(token, trust, |claims| {
        let named = claims.get("iss").and_then(Value::as_str);
        let issuer = trust.issuers.get(expected.issuer);
        issuer
            .filter(|_| named == Some(expected.issuer))
            .ok_or(Unauthenticated::Issuer)
    })?;
    if header.kind() != "jwt" {
        return Err(Unauthenticated::Type.into());
    }
    check_audience(&claims, expected.client)?;
    check_party(&claims, expected.client)?;
    let skew = issuer.skew.min(MAX_SKEW);
    let made = check_times(&claims, skew, now)?;
    let nonce = claims.get("nonce").and_then(Value::as_str);
    let nonce = nonce.unwrap_or_default().as_bytes();
    verify_slices_are_equal(nonce, expected.nonce.expose().as_bytes())
        .map_err(|_| NotSignedIn::Nonce)?;
    check_domain(&claims, expected.domains)?;
    let algorithm = header.algorithm();
    if let Some(access) = &answer.access_token {
        check_hash(&claims, "at_hash", access, algorithm)?;
    }
    check_hash(&claims, "c_hash", code, algorithm)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let name = shown_name(&claims);
    let (session, sub) = (text("sid"), text("sub"));
    let who = (expected.subject, expected.client);
    let identity = signed_in(claims, issuer, who, made)?;
    trust.check_revoked(&identity)?;
    Ok(SignedIn {
        identity,
        name,
        session,
        sub,
    })
}

/// A name to show.
pub(super) fn shown_name(claims: &Map<String, Value>) -> Option<String> {
    let shown = ["name", "preferred_username", "email"];
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let name = shown.into_iter().find_map(text);
    name.map(|name| name.chars().take(MAX_NAME).collect())
}

/// Google tells by `hd` whose account it is; a private one has none.
fn check_domain(claims: &Map<String, Value>, domains: &[String]) -> Result<(), NotSignedIn> {
    let own = claims.get("hd").and_then(Value::as_str);
    let is_one = |own: &str| domains.iter().any(|domain| domain == own);
    if domains.is_empty() || own.is_some_and(is_one) {
        return Ok(());
    }
    Err(NotSignedIn::Domain)
}

/// Of several audiences it must say who is meant; whoever is named must be us.
fn check_party(claims: &Map<String, Value>, client: &str) -> Result<(), NotSignedIn> {
    let is_one_of_many = matches!(claims.get("aud"), Some(Value::Array(all)) if all.len() != 1);
    match claims.get("azp") {
        Some(Value::String(party)) if party == client => Ok(()),
        None if !is_one_of_many => Ok(()),
        Some(_) | None => Err(NotSignedIn::Party),
    }
}

fn check_times(
    claims: &Map<String, Value>,
    skew: Duration,
    now: Timestamp,
) -> Result<Timestamp, NotSignedIn> {
    let expires = moment(claims, "exp")?.ok_or(Unauthenticated::Lifetime)?;
    if expires.plus(skew) <= now {
        return Err(Unauthenticated::Expired.into());
    }
    let made = moment(claims, "iat")?.ok_or(NotSignedIn::Time)?;
    let starts = moment(claims, "nbf")?.unwrap_or(made);
    if made.max(starts) > now.plus(skew) {
        return Err(Unauthenticated::NotYet.into());
    }
    if now.since(made) > MAX_AGE + skew {
        return Err(NotSignedIn::Time);
    }
    Ok(made)
}

/// The left half of the digest that belongs to the signature's algorithm (OpenID Connect Core section 3.1.3.6).
fn check_hash(
    claims: &Map<String, Value>,
    name: &str,
    hashed: &Secret<String>,
    algorithm: Algorithm,
) -> Result<(), NotSignedIn> {
    let Some(said) = claims.get(name) else {
        return Ok(());
    };
    let by = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &SHA512,
    };
    let whole = digest(by, hashed.expose().as_bytes());
    let (half, _) = whole.as_ref().split_at(whole.as_ref().len() / 2);
    if said.as_str() == Some(URL_SAFE_NO_PAD.encode(half).as_str()) {
        Ok(())
    } else {
        Err(NotSignedIn::Hash)
    }
}
