//! What a server is shown of whoever calls, after every check.

use super::checked::Checked;
use super::trust::Trust;
use super::url::HttpUrl;
use portcullis_core::credentials::{Grant, Subject, SubjectToken};
use portcullis_core::secret::Secret;
use std::collections::BTreeSet;
use std::sync::Arc;
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
        /// By which key.
        key: AssertionKey,
    },
    /// An authorization server gives them.
    Fetched(Box<Fetched>),
}

/// By which key of ours a server hears of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AssertionKey {
    /// The one of all servers.
    Shared,
    /// One that signs for this server alone.
    Own,
}

/// Where an authorization server gives tokens, and how it is asked.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// How it is asked.
    pub(crate) grant: Grant,
    /// Where.
    pub(crate) at: TokenEndpoint,
    /// The server's URI; always with [`Grant::IdJag`].
    pub(crate) resource: Option<String>,
    /// Whether it is told who asks; only with [`Grant::Exchange`].
    pub(crate) actor: bool,
    /// Whether tokens are bound to a key of ours.
    pub(crate) is_bound: bool,
    /// Whose word it is shown; always with [`Grant::IdJag`], and only with that.
    pub(crate) idp: Option<IdentityProvider>,
    /// How long a token is shown.
    pub(crate) max_age: Duration,
}

/// Where an authorization server gives tokens.
#[derive(Debug)]
pub(crate) struct TokenEndpoint {
    /// The place.
    pub(crate) url: HttpUrl,
    /// Whose it is, byte for byte; always with [`Grant::IdJag`].
    pub(crate) issuer: Option<String>,
    /// Whom the connection trusts.
    pub(crate) trust: Box<Trust>,
    /// Our name there; never empty.
    pub(crate) client_id: String,
    /// What shows that it is us.
    pub(crate) identification: Identification,
}

/// The identity provider of callers.
#[derive(Debug)]
pub(crate) struct IdentityProvider {
    /// Where it is asked.
    pub(crate) at: TokenEndpoint,
    /// What callers bring.
    pub(crate) subject: SubjectToken,
}

/// What shows an authorization server that it is us.
#[derive(Debug)]
pub(crate) enum Identification {
    /// A signature.
    Key,
    /// A secret in a header.
    Basic(Secret<String>),
    /// A secret in the form.
    Post(Secret<String>),
}

impl CredentialKind {
    /// As it is written.
    pub(crate) fn name(&self) -> &'static str {
        let grant = match self {
            Self::Assertion { .. } => return "assertion",
            Self::Fetched(fetched) => fetched.grant,
        };
        match grant {
            Grant::Exchange => "exchange",
            Grant::OnBehalfOf => "on-behalf-of",
            Grant::IdJag => "id-jag",
            Grant::ClientCredentials => "client-credentials",
        }
    }

    /// Whether a key signs for this server alone.
    pub(crate) const fn has_own_key(&self) -> bool {
        match self {
            Self::Assertion { key, .. } => matches!(key, AssertionKey::Own),
            Self::Fetched(_) => false,
        }
    }

    /// Where an authorization server gives them.
    pub(crate) fn endpoint(&self) -> Option<&HttpUrl> {
        match self {
            Self::Assertion { .. } => None,
            Self::Fetched(fetched) => Some(&fetched.at.url),
        }
    }
}

impl Fetched {
    /// All places where it is asked.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &TokenEndpoint> {
        std::iter::once(&self.at).chain(self.idp.as_ref().map(|idp| &idp.at))
    }
}

impl Credentials {
    /// The secrets among them.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret<String>> {
        let fetched = match &self.kind {
            CredentialKind::Assertion { .. } => None,
            CredentialKind::Fetched(fetched) => Some(fetched),
        };
        let endpoints = fetched.into_iter().flat_map(|fetched| fetched.endpoints());
        endpoints.filter_map(|at| match &at.identification {
            Identification::Key => None,
            Identification::Basic(secret) | Identification::Post(secret) => Some(secret),
        })
    }
}

impl Checked {
    /// The servers that hear of callers by a key of their own.
    pub(crate) fn servers_with_own_key(&self) -> impl Iterator<Item = Arc<str>> {
        let own = self.servers.iter().filter(|(_, server)| {
            let kind = server.credentials.as_ref().map(|shown| &shown.kind);
            kind.is_some_and(CredentialKind::has_own_key)
        });
        own.map(|(name, _)| name.as_str().into())
    }
}
