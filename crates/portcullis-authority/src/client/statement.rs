//! What somebody whom we believe has signed about a client's software (RFC 7591 section 2.3).

use super::BadClient;
use super::assertion::ALGORITHMS;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::authenticate::{KeySet, signed_by};
use portcullis_core::protocol::read_strict;
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Where a registration has it, and its answer too.
pub(super) const MEMBER: &str = "software_statement";
/// What a JWT says of itself (RFC 7519 section 4.1), and not of a client.
const OF_JWT: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
/// By how much the clock of whoever has signed it may be off.
const SKEW: Duration = Duration::from_secs(30);

/// Whose statements count, and whether there has to be one.
pub struct Statements {
    /// The keys of those who sign them, by `iss`.
    pub issuers: BTreeMap<String, KeySet>,
    /// What becomes of a client without.
    pub need: Need,
}

/// Whether a client has to have a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It says of itself what no statement says.
    Optional,
    /// It is not taken.
    Required,
}

impl Statements {
    /// Puts what the statement says in the place of what the client says; gives the statement. `own` is what we are called.
    ///
    /// # Errors
    /// [`BadClient`].
    pub(super) fn put(
        &self,
        members: &mut Map<String, Value>,
        (own, now): (&str, Timestamp),
    ) -> Result<Option<String>, BadClient> {
        let Some(statement) = members.remove(MEMBER) else {
            return match self.need {
                Need::Optional => Ok(None),
                Need::Required => Err(BadClient::NoStatement),
            };
        };
        let Value::String(statement) = statement else {
            return Err(BadClient::Statement);
        };
        let said = self.read(&statement, (own, now))?;
        for (name, value) in said {
            if !OF_JWT.contains(&name.as_str()) {
                members.insert(name, value);
            }
        }
        Ok(Some(statement))
    }

    fn read(
        &self,
        statement: &str,
        (own, now): (&str, Timestamp),
    ) -> Result<Map<String, Value>, BadClient> {
        let issuer = issuer(statement).ok_or(BadClient::Statement)?;
        let keys = self.issuers.get(&issuer).ok_or(BadClient::Unapproved)?;
        let signed = signed_by(statement, keys, ALGORITHMS);
        let (_, said) = signed.map_err(|_| BadClient::Statement)?;
        let moment = |name: &str| match said.get(name) {
            None => Ok(None),
            Some(value) => {
                let seconds = value.as_u64().ok_or(BadClient::Statement)?;
                Ok(Some(Timestamp::from_seconds(seconds)))
            }
        };
        let is_over = moment("exp")?.is_some_and(|until| until.plus(SKEW) <= now);
        let begins = [moment("iat")?, moment("nbf")?];
        let is_early = begins.iter().flatten().any(|begin| *begin > now.plus(SKEW));
        // A statement in a statement, and what only its client can say, are none.
        let is_ours = said.get("aud").is_none_or(|named| names(named, own));
        if is_over || is_early || said.contains_key(MEMBER) {
            return Err(BadClient::Statement);
        }
        if is_ours {
            Ok(said)
        } else {
            Err(BadClient::Unapproved)
        }
    }
}

impl fmt::Debug for Statements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<&String> = self.issuers.keys().collect();
        write!(f, "Statements({issuers:?})")
    }
}

fn names(audience: &Value, own: &str) -> bool {
    let is_own = |one: &Value| one.as_str() == Some(own);
    audience
        .as_array()
        .map_or_else(|| is_own(audience), |all| all.iter().any(is_own))
}

/// By whose keys it is to be looked at; nothing is believed of it yet.
fn issuer(statement: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(statement.split('.').nth(1)?).ok()?;
    let said: Map<String, Value> = read_strict(&payload).ok()?;
    Some(said.get("iss")?.as_str()?.to_owned())
}
