//! What the model of `model.rs` sees of a text: which ideas stand in it, in which order and how close.

use super::places::Place;
use super::speech::WINDOW;
use crate::unveil::{Concept, Hit, Said};

/// How many features there are.
pub const FEATURES: usize = PHRASES_AT + PHRASES;

/// How many ideas there may be.
const IDEAS: usize = 64;
const SENTENCE_AT: usize = IDEAS;
const NEXT_AT: usize = SENTENCE_AT + IDEAS * IDEAS;
const WINDOW_AT: usize = NEXT_AT + IDEAS * IDEAS;
const PLACE_AT: usize = WINDOW_AT + IDEAS * IDEAS;
const GROUPS: usize = 4;
const PHRASES_AT: usize = PLACE_AT + GROUPS * IDEAS;
/// How many buckets three ideas in a row are put into.
const PHRASES: usize = 8192;
/// The most hits of a window that are looked at.
const MAX_HITS: usize = 40;
/// The fewest ideas of which an attack is made.
const FEWEST: u32 = 3;
/// Across how many bytes an idea is next to another.
const NEXT: usize = 40;

/// The features of each window of a text, each window a sorted list without repetition, and where it begins.
pub(super) fn windows(said: &Said, place: Place) -> Vec<(usize, Vec<u32>)> {
    let count = said.sentences.len();
    let last = count.saturating_sub(WINDOW - 1).max(1);
    let window = |first: usize| {
        let sentences = said.sentences.get(first..)?;
        let sentences = sentences.get(..WINDOW.min(sentences.len()))?;
        let start = sentences.first()?.0;
        let mut features = Vec::new();
        window(said, sentences, place, &mut features);
        (!features.is_empty()).then_some((start, features))
    };
    (0..last.min(count)).filter_map(window).collect()
}

fn window(said: &Said, sentences: &[(usize, usize)], place: Place, features: &mut Vec<u32>) {
    let mut left = MAX_HITS;
    let mut seen = 0_u64;
    let mut parts = Vec::with_capacity(WINDOW);
    for (start, end) in sentences.iter().copied() {
        let hits = said.between(start, end);
        let hits = hits.get(..left.min(hits.len())).unwrap_or_default();
        left -= hits.len();
        seen = hits
            .iter()
            .fold(seen, |seen, hit| seen | 1 << hit.concept.number());
        parts.push(hits);
    }
    if seen.count_ones() < FEWEST {
        return;
    }
    for hits in parts {
        sentence(hits, features);
    }
    let numbers: Vec<usize> = (0..IDEAS)
        .filter(|number| seen >> number & 1 == 1)
        .collect();
    for (index, one) in numbers.iter().copied().enumerate() {
        push(features, one);
        push(features, PLACE_AT + group(place) * IDEAS + one);
        for other in numbers.iter().skip(index + 1) {
            push(features, WINDOW_AT + one * IDEAS + other);
        }
    }
    features.sort_unstable();
    features.dedup();
}

/// Pairs in the order in which they stand, pairs next to each other, and three in a row.
fn sentence(hits: &[Hit], features: &mut Vec<u32>) {
    for (index, hit) in hits.iter().enumerate() {
        let after = hits.get(index + 1..).unwrap_or_default();
        for other in after {
            push(features, SENTENCE_AT + pair(hit.concept, other.concept));
        }
        let next = after
            .first()
            .filter(|next| next.start.saturating_sub(hit.end) <= NEXT);
        let Some(next) = next else {
            continue;
        };
        push(features, NEXT_AT + pair(hit.concept, next.concept));
        if let Some(third) = after.get(1) {
            let three = pair(hit.concept, next.concept) * IDEAS + third.concept.number();
            push(
                features,
                PHRASES_AT + three.wrapping_mul(0x9e37_79b1) / 64 % PHRASES,
            );
        }
    }
}

const fn pair(one: Concept, other: Concept) -> usize {
    one.number() * IDEAS + other.number()
}

fn push(features: &mut Vec<u32>, feature: usize) {
    features.extend(u32::try_from(feature));
}

/// Places that are alike.
const fn group(place: Place) -> usize {
    match place {
        Place::Description | Place::Instructions => 0,
        Place::ParameterText => 1,
        Place::Name | Place::ParameterName => 2,
        Place::Title
        | Place::Value
        | Place::Pattern
        | Place::Comment
        | Place::Icon
        | Place::Note
        | Place::Unknown => 3,
    }
}
