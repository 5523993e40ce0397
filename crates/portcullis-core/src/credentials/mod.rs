//! What is an upstream shown? For whom a credential is, for which scope and how long; never what the caller brought.
//!
//! A credential is wanted for a message that was admitted, so this room takes the proofs of the others.

mod assertion;
mod exchange;
mod jag;

use crate::authenticate::Principal;
use crate::protocol::Target;
use crate::route::Dispatch;
use crate::secret::Secret;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

pub use assertion::{Assertion, Claims, MAX_LIFETIME, Subject};
pub use exchange::{Exchange, Grant, Place, Token};
pub use jag::{Grant as IdentityGrant, Jag, SubjectToken};

/// Which scopes a server's messages ask for, each as one text (RFC 6749 section 3.3).
#[derive(Debug, Clone, Default)]
pub struct Scopes {
    every: Arc<str>,
    of_tools: HashMap<String, Arc<str>>,
}

/// A credential that is wanted: for whom, and for what.
#[derive(Debug, Clone)]
pub struct Want {
    principal: Principal,
    scope: Arc<str>,
}

impl Scopes {
    /// `every` message asks for these; a call of a tool for its own besides.
    pub fn new<'a>(
        every: impl IntoIterator<Item = &'a str> + Clone,
        tools: impl IntoIterator<Item = (String, Vec<&'a str>)>,
    ) -> Self {
        let of_tools = tools.into_iter().map(|(tool, own)| {
            let all = every.clone().into_iter().chain(own);
            (tool, joined(all))
        });
        Self {
            of_tools: of_tools.collect(),
            every: joined(every),
        }
    }

    /// What the credential for a message has to be.
    pub fn for_message(&self, dispatch: &Dispatch) -> Want {
        let scope = match dispatch.call().target() {
            Target::Tool(tool) => self.of_tools.get(&**tool),
            Target::Resource(_) | Target::Prompt(_) | Target::Task(_) | Target::Server => None,
        };
        Want {
            principal: dispatch.principal().clone(),
            scope: Arc::clone(scope.unwrap_or(&self.every)),
        }
    }

    /// The same for what is no message: a stream that is read, or the end of a session.
    pub fn for_other(&self, principal: &Principal) -> Want {
        Want {
            principal: principal.clone(),
            scope: Arc::clone(&self.every),
        }
    }
}

/// In order and once each, so that one set is one text.
fn joined<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Arc<str> {
    let mut scopes: Vec<&str> = scopes.into_iter().collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes.join(" ").into()
}

impl Want {
    /// For whom.
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The id of the token that the caller brought; empty if it has none.
    pub fn parent(&self) -> &str {
        self.principal.token_id.as_deref().unwrap_or_default()
    }

    /// For what: scopes with a space between them.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The caller's own token, for whom it is exchanged with.
    fn brought(&self, now: Timestamp) -> Result<&Secret<String>, NoCredential> {
        let token = self.principal.brought().ok_or(NoCredential::Nothing)?;
        if self.principal.expires <= now {
            return Err(NoCredential::Expired);
        }
        Ok(token)
    }

    /// No more than was asked for.
    fn expect_scope(&self, issued: &str) -> Result<(), NoCredential> {
        let mut issued = issued.split(' ').filter(|scope| !scope.is_empty());
        let is_asked = |scope| self.scope.split(' ').any(|asked| asked == scope);
        if issued.all(is_asked) {
            Ok(())
        } else {
            Err(NoCredential::Scope)
        }
    }
}

/// Why there is no credential, so that the message does not go up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCredential {
    /// What the caller brought has expired: nothing outlives it.
    #[error("caller's token expired")]
    Expired,
    /// It could not be signed.
    #[error("credential not signed")]
    Unsigned,
    /// The caller brought no token that could be exchanged.
    #[error("caller has no token to exchange")]
    Nothing,
    /// The caller's access ended while the token was fetched.
    #[error("caller's access ended")]
    Revoked,
    /// The authorization server could not be reached.
    #[error("authorization server unreachable")]
    Unreachable,
    /// It did not answer in time.
    #[error("authorization server did not answer in time")]
    Timeout,
    /// Too many tokens are kept or fetched.
    #[error("too many credentials")]
    Full,
    /// The authorization server said no.
    #[error("authorization server refused")]
    Refused,
    /// The identity provider gave no grant for it.
    #[error("identity provider gave no grant")]
    Ungranted,
    /// Its answer is none of RFC 6749.
    #[error("not a token response")]
    Broken,
    /// A kind of token that cannot be shown.
    #[error("token of another type")]
    Type,
    /// A token for another audience, or for more than one.
    #[error("token for another audience")]
    Audience,
    /// A token with a scope that was not asked for.
    #[error("token with another scope")]
    Scope,
    /// Nobody says how long it lives, or it is over.
    #[error("token without a lifetime")]
    Lifetime,
    /// The caller's own token came back.
    #[error("the caller's own token came back")]
    Echoed,
    /// A token that is not bound to our key, though it was asked for with a proof (RFC 9449).
    #[error("token that is not bound to our key")]
    Unbound,
}

impl NoCredential {
    /// Whether an authorization server has answered, and not with a token that may be shown.
    pub const fn is_answer(self) -> bool {
        match self {
            Self::Refused
            | Self::Ungranted
            | Self::Broken
            | Self::Type
            | Self::Audience
            | Self::Scope
            | Self::Lifetime
            | Self::Echoed
            | Self::Unbound => true,
            Self::Expired
            | Self::Unsigned
            | Self::Nothing
            | Self::Revoked
            | Self::Unreachable
            | Self::Timeout
            | Self::Full => false,
        }
    }

    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unsigned => "unsigned",
            Self::Nothing => "nothing",
            Self::Revoked => "revoked",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Ungranted => "ungranted",
            Self::Broken => "broken",
            Self::Type => "type",
            Self::Audience => "audience",
            Self::Scope => "scope",
            Self::Lifetime => "lifetime",
            Self::Echoed => "echoed",
            Self::Unbound => "unbound",
        }
    }
}

#[cfg(test)]
mod tests;
