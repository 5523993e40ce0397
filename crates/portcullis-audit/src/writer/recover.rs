//! Finding the end of an existing log, and refusing one that was touched.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::state::{self, End};
use super::{NotOpened, Settings};
use crate::checkpoint::{BadNote, Checkpoint, MAX_NOTE_BYTES, VerifierKey};
use crate::files::{
    CHECKPOINTS, Index, LEAVES, Lines, Place, Read, Step, Walk, append, first_kept, last_note,
    read_bounded, segment_name, segments,
};
use crate::hash::HASH_BYTES;
use crate::line::Line;
use crate::lineage::{self, Lineage};
use crate::merkle::{Tree, leaf};
use crate::retention;

/// What was found when a log was opened: facts for the first record of the new run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How many records there were.
    pub records: u64,
    /// How many of them no checkpoint had anchored yet.
    pub unanchored: u64,
    /// The unfinished line that a crash left behind, if any.
    pub torn: Option<Torn>,
    /// Whether every record was read again because the saved state did not fit.
    pub is_rebuilt: bool,
}

/// An unfinished line that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The file that it was moved to.
    pub file: PathBuf,
    /// The number that its record would have had.
    pub seq: u64,
    /// How long it was.
    pub bytes: u64,
}

/// The last checkpoint of a log and its keys up to there; cuts an unfinished one off.
pub(super) fn last_checkpoint(
    dir: &Path,
    keys: &[VerifierKey],
) -> Result<(Option<Checkpoint>, Lineage), NotOpened> {
    let Some((last, end, lineage)) = last(dir, keys)? else {
        return Ok((None, Lineage::new(keys)));
    };
    let file = OpenOptions::new().write(true).open(dir.join(CHECKPOINTS))?;
    if file.metadata()?.len() > end {
        file.set_len(end)?;
    }
    Ok((Some(last), lineage))
}

/// The key whose turn it is in the log in `dir`, which one of `keys` began; none if there is no log yet.
///
/// # Errors
/// [`NotOpened::Note`] or [`NotOpened::Io`].
pub fn signer(dir: &Path, keys: &[VerifierKey]) -> Result<Option<VerifierKey>, NotOpened> {
    let found = last(dir, keys)?;
    Ok(found.and_then(|(_, _, lineage)| lineage.now().cloned()))
}

/// The last checkpoint, the byte after it, and the keys up to there.
fn last(dir: &Path, keys: &[VerifierKey]) -> Result<Option<(Checkpoint, u64, Lineage)>, NotOpened> {
    let Some((note, end)) = last_note(&dir.join(CHECKPOINTS))? else {
        return Ok(None);
    };
    let note = String::from_utf8(note).map_err(|_| NotOpened::Note(BadNote::Malformed))?;
    let mut lineage = lineage::up_to(dir, keys, &note)?;
    let is_last = |one: &&Checkpoint| one.note() == note;
    let checkpoint = match lineage.handovers().last().filter(is_last) {
        Some(handover) => handover.clone(),
        None => lineage.follow(&note).map_err(NotOpened::Note)?,
    };
    Ok(Some((checkpoint, end, lineage)))
}

/// The checkpoints that the witnesses hold; a witness that holds none yet is left out.
pub(super) fn witnessed(paths: &[PathBuf], keys: &Lineage) -> Result<Vec<Tree>, NotOpened> {
    let mut trees = Vec::new();
    for path in paths {
        let Some(note) = read_bounded(path, MAX_NOTE_BYTES)? else {
            continue;
        };
        let note = String::from_utf8(note).map_err(|_| NotOpened::Note(BadNote::Malformed))?;
        trees.push(keys.open(&note).map_err(NotOpened::Note)?.tree());
    }
    Ok(trees)
}

/// Reads an existing log to its end, which must fit each tree of `stated` (the last checkpoint first).
pub(super) fn recover(dir: &Path, stated: &[Tree]) -> Result<(End, Recovery), NotOpened> {
    let anchored = stated.first().map_or(0, |tree| tree.size);
    let saved = stated
        .first()
        .filter(|last| {
            stated
                .iter()
                .all(|tree| tree.size > last.size || tree == *last)
        })
        .and_then(|last| state::load(dir, last));
    let is_rebuilt = saved.is_none() && anchored > 0;
    let begin = match saved {
        Some(saved) => saved,
        None => beginning(dir, stated)?,
    };
    let (end, torn) = replay(dir, begin, stated)?;
    let records = end.frontier.size();
    if let Some(last) = segments(dir)?.firsts.last().filter(|last| **last > records) {
        return Err(NotOpened::Missing {
            records,
            stated: *last,
        });
    }
    if let Some(tree) = stated.iter().find(|tree| tree.size > records) {
        return Err(NotOpened::Missing {
            records,
            stated: tree.size,
        });
    }
    Ok((
        end,
        Recovery {
            records,
            unanchored: records.saturating_sub(anchored),
            torn,
            is_rebuilt,
        },
    ))
}

