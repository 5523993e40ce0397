//! What is new of what servers define, to be recorded.

use super::{Definition, Digest, Kind, Mode, Unreadable};
use std::sync::Arc;

/// What was seen of a definition that was not seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// At which server.
    pub server: Arc<str>,
    /// Of what kind.
    pub kind: Kind,
    /// Its name; empty if it has none that can be read.
    pub name: Arc<str>,
    /// What is new.
    pub what: What,
    /// How its server is held to what was approved.
    pub mode: Mode,
}

/// What is new of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Nobody has approved it.
    New(Definition),
    /// It was approved, as it was seen for the first time where that is enough.
    Learned(Definition),
    /// It is approved, and was not seen since the start.
    Known(Definition),
    /// It was approved in another version.
    Changed {
        /// The one that was approved.
        old: Digest,
        /// The one that is defined now.
        new: Definition,
    },
    /// It is not listed any more.
    Removed {
        /// The one that was approved or seen last.
        old: Digest,
    },
    /// It cannot be read.
    Unreadable(Unreadable),
}
