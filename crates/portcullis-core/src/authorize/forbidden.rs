//! The ways of saying no, and what the audit record calls them.

use super::{Lack, Needed, StepUp};

/// Why they may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The token lacks scopes (RFC 6750 section 3.1, `insufficient_scope`).
    #[error("insufficient scope")]
    Scope {
        /// All that this call needs.
        required: Vec<String>,
        /// What the token names.
        held: Vec<String>,
    },
    /// The caller has not authenticated well enough, or not lately (RFC 9470 section 3).
    #[error("stronger or newer authentication needed")]
    StepUp {
        /// What it lacks.
        lack: Lack,
        /// What was seen, and all that is needed.
        detail: Box<StepUp>,
    },
    /// The server is for other tenants than the caller's.
    #[error("the server is for other tenants")]
    Tenant {
        /// The caller's.
        rule: String,
    },
    /// It needs an elevation, and the caller has none now.
    #[error("an elevation is needed")]
    Elevation {
        /// For what.
        rule: String,
    },
    /// Somebody has to approve just this call first.
    #[error("an approval is needed")]
    Approval(Box<Needed>),
    /// What was approved is another call: of the same tool, with other arguments.
    #[error("another call was approved")]
    OtherCall {
        /// For what.
        rule: String,
    },
    /// Its arguments are too long for anybody to approve.
    #[error("too long to be approved")]
    TooLong {
        /// For what.
        rule: String,
    },
    /// No rule permits it.
    #[error("no rule permits this")]
    NoRule,
    /// No rule permits it any more.
    #[error("no rule permits this any more")]
    Expired {
        /// The grants whose time is over.
        rule: String,
    },
    /// A review holds back what permits it.
    #[error("a review holds back what permits this")]
    Held {
        /// The grants.
        rule: String,
        /// The number of the review.
        review: String,
    },
    /// It lies beyond a boundary.
    #[error("beyond a boundary")]
    Beyond {
        /// Which.
        rule: String,
    },
    /// A rule forbids it.
    #[error("a rule forbids this")]
    Rule {
        /// Which.
        rule: String,
    },
    /// A rule may forbid this: it rests on groups that the token does not name.
    #[error("a rule may forbid this: not all groups of the caller are known")]
    UnknownGroups {
        /// Which.
        rule: String,
    },
    /// No definite decision: an evaluation failed, or there was too much to look at.
    #[error("no definite decision")]
    Indeterminate,
    /// A method that no rule can name.
    #[error("unknown method")]
    Method,
}

impl Forbidden {
    /// The audit record's word for it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Scope { .. } => "scope",
            Self::StepUp { lack, .. } => lack.reason(),
            Self::Tenant { .. } => "tenant",
            Self::Elevation { .. } => "elevation",
            Self::Approval(_) => "approval",
            Self::OtherCall { .. } => "arguments",
            Self::TooLong { .. } => "approval_too_long",
            Self::NoRule => "no_rule",
            Self::Expired { .. } => "expired",
            Self::Held { .. } => "review",
            Self::Beyond { .. } => "boundary",
            Self::Rule { .. } => "forbidden",
            Self::UnknownGroups { .. } => "groups_unknown",
            Self::Indeterminate => "indeterminate",
            Self::Method => "unknown_method",
        }
    }

    /// The rules that say no, where any does.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Tenant { rule }
            | Self::Elevation { rule }
            | Self::OtherCall { rule }
            | Self::TooLong { rule }
            | Self::Expired { rule }
            | Self::Held { rule, .. }
            | Self::Beyond { rule }
            | Self::Rule { rule }
            | Self::UnknownGroups { rule } => Some(rule),
            Self::StepUp { detail, .. } => detail.rule.as_deref(),
            Self::Scope { .. }
            | Self::Approval(_)
            | Self::NoRule
            | Self::Indeterminate
            | Self::Method => None,
        }
    }

    /// The review that says no, where one does.
    pub fn review(&self) -> Option<&str> {
        match self {
            Self::Held { review, .. } => Some(review),
            Self::Scope { .. }
            | Self::StepUp { .. }
            | Self::Tenant { .. }
            | Self::Elevation { .. }
            | Self::Approval(_)
            | Self::OtherCall { .. }
            | Self::TooLong { .. }
            | Self::NoRule
            | Self::Expired { .. }
            | Self::Beyond { .. }
            | Self::Rule { .. }
            | Self::UnknownGroups { .. }
            | Self::Indeterminate
            | Self::Method => None,
        }
    }
}
