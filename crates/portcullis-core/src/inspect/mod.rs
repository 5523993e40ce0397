//! Is the content safe, and what of it may be written down?
//!
//! What goes up is summed up for the record; what comes down must be one well-formed message that
//! belongs to this exchange, with nothing in its lists that the caller may not use.

pub mod screen;

mod answer;
mod approved;
mod contents;
mod list;
pub mod model;
mod redact;
mod task;

use crate::authorize::Permit;
use crate::protocol::Call;
use crate::quota::Slot;
use crate::session::Session;

pub use answer::{BadAnswer, Released, Said, answer};
pub(crate) use approved::as_approved;
pub use approved::whole_list;
pub use contents::{Action, Care, Contents, Found, Inspector, Spotlight};
pub(crate) use contents::{Heard, contents};
pub use redact::{Summary, View, name, summarize};
pub(crate) use redact::{is_secret_name, is_secret_text};
pub use task::tasks;

/// Proof that a permitted call was inspected. Only this room makes one.
#[derive(Debug)]
#[must_use]
pub struct Cleared {
    session: Session,
    call: Call,
    slot: Slot,
    rule: String,
}

impl Cleared {
    pub(crate) fn into_parts(self) -> (Session, Call, Slot, String) {
        (self.session, self.call, self.slot, self.rule)
    }
}

/// Inspects a permitted call on its way up.
pub fn request(permit: Permit) -> Cleared {
    let (session, call, slot, rule) = permit.into_parts();
    Cleared {
        session,
        call,
        slot,
        rule,
    }
}

#[cfg(test)]
mod tests;
