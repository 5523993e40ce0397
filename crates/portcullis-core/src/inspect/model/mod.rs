//! Does a text tell the assistant that reads it what to do?
//!
//! A linear model over words, stems and ideas in windows of a few sentences, which is trained by `cargo xtask train` from
//! labelled texts and from a grammar of our own. It runs in the process, without a network, and holds no text.

mod pieces;
pub mod features;
pub mod weights;

use std::ops::Range;
use std::sync::LazyLock;
use weights::{Unusable, Weights};

/// The weights; `weights.rs` says in which form.
const WEIGHTS: &[u8] = include_bytes!("weights.bin");
/// The SHA-256 of [`WEIGHTS`], which are not used if they differ.
const DIGEST: &str = include_str!("weights.sha256");

static MODEL: LazyLock<Result<Weights, Unusable>> =
    LazyLock::new(|| Weights::read(WEIGHTS, DIGEST));

/// How much a text reads like an instruction to the assistant that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored {
    /// By how many thousandths it is over the threshold for texts of its length; from 0 on it is an attack.
    pub over: i64,
    /// Where the window stands that reads most like one, in bytes of the text.
    pub place: Range<usize>,
}

/// Scores a text; nothing if there is nothing to read in it. Takes time linear in its length.
///
/// # Errors
///
/// The weights are not those that belong to this program: nothing can be said of any text then.
pub fn score(text: &str) -> Result<Option<Scored>, Unusable> {
    let weights = MODEL.as_ref().map_err(|error| *error)?;
    Ok(best(weights, text))
}

/// The window with the highest score.
pub fn best(weights: &Weights, text: &str) -> Option<Scored> {
    let mut sums: Vec<(i64, usize)> = Vec::new();
    let pieces = features::places(text, |piece, feature| {
        if sums.len() <= piece {
            sums.resize(piece + 1, (0, 0));
        }
        if let Some((sum, count)) = sums.last_mut() {
            *sum += weights.weight(feature);
            *count += 1;
        }
    });
    sums.resize(pieces.len(), (0, 0));
    let counts: Vec<usize> = sums.iter().map(|(_, count)| *count).collect();
    let scored = features::windows(&counts).map(|(from, to)| {
        let window = sums.get(from..to).unwrap_or_default().iter();
        let (sum, count) = window.fold((0, 0), |(sum, count), (own, one)| (sum + own, count + one));
        (weights.score(sum, count), from, to)
    });
    let (score, from, to) = scored.max_by_key(|(score, ..)| *score)?;
    let start = pieces.get(from)?.start;
    let end = pieces.get(to.checked_sub(1)?)?.end.max(start);
    Some(Scored {
        over: score - weights.threshold(text.len()),
        place: start..end,
    })
}

#[cfg(test)]
mod tests;
