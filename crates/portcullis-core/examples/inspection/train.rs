//! A linear model by stochastic steps in a fixed order, with additions, products and roots only: the same texts give the
//! same weights, bit by bit.

use crate::data::Row;
use crate::make::Made;
use portcullis_core::inspect::model::features::{self, BUCKETS};
use portcullis_core::inspect::model::weights::{LENGTHS, MAGIC};

/// How often all texts are gone through.
pub(crate) const ROUNDS: usize = 10;
/// Of how many of the last rounds the weights are the mean, so that chance weighs less.
const MEAN_OF: usize = 6;
/// Of how many features one is left out of a step, so that no few words decide.
const DROPPED: u64 = 2;
/// How large steps are.
const RATE: f32 = 0.05;
/// How fast a feature of a long window counts for less.
const OFFSET: u16 = 100;
const SCALE: f32 = 6.0;
/// What a text of our own counts.
const MADE: f32 = 0.5;

/// A text as the model reads it.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) is_attack: bool,
    pub(crate) bytes: usize,
    weight: f32,
    features: Vec<u32>,
    /// How many features each piece has, and where they begin.
    counts: Vec<usize>,
    starts: Vec<usize>,
    /// In which pieces the attack stands.
    within: Option<(usize, usize)>,
}

impl Document {
    /// A text with its label; `span` is where its attack stands, if that is known.
    pub(crate) fn new(
        text: &str,
        is_attack: bool,
        weight: f32,
        span: Option<(usize, usize)>,
    ) -> Self {
        let mut seen = Vec::new();
        let mut counts = Vec::new();
        let places = features::places(text, |piece, feature| {
            if counts.len() <= piece {
                counts.resize(piece + 1, 0);
            }
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
            seen.push(feature);
        });
        counts.resize(places.len(), 0);
        let mut starts = Vec::with_capacity(counts.len() + 1);
        starts.push(0);
        for count in &counts {
            starts.push(starts.last().copied().unwrap_or(0) + count);
        }
        let within = span.filter(|_| is_attack).and_then(|(from, to)| {
            let shares = |place: &std::ops::Range<usize>| {
                let common = place.end.min(to).saturating_sub(place.start.max(from));
                common * 2 >= place.len() || common * 2 >= to - from
            };
            let first = places.iter().position(shares)?;
            let last = places.iter().rposition(shares)?;
            Some((first, last + 1))
        });
        Self {
            is_attack,
            bytes: text.len(),
            weight,
            features: seen,
            counts,
            starts,
            within,
        }
    }

    pub(crate) fn of_row(row: &Row) -> Self {
        Self::new(&row.text, row.label == 1, row.weight(), row.span())
    }

    pub(crate) fn of_made(made: &Made) -> Self {
        Self::new(&made.text, made.is_attack, MADE, Some(made.span))
    }

    fn window(&self, from: usize, to: usize) -> &[u32] {
        let at = |piece| {
            self.starts
                .get(piece)
                .copied()
                .unwrap_or(self.features.len())
        };
        self.features.get(at(from)..at(to)).unwrap_or_default()
    }
}

/// A model as it is trained.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    bias: f32,
    weights: Vec<f32>,
    squares: Vec<f32>,
    state: u64,
}

impl Model {
    /// The model that these texts give.
    pub(crate) fn train(documents: &[&Document]) -> Self {
        let mut model = Self {
            bias: -0.5,
            weights: vec![0.0; BUCKETS],
            squares: vec![0.05; BUCKETS],
            state: 1,
        };
        let mut order: Vec<usize> = (0..documents.len()).collect();
        let mut sums = vec![0.0; BUCKETS];
        for round in 1..=ROUNDS {
            for index in (1..order.len()).rev() {
                let other = model.below(index + 1);
                order.swap(index, other);
            }
            for document in order.iter().filter_map(|index| documents.get(*index)) {
                model.learn(document);
            }
            if round > ROUNDS - MEAN_OF {
                let pairs = sums.iter_mut().zip(&model.weights);
                pairs.for_each(|(sum, weight)| *sum += weight);
            }
        }
        let rounds = f32::from(u8::try_from(MEAN_OF).unwrap_or(u8::MAX));
        model.weights = sums.into_iter().map(|sum| sum / rounds).collect();
        model
    }

    /// The score of the window of a text that reads most like an attack.
    pub(crate) fn score(&self, document: &Document) -> f32 {
        self.best(document, (0, document.counts.len()))
            .map_or(-4.0, |(score, ..)| score)
    }

