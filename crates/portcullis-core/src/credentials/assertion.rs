//! Our own word for a caller: a token that names user, client, gateway, upstream and call, and lives for seconds.

use super::{NoCredential, Want};
use crate::authenticate::Identity;
use crate::time::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// The longest life of such a token, whatever the configuration says.
pub const MAX_LIFETIME: Duration = Duration::from_mins(5);

/// What one upstream is told of its callers.
#[derive(Debug, Clone)]
pub struct Assertion {
    /// The `iss`: the gateway, as the one who signs these.
    pub issuer: Arc<str>,
    /// The `aud`: this upstream and no other.
    pub audience: Arc<str>,
    /// Who is in `act`: the gateway, as the one who asks.
    pub actor: Arc<str>,
    /// How long a token lives; at most [`MAX_LIFETIME`], and never longer than what the caller brought.
    pub lifetime: Duration,
    /// How the caller is named.
    pub subject: Subject,
}

/// How a caller is named in `sub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subject {
    /// As in the caller's own token: unique where there is one issuer.
    #[default]
    Plain,
    /// With its issuer before it ([`Identity::key`]).
    Qualified,
}

/// The claims of a token (RFC 9068 section 2.2, `act` as in RFC 8693 section 4.1).
#[derive(Debug, Serialize)]
pub struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    act: Actor<'a>,
    client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    /// The call in both logs: the W3C trace id (`txn`, RFC 8417 section 2.2).
    #[serde(skip_serializing_if = "str::is_empty")]
    txn: &'a str,
}

#[derive(Debug, Serialize)]
struct Actor<'a> {
    sub: &'a str,
}

impl Assertion {
    /// What the token says; `id` was drawn for it alone, `trace` names the call.
    ///
    /// # Errors
    /// [`NoCredential::Expired`] if what the caller brought does not hold for another second.
    pub fn claims<'a>(
        &'a self,
        want: &'a Want,
        (trace, id): (&'a str, &'a str),
        now: Timestamp,
    ) -> Result<Claims<'a>, NoCredential> {
        let caller: &Identity = &want.principal;
        let until = now
            .plus(self.lifetime.min(MAX_LIFETIME))
            .min(caller.expires);
        if until.seconds() <= now.seconds() {
            return Err(NoCredential::Expired);
        }
        Ok(Claims {
            iss: &self.issuer,
            sub: match self.subject {
                Subject::Plain => &caller.subject,
                Subject::Qualified => &caller.key,
            },
            aud: &self.audience,
            act: Actor { sub: &self.actor },
            // A client that its issuer does not name is known to nobody but us.
            client_id: caller.client.as_deref().unwrap_or(&self.actor),
            scope: &want.scope,
            iat: now.seconds(),
            exp: until.seconds(),
            jti: id,
            txn: trace,
        })
    }
}
