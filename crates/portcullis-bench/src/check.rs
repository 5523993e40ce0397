//! The limits that a run's ratios must keep.

use std::fmt;
use std::process::ExitCode;

use crate::report::{Results, Row, Versus};

/// What is compared with a limit.
#[derive(Clone, Copy, Debug)]
enum Measure {
    /// The gate's processor time by that of a direct call, in a cell; at most.
    Cpu(&'static str),
    /// Calls a second by those of direct calls, in a cell; at least.
    Throughput(&'static str),
    /// Calls a second by those of another target in the same rounds of a cell; at least.
    Beside(&'static str, &'static str),
    /// Microseconds added to the latency at the half, in a cell; at most.
    AddedMedian(&'static str),
    /// MiB resident before the first call; at most.
    IdleMemory,
    /// KiB that an idle session adds; at most.
    Session,
}

/// Ratios are limited, and hardly any absolute numbers: those differ between machines.
const LIMITS: &[(&str, Measure, f64)] = &[
    ("L0", Measure::Cpu("2026-json-16c-64B"), 1.5),
    ("L0", Measure::Cpu("2025-json-16c-64B"), 1.5),
    ("L1", Measure::Cpu("2026-json-16c-64B"), 1.8),
    ("L1", Measure::Cpu("2025-json-16c-64B"), 1.8),
    ("L2", Measure::Cpu("2026-json-16c-64B"), 2.2),
    ("L2", Measure::Cpu("2025-json-16c-64B"), 2.2),
    ("L2", Measure::Cpu("2026-json-16c-16KiB"), 2.5),
    ("L2", Measure::Throughput("2026-json-16c-64B"), 0.30),
    ("L2", Measure::Throughput("2025-json-16c-64B"), 0.30),
    ("L2 DPoP", Measure::Beside("2026-json-16c-64B", "L2"), 0.60),
    ("L2 DPoP", Measure::Beside("2025-json-16c-64B", "L2"), 0.60),
    ("L2", Measure::AddedMedian("2026-json-1c-64B"), 60.0),
    ("L2", Measure::IdleMemory, 40.0),
    ("L2", Measure::Session, 10.0),
];

/// How each limit came out.
#[derive(Debug)]
pub struct Verdict {
    lines: Vec<String>,
    failed: bool,
}

/// Compares results with all limits.
///
/// What was not measured is said and does not fail, unless nothing was; an invalid run fails.
pub fn check(results: &Results) -> Verdict {
    let mut verdict = Verdict {
        lines: Vec::new(),
        failed: !results.faults.is_empty(),
    };
    let faults = results.faults.iter();
    verdict
        .lines
        .extend(faults.map(|fault| format!("FAIL invalid run: {fault}")));
    let mut measured = 0;
    for &(target, measure, limit) in LIMITS {
        let Some(value) = measure.of(results, target) else {
            verdict
                .lines
                .push(format!("-    {target} {measure}: not measured"));
            continue;
        };
        measured += 1;
        let kept = if measure.is_floor() {
            value >= limit
        } else {
            value <= limit
        };
        let (word, sign) = (
            if kept { "ok  " } else { "FAIL" },
            if measure.is_floor() { "≥" } else { "≤" },
        );
        verdict.failed |= !kept;
        let line = format!("{word} {target} {measure}: {value:.2} {sign} {limit}");
        verdict.lines.push(line + measure.noise(results, target));
    }
    if measured == 0 {
        verdict.failed = true;
        verdict.lines.push("FAIL nothing to compare".to_owned());
    }
    verdict
}

impl Measure {
    const fn cell(self) -> Option<&'static str> {
        match self {
            Self::Cpu(cell)
            | Self::Throughput(cell)
            | Self::Beside(cell, _)
            | Self::AddedMedian(cell) => Some(cell),
            Self::IdleMemory | Self::Session => None,
        }
    }

    fn row<'a>(self, results: &'a Results, target: &str) -> Option<&'a Row> {
        results.row(self.cell()?, target)
    }

