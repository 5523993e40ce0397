//! Tables of recall and of false positives, and the thresholds they are taken at.

use portcullis_core::inspect::model::weights::LENGTHS;
use std::collections::BTreeMap;
use std::io::Write as _;

/// The shares of ordinary texts at which thresholds are set.
pub(crate) const SHARES: [f32; 2] = [0.005, 0.01];
/// A length has a threshold of its own if so many texts are of it.
const FEWEST: usize = 400;

/// How one text fared.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) family: String,
    pub(crate) is_attack: bool,
    /// Whether thresholds are set by it.
    pub(crate) is_ordinary: bool,
    pub(crate) bytes: usize,
    pub(crate) score: f32,
}

/// Recall of families of attacks, or the share of harmless ones that are taken for attacks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Share {
    pub(crate) all: usize,
    pub(crate) over: [usize; SHARES.len()],
}

impl Share {
    #[expect(clippy::cast_precision_loss, reason = "some thousands of texts")]
    pub(crate) fn of(&self, index: usize) -> f32 {
        self.over
            .get(index)
            .map_or(0.0, |over| *over as f32 / self.all.max(1) as f32)
    }
}

/// The thresholds of all ordinary texts together.
pub(crate) fn thresholds(measured: &[Measured]) -> [f32; SHARES.len()] {
    let scores: Vec<f32> = measured
        .iter()
        .filter(|one| one.is_ordinary)
        .map(|one| one.score)
        .collect();
    SHARES.map(|share| exceeded_by(&scores, share))
}

/// Thresholds for each length, at the first of the shares; for the longest ones, of which there are few, at the second.
pub(crate) fn by_length(measured: &[Measured]) -> [f32; LENGTHS.len() + 1] {
    let mut found = [0.0; LENGTHS.len() + 1];
    let mut last = 0.0;
    for (index, threshold) in found.iter_mut().enumerate() {
        let of_length = measured
            .iter()
            .filter(|one| one.is_ordinary && length(one.bytes) == index);
        let scores: Vec<f32> = of_length.map(|one| one.score).collect();
        let share = if index > 2 { SHARES[1] } else { SHARES[0] };
        if scores.len() >= FEWEST {
            last = exceeded_by(&scores, share);
        }
        *threshold = last;
    }
    found
}

pub(crate) fn length(bytes: usize) -> usize {
    LENGTHS.partition_point(|length| *length < bytes)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some thousands"
)]
fn exceeded_by(scores: &[f32], share: f32) -> f32 {
    let mut scores = scores.to_vec();
    scores.sort_by(|one, other| other.total_cmp(one));
    let at = (scores.len() as f32 * share) as usize;
    scores.get(at).copied().unwrap_or(0.0)
}

/// Shares by any name, at these thresholds.
pub(crate) fn shares(
    measured: &[Measured],
    thresholds: [f32; SHARES.len()],
    name: impl Fn(&Measured) -> Option<String>,
) -> BTreeMap<String, Share> {
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for one in measured {
        let Some(name) = name(one) else {
            continue;
        };
        let share = shares.entry(name).or_default();
        share.all += 1;
        for (over, threshold) in share.over.iter_mut().zip(thresholds) {
            *over += usize::from(one.score > threshold);
        }
    }
    shares
}

/// Prints a table of shares, with the means of all rows and of all texts.
pub(crate) fn print(title: &str, shares: &BTreeMap<String, Share>) {
    say(&format!("\n{title:<58} texts   at 0.5 %   at 1 %"));
    for (name, share) in shares {
        say(&format!(
            "{name:<58} {:>5} {:>10.3} {:>8.3}",
            share.all,
            share.of(0),
            share.of(1)
        ));
    }
    let (rows, texts) = means(shares);
    let all: usize = shares.values().map(|share| share.all).sum();
    say(&format!(
        "{:<58} {all:>5} {:>10.3} {:>8.3}",
        "mean of the rows", rows[0], rows[1]
    ));
    say(&format!(
        "{:<58} {all:>5} {:>10.3} {:>8.3}",
        "all texts", texts[0], texts[1]
    ));
}

/// The means of all rows, and of all texts.
#[expect(clippy::cast_precision_loss, reason = "some thousands of texts")]
pub(crate) fn means(shares: &BTreeMap<String, Share>) -> ([f32; 2], [f32; 2]) {
    let rows = shares.len().max(1) as f32;
    let all = shares.values().map(|share| share.all).sum::<usize>().max(1) as f32;
    let by_row = |index| shares.values().map(|share| share.of(index)).sum::<f32>() / rows;
    let by_text = |index: usize| {
        let over = shares.values().filter_map(|share| share.over.get(index));
        over.sum::<usize>() as f32 / all
    };
    ([by_row(0), by_row(1)], [by_text(0), by_text(1)])
}

/// The chance that an attack scores higher than an ordinary text.
#[expect(clippy::cast_precision_loss, reason = "some thousands of texts")]
pub(crate) fn auroc(measured: &[Measured]) -> f32 {
    let mut sorted: Vec<&Measured> = measured
        .iter()
        .filter(|one| one.is_attack || one.is_ordinary)
        .collect();
    sorted.sort_by(|one, other| one.score.total_cmp(&other.score));
    let (mut below, mut pairs, mut attacks) = (0_usize, 0_usize, 0_usize);
    for one in sorted {
        if one.is_attack {
            pairs += below;
            attacks += 1;
        } else {
            below += 1;
        }
    }
    pairs as f32 / (attacks.max(1) * below.max(1)) as f32
}

/// Prints a line.
pub(crate) fn say(text: &str) {
    // Nobody is left to be told if this fails.
    drop(writeln!(std::io::stdout(), "{text}"));
}
