//! The weights that were trained, which are used only if they are those that belong to this program.

use super::features::BUCKETS;
use crate::hexadecimal::hexadecimal;
use thiserror::Error;

/// How a file of weights begins.
pub const MAGIC: [u8; 4] = *b"PCM1";
/// Up to how many bytes a text is of one length; what is longer is of the last.
pub const LENGTHS: [usize; 4] = [256, 1024, 4096, 16_384];
/// How many numbers stand before the weights.
const NUMBERS: usize = 3 + LENGTHS.len() + 1;

/// Why weights are not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unusable {
    /// They are not those that were pinned.
    #[error(
        "the weights of the model have another digest than the one that belongs to this program"
    )]
    Digest,
    /// They are not of this form.
    #[error("the weights of the model are not of the form that this program reads")]
    Form,
}

/// Weights of features, and from which score on a text of some length is an attack.
#[derive(Debug)]
pub struct Weights {
    bias: i64,
    factor: i64,
    offset: u64,
    thresholds: [i64; LENGTHS.len() + 1],
    of_features: Vec<i8>,
}

impl Weights {
    /// The weights in these bytes.
    ///
    /// # Errors
    ///
    /// Other bytes than those of this digest (SHA-256 in hexadecimal), or of another form.
    pub fn read(bytes: &[u8], expected: &str) -> Result<Self, Unusable> {
        if hexadecimal(bytes) != expected.trim() {
            return Err(Unusable::Digest);
        }
        let rest = bytes.strip_prefix(&MAGIC).ok_or(Unusable::Form)?;
        let (numbers, weights) = rest.split_at_checked(NUMBERS * 4).ok_or(Unusable::Form)?;
        let (numbers, _) = numbers.as_chunks::<4>();
        let mut numbers = numbers
            .iter()
            .map(|number| i64::from(i32::from_le_bytes(*number)));
        let mut next = || numbers.next().ok_or(Unusable::Form);
        let (bias, factor) = (next()?, next()?);
        let offset = u64::try_from(next()?).map_err(|_| Unusable::Form)?;
        let mut thresholds = [0; LENGTHS.len() + 1];
        for threshold in &mut thresholds {
            *threshold = next()?;
        }
        if weights.len() != BUCKETS || offset == 0 {
            return Err(Unusable::Form);
        }
        let of_features = weights.iter().map(|byte| byte.cast_signed()).collect();
        Ok(Self {
            bias,
            factor,
            offset,
            thresholds,
            of_features,
        })
    }

    /// What a feature weighs.
    pub fn weight(&self, feature: u32) -> i64 {
        let at = usize::try_from(feature).ok();
        let weight = at.and_then(|at| self.of_features.get(at));
        weight.copied().map_or(0, i64::from)
    }

    /// The score of a window in thousandths. Each feature of a long window counts for less.
    pub fn score(&self, sum: i64, features: usize) -> i64 {
        let features = u64::try_from(features).unwrap_or(u64::MAX).min(1 << 20);
        let root = ((features + self.offset) * 1_000_000).isqrt();
        self.bias + sum * self.factor / i64::try_from(root).unwrap_or(i64::MAX).max(1)
    }

    /// From which score on a text of so many bytes is an attack.
    pub fn threshold(&self, bytes: usize) -> i64 {
        let length = LENGTHS.partition_point(|length| *length < bytes);
        self.thresholds.get(length).copied().unwrap_or(i64::MIN)
    }
}
