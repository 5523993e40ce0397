//! The authorization server that clients see, checked.

use super::trust::Trust;
use portcullis_authority::client::{Client, Statements};
use portcullis_authority::redirect::Policy;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What the authorization server gives, and to whom.
#[derive(Debug)]
pub(crate) struct Authority {
    /// The life of an access token.
    pub(crate) access_tokens: Duration,
    /// How long a refresh token may lie unused.
    pub(crate) refresh_tokens: Duration,
    /// How long a sign-in counts.
    pub(crate) sign_ins: Duration,
    /// The same of users who have groups or roles.
    pub(crate) grouped_sign_ins: Duration,
    /// Where answers may go.
    pub(crate) redirects: Policy,
    /// Whose documents are believed.
    pub(crate) documents: Option<Documents>,
    /// Clients of the file.
    pub(crate) clients: Vec<Arc<Client>>,
    /// How long it counts that a user has agreed.
    pub(crate) consents: Duration,
    /// What scopes mean, in words for users.
    pub(crate) scopes: BTreeMap<String, String>,
    /// At which identity provider users sign in, if there is one.
    pub(crate) sign_in: Option<super::relying::Relying>,
    /// How clients register themselves, if they may.
    pub(crate) registration: Option<Registration>,
    /// To which clients which issuers may assert something, by the names of the latter.
    pub(crate) assertions: BTreeMap<String, BTreeSet<String>>,
}

/// Whose documents are believed.
#[derive(Debug)]
pub(crate) struct Documents {
    /// Their hosts; none means any.
    pub(crate) hosts: Option<BTreeSet<String>>,
    /// Whom connections trust.
    pub(crate) trust: Trust,
}

/// How clients register themselves.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    /// How long a client is known.
    pub(crate) lifetime: Duration,
    /// How many of one network.
    pub(crate) per_network: u32,
    /// Whose software statements count, if any do.
    pub(crate) statements: Option<Arc<Statements>>,
}
