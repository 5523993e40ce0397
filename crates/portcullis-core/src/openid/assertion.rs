//! What an enterprise's provider asserts of a user to us (Identity Assertion JWT Authorization Grant): for our authorization
//! server, for one client of it, once, and soon.

use super::NotSignedIn;
use super::token::{SignedIn, shown_name};
use crate::authenticate::{
    MAX_SKEW, Thumbprint, Trust, Unauthenticated, check_audience, moment, open, signed_in,
};
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// `typ` of the assertion.
const KIND: &str = "oauth-id-jag+jwt";
/// The longest life of an assertion: it is used at once.
const LIFETIME: Duration = Duration::from_mins(10);
/// The largest one, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// The longest `jti`.
const MAX_ID_BYTES: usize = 512;
/// The most resources and scopes.
const MAX_NAMES: usize = 64;

/// What an assertion is held against.
#[derive(Debug, Clone, Copy)]
pub struct Enterprise<'a> {
    /// The providers that may assert something to this client, with the claim by which each names users.
    pub providers: &'a BTreeMap<&'a str, &'a str>,
    /// Our own name.
    pub own: &'a str,
    /// The client that has authenticated.
    pub client: &'a str,
    /// The key that it has proven.
    pub key: Option<Thumbprint>,
}

/// What was asserted. Only [`read_assertion`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    user: SignedIn,
    resources: Vec<String>,
    scopes: Vec<String>,
    id: String,
    until: Timestamp,
}

impl Assertion {
    /// Of whom.
    pub const fn user(&self) -> &SignedIn {
        &self.user
    }

    /// For which servers.
    pub fn resources(&self) -> &[String] {
        &self.resources
    }

    /// For what of them.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// What no other one of this provider has: it counts once.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Up to when it would count.
    pub const fn until(&self) -> Timestamp {
        self.until
    }
}

/// Judges an assertion.
///
/// # Errors
/// [`NotSignedIn`]; it never contains any part of the assertion.
pub fn read_assertion(
    token: &str,
    expected: &Enterprise<'_>,
    trust: &Trust,
    now: Timestamp,
) -> Result<Assertion, NotSignedIn> {
    if token.len() > MAX_BYTES {
        return Err(Unauthenticated::Malformed.into());
    }
    let (header, claims, issuer) = open(token, trust, |claims| {
        let named = claims.get("iss").and_then(Value::as_str);
        let named = named.filter(|named| expected.providers.contains_key(named));
        let issuer = named.and_then(|named| trust.issuers.get(named));
        issuer.ok_or(Unauthenticated::Issuer)
    })?;
    if header.kind() != KIND {
        return Err(Unauthenticated::Type.into());
    }
    check_audience(&claims, expected.own)?;
    // One that names others too could be shown by them.
    if matches!(claims.get("aud"), Some(Value::Array(all)) if all.len() != 1) {
        return Err(Unauthenticated::Audience.into());
    }
    if claims.get("client_id").and_then(Value::as_str) != Some(expected.client) {
        return Err(NotSignedIn::Party);
    }
    check_key(&claims, expected.key)?;
    let skew = issuer.skew.min(MAX_SKEW);
    let (made, until) = check_times(&claims, skew, now)?;
    let id = claims.get("jti").and_then(Value::as_str);
    let id = id.filter(|id| (1..=MAX_ID_BYTES).contains(&id.len()));
    let id = id.ok_or(NotSignedIn::Id)?.to_owned();
    let resources = names(claims.get("resource"))?;
    let scopes = match claims.get("scope") {
        None => Vec::new(),
        Some(Value::String(scopes)) => {
            let words = scopes.split(' ').filter(|word| !word.is_empty());
            words.map(str::to_owned).collect::<Vec<_>>()
        }
        Some(_) => return Err(Unauthenticated::Malformed.into()),
    };
    if scopes.len() > MAX_NAMES {
        return Err(Unauthenticated::Malformed.into());
    }
    let sub = claims.get("sub").and_then(Value::as_str).map(str::to_owned);
    let name = shown_name(&claims);
    let subject = expected.providers.get(&*issuer.issuer);
    let who = (*subject.ok_or(Unauthenticated::Issuer)?, expected.client);
    let identity = signed_in(claims, issuer, who, made)?;
    trust.check_revoked(&identity)?;
    Ok(Assertion {
        user: SignedIn::asserted(identity, name, sub),
        resources,
        scopes,
        id,
        until,
    })
}

/// One that is bound to a key is for whoever has proven it, and one that is bound in another way for nobody.
fn check_key(
    claims: &Map<String, Value>,
    proven: Option<Thumbprint>,
) -> Result<(), Unauthenticated> {
    let Some(bound) = claims.get("cnf") else {
        return Ok(());
    };
    let members = bound.as_object().ok_or(Unauthenticated::Bound)?;
    let key = members.get("jkt").and_then(Value::as_str);
    let key = key.and_then(Thumbprint::parse);
    match (members.len(), key, proven) {
        (1, Some(key), Some(proven)) if key == proven => Ok(()),
        _ => Err(Unauthenticated::Bound),
    }
}

fn check_times(
    claims: &Map<String, Value>,
    skew: Duration,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), NotSignedIn> {
    let expires = moment(claims, "exp")?.ok_or(Unauthenticated::Lifetime)?;
    if expires.plus(skew) <= now {
        return Err(Unauthenticated::Expired.into());
    }
    let made = moment(claims, "iat")?.ok_or(NotSignedIn::Time)?;
    let starts = moment(claims, "nbf")?.unwrap_or(made);
    if made.max(starts) > now.plus(skew) {
        return Err(Unauthenticated::NotYet.into());
    }
    if expires.since(made) > LIFETIME || now.since(made) > LIFETIME + skew {
        return Err(Unauthenticated::Lifetime.into());
    }
    Ok((made, expires.plus(skew)))
}

/// A text, or several; at least one.
fn names(value: Option<&Value>) -> Result<Vec<String>, Unauthenticated> {
    let texts = match value {
        Some(Value::String(one)) => Some(vec![one.clone()]),
        Some(Value::Array(all)) if (1..=MAX_NAMES).contains(&all.len()) => all
            .iter()
            .map(|one| one.as_str().map(str::to_owned))
            .collect(),
        Some(_) | None => None,
    };
    texts.ok_or(Unauthenticated::Audience)
}
