//! The Merkle tree of RFC 9162 section 2.1: its root, kept as leaves arrive, and its proofs.

use std::ops::Range;

use crate::hash::{HASH_BYTES, Hash, sha256};

/// The most nodes of a proof or a frontier: a tree of `u64::MAX` leaves is 64 high.
pub const MAX_NODES: usize = 64;

/// The hash of a leaf: SHA-256(0x00 || `line`).
pub fn leaf(line: &[u8]) -> Hash {
    let mut bytes = Vec::with_capacity(line.len() + 1);
    bytes.push(0);
    bytes.extend_from_slice(line);
    sha256(&bytes)
}

/// The hash of an inner node: SHA-256(0x01 || `left` || `right`).
pub(crate) fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 1 + 2 * HASH_BYTES];
    for (to, from) in bytes.iter_mut().skip(1).zip(left.iter().chain(right)) {
        *to = *from;
    }
    sha256(&bytes)
}

/// The right edge of a tree: all that is needed to add leaves and to know the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// INVARIANT: one node for each bit that is set in `size`, the largest first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves; `None` if the number of peaks is not that of `size`.
    pub(crate) fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (usize::try_from(size.count_ones()) == Ok(peaks.len())).then_some(Self { size, peaks })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The perfect subtrees, the largest first.
    pub(crate) fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds the hash of a leaf. Cost: one hash of 65 bytes on average.
    pub fn push(&mut self, leaf: Hash) {
        let mut top = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            top = node(&left, &top);
        }
        self.peaks.push(top);
        self.size += 1;
    }

    /// The root of the tree; SHA-256 of nothing for the empty one.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return sha256(b"");
        };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

/// The ranges of leaves whose roots prove leaf `index` in a tree of `size` (section 2.1.3.1),
/// in the order of the proof; `None` if there is no such leaf.
pub(crate) fn inclusion_ranges(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut tree = 0..size;
    if !tree.contains(&index) {
        return None;
    }
    while tree.end - tree.start > 1 {
        let middle = tree.start + split(tree.end - tree.start);
        if index < middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
        }
    }
    ranges.reverse();
    Some(ranges)
}

/// The ranges of leaves whose roots prove that a tree of `new` leaves continues one of `old`
/// (section 2.1.4.1), in the order of the proof; `None` unless `0 < old <= new`.
pub(crate) fn consistency_ranges(old: u64, new: u64) -> Option<Vec<Range<u64>>> {
    if old == 0 || old > new {
        return None;
    }
    let mut ranges = Vec::new();
    let mut tree = 0..new;
    while tree.end != old {
        let middle = tree.start + split(tree.end - tree.start);
        if old <= middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
        }
    }
    if tree.start != 0 {
        ranges.push(tree);
    }
    ranges.reverse();
    Some(ranges)
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// Whether `path` proves that `leaf` is leaf `index` of the tree of `size` under `root`
/// (RFC 9162 section 2.1.3.2).
#[must_use]
pub fn is_included(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut top = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            top = node(sibling, &top);
            let rise = if at & 1 == 1 {
                0
            } else {
                at.trailing_zeros().min(u64::BITS - 1)
            };
            (at, last) = (at >> rise, last >> rise);
        } else {
            top = node(&top, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && top == *root
}

/// A tree as a checkpoint states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// How many leaves it has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// Whether `path` proves that `new` begins with the leaves of `old` (RFC 9162 section 2.1.4.2).
#[must_use]
pub fn is_consistent(old: &Tree, new: &Tree, path: &[Hash]) -> bool {
    if old.size == new.size {
        return path.is_empty() && old.root == new.root && old.size > 0;
    }
    if old.size == 0 || old.size > new.size {
        return false;
    }
    let mut path = path.iter();
    let first = if old.size.is_power_of_two() {
        Some(&old.root)
    } else {
        path.next()
    };
    let Some(first) = first else { return false };
    let rise = (old.size - 1).trailing_ones();
    let (mut at, mut last) = ((old.size - 1) >> rise, (new.size - 1) >> rise);
    let (mut old_top, mut new_top) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_top = node(sibling, &old_top);
            new_top = node(sibling, &new_top);
            let rise = if at & 1 == 1 {
                0
            } else {
                at.trailing_zeros().min(u64::BITS - 1)
            };
            (at, last) = (at >> rise, last >> rise);
        } else {
            new_top = node(&new_top, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old_top == old.root && new_top == new.root
}

#[cfg(test)]
mod tests;
