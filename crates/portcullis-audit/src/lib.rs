//! The audit log: what is recorded, how it is chained and anchored, and how it is verified.

#![forbid(unsafe_code)]

mod record;
mod line;
mod recorder;
mod shared;
mod writer;
mod verify;
mod proof;
mod search;
mod checkpoint;
mod lineage;
mod merkle;
mod retention;
mod files;
mod hash;
mod time;

pub use checkpoint::{
    BadKey, BadNote, Checkpoint, MAX_NAME_BYTES, MAX_NOTE_BYTES, Remote, SigningKey, Unsigned,
    VerifierKey,
};
pub use files::{CHECKPOINTS, Place, segment_name};
pub use hash::{HASH_BYTES, Hash};
pub use line::{MAX_BACKWARDS_MICROS, MAX_LINE_BYTES, Stamp};
pub use lineage::Lineage;
pub use merkle::{Frontier, MAX_NODES, Tree, is_consistent, is_included, leaf};
pub use proof::{
    Consistency, Inclusion, NoProof, Unproven, consistency, inclusion, verify_consistency,
    verify_inclusion,
};
pub use record::{
    Arguments, Decision, Detail, Digest, Effect, Label, MAX_FACTS, MAX_TEXT_BYTES, MAX_VIEW_BYTES,
    Outcome, Principal, Record, Text, View,
};
pub use recorder::{
    ABANDONED, Clock, Entry, NotHandedOver, Position, Receipt, Recorder, Unavailable,
};
pub use retention::{Keep, REMOVED, Removal, due};
pub use search::{
    Cursor, Filter, Found, MAX_SINCE_BYTES, MAX_TAIL_LINES, Search, Unsearchable, newest_before,
    newest_first, oldest_first, read_line, since, tail,
};
pub use time::time_text;
pub use verify::{Broken, Sound, Unknown, Verdict, Why, verify};
pub use writer::{Durability, NotOpened, Opened, Recovery, Settings, Torn, Writer, open, signer};

#[cfg(test)]
mod fixture;
