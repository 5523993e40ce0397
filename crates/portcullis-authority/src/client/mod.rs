//! Which client is it, and what has it said of itself?
//!
//! A client is written in the configuration, publishes a document at the URL that is its id (client id metadata
//! documents), or has registered itself (RFC 7591). All but the first are other people's words.

mod metadata;
mod grant_type;
mod assertion;
mod statement;
#[cfg(test)]
mod tests;

use crate::redirect::{BadRedirect, Policy, Redirect, admit};
use portcullis_core::authenticate::KeySet;
use portcullis_core::egress::Target;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

pub use assertion::{ASSERTION_TYPE, NotItself, Once};
pub use grant_type::GrantType;
pub use metadata::{ApplicationType, BadClient, Metadata, fetched_keys};
pub use statement::{Need, Statements};

/// The longest id of a client, in bytes.
pub const MAX_ID_BYTES: usize = 1024;

/// A client.
#[derive(Clone)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// How we know it.
    pub kind: Kind,
    /// What it calls itself: untrusted text, unless the operator wrote it.
    pub name: Option<String>,
    /// How it authenticates.
    pub authentication: Authentication,
    /// Whether it gets refresh tokens.
    pub refreshes: bool,
    /// Whether its tokens must be bound to its key (RFC 9449 section 5.2).
    pub is_bound: bool,
    /// How it may get tokens beside the code flow.
    pub grants: BTreeSet<GrantType>,
    /// What it may ask for itself.
    pub scopes: BTreeSet<String>,
    redirects: Vec<Redirect>,
}

/// How a client is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The operator has written it.
    Registered,
    /// It has published a document at its id.
    Document,
    /// It has registered itself, which anybody can.
    Dynamic,
}

/// How a client authenticates at the endpoints.
#[derive(Clone)]
pub enum Authentication {
    /// Not at all: a public client.
    Public,
    /// By assertions that one of these keys has signed (RFC 7523).
    Keys(Arc<KeySet>),
    /// The same, by the keys that are to be fetched there.
    KeysAt(Target),
}

impl Kind {
    /// For audit records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Document => "document",
            Self::Dynamic => "dynamic",
        }
    }
}

impl Client {
    /// Where its answer goes.
    ///
    /// # Errors
    /// [`BadRedirect`].
    pub fn redirect(&self, asked: Option<&str>, policy: &Policy) -> Result<String, BadRedirect> {
        admit(asked, &self.redirects, policy)
    }

    /// Where its answers may go, as it has said.
    pub fn redirects(&self) -> &[Redirect] {
        &self.redirects
    }

    /// Whether all its answers go to programs on the user's machine, where anybody's program may be.
    pub fn is_local(&self) -> bool {
        self.redirects.iter().all(Redirect::is_loopback)
    }

    /// Whether it authenticates.
    pub const fn is_confidential(&self) -> bool {
        matches!(
            self.authentication,
            Authentication::Keys(_) | Authentication::KeysAt(_)
        )
    }

    /// The same client with the keys that were found where it says.
    #[must_use]
    pub fn with_keys(&self, keys: Arc<KeySet>) -> Self {
        Self {
            authentication: Authentication::Keys(keys),
            ..self.clone()
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.id)
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "Public",
            Self::Keys(_) => "Keys",
            Self::KeysAt(_) => "KeysAt",
        })
    }
}

/// Whether an id is the URL of a document.
pub fn is_url(id: &str) -> bool {
    id.starts_with("https://") || id.starts_with("http://")
}

/// The place of a client's document or keys: `https`, with a path, in the one spelling that it has.
///
/// # Errors
/// [`BadClient::Url`].
pub fn place(id: &str) -> Result<Target, BadClient> {
    let target = Target::parse(id).map_err(|_| BadClient::Url)?;
    let is_dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    let is_one = target.is_https()
        && id.len() <= MAX_ID_BYTES
        && target.to_string() == id
        && target.path() != "/"
        && !target.path().contains('?')
        && !target.path().split('/').any(is_dots);
    is_one.then_some(target).ok_or(BadClient::Url)
}
