//! Who may do what, and what nobody may do.

use super::checked::ServerName;
use super::pattern::Pattern;
use portcullis_core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
