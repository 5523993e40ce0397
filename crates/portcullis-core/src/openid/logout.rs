//! What a provider says when somebody signs out there (OpenID Connect Back-Channel Logout 1.0).

use super::NotSignedIn;
use crate::authenticate::{MAX_SKEW, Trust, Unauthenticated, check_audience, moment, open};
use crate::time::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// The largest logout token, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// The oldest one that is taken; its id is remembered for so long.
const MAX_AGE: Duration = Duration::from_mins(5);
/// The member of `events` that makes a token one of logout.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The longest `jti`, `sub` or `sid`, in bytes.
const MAX_ID_BYTES: usize = 512;

/// A logout token that the provider has signed. Only [`read_logout`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// Its id (`jti`), which counts once.
    pub id: String,
    /// Up to when its id has to be remembered.
    pub until: Timestamp,
    /// What has ended.
    pub ended: Ended,
}

/// What has ended at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// One session (`sid`).
    Session(String),
    /// All of a user's (`sub`).
    Subject(String),
}

/// Judges a logout token (section 2.6).
///
/// # Errors
/// [`NotSignedIn`]; it never contains any part of the token.
pub fn read_logout(
    token: &str,
    (issuer, client): (&str, &str),
    trust: &Trust,
    now: Timestamp,
) -> Result<LogoutToken, NotSignedIn> {
    if token.len() > MAX_BYTES {
        return Err(Unauthenticated::Malformed.into());
    }
    let (header, claims, issuer) = open(token, trust, |claims| {
        let named = claims.get("iss").and_then(Value::as_str);
        let known = trust.issuers.get(issuer);
        known
            .filter(|_| named == Some(issuer))
            .ok_or(Unauthenticated::Issuer)
    })?;
    // Section 2.4 asks for the type of its own, and for taking tokens without one.
    if !["logout+jwt", "jwt"].contains(&header.kind().as_str()) {
        return Err(Unauthenticated::Type.into());
    }
    check_audience(&claims, client)?;
    let skew = issuer.skew.min(MAX_SKEW);
    let made = moment(&claims, "iat")?.ok_or(NotSignedIn::Time)?;
    if made > now.plus(skew) || now.since(made) > MAX_AGE {
        return Err(NotSignedIn::Time);
    }
    if moment(&claims, "exp")?.is_some_and(|expires| expires.plus(skew) <= now) {
        return Err(Unauthenticated::Expired.into());
    }
    let is_logout = claims
        .get("events")
        .and_then(|events| events.get(EVENT))
        .is_some_and(Value::is_object);
    // What has a nonce is an ID token.
    if !is_logout || claims.contains_key("nonce") {
        return Err(NotSignedIn::Logout);
    }
    let text = |name: &str| {
        let text = claims.get(name).and_then(Value::as_str)?;
        (1..=MAX_ID_BYTES)
            .contains(&text.len())
            .then(|| text.to_owned())
    };
    let ended = text("sid").map(Ended::Session);
    Ok(LogoutToken {
        id: text("jti").ok_or(NotSignedIn::Logout)?,
        until: made.plus(MAX_AGE + skew),
        ended: ended
            .or_else(|| text("sub").map(Ended::Subject))
            .ok_or(NotSignedIn::Logout)?,
    })
}
