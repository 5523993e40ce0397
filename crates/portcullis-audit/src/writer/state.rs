//! The tree's right edge on disk, so that opening a log need not read all of it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{LEAVES, Lines, Place, Read, STATE, Sync, read_bounded, replace, segment_name};
use crate::hash::{HASH_BYTES, Hash, hex_string, sha256, unhex};
use crate::line::{GENESIS, Line};
use crate::merkle::{Frontier, Tree, leaf};

const MAX_STATE_BYTES: usize = 16 * 1024;

/// The end of a log: all that is needed to go on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// The tree up to here.
    pub(crate) frontier: Frontier,
    /// The hash of the last line.
    pub(crate) head: Hash,
    /// The newest time of all lines, in microseconds since 1970.
    pub(crate) newest: u64,
    /// Where the last line stands.
    pub(crate) last: Place,
}

impl End {
    /// The end of a log without records.
    pub(crate) fn empty() -> Self {
        let last = Place {
            segment: 0,
            line: 0,
            offset: 0,
            bytes: 0,
        };
        Self {
            frontier: Frontier::default(),
            head: GENESIS,
            newest: 0,
            last,
        }
    }

    /// Adds a line of which the caller has checked that it continues this one.
    pub(crate) fn push(&mut self, line: &[u8], leaf: Hash, time: u64) {
        self.frontier.push(leaf);
        self.head = sha256(line);
        self.newest = self.newest.max(time);
    }

    /// The tree up to here.
    pub(crate) fn tree(&self) -> Tree {
        Tree {
            size: self.frontier.size(),
            root: self.frontier.root(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    size: u64,
    segment: u64,
    line: u64,
    offset: u64,
    bytes: u64,
    newest: u64,
    peaks: Vec<String>,
}

/// Writes the end of a log to its `state` file.
pub(crate) fn save(dir: &Path, end: &End) -> io::Result<()> {
    let Place {
        segment,
        line,
        offset,
        bytes,
    } = end.last;
    let peaks = end
        .frontier
        .peaks()
        .iter()
        .map(|peak| hex_string(peak))
        .collect();
    let written = Written {
        size: end.frontier.size(),
        segment,
        line,
        offset,
        bytes,
        newest: end.newest,
        peaks,
    };
    replace(
        &dir.join(STATE),
        &serde_json::to_vec(&written)?,
        Sync::Cached,
    )
}

/// The end that the `state` file tells; `None` unless `tree` and the line at that place confirm it.
pub(crate) fn load(dir: &Path, tree: &Tree) -> Option<End> {
    let content = read_bounded(&dir.join(STATE), MAX_STATE_BYTES).ok()??;
    let written: Written = serde_json::from_slice(&content).ok()?;
    let peaks = written
        .peaks
        .iter()
        .map(|peak| unhex(peak.as_bytes()))
        .collect::<Option<_>>()?;
    let frontier = Frontier::from_peaks(written.size, peaks)?;
    let Written {
        segment,
        line,
        offset,
        bytes,
        newest,
        ..
    } = written;
    let mut end = End {
        frontier,
        head: GENESIS,
        newest,
        last: Place {
            segment,
            line,
            offset,
            bytes,
        },
    };
    if end.tree() != *tree || tree.size == 0 {
        return None;
    }
    let mut lines = Lines::open(&dir.join(segment_name(segment)), offset).ok()?;
    let Read::Line(last) = lines.read().ok()? else {
        return None;
    };
    let parsed = Line::parse(last)?;
    let is_last = parsed.seq.checked_add(1) == Some(tree.size)
        && offset + last.len() as u64 + 1 == offset + bytes;
    if !is_last || last_leaf(dir, tree.size)? != leaf(last) {
        return None;
    }
    end.head = sha256(last);
    Some(end)
}

/// The hash of leaf `size - 1` in the file of leaf hashes.
fn last_leaf(dir: &Path, size: u64) -> Option<Hash> {
    use std::os::unix::fs::FileExt;
    let mut hash = [0; HASH_BYTES];
    let at = size
        .checked_sub(1)?
        .checked_mul(u64::try_from(HASH_BYTES).ok()?)?;
    std::fs::File::open(dir.join(LEAVES))
        .ok()?
        .read_exact_at(&mut hash, at)
        .ok()?;
    Some(hash)
}
