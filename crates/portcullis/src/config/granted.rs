//! Who may do what, and what nobody may do.

use super::checked::ServerName;
use super::pattern::Pattern;
use super::trust::Tls;
use super::url::HttpUrl;
use portcullis_core::authenticate::Binding;
use portcullis_core::authorize::{Risk, Strength};
use portcullis_core::operate::Role;
use portcullis_core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A permission.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Who has it.
    pub(crate) who: Who,
    /// Where.
    pub(crate) server: ServerName,
    /// For what.
    pub(crate) pattern: Pattern,
    /// From when on no more.
    pub(crate) until: Option<Timestamp>,
    /// The path of its key in the file.
    pub(crate) key: String,
    /// The line of it, from 1.
    pub(crate) line: usize,
}

/// What a call of a tool needs, if it has to be approved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Approval {
    /// Who approves; whoever calls, if nobody is named.
    pub(crate) by: Vec<Who>,
    /// How long a question is open, and an approval good.
    pub(crate) expires: Duration,
    /// How much is at stake.
    pub(crate) risk: Risk,
}

/// What calls of risky tools need.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Risky {
    /// Of those that have more than that, of 100.
    pub(crate) over: u32,
    pub(crate) approval: Approval,
}

/// What holds for one tool.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    /// What a call needs besides the server's scopes.
    pub(crate) scopes: BTreeSet<String>,
    /// What the server's own token for a call has besides.
    pub(crate) upstream_scopes: BTreeSet<String>,
    /// How callers must have authenticated, the server's own wishes among it; none if it has none of its own.
    pub(crate) step_up: Option<Strength>,
    /// How long an elevation lasts at most, if a call needs one.
    pub(crate) elevation: Option<Duration>,
    /// Who has to approve each call, if somebody has to.
    pub(crate) approval: Option<Approval>,
    /// Calls a minute of one principal, if not the general number.
    pub(crate) requests_per_minute: Option<u32>,
}

/// What some callers can never exceed.
#[derive(Debug)]
pub(crate) struct Boundary {
    /// What audit records call it, behind `boundary:`.
    pub(crate) name: String,
    /// For whom it holds.
    pub(crate) who: Who,
    /// What lies within.
    pub(crate) allow: Vec<(ServerName, Pattern)>,
}

/// Who shares the gateway with others.
#[derive(Debug)]
pub(crate) struct Tenant {
    /// What its callers may reach: keys of [`servers`](super::checked::Checked::servers).
    pub(crate) servers: BTreeSet<String>,
    /// Whose callers all belong to it: keys of [`issuers`](super::checked::Checked::issuers).
    pub(crate) issuers: BTreeSet<String>,
    /// By issuer, the claim and the text by which callers belong to it; of an issuer, all tenants name the same claim.
    pub(crate) members: BTreeMap<String, (String, String)>,
}

/// The admin API.
#[derive(Debug)]
pub(crate) struct Admin {
    /// Where it is; loopback, or with TLS. The port is never 0.
    pub(crate) listen: SocketAddr,
    /// How operators know it; without path and query.
    pub(crate) url: HttpUrl,
    /// Every `Host` to accept, in lower case, exactly as the header must read.
    pub(crate) hosts: BTreeSet<String>,
    /// What tokens must be meant for; no server has the same.
    pub(crate) audience: String,
    /// Whose tokens are believed: keys of [`issuers`](super::checked::Checked::issuers); never empty, never embedded.
    pub(crate) issuers: Vec<String>,
    /// What every token must have.
    pub(crate) scopes: Vec<String>,
    /// The longest life of a token, where that of its issuer is not enough.
    pub(crate) max_token_lifetime: Option<Duration>,
    /// Whether tokens are bound to a key of the operator.
    pub(crate) dpop: Binding,
    /// Whether a proof needs a nonce.
    pub(crate) dpop_nonce: bool,
    /// Whether tokens are bound to a certificate of the operator; never without TLS.
    pub(crate) mtls: Binding,
    /// What each operator may ask a minute.
    pub(crate) requests_per_minute: u32,
    /// Who has which role.
    pub(crate) roles: Vec<Appointed>,
    /// Certificate and key.
    pub(crate) tls: Option<Tls>,
}

/// Who has a role, over one tenant or over everything.
#[derive(Debug)]
pub(crate) struct Appointed {
    pub(crate) role: Role,
    pub(crate) who: Who,
    pub(crate) tenant: Option<String>,
}

/// How grants are reviewed.
#[derive(Debug)]
pub(crate) struct Review {
    /// The issuer of the reviewers' tokens: a key of [`issuers`](super::checked::Checked::issuers).
    pub(crate) issuer: String,
    /// Who they are.
    pub(crate) reviewers: Vec<Who>,
    /// What their tokens must have.
    pub(crate) scopes: Vec<String>,
    /// How often.
    pub(crate) every: Duration,
    /// How long one is open.
    pub(crate) within: Duration,
}

impl fmt::Display for Who {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => out.write_str("anyone"),
            Self::User(name) => write!(out, "user:{name}"),
            Self::Role(name) => write!(out, "role:{name}"),
            Self::Group(name) => write!(out, "group:{name}"),
            Self::Client(name) => write!(out, "client:{name}"),
            Self::Issuer(name) => write!(out, "issuer:{name}"),
        }
    }
}

/// Whom a grant is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// Everyone who is authenticated.
    Anyone,
    /// The subject of a token.
    User(String),
    /// Everyone with this role.
    Role(String),
    /// Everyone in this group.
    Group(String),
    /// Everyone through this OAuth client.
    Client(String),
    /// Everyone with a token of this issuer: a key of [`issuers`](super::checked::Checked::issuers). In boundaries only.
    Issuer(String),
}
