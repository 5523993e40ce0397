//! What a server is shown of whoever calls, after every check.

use portcullis_core::credentials::Subject;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a server is shown of whoever calls.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// What tokens are for; no other server and nothing of ours has the same.
    pub(crate) audience: String,
    /// Scopes of every token.
    pub(crate) scopes: BTreeSet<String>,
    /// Where tokens come from.
    pub(crate) kind: CredentialKind,
}

/// Where the tokens for a server come from.
#[derive(Debug)]
pub(crate) enum CredentialKind {
    /// The gateway signs them.
    Assertion {
        /// How long they live.
        lifetime: Duration,
        /// How they name the caller.
        subject: Subject,
    },
}
