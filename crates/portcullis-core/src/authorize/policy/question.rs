//! The question that is put to the policy, in plain data, and its two answers.

use serde_json::value::RawValue;

use super::action::Action;
use crate::authenticate::{Authentication, ClaimValue};
use crate::catalog::Rated;
use crate::misuse::Anomaly;

/// May this subject do this to that target, now and in this way?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub subject: Subject<'a>,
    /// What the subject wants to do.
    pub action: Action,
    /// To what.
    pub target: Target<'a>,
    /// The arguments of the call, a JSON object.
    pub arguments: Option<&'a RawValue>,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// Revision of the protocol, such as `2025-11-25`.
    pub era: &'a str,
    /// IP address of the client, where there is one.
    pub network: Option<&'a str>,
    /// How unusual what the subject does is.
    pub anomaly: Anomaly,
    /// How risky the tool is; none for what is no tool, or one that nobody has approved.
    pub rated: Option<&'a Rated>,
}

/// An authenticated caller, as its token describes it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// `iss` of the token.
    pub issuer: &'a str,
    /// Whose the subject is: the provider at which it has signed in, else the issuer of the token.
    pub vouched_by: &'a str,
    /// `sub` of the token.
    pub subject: &'a str,
    /// The OAuth client that acts for the subject.
    pub client: Option<&'a str>,
    /// Roles, as the configuration finds them in the token.
    pub roles: &'a [String],
    /// Groups, as the configuration finds them in the token.
    pub groups: &'a [String],
    /// Whether there are groups that `groups` does not name.
    pub has_unknown_groups: bool,
    /// Scopes of the token.
    pub scopes: &'a [String],
    /// Other claims, as text. Of two with one name no decision comes.
    pub claims: &'a [(String, String)],
    /// The claims that the configuration declares. Of two with one name no decision comes.
    pub declared: &'a [(String, ClaimValue)],
    /// What the token says of the login behind it, if there is a token.
    pub authentication: Option<&'a Authentication>,
}

/// What an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A tool.
    Tool {
        /// Name of the upstream in the configuration.
        server: &'a str,
        /// Name of the tool at that server.
        name: &'a str,
    },
    /// A resource or, by its template, a family of them.
    Resource {
        /// Name of the upstream in the configuration.
        server: &'a str,
        /// URI, or URI template.
        uri: &'a str,
    },
    /// A prompt.
    Prompt {
        /// Name of the upstream in the configuration.
        server: &'a str,
        /// Name of the prompt at that server.
        name: &'a str,
    },
    /// The server itself.
    Server {
        /// Name of the upstream in the configuration.
        server: &'a str,
    },
}

impl<'a> Question<'a> {
    /// How risky the tool is, if it is one. One whose risk nobody knows is as risky as can be.
    pub(super) fn tool(&self) -> Option<&'a Rated> {
        match self.target {
            Target::Tool { .. } => Some(match self.rated {
                Some(rated) => rated,
                None => Rated::unknown(),
            }),
            Target::Resource { .. } | Target::Prompt { .. } | Target::Server { .. } => None,
        }
    }
}

impl Target<'_> {
    /// The server that the target belongs to.
    pub fn server(&self) -> &str {
        match self {
            Self::Tool { server, .. }
            | Self::Resource { server, .. }
            | Self::Prompt { server, .. }
            | Self::Server { server } => server,
        }
    }

    /// Whether the schema applies the action to this kind of target.
    pub(super) fn fits(&self, action: Action) -> bool {
        match action {
            Action::CallTool => matches!(self, Self::Tool { .. }),
            Action::ReadResource | Action::SubscribeResource => {
                matches!(self, Self::Resource { .. })
            }
            Action::GetPrompt => matches!(self, Self::Prompt { .. }),
            Action::Complete => matches!(self, Self::Prompt { .. } | Self::Resource { .. }),
            Action::ListTools
            | Action::ListResources
            | Action::ListPrompts
            | Action::UseServer
            | Action::Sample
            | Action::Elicit
            | Action::ListRoots => matches!(self, Self::Server { .. }),
        }
    }
}

/// A policy permits, and none forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The rules that permit, for the audit record: sorted, with `, ` between them.
    pub rule: String,
}

/// Why a question is answered with no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No policy permits: the default.
    #[error("no rule permits it")]
    NoRule,
    /// No policy permits any more: grants did, until their time was over.
    #[error("no rule permits it any more: {rule}")]
    Expired {
        /// The grants that are over: sorted, with `, ` between them.
        rule: String,
    },
    /// No policy permits: grants would, but a review holds them back.
    #[error("{rule} is held back by review {review}")]
    Held {
        /// The grants: sorted, with `, ` between them.
        rule: String,
        /// The reviews, likewise.
        review: String,
    },
    /// It lies beyond a boundary, whatever policies permit.
    #[error("beyond {rule}")]
    Beyond {
        /// The rules that forbid, at least one of them a boundary: sorted, with `, ` between them.
        rule: String,
    },
    /// A policy forbids, whatever others permit.
    #[error("forbidden by {rule}")]
    Forbidden {
        /// The rules that forbid: sorted, with `, ` between them.
        rule: String,
    },
    /// A policy forbids, if the subject is in a group, and it is not known whether it is.
    #[error("{rule} forbids it to a group, and not all groups are known")]
    UnknownGroups {
        /// The rules that may forbid: sorted, with `, ` between them.
        rule: String,
    },
    /// There is no definite answer: the evaluation of a policy failed, the arguments are not a
    /// JSON object, have one name twice or are too many, or the action does not fit its target.
    #[error("no definite decision")]
    Indeterminate,
}