    fn best(&self, document: &Document, within: (usize, usize)) -> Option<(f32, usize, usize)> {
        let counts = document.counts.get(within.0..within.1)?;
        let sum = |piece| self.sum(document.window(piece, piece + 1));
        let sums: Vec<f32> = (within.0..within.1).map(sum).collect();
        let mut best: Option<(f32, usize, usize)> = None;
        for (from, to) in features::windows(counts) {
            let sum: f32 = sums.get(from..to).unwrap_or_default().iter().sum();
            let count = counts.get(from..to).unwrap_or_default().iter().sum();
            let score = self.bias + sum * scale(count);
            if best.is_none_or(|(other, ..)| score > other) {
                best = Some((score, within.0 + from, within.0 + to));
            }
        }
        best
    }

    fn sum(&self, features: &[u32]) -> f32 {
        let weight = |feature: &u32| self.weights.get(usize::try_from(*feature).ok()?);
        features.iter().filter_map(weight).sum()
    }

    /// Learns from the window that reads most like an attack, and of harmless texts from one by chance too.
    fn learn(&mut self, document: &Document) {
        let all = (0, document.counts.len());
        let Some((_, from, to)) = self.best(document, document.within.unwrap_or(all)) else {
            return;
        };
        self.step(
            document.window(from, to),
            document.is_attack,
            document.weight,
        );
        if !document.is_attack && document.counts.len() > 2 {
            let from = self.below(document.counts.len());
            let to = (from + 2).min(document.counts.len());
            self.step(
                document.window(from, to),
                document.is_attack,
                document.weight * 0.5,
            );
        }
    }

    /// One step towards a score of 1 or more for attacks, and of -1 or less for the rest, seeing a part of the features.
    fn step(&mut self, features: &[u32], is_attack: bool, weight: f32) {
        let seen: Vec<u32> = features
            .iter()
            .copied()
            .filter(|_| self.is_seen())
            .collect();
        let scale = scale(features.len()) * 2.0;
        let sign = if is_attack { 1.0 } else { -1.0 };
        let margin = sign * (self.bias + self.sum(&seen) * scale);
        let slope = match margin {
            margin if margin >= 1.0 => return,
            margin if margin > -1.0 => -sign * (1.0 - margin),
            _ => -2.0 * sign,
        };
        let slope = slope * weight;
        self.bias -= 0.005 * slope;
        for feature in seen {
            let at = usize::try_from(feature).unwrap_or(0);
            let (Some(weight), Some(square)) = (self.weights.get_mut(at), self.squares.get_mut(at))
            else {
                continue;
            };
            let slope = slope * scale + 1e-6 * *weight;
            *square += slope * slope;
            *weight -= RATE * slope / square.sqrt();
        }
    }

    fn is_seen(&mut self) -> bool {
        self.next().is_multiple_of(DROPPED)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn next(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.state >> 33
    }

    /// The model in the form that the gateway reads, with a threshold for each length of text.
    pub(crate) fn bytes(&self, thresholds: &[f32; LENGTHS.len() + 1]) -> Vec<u8> {
        let mut sizes: Vec<f32> = self
            .weights
            .iter()
            .map(|weight| weight.abs())
            .filter(|size| *size > 0.0)
            .collect();
        sizes.sort_by(f32::total_cmp);
        // The few largest weights are cut, so that the many small ones keep their differences.
        let largest = sizes
            .get(sizes.len().saturating_sub(1 + sizes.len() / 2000))
            .copied()
            .unwrap_or(1.0);
        let unit = largest / 127.0;
        let mut bytes = MAGIC.to_vec();
        let factor = unit * SCALE * 1_000_000.0;
        let head = [self.bias * 1000.0, factor, f32::from(OFFSET)];
        for number in head
            .iter()
            .copied()
            .chain(thresholds.iter().map(|threshold| threshold * 1000.0))
        {
            bytes.extend(whole(number).to_le_bytes());
        }
        bytes.extend(
            self.weights
                .iter()
                .map(|weight| small(weight / unit).cast_unsigned()),
        );
        bytes
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a window has some hundred features"
)]
fn scale(count: usize) -> f32 {
    SCALE / (count as f32 + f32::from(OFFSET)).sqrt()
}

#[expect(clippy::cast_possible_truncation, reason = "it is a few thousand")]
fn whole(number: f32) -> i32 {
    number.round() as i32
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it is within the bounds of i8 and whole"
)]
fn small(number: f32) -> i8 {
    number.round().clamp(-127.0, 127.0) as i8
}
