//! What every step of the walk looks at: what was decided beforehand, and what changes meanwhile.

use crate::authenticate::{Proofs, Verified};
use crate::authorize::policy::{Policy, Who};
use crate::authorize::{Anew, Approvals, Elevations, Gate};
use crate::catalog::{Pinned, Questions, Terms};
use crate::inspect::{Contents, View};
use crate::protocol::ServerHeaders;
use crate::quota::{self, Quota};
use crate::refusal::{Refusal, Unacceptable};
use crate::session::{self, Sessions, Tasks};
use std::collections::HashMap;
use std::sync::Arc;

/// What was decided beforehand: immutable, swapped whole.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The policies.
    pub policy: Arc<Policy>,
    /// The servers, by name.
    pub servers: HashMap<Arc<str>, Server>,
    /// Who was raised to privileged tools.
    pub elevations: Arc<Elevations>,
    /// How long sessions live.
    pub sessions: session::Limits,
    /// How much of the arguments a record holds.
    pub view: View,
}

/// What was decided about one server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Who may do what with it.
    pub gate: Gate,
    /// How much.
    pub quota: quota::Limits,
    /// How it is held to what was approved of what it defines.
    pub terms: Terms,
    /// Who of its callers may approve what it defines, on a page of ours.
    pub approvers: Vec<Who>,
    /// How the contents of its answers are dealt with.
    pub contents: Contents,
}

/// What changes while exchanges go by: bounded.
#[derive(Debug, Default)]
pub struct State {
    /// Open sessions.
    pub sessions: Sessions,
    /// Whose tasks there are.
    pub tasks: Tasks,
    /// What was used up.
    pub quota: Arc<Quota>,
    /// Tokens that verified.
    pub verified: Verified,
    /// Which arguments the servers want in headers too.
    pub mirrored: ServerHeaders,
    /// Definitions that callers were sent to a page about.
    pub questions: Questions,
    /// Calls that somebody has to approve, or has approved.
    pub approvals: Approvals,
    /// Who has signed in anew for calls that need it.
    pub anew: Anew,
    /// Proofs of possession that were used.
    pub proofs: Proofs,
    /// What is approved of what servers define, and what they list.
    pub pinned: Pinned,
}

impl Rules {
    /// The server of that name.
    ///
    /// # Errors
    /// [`Unacceptable::Path`] if there is none.
    pub fn server(&self, name: &str) -> Result<&Server, Refusal> {
        self.servers
            .get(name)
            .ok_or(Refusal::Unacceptable(Unacceptable::Path))
    }
}
