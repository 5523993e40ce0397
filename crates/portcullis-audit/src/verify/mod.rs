//! Is the log what was written? Needs the public key only and bounded memory.

use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::{BadNote, Checkpoint, VerifierKey};
use crate::hash::Hash;
use crate::lineage::Lineage;

mod anchors;
mod chain;
mod locate;

use anchors::Anchors;

/// What was found.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing was touched.
    Sound(Box<Sound>),
    /// Something was.
    Broken(Broken),
    /// It cannot be said.
    Unknown(Unknown),
}

/// A log that is as it was written.
#[derive(Debug, Clone)]
pub struct Sound {
    /// How many records it has, those that were removed included.
    pub records: u64,
    /// How many of them, from the first on, were removed as a signed record says.
    pub removed: u64,
    /// The root of the tree over all of them.
    pub root: Hash,
    /// The last checkpoint.
    pub checkpoint: Checkpoint,
    /// The keys that signed it over its life.
    pub lineage: Lineage,
    /// How many records are chained to the others but later than the last checkpoint.
    pub unanchored: u64,
    /// The length of an unfinished line at the end: a crash, or a writer at work.
    pub torn_bytes: u64,
}

/// The first place that was touched, as exactly as can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The file: the name of a segment, `checkpoints`, or the path of a witness.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
    /// The byte of the file at which what was touched begins.
    pub offset: u64,
    /// How many bytes from there on are in question; 0 if something is missing there.
    pub bytes: u64,
    /// The number of the first record that may have been touched.
    pub seq: u64,
    /// The number of the last record that may have been the first to be touched: `seq` if it is certain.
    pub last_seq: u64,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The record is not the one that was written.
    #[error("edited")]
    Edited,
    /// What stands there is no record as it would be written.
    #[error("not a record")]
    NotARecord,
    /// Another record stands there: one was deleted, or they were put in another order.
    #[error("record {found} stands in its place")]
    Displaced {
        /// The number that is found.
        found: u64,
    },
    /// A line was added.
    #[error("inserted")]
    Inserted,
    /// The records between two checkpoints are not those that were signed, though they are chained.
    #[error("rewritten: the signed tree is another")]
    Rewritten,
    /// A witness has a checkpoint of other records than these, though both are signed.
    #[error("forked: a witness has another log of the same key")]
    Forked,
    /// There are fewer records than a checkpoint, a witness or the name of a segment states.
    #[error("cut: {stated} records are stated")]
    Cut {
        /// How many should be there at least.
        stated: u64,
    },
    /// The time goes back further than a writer lets it.
    #[error("dated back")]
    DatedBack,
    /// A file that is not of this log.
    #[error("not a file of this log")]
    Strange,
    /// There is no checkpoint, though each log begins with one.
    #[error("no checkpoint")]
    NoCheckpoint,
    /// A checkpoint cannot be believed.
    #[error("checkpoint: {0}")]
    Note(BadNote),
    /// A checkpoint states fewer records than the one before.
    #[error("checkpoints are out of order")]
    Order,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    /// No key was given.
    #[error("no key to verify with")]
    NoKey,
    /// The log has no records, and nothing says that it should.
    #[error("the log is empty")]
    Empty,
    /// A file cannot be read.
    #[error("a file cannot be read")]
    Unreadable(#[from] io::Error),
}

/// Why a pass over the log ended early.
#[derive(Debug)]
enum Stop {
    Broken(Broken),
    Unknown(Unknown),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Unknown(error.into())
    }
}

/// Verifies the log in `dir` against its checkpoints and those that `witnesses` hold.
///
/// Each of `keys` is believed to have begun the log, and those that it handed over to are believed from there on; the
/// name of a key is the origin of the log. A log may be written to meanwhile. Cost: two hashes and one parse a record, one signature check a checkpoint.
pub fn verify(dir: &Path, keys: &[VerifierKey], witnesses: &[PathBuf]) -> Verdict {
    if keys.is_empty() {
        return Verdict::Unknown(Unknown::NoKey);
    }
    let stop =
        match Anchors::open(dir, keys, witnesses).and_then(|anchors| chain::verify(dir, anchors)) {
            Ok(sound) => return Verdict::Sound(sound.into()),
            Err(stop) => stop,
        };
    match stop {
        Stop::Broken(broken) => Verdict::Broken(locate::refine(dir, keys, witnesses, broken)),
        Stop::Unknown(why) => Verdict::Unknown(why),
    }
}

#[cfg(test)]
mod tests;
