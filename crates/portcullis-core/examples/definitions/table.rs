//! Tables of recall and of false positives.

use crate::data::Row;
use portcullis_core::catalog::Kind;
use portcullis_core::catalog::analyse::{Severity, analyse};
use std::collections::BTreeMap;

/// The shares of honest definitions at which thresholds are set.
const SHARES: [f64; 3] = [0.002, 0.005, 0.01];

/// How one definition fared.
#[derive(Debug, Clone)]
pub(crate) struct Measured<'a> {
    row: &'a Row,
    group: &'a str,
    score: f32,
    /// Whether a rule other than the model found something grave.
    is_ruled: bool,
}

impl<'a> Measured<'a> {
    /// A definition with its score by a model that never saw its group.
    pub(crate) fn of(row: &'a Row, group: &'a str, score: f32) -> Self {
        let found = analyse(Kind::Tool, &row.tool);
        let grave = |severity| severity >= Severity::High;
        let is_ruled = found
            .iter()
            .any(|finding| grave(finding.severity) && finding.rule != "speaks-to-the-model");
        Self {
            row,
            group,
            score,
            is_ruled,
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    rules: usize,
    model: usize,
    both: usize,
    /// Whether these are honest definitions, counted once.
    is_honest: bool,
}

/// Prints what the shipped analysis finds, which was trained on these definitions: a check and no measure.
pub(crate) fn shipped(rows: &[Row], groups: &[String]) {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (row, group) in rows.iter().zip(groups) {
        let found = analyse(Kind::Tool, &row.tool);
        let entry = counts.entry(named(row, group)).or_default();
        entry.1 += 1;
        entry.0 += usize::from(
            found
                .iter()
                .any(|finding| finding.severity >= Severity::High),
        );
    }
    say("As shipped (trained on these: no measure)");
    for (name, (found, all)) in counts {
        say(&format!("{found:6} of {all:5}  {name}"));
    }
}

/// Prints recall and false positives for each family, at thresholds that real honest tools set.
pub(crate) fn print(title: &str, measured: &[Measured<'_>]) {
    let real = measured.iter().filter(|one| one.row.kind == "benign_tool");
    let mut scores: Vec<f32> = real.map(|one| one.score).collect();
    scores.sort_by(|one, other| other.total_cmp(one));
    for share in SHARES {
        let wanted = share * f64::from(u32::try_from(scores.len()).unwrap_or(0));
        let at = (0..scores.len())
            .find(|at| f64::from(u32::try_from(*at).unwrap_or(0)) >= wanted)
            .unwrap_or(0);
        let threshold = scores.get(at).copied().unwrap_or(f32::MAX);
        say(&format!(
            "{title}: threshold {threshold:.3}, passed by {share} of real honest tools"
        ));
        one(measured, threshold);
    }
}

fn one(measured: &[Measured<'_>], threshold: f32) {
    let mut table: BTreeMap<String, Counts> = BTreeMap::new();
    for one in measured {
        let total = format!("= {} (all)", one.row.kind);
        let is_honest = one.row.label == 0;
        let names = if is_honest {
            vec![total]
        } else {
            vec![named(one.row, one.group), total]
        };
        for name in names {
            let counts = table.entry(name).or_default();
            counts.is_honest = is_honest;
            let is_over = one.score > threshold;
            counts.all += 1;
            counts.rules += usize::from(one.is_ruled);
            counts.model += usize::from(is_over);
            counts.both += usize::from(is_over || one.is_ruled);
        }
    }
    let honest: usize = table
        .values()
        .filter(|counts| counts.is_honest)
        .map(|counts| counts.both)
        .sum();
    say("   all  rules  model   both  share  precision");
    for (name, counts) in table {
        let Counts {
            all,
            rules,
            model,
            both,
            is_honest,
        } = counts;
        let share = ratio(both, all);
        // Against all honest definitions that were found too.
        let precision = if is_honest {
            0.0
        } else {
            ratio(both, both + honest)
        };
        say(&format!(
            "{all:6} {rules:6} {model:6} {both:6}  {share:.3}  {precision:9.3}  {name}"
        ));
    }
}

fn ratio(part: usize, all: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(0));
    number(part) / number(all.max(1))
}

/// Groups of poisoned definitions by family; honest ones by kind.
fn named(row: &Row, group: &str) -> String {
    if row.label == 0 {
        row.kind.clone()
    } else {
        group.to_owned()
    }
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "a table is what this program is for")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