/// The end of what was removed from the beginning of a log, which is nothing unless a record tells so.
fn beginning(dir: &Path, stated: &[Tree]) -> Result<End, NotOpened> {
    let (first, mut end) = (first_kept(dir)?, End::empty());
    let missing = NotOpened::Missing {
        records: 0,
        stated: first,
    };
    if first == 0 {
        return Ok(end);
    }
    if !retention::is_told(dir, first)? {
        return Err(missing);
    }
    let mut index = Index::open(dir)?;
    while end.frontier.size() < first {
        let Some(leaf) = index.read()? else {
            return Err(missing);
        };
        end.frontier.push(leaf);
        let size = end.frontier.size();
        let is_other = |tree: &Tree| tree.size == size && *tree != end.tree();
        if stated.iter().any(is_other) {
            return Err(NotOpened::Root { size });
        }
    }
    end.last = Place {
        segment: first,
        line: 0,
        offset: 0,
        bytes: 0,
    };
    // What the first line links to is gone; the root of a checkpoint holds the line.
    if let Step::Line(_, line) = Walk::new(dir, first).step()? {
        end.head = Line::parse(line).ok_or(missing)?.prev;
    }
    Ok(end)
}

fn replay(dir: &Path, mut end: End, stated: &[Tree]) -> Result<(End, Option<Torn>), NotOpened> {
    let mut leaves = leaves(dir, end.frontier.size())?;
    let mut walk = Walk::at(dir, end.last, end.frontier.size());
    let torn = loop {
        let seq = end.frontier.size();
        match walk.step()? {
            Step::Line(place, line) => {
                let touched = || NotOpened::Touched {
                    segment: segment_name(place.segment),
                    line: place.line,
                    seq,
                };
                let parsed = Line::parse(line).ok_or_else(touched)?;
                if parsed.seq != seq || parsed.prev != end.head {
                    return Err(touched());
                }
                let leaf = leaf(line);
                leaves.write_all(&leaf)?;
                end.push(line, leaf, parsed.stamp.time);
                end.last = place;
                let size = end.frontier.size();
                if stated
                    .iter()
                    .any(|tree| tree.size == size && *tree != end.tree())
                {
                    return Err(NotOpened::Root { size });
                }
            }
            Step::Torn(place, _) | Step::TooLong(place) => break Some(place),
            Step::End(place) => {
                end.last = if place.bytes == 0 && place.line <= 1 && place.segment == seq {
                    Place { line: 0, ..place }
                } else {
                    end.last
                };
                break None;
            }
        }
    };
    leaves.flush()?;
    let torn = torn
        .map(|place| cut(dir, place, end.frontier.size()))
        .transpose()?;
    Ok((end, torn))
}

/// The file of leaf hashes, cut to `size` of them.
fn leaves(dir: &Path, size: u64) -> io::Result<io::BufWriter<File>> {
    let file = append(&dir.join(LEAVES))?;
    file.set_len(size.saturating_mul(u64::try_from(HASH_BYTES).unwrap_or(0)))?;
    Ok(io::BufWriter::new(file))
}

/// Moves an unfinished line at the end of a segment to a file of its own.
fn cut(dir: &Path, place: Place, seq: u64) -> Result<Torn, NotOpened> {
    let path = dir.join(segment_name(place.segment));
    let mut lines = Lines::open(&path, place.offset)?;
    loop {
        match lines.read()? {
            Read::Line(_) => {
                let segment = segment_name(place.segment);
                return Err(NotOpened::Touched {
                    segment,
                    line: place.line,
                    seq,
                });
            }
            Read::TooLong => {}
            Read::Torn(_) | Read::End => break,
        }
    }
    let file = dir.join(format!("torn-{seq}"));
    let mut from = File::open(&path)?;
    from.seek(SeekFrom::Start(place.offset))?;
    let mut to = append(&file)?;
    let bytes = io::copy(&mut from, &mut to)?;
    to.sync_data()?;
    let segment = OpenOptions::new().write(true).open(&path)?;
    segment.set_len(place.offset)?;
    segment.sync_data()?;
    Ok(Torn { file, seq, bytes })
}

/// Refuses a directory whose files cannot be a log that this program left behind.
pub(super) fn check_shape(
    dir: &Path,
    settings: &Settings,
    last: Option<&Checkpoint>,
) -> Result<(), NotOpened> {
    let found = segments(dir)?;
    if let Some(name) = found.strange {
        return Err(NotOpened::Strange { name });
    }
    if last.is_none() && !found.firsts.is_empty() {
        return Err(NotOpened::NoCheckpoint);
    }
    if settings.segment_bytes == 0 || settings.places == 0 {
        return Err(NotOpened::Settings);
    }
    Ok(())
}
