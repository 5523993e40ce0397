//! A linear model of which ideas stand together in attacks and in honest texts.
//!
//! Its weights are made by `cargo run --release -p portcullis-core --example definitions -- train` from definitions that
//! a generator of our own varies and from public ones. It holds no text.

use super::features;
use super::places::{self, Place};
use super::speech;
use crate::catalog::Kind;
use crate::unveil::Said;
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use std::sync::LazyLock;

pub use super::features::FEATURES;

/// The weights, two bytes each in little-endian order, each in units of a thousandth; first the bias.
const WEIGHTS: &[u8] = include_bytes!("model.bin");
/// The SHA-256 of [`WEIGHTS`], which are not used if it differs.
const DIGEST: &str = include_str!("model.sha256");
/// From which score on, in thousandths, a window is an attack.
const THRESHOLD: i64 = 1200;

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::read(WEIGHTS, DIGEST));

/// Weights of features.
#[derive(Debug, Clone)]
struct Model {
    bias: i32,
    weights: Vec<i16>,
}

impl Model {
    /// The model of these bytes. Without weights, or with others than the digest is of, everything is an attack.
    fn read(bytes: &[u8], expected: &str) -> Self {
        let digits = digest(&SHA256, bytes);
        let digits = digits
            .as_ref()
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15]);
        let own: String = digits
            .filter_map(|digit| char::from_digit(u32::from(digit), 16))
            .collect();
        let (pairs, _) = bytes.as_chunks::<2>();
        let mut weights = pairs.iter().map(|pair| i16::from_le_bytes(*pair));
        let bias = weights.next();
        let weights: Vec<i16> = weights.collect();
        if own != expected.trim() || weights.len() != FEATURES {
            let weights = Vec::new();
            return Self {
                bias: i32::MAX,
                weights,
            };
        }
        let bias = bias.map_or(i32::MAX, i32::from);
        Self { bias, weights }
    }

    /// The score of a window, in thousandths. Long windows have more features; each then counts for less.
    fn score(&self, features: &[u32]) -> i64 {
        let weight = |feature: &u32| {
            let weight = usize::try_from(*feature)
                .ok()
                .and_then(|at| self.weights.get(at));
            weight.copied().map_or(0, i64::from)
        };
        let sum: i64 = features.iter().map(weight).sum();
        let length = u64::try_from(features.len()).unwrap_or(u64::from(u16::MAX));
        let root = ((length.min(1 << 20) + 20) * 10_000).isqrt();
        i64::from(self.bias) + sum * 800 / i64::try_from(root).unwrap_or(i64::MAX)
    }
}

/// How far a text is over the threshold, and where the window begins that is farthest.
pub(super) fn over(said: &Said, place: Place) -> Option<(usize, i64)> {
    let windows = features::windows(said, place).into_iter();
    let scored = windows.map(|(start, features)| (start, MODEL.score(&features) - THRESHOLD));
    scored
        .max_by_key(|(_, score)| *score)
        .filter(|(_, score)| *score >= 0)
}

/// The features of every window of every text of a definition, with what stands under encodings: what the model is
/// trained on.
pub fn windows(kind: Kind, definition: &Value) -> Vec<Vec<u32>> {
    let collected = places::collect(kind, definition);
    let own = collected.own();
    let mut all = Vec::new();
    for text in &collected.texts {
        let said = Said::of(text.said, &own);
        let views = speech::views(text.said, &said);
        all.extend(features::windows(&said, text.place));
        for view in views {
            all.extend(features::windows(&Said::of(&view.text, &own), text.place));
        }
    }
    let all = all.into_iter().map(|(_, features)| features);
    all.filter(|features| !features.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_the_one_of_its_digest() {
        let model = Model::read(WEIGHTS, DIGEST);
        assert_eq!(model.weights.len(), FEATURES);
        assert!(model.score(&[]) < THRESHOLD);
    }

    #[test]
    fn with_another_model_everything_is_an_attack() {
        let mut bytes = WEIGHTS.to_vec();
        bytes[9] ^= 1;
        for (bytes, digest) in [(bytes.as_slice(), DIGEST), (WEIGHTS, ""), (&[], DIGEST)] {
            assert!(Model::read(bytes, digest).score(&[]) >= THRESHOLD);
        }
    }
}
