//! Removing what need not be kept any longer, so that everybody can see that it was removed and not cut off.
//!
//! Only whole segments go, from the oldest on, and only if a signed checkpoint covers them. First a record tells
//! what will go; once that is signed too, the files are removed. The leaf hashes stay: with them, whoever verifies
//! the log still computes every tree that was ever signed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::files::{CHECKPOINTS, Step, Walk, last_note, segment_name, segments};
use crate::line::Line;
use crate::record::Record;

/// The event that tells of a removal.
pub const REMOVED: &str = "audit.removed";

const FIRST: &str = "first_seq";
const LAST: &str = "last_seq";

/// How much is kept. Nothing is removed for a bound that is not set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Records that are younger stay.
    pub age: Option<Duration>,
    /// Segments go until they take no more than this.
    pub bytes: Option<u64>,
}

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Removal {
    segments: Vec<u64>,
    /// The first record that stays.
    next: u64,
    bytes: u64,
    /// The newest checkpoint's size and root, as it writes them.
    signed: (String, String),
}

/// What may be removed at `now`, in microseconds since 1970, of a log whose newest checkpoint covers `anchored` records.
///
/// The last record that is signed stays, with its segment: the log is taken up from there.
///
/// # Errors
/// A file that cannot be read.
pub fn due(dir: &Path, keep: &Keep, now: u64, anchored: u64) -> io::Result<Option<Removal>> {
    let firsts = segments(dir)?.firsts;
    let sizes = firsts.iter().map(|first| size(dir, *first));
    let sizes = sizes.collect::<io::Result<Vec<u64>>>()?;
    let mut left: u64 = sizes.iter().sum();
    let (mut segments, mut kept, mut bytes) = (Vec::new(), None, 0);
    for ((first, next), size) in firsts.iter().zip(firsts.iter().skip(1)).zip(sizes) {
        let is_much = keep.bytes.is_some_and(|most| left > most);
        if *next >= anchored || !(is_much || is_old(dir, keep, *next, now)?) {
            break;
        }
        segments.push(*first);
        kept = Some(*next);
        bytes += size;
        left -= size;
    }
    let (Some(next), Some((note, _))) = (kept, last_note(&dir.join(CHECKPOINTS))?) else {
        return Ok(None);
    };
    let note = String::from_utf8_lossy(&note);
    let mut lines = note.lines().skip(1).map(str::to_owned);
    let signed = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    Ok(Some(Removal {
        segments,
        next,
        bytes,
        signed,
    }))
}

impl Removal {
    /// The record that must be written, and signed, before [`Removal::remove`].
    pub fn record(&self) -> Record {
        let mut record = Record::new(REMOVED);
        let first = self.segments.first().copied().unwrap_or(self.next);
        record.detail.set(FIRST, first.to_string());
        record
            .detail
            .set(LAST, (self.next.saturating_sub(1)).to_string());
        record
            .detail
            .set("segments", self.segments.len().to_string());
        record.detail.set("bytes", self.bytes.to_string());
        record.detail.set("signed_size", self.signed.0.as_str());
        record.detail.set("signed_root", self.signed.1.as_str());
        record
    }

    /// Removes the files, the oldest first; one that is gone already is no error.
    ///
    /// # Errors
    /// What the file system answered; some files may be gone by then.
    pub fn remove(&self, dir: &Path) -> io::Result<()> {
        for first in &self.segments {
            match std::fs::remove_file(dir.join(segment_name(*first))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        File::open(dir)?.sync_all()
    }
}

/// The number of the first record that stays, if this one tells of a removal.
pub(crate) fn next_after(record: &Record) -> Option<u64> {
    let last: u64 = (record.event.as_str() == REMOVED)
        .then(|| record.detail.get(LAST))??
        .parse()
        .ok()?;
    last.checked_add(1)
}

/// Whether a record of the log tells that all before `first` were removed. Cost: reads the log.
pub(crate) fn is_told(dir: &Path, first: u64) -> io::Result<bool> {
    let mut walk = Walk::new(dir, first);
    let mut scratch = Vec::new();
    while let Step::Line(_, line) = walk.step()? {
        let record = Line::parse(line).and_then(|line| line.record(&mut scratch));
        if record.and_then(|record| next_after(&record)) >= Some(first) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn size(dir: &Path, first: u64) -> io::Result<u64> {
    Ok(dir.join(segment_name(first)).metadata()?.len())
}

/// Whether all before record `next`, which begins a segment, is older than it must be kept: no record before it is
/// younger than it, but for those that changed places with it.
fn is_old(dir: &Path, keep: &Keep, next: u64, now: u64) -> io::Result<bool> {
    let Some(age) = keep.age else {
        return Ok(false);
    };
    let age = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
    let mut walk = Walk::new(dir, next);
    let Step::Line(_, line) = walk.step()? else {
        return Ok(false);
    };
    let begun = Line::parse(line).map(|line| line.stamp.time);
    Ok(begun.is_some_and(|begun| now.saturating_sub(begun) > age))
}

#[cfg(test)]
mod tests;