    fn versus<'a>(self, results: &'a Results, target: &str) -> Option<&'a Versus> {
        self.row(results, target)?.versus.as_ref()
    }

    fn of(self, results: &Results, target: &str) -> Option<f64> {
        let footprint = || {
            results
                .footprints
                .iter()
                .find(|other| other.target == target)
        };
        match self {
            Self::Cpu(_) => Some(self.versus(results, target)?.cpu_ratio),
            Self::Throughput(_) => Some(self.versus(results, target)?.throughput_ratio),
            Self::Beside(cell, other) => {
                let own = self.row(results, target)?.requests_per_second;
                let other = results.row(cell, other)?.requests_per_second;
                // Nothing by nothing keeps no limit.
                Some(if other > 0.0 { own / other } else { 0.0 })
            }
            Self::AddedMedian(_) => Some(self.versus(results, target)?.added_p50_us),
            Self::IdleMemory => Some(footprint()?.idle_mib()),
            Self::Session => footprint()?.session_kib,
        }
    }

    const fn is_floor(self) -> bool {
        matches!(self, Self::Throughput(_) | Self::Beside(..))
    }

    fn noise(self, results: &Results, target: &str) -> &'static str {
        match self.row(results, target) {
            Some(row) if row.noisy > 0 => " (others used the machine)",
            _ => "",
        }
    }
}

impl Verdict {
    /// Success, if every limit that could be compared was kept.
    pub fn code(&self) -> ExitCode {
        if self.failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(cell) => write!(out, "CPU ratio in {cell}"),
            Self::Throughput(cell) => write!(out, "throughput ratio in {cell}"),
            Self::Beside(cell, other) => write!(out, "throughput by {other}'s in {cell}"),
            Self::AddedMedian(cell) => write!(out, "added p50 µs in {cell}"),
            Self::IdleMemory => out.write_str("idle MiB"),
            Self::Session => out.write_str("KiB an idle session"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Footprint;

    fn results(target: &str, cpu_ratio: f64, idle_kib: u64) -> Results {
        Results {
            rows: vec![Row {
                cell: "2026-json-16c-64B".into(),
                target: target.into(),
                rate: None,
                requests_per_second: 0.0,
                p50_us: 0.0,
                p90_us: 0.0,
                p99_us: 0.0,
                p999_us: 0.0,
                generator_cpu_us: 0.0,
                upstream_cpu_us: 0.0,
                gate_cpu_us: 0.0,
                reshaped: 0,
                dropped: 0,
                noisy: 0,
                versus: Some(Versus {
                    cpu_ratio,
                    cpu_ratio_range: [cpu_ratio, cpu_ratio],
                    throughput_ratio: 0.3,
                    added_p50_us: 0.0,
                    added_p999_us: 0.0,
                }),
            }],
            footprints: vec![Footprint {
                target: target.into(),
                idle_kib,
                used_kib: None,
                peak_kib: None,
                session_kib: None,
            }],
            ..Results::default()
        }
    }

    #[test]
    fn a_limit_is_kept_at_its_edge_and_not_beyond() {
        for (results, failed) in [
            (results("L2", 2.2, 40 << 10), false),
            (results("L2", 2.21, 40 << 10), true),
            (results("L2", 2.2, (40 << 10) + 1), true),
            (results("L0", 1.5, 99 << 20), false),
            (results("L0", 1.6, 0), true),
            (results("other", 1.0, 0), true),
            (Results::default(), true),
        ] {
            assert_eq!(check(&results).failed, failed, "{}", check(&results));
        }
    }

    #[test]
    fn a_target_is_held_against_another_of_the_same_cell() {
        for (own, other, failed) in [
            (600.0, 1000.0, false),
            (599.0, 1000.0, true),
            (600.0, 0.0, true),
        ] {
            let mut all = results("L2 DPoP", 9.0, 0);
            all.rows.extend(results("L2", 1.0, 0).rows);
            for (row, rate) in all.rows.iter_mut().zip([own, other]) {
                row.requests_per_second = rate;
            }
            assert_eq!(check(&all).failed, failed, "{}", check(&all));
        }
        // Alone it is not compared.
        assert!(check(&results("L2 DPoP", 1.0, 0)).failed);
    }

    #[test]
    fn a_wrong_answer_fails_whatever_the_numbers() {
        let mut results = results("L2", 1.0, 0);
        results.faults.push("an answer of another call".into());
        assert!(check(&results).failed);
    }
}
