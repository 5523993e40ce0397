//! What the model sees of a piece of text: its words, their stems, the ideas in them and the order of those.

use super::pieces;
use crate::unveil::{self, Folded, Hit};
use std::ops::Range;

/// How many pieces stand in one window.
const SIZES: [usize; 5] = [1, 2, 3, 5, 8];
/// A window of more features is as long as a window gets.
const MAX_FEATURES: usize = 700;

/// How many features are told apart; what stands in a text is put into these by its hash.
pub const BUCKETS: usize = 1 << 20;

/// The most ideas of a piece that are looked at.
const MAX_HITS: usize = 24;
/// Across how many bytes an idea is next to another.
const NEXT: usize = 40;
/// How many letters of a word are its stem.
const STEM: usize = 5;

/// Kinds of features, so that no two kinds mean the same bucket by what they are made of.
mod kind {
    pub(super) const WORD: u32 = 1;
    pub(super) const PAIR: u32 = 2;
    pub(super) const THREE: u32 = 3;
    pub(super) const SKIP: u32 = 4;
    pub(super) const STEM: u32 = 5;
    pub(super) const STEMS: u32 = 6;
    pub(super) const FIRST: u32 = 7;
    pub(super) const IDEA: u32 = 8;
    pub(super) const IDEAS: u32 = 9;
    pub(super) const CLOSE: u32 = 10;
    pub(super) const IN_A_ROW: u32 = 11;
    pub(super) const BEFORE: u32 = 12;
    pub(super) const SHAPED: u32 = 13;
    pub(super) const OPENS: u32 = 14;
    pub(super) const QUOTED: u32 = 15;
}

/// Tells every feature of every piece of a text, in order, each with the number of its piece. Gives where the pieces
/// stand in the text, in bytes.
pub fn places(text: &str, mut tell: impl FnMut(usize, u32)) -> Vec<Range<usize>> {
    let folded = Folded::of(text);
    let said = folded.text.as_str();
    let pieces = pieces::split(said);
    let hits = unveil::hits(said);
    let shape = shape(said, pieces.len());
    let mut before = 0_u64;
    let mut rest = hits.as_slice();
    let mut found = Vec::with_capacity(pieces.len());
    for (index, (start, end)) in pieces.into_iter().enumerate() {
        let skipped = rest.partition_point(|hit| hit.start < start);
        rest = rest.get(skipped..).unwrap_or_default();
        let own = rest.partition_point(|hit| hit.start < end);
        let here = rest.get(..own.min(MAX_HITS)).unwrap_or_default();
        let mut tell = |kind: u32, hash: u32| tell(index, bucket(kind, hash));
        words(said.get(start..end).unwrap_or_default(), shape, &mut tell);
        before = ideas(here, before, shape, &mut tell);
        if shape < DATA {
            quoted(said, start, here, &mut tell);
        }
        let (start, end) = (folded.original(start), folded.original(end).min(text.len()));
        found.push(start..end.max(start));
    }
    found
}

/// The windows of a text whose pieces have so many features each: the first piece, and the one after the last.
pub fn windows(counts: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    (0..counts.len()).flat_map(move |first| {
        let mut features = 0;
        let mut seen = 0;
        SIZES.into_iter().filter_map(move |size| {
            let is_full = features > MAX_FEATURES;
            let added = counts
                .get(first + seen..first + size)
                .filter(|_| !is_full)?;
            features += added.iter().sum::<usize>();
            seen = size;
            Some((first, first + size))
        })
    })
}

/// The shape of data, in which quotation marks say nothing.
const DATA: u32 = 3;

/// What a text looks like as a whole: a line by itself, prose, or data.
fn shape(text: &str, pieces: usize) -> u32 {
    let start = text.trim_start();
    let is_data =
        start.starts_with(['{', '[', '<']) || text.contains("\": ") || text.contains("': ");
    match (is_data, pieces) {
        (true, _) => DATA,
        (false, 0..=2) => 0,
        (false, 3..=8) => 1,
        (false, _) => 2,
    }
}

/// The words of a piece, alone and in rows.
fn words(piece: &str, shape: u32, tell: &mut impl FnMut(u32, u32)) {
    let (mut last, mut older) = (0_u32, 0_u32);
    let (mut last_stem, mut count) = (0_u32, 0_u32);
    each_word(piece, |word, stem| {
        tell(kind::WORD, word);
        tell(kind::STEM, stem);
        match count {
            0 => {
                tell(kind::FIRST, word);
                tell(kind::OPENS, mix(stem, shape));
            }
            1 => {
                tell(kind::FIRST, mix(last, word));
            }
            _ => {}
        }
        if count > 0 {
            tell(kind::PAIR, mix(last, word));
            tell(kind::STEMS, mix(last_stem, stem));
        }
        if count > 1 {
            tell(kind::THREE, mix(mix(older, last), word));
            tell(kind::SKIP, mix(older, word));
        }
        (older, last, last_stem) = (last, word, stem);
        count += 1;
    });
}

