//! What does an issuer tell of its subjects? A security event token (RFC 8417) becomes a [`Signal`].
//!
//! It is apart from the walk: nobody calls anything here, an identity provider says who may not any more.

mod event;
pub mod poll;

use crate::authenticate::{MAX_SKEW, Topic, Trust, Unauthenticated, check_audience, moment, open};
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::time::Duration;

/// The largest token that is read, in bytes.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;
/// The oldest event that is taken; its id has to be remembered for so long.
pub const MAX_AGE: Duration = Duration::from_hours(24);
/// How long an account that its issuer has disabled stays so, if it is not enabled again.
pub const DISABLED_FOR: Duration = Duration::from_hours(24 * 365);

/// The only accepted `typ` (RFC 8417 section 2.3).
const KIND: &str = "secevent+jwt";
/// The longest `jti` or subject, in bytes.
const MAX_ID_BYTES: usize = 512;

/// Who may tell us, and by which name we are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The only accepted `iss`.
    pub issuer: String,
    /// What `aud` must name.
    pub audience: String,
    /// What it says that is for policies to judge, and ends nothing by itself.
    pub topics: Vec<Topic>,
}

/// An event that its issuer has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Its id (`jti`), which counts once.
    pub id: String,
    /// What has happened: the last part of the event's type, or `unknown`.
    pub event: &'static str,
    /// What that means here.
    pub effect: Effect,
}

/// What an event means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// No access depends on it.
    Nothing,
    /// The subject's tokens that were issued up to then are worth nothing any more.
    End(Subject),
    /// The same, and new ones are not accepted until the account is enabled again.
    Disable(Subject),
    /// The account that was disabled before is enabled.
    Enable(Subject),
    /// This is so of the subject from then on.
    Say(Subject, Topic, String),
}

/// Whom an event is about, and when it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `sub` in tokens of the same issuer.
    pub name: String,
    /// When it happened, at most now.
    pub since: Timestamp,
}

/// Why an event is not taken. RFC 8935 section 2.3 has a code for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// Not a token that the issuer has signed.
    #[error(transparent)]
    Token(#[from] Unauthenticated),
    /// A claim that has no place in an event, or one that is missing: `jti`, `events`.
    #[error("not a security event")]
    Claims,
    /// `iat` or the event's own time lies in the future or too far in the past, or is missing.
    #[error("not an event of now")]
    Time,
    /// More or less than one event.
    #[error("not one event")]
    Events,
    /// Not an identifier of a kind that is known here (RFC 9493).
    #[error("subject not understood")]
    Subject,
    /// The subject of another issuer.
    #[error("subject of another issuer")]
    Foreign,
}

impl Unheard {
    /// The audit record's word for it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Token(why) => why.reason(),
            Self::Claims => "claims",
            Self::Time => "time",
            Self::Events => "events",
            Self::Subject => "subject",
            Self::Foreign => "foreign",
        }
    }

    /// The code that the transmitter is told.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Token(Unauthenticated::Issuer) => "invalid_issuer",
            Self::Token(Unauthenticated::Audience) => "invalid_audience",
            Self::Token(
                Unauthenticated::Header
                | Unauthenticated::Algorithm
                | Unauthenticated::UnknownKey { .. }
                | Unauthenticated::Signature,
            ) => "invalid_key",
            Self::Foreign => "access_denied",
            Self::Token(_) | Self::Claims | Self::Time | Self::Events | Self::Subject => {
                "invalid_request"
            }
        }
    }
}

/// Reads a security event token. Whether its id was used before has to be asked elsewhere.
///
/// # Errors
/// [`Unheard`]; it never contains any part of the token.
pub fn read(
    token: &[u8],
    receiver: &Receiver,
    trust: &Trust,
    now: Timestamp,
) -> Result<Signal, Unheard> {
    let text = std::str::from_utf8(token).map_err(|_| Unauthenticated::Malformed)?;
    if text.len() > MAX_TOKEN_BYTES {
        return Err(Unauthenticated::Malformed.into());
    }
    let (header, claims, issuer) = open(text, trust, |claims| {
        let named = claims.get("iss").and_then(Value::as_str);
        let is_ours = named == Some(receiver.issuer.as_str());
        let issuer = trust.issuers.get(&receiver.issuer);
        issuer.filter(|_| is_ours).ok_or(Unauthenticated::Issuer)
    })?;
    if header.kind() != KIND {
        return Err(Unauthenticated::Type.into());
    }
    check_audience(&claims, &receiver.audience)?;
    // Shared Signals has neither in an event: whoever reads them could read it differently.
    if claims.contains_key("sub") || claims.contains_key("exp") {
        return Err(Unheard::Claims);
    }
    let id = named(&claims, "jti").ok_or(Unheard::Claims)?;
    let skew = issuer.skew.min(MAX_SKEW);
    let made = moment(&claims, "iat")?.ok_or(Unheard::Time)?;
    if made > now.plus(skew) || now.since(made) > MAX_AGE {
        return Err(Unheard::Time);
    }
    let (event, effect) = event::read(&claims, receiver, (made, now.plus(skew), now))?;
    Ok(Signal { id, event, effect })
}

fn named(object: &Map<String, Value>, name: &str) -> Option<String> {
    let text = object.get(name).and_then(Value::as_str)?;
    (!text.is_empty() && text.len() <= MAX_ID_BYTES).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
