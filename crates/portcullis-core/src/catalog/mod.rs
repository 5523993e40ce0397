//! Is it still what was approved? What servers define, by digest.
//!
//! A definition is all that a server says of one tool, prompt, resource or template, or of itself: every member
//! counts, known or not. Its canonical form (RFC 8785) is what is approved, kept and served.

pub mod analyse;
pub mod lock;
pub mod schemas;
pub mod shadow;

mod definition;
mod history;
mod decide;
mod visible;
mod words;
mod diff;
mod terms;
mod approved;
mod asked;
mod news;
mod pinned;
mod questions;
mod learn;
mod rated;

pub use approved::Approved;
pub(crate) use asked::CHANGES;
pub use asked::{change, gravest, lists, needed};
pub use decide::{Needed, Undecided};
pub use definition::{
    Definition, Digest, Kind, MAX_DEFINITION_BYTES, NoDigest, NoKind, Unreadable,
};
pub use diff::{Change, MAX_CHANGES, diff};
pub use history::{Broken, Deed, Event, Head, History, NoDeed, Provenance, Said, Standing, Thing};
pub use news::{News, What};
pub use pinned::{Page, Pinned, Unapproved};
pub use questions::{Question, Questions};
pub use rated::Rated;
pub use terms::{Mode, Terms};
pub use visible::{escaped, visible};
pub use words::Piece;
