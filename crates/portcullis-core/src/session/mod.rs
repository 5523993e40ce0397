//! Which conversation, and whose? Session ids select state, they never identify anybody.
//!
//! Sessions exist up to revision 2025-11-25. The server-side key is `<principal>:<id>`; only the
//! random part is ever on the wire, and somebody else's id looks like an unknown one.

mod id;
mod table;
mod tasks;

use crate::authenticate::Principal;
use crate::protocol::Revision;
use std::sync::Arc;

pub use id::SessionId;
pub(crate) use table::Opening;
pub use table::{Closed, Limits, Listed, Sessions};
pub use tasks::{NoTask, Tasks};

/// The caller has other rights than when the session began.
pub(crate) const OUTGROWN: &str = "rights_changed";

/// Proof that the request belongs to a known conversation of its caller (or to none). Only this room makes one.
#[derive(Debug)]
pub struct Session {
    principal: Principal,
    server: Arc<str>,
    open: Option<Open>,
    /// Whether the caller has other rights than when it was opened.
    is_outgrown: bool,
}

/// What is known of an open session.
#[derive(Debug, Clone)]
pub struct Open {
    /// The id that the client knows.
    pub id: SessionId,
    /// The id that the upstream gave, if it gave one; the client never sees it.
    pub upstream: Option<Arc<str>>,
    /// The revision that `initialize` settled.
    pub revision: Revision,
    /// Whether the client has said that it opens URLs for its user.
    pub opens_urls: bool,
    /// Whether the client's software looks different from when the session was opened.
    pub changed: bool,
}

impl Open {
    /// Its id, if its client opens URLs for its user.
    pub fn opening(&self) -> Option<SessionId> {
        self.opens_urls.then_some(self.id)
    }
}

impl Session {
    /// The same caller at one of the servers behind the aggregate, in no conversation.
    pub(crate) const fn at_member(principal: Principal, server: Arc<str>) -> Self {
        Self {
            principal,
            server,
            open: None,
            is_outgrown: false,
        }
    }

    /// Whether the caller has other rights than when the session was opened: then it has to end.
    pub(crate) const fn is_outgrown(&self) -> bool {
        self.is_outgrown
    }

    /// Whose it is.
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Which server it is with.
    pub const fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// The open session, unless the request named none.
    pub const fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }
}

/// Why a request has no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSession {
    /// Never issued, ended, expired, or not an id at all.
    #[error("unknown session")]
    Unknown,
    /// Somebody else's: the client is told what it is told of an unknown one.
    #[error("session of another principal")]
    NotYours,
    /// The caller has other rights than when it began: its id is of the time before (SES-12).
    #[error("the session is of before the caller's rights changed")]
    Outgrown,
    /// The request names none, where its revision needs one.
    #[error("no session named")]
    Missing,
    /// The table is full.
    #[error("too many sessions")]
    Full,
}

impl NoSession {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotYours => "principal_mismatch",
            Self::Outgrown => OUTGROWN,
            Self::Missing => "missing",
            Self::Full => "full",
        }
    }
}

#[cfg(test)]
mod tests;
