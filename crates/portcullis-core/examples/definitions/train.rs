//! Logistic regression over the windows of definitions, by stochastic steps in a fixed order.

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};
use portcullis_core::catalog::analyse::model::FEATURES;
use std::path::Path;

/// How often all examples are gone through.
const ROUNDS: usize = 14;
/// How strongly weights are pulled to nothing.
const DECAY: f32 = 2e-6;
const RATE: f32 = 0.12;
/// The units of a stored weight.
const UNITS: f32 = 1000.0;

/// A window of a text: its features, whether it is poisoned, and how much it counts.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    pub(crate) features: Vec<u32>,
    pub(crate) is_poisoned: bool,
    pub(crate) weight: f32,
}

/// A model as it is trained.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    bias: f32,
    weights: Vec<f32>,
}

impl Model {
    /// The model that these examples give; the same ones give the same model.
    pub(crate) fn train(examples: &[Example]) -> Self {
        let mut model = Self {
            bias: 0.0,
            weights: vec![0.0; FEATURES],
        };
        let mut squares = vec![1e-6_f32; FEATURES];
        let mut order: Vec<usize> = (0..examples.len()).collect();
        let mut state = 1_u64;
        for _ in 0..ROUNDS {
            for index in (1..order.len()).rev() {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let other = usize::try_from(state >> 33).unwrap_or(0) % (index + 1);
                order.swap(index, other);
            }
            for example in order.iter().filter_map(|index| examples.get(*index)) {
                model.step(example, &mut squares);
            }
        }
        model
    }

    fn step(&mut self, example: &Example, squares: &mut [f32]) {
        let target = if example.is_poisoned { 1.0 } else { 0.0 };
        let guess = 1.0 / (1.0 + (-self.score(&example.features)).exp());
        let error = (guess - target) * example.weight;
        let scale = scale(example.features.len());
        self.bias -= 0.01 * error;
        for feature in &example.features {
            let at = usize::try_from(*feature).unwrap_or(0);
            let (Some(weight), Some(square)) = (self.weights.get_mut(at), squares.get_mut(at))
            else {
                continue;
            };
            let slope = error * scale + DECAY * *weight;
            *square += slope * slope;
            *weight -= RATE * slope / square.sqrt();
        }
    }

    /// How sure the model is that a window is poisoned; below 0 it is not.
    pub(crate) fn score(&self, features: &[u32]) -> f32 {
        let weight = |feature: &u32| self.weights.get(usize::try_from(*feature).unwrap_or(0));
        let sum: f32 = features.iter().filter_map(weight).sum();
        self.bias + sum * scale(features.len())
    }

    /// Writes the model as `catalog/analyse/model.rs` reads it.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let mut bytes = Vec::new();
        for weight in std::iter::once(&self.bias).chain(&self.weights) {
            let units = (weight * UNITS)
                .round()
                .clamp(f32::from(i16::MIN), f32::from(i16::MAX));
            bytes.extend(units_of(units).to_le_bytes());
        }
        let digits = digest(&SHA256, &bytes);
        let digits = digits
            .as_ref()
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15]);
        let digest: String = digits
            .filter_map(|digit| char::from_digit(u32::from(digit), 16))
            .collect();
        std::fs::write(folder.join("model.bin"), &bytes).context("writing model.bin")?;
        std::fs::write(folder.join("model.sha256"), format!("{digest}\n"))
            .context("writing model.sha256")
    }

    /// The score of what is worst in a definition.
    pub(crate) fn worst(&self, windows: &[Vec<u32>]) -> f32 {
        windows
            .iter()
            .map(|window| self.score(window))
            .fold(f32::MIN, f32::max)
    }
}

/// Long windows have more features; each then counts for less.
#[expect(
    clippy::cast_precision_loss,
    reason = "a window has few hundred features"
)]
fn scale(count: usize) -> f32 {
    8.0 / (count as f32 + 20.0).sqrt()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it is within the bounds of i16 and whole"
)]
fn units_of(units: f32) -> i16 {
    units as i16
}
