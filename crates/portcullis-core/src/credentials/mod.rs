//! What is an upstream shown? For whom a credential is, for which scope and how long; never what the caller brought.
//!
//! A credential is wanted for a message that was admitted, so this room takes the proofs of the others.

mod assertion;

use crate::authenticate::Principal;
use crate::protocol::Target;
use crate::route::Dispatch;
use std::collections::HashMap;
use std::sync::Arc;

pub use assertion::{Assertion, Claims, MAX_LIFETIME, Subject};

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

    /// For what: scopes with a space between them.
    pub fn scope(&self) -> &str {
        &self.scope
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
}

impl NoCredential {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unsigned => "unsigned",
        }
    }
}

#[cfg(test)]
mod tests;
