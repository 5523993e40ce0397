//! Finds the first record that was touched by the index of leaf hashes, where a signed tree confirms it.

use std::io;
use std::path::{Path, PathBuf};

use super::{Broken, Why, anchors};
use crate::checkpoint::VerifierKey;
use crate::files::{CHECKPOINTS, Index, Place, Step, Walk, first_kept, segment_name};
use crate::line::Line;
use crate::merkle::{Frontier, Tree, leaf};

/// `broken` as it is, or the earlier or narrower place that the index shows.
///
/// The index is not evidence of its own: whoever rewrites it too is found all the same, between two checkpoints.
pub(super) fn refine(
    dir: &Path,
    keys: &[VerifierKey],
    witnesses: &[PathBuf],
    broken: Broken,
) -> Broken {
    if broken.file == CHECKPOINTS || matches!(broken.why, Why::Note(_) | Why::Strange) {
        return broken;
    }
    let trees = anchors::trees(dir, keys, witnesses);
    let located = confirmed(dir, trees).and_then(|size| first_difference(dir, size));
    match located {
        Ok(Some(exact)) if exact.seq < broken.seq => exact,
        Ok(Some(exact)) if broken.seq < broken.last_seq && exact.seq <= broken.last_seq => exact,
        Ok(_) | Err(_) => broken,
    }
}

/// How many leaves of the index are confirmed by a signed tree.
fn confirmed(dir: &Path, mut trees: Vec<Tree>) -> io::Result<u64> {
    trees.sort_unstable_by_key(|tree| tree.size);
    let mut index = Index::open(dir)?;
    let mut frontier = Frontier::default();
    let mut confirmed = 0;
    for tree in trees {
        while frontier.size() < tree.size {
            let Some(leaf) = index.read()? else {
                return Ok(confirmed);
            };
            frontier.push(leaf);
        }
        if frontier.root() == tree.root {
            confirmed = tree.size;
        }
    }
    Ok(confirmed)
}

/// The first of `size` records whose leaf is not the one of the index.
fn first_difference(dir: &Path, size: u64) -> io::Result<Option<Broken>> {
    let mut index = Index::open(dir)?;
    let first = first_kept(dir)?;
    let mut walk = Walk::new(dir, first);
    for seq in 0..size {
        let Some(expected) = index.read()? else {
            return Ok(None);
        };
        if seq < first {
            continue;
        }
        let (place, why) = match walk.step()? {
            Step::Line(_, line) if leaf(line) == expected => continue,
            Step::Line(place, line) => {
                let found = Line::parse(line)
                    .map(|line| line.seq)
                    .filter(|found| *found != seq);
                (
                    place,
                    found.map_or(Why::Edited, |found| Why::Displaced { found }),
                )
            }
            Step::Torn(place, _) | Step::End(place) => (place, Why::Cut { stated: size }),
            Step::TooLong(place) => (place, Why::NotARecord),
        };
        let is_next = matches!(walk.step()?, Step::Line(_, line) if leaf(line) == expected);
        let why = if is_next && why == Why::Edited {
            Why::Inserted
        } else {
            why
        };
        let Place {
            segment,
            line,
            offset,
            bytes,
        } = place;
        return Ok(Some(Broken {
            file: segment_name(segment),
            line,
            offset,
            bytes,
            seq,
            last_seq: seq,
            why,
        }));
    }
    Ok(None)
}
