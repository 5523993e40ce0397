//! Proofs that can be checked with a checkpoint and nothing else.

use std::io;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::files::{Index, Step, Walk, first_kept};
use crate::hash::{Hash, hex_string, unhex};
use crate::line::Line;
use crate::merkle::{
    Frontier, MAX_NODES, consistency_ranges, inclusion_ranges, is_consistent, is_included, leaf,
};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// There are no such records, or no such sizes.
    #[error("the log has no such records")]
    OutOfRange,
    /// A file cannot be read.
    #[error("a file of the log cannot be read")]
    Io(#[from] io::Error),
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The proof is for a tree of another size than the checkpoint's.
    #[error("the proof is for another checkpoint")]
    OtherSize,
    /// Its hashes are not written as hashes are, there are too many, or the line is of another record.
    #[error("malformed proof")]
    Malformed,
    /// Its hashes do not lead to the root.
    #[error("the proof does not lead to the signed root")]
    OtherRoot,
}

/// Proof that a record is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    /// The number of the record.
    pub seq: u64,
    /// The size of the tree.
    pub size: u64,
    /// The line of the record, without its line feed.
    pub line: String,
    /// The hashes from the leaf to the root, in hexadecimal.
    pub path: Vec<String>,
}

/// Proof that a log went on from an earlier state of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    /// The size of the earlier tree.
    pub old: u64,
    /// The size of the later tree.
    pub new: u64,
    /// The hashes, in hexadecimal.
    pub path: Vec<String>,
}

/// Proves that record `seq` is among the first `size`. Cost: reads these records once.
///
/// # Errors
/// [`NoProof`].
pub fn inclusion(dir: &Path, seq: u64, size: u64) -> Result<Inclusion, NoProof> {
    let mut ranges = inclusion_ranges(seq, size).ok_or(NoProof::OutOfRange)?;
    ranges.push(seq..seq + 1);
    let (mut path, line) = roots(dir, &ranges, seq)?;
    path.pop();
    if line.is_empty() {
        return Err(NoProof::OutOfRange); // it was removed
    }
    Ok(Inclusion {
        seq,
        size,
        line,
        path,
    })
}

/// Proves that the first `new` records begin with the first `old`. Cost: reads these records once.
///
/// # Errors
/// [`NoProof`]; there is none for an empty tree, which all logs continue.
pub fn consistency(dir: &Path, old: u64, new: u64) -> Result<Consistency, NoProof> {
    let ranges = consistency_ranges(old, new).ok_or(NoProof::OutOfRange)?;
    let (path, _) = roots(dir, &ranges, 0)?;
    Ok(Consistency { old, new, path })
}

/// Checks that `proof` holds a line of the log that `checkpoint` signed.
///
/// # Errors
/// [`Unproven`].
pub fn verify_inclusion(proof: &Inclusion, checkpoint: &Checkpoint) -> Result<(), Unproven> {
    let tree = checkpoint.tree();
    if proof.size != tree.size {
        return Err(Unproven::OtherSize);
    }
    let line = proof.line.as_bytes();
    if Line::parse(line).is_none_or(|line| line.seq != proof.seq) {
        return Err(Unproven::Malformed);
    }
    let is_proven = is_included(
        &leaf(line),
        proof.seq,
        tree.size,
        &hashes(&proof.path)?,
        &tree.root,
    );
    if is_proven {
        Ok(())
    } else {
        Err(Unproven::OtherRoot)
    }
}

/// Checks that the log of `new` begins with the log of `old`.
///
/// # Errors
/// [`Unproven`].
pub fn verify_consistency(
    proof: &Consistency,
    old: &Checkpoint,
    new: &Checkpoint,
) -> Result<(), Unproven> {
    let (old, new) = (old.tree(), new.tree());
    if (proof.old, proof.new) != (old.size, new.size) {
        return Err(Unproven::OtherSize);
    }
    let is_proven = is_consistent(&old, &new, &hashes(&proof.path)?);
    if is_proven {
        Ok(())
    } else {
        Err(Unproven::OtherRoot)
    }
}

fn hashes(path: &[String]) -> Result<Vec<Hash>, Unproven> {
    if path.len() > MAX_NODES {
        return Err(Unproven::Malformed);
    }
    path.iter()
        .map(|text| unhex(text.as_bytes()).ok_or(Unproven::Malformed))
        .collect()
}

/// Leaf hashes and lines in their order; of records that were removed, only the hash is left.
struct Records<'a> {
    dir: &'a Path,
    index: Option<Index>,
    walk: Walk,
    first: u64,
    seq: u64,
}

impl<'a> Records<'a> {
    fn open(dir: &'a Path) -> io::Result<Self> {
        let first = first_kept(dir)?;
        Ok(Self {
            dir,
            index: None,
            walk: Walk::new(dir, first),
            first,
            seq: 0,
        })
    }

    fn next(&mut self) -> Result<(Hash, Option<&[u8]>), NoProof> {
        self.seq += 1;
        if self.seq <= self.first {
            let index = match self.index.take() {
                Some(index) => index,
                None => Index::open(self.dir)?,
            };
            let leaf = self.index.insert(index).read()?;
            return Ok((leaf.ok_or(NoProof::OutOfRange)?, None));
        }
        match self.walk.step()? {
            Step::Line(_, line) => Ok((leaf(line), Some(line))),
            Step::Torn(..) | Step::TooLong(_) | Step::End(_) => Err(NoProof::OutOfRange),
        }
    }
}

/// The roots of `ranges`, which do not overlap, in the order given; and the line of record `wanted`.
fn roots(dir: &Path, ranges: &[Range<u64>], wanted: u64) -> Result<(Vec<String>, String), NoProof> {
    let mut order: Vec<(usize, &Range<u64>)> = ranges.iter().enumerate().collect();
    order.sort_unstable_by_key(|(_, range)| range.start);
    let mut roots = vec![String::new(); ranges.len()];
    let mut kept = String::new();
    let mut records = Records::open(dir)?;
    let mut seq = 0;
    for (at, range) in order {
        let mut frontier = Frontier::default();
        while seq < range.end {
            let (leaf, line) = records.next()?;
            if seq >= range.start {
                frontier.push(leaf);
            }
            if let Some(line) = line.filter(|_| seq == wanted) {
                kept = String::from_utf8_lossy(line).into_owned();
            }
            seq += 1;
        }
        if let Some(root) = roots.get_mut(at) {
            *root = hex_string(&frontier.root());
        }
    }
    Ok((roots, kept))
}