/// Tells the hash of each word and of its stem. A character of a script without spaces is a word, so is a run of
/// signs.
fn each_word(piece: &str, mut tell: impl FnMut(u32, u32)) {
    const START: u32 = 0x811c_9dc5;
    let (mut hash, mut stem, mut length) = (START, START, 0_usize);
    let mut signs = (0_u32, 0_usize);
    for char in piece.chars() {
        let is_wide =
            ('\u{2e80}'..'\u{a000}').contains(&char) || ('\u{ac00}'..'\u{d7b0}').contains(&char);
        if char.is_alphanumeric() && !is_wide {
            let char = if char.is_numeric() { '0' } else { char };
            if char == '0' && length > 0 && hash == step(START, '0') {
                continue;
            }
            hash = step(hash, char);
            length += 1;
            if length <= STEM {
                stem = hash;
            }
            signs = (0, 0);
            continue;
        }
        if length > 0 {
            tell(hash, stem);
            (hash, stem, length) = (START, START, 0);
        }
        if is_wide {
            let one = step(START, char);
            tell(one, one);
        } else if !char.is_whitespace() {
            let number = u32::from(char);
            signs = if signs.0 == number {
                (number, signs.1 + 1)
            } else {
                (number, 1)
            };
            if signs.1 == 3 {
                let run = mix(START, number);
                tell(run, run);
            }
        }
    }
    if length > 0 {
        tell(hash, stem);
    }
}

/// The ideas of a piece, alone, in pairs, in rows and after those of the piece before; gives them as a set.
fn ideas(hits: &[Hit], before: u64, shape: u32, tell: &mut impl FnMut(u32, u32)) -> u64 {
    let number = |hit: &Hit| u32::try_from(hit.concept.number()).unwrap_or(0);
    let mut seen = 0_u64;
    for (index, hit) in hits.iter().enumerate() {
        let one = number(hit);
        if seen >> one & 1 == 0 {
            tell(kind::IDEA, one);
            tell(kind::SHAPED, one * 8 + shape);
        }
        seen |= 1 << one;
        let after = hits.get(index + 1..).unwrap_or_default();
        for other in after.iter().take(8) {
            tell(kind::IDEAS, one * 64 + number(other));
        }
        let is_close = |next: &&Hit| next.start.saturating_sub(hit.end) <= NEXT;
        let Some(next) = after.first().filter(is_close) else {
            continue;
        };
        tell(kind::CLOSE, one * 64 + number(next));
        if let Some(third) = after.get(1) {
            tell(
                kind::IN_A_ROW,
                (one * 64 + number(next)) * 64 + number(third),
            );
        }
    }
    for one in bits(before) {
        for other in bits(seen) {
            tell(kind::BEFORE, one * 64 + other);
        }
    }
    seen
}

/// The ideas that stand between quotation marks.
fn quoted(text: &str, start: usize, hits: &[Hit], tell: &mut impl FnMut(u32, u32)) {
    let mut at = start;
    let mut is_open = false;
    for hit in hits {
        let between = text.get(at..hit.start).unwrap_or_default();
        let marks = between
            .chars()
            .filter(|char| matches!(char, '"' | '“' | '”' | '„' | '«' | '»' | '`' | '「' | '」'));
        is_open ^= marks.count() % 2 == 1;
        at = hit.start.max(at);
        if is_open {
            tell(
                kind::QUOTED,
                u32::try_from(hit.concept.number()).unwrap_or(0),
            );
            tell(kind::QUOTED, 64);
        }
    }
}

fn bits(set: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |bit| set >> bit & 1 == 1)
}

const fn step(hash: u32, char: char) -> u32 {
    (hash ^ char as u32).wrapping_mul(0x0100_0193)
}

const fn mix(one: u32, other: u32) -> u32 {
    (one.rotate_left(13) ^ other).wrapping_mul(0x9e37_79b1)
}

fn bucket(kind: u32, hash: u32) -> u32 {
    let mixed = (hash ^ kind.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0xc2b2_ae35);
    (mixed ^ (mixed >> 15)) & (u32::try_from(BUCKETS - 1).unwrap_or(u32::MAX))
}
