//! What came out: rows, footprints, and the table that shows them.

mod table;

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::load::Window;
use crate::meter::{self, Memory};
use crate::target::Running;

/// All that a run measured; the shape of the JSON file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// Where it ran.
    pub machine: Machine,
    /// Whether it was a quick run, which is not to be published.
    pub quick: bool,
    /// Rounds that each row is the median of.
    pub rounds: usize,
    /// Seconds of a window.
    pub seconds: f64,
    /// A row a cell and target.
    pub rows: Vec<Row>,
    /// Memory, a target each.
    pub footprints: Vec<Footprint>,
    /// What was answered wrongly. If there is any, the numbers mean nothing.
    pub faults: Vec<String>,
}

/// Where a run was made.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many the run could use.
    pub processors: usize,
    /// The kernel.
    pub kernel: String,
}

impl Machine {
    /// This machine.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn read() -> anyhow::Result<Self> {
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let name = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Ok(Self {
            processor: name.map_or("unknown", |(_, name)| name).to_owned(),
            processors: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
        })
    }
}

/// One target in one cell: medians over the rounds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// The cell's name.
    pub cell: String,
    /// The target's name.
    pub target: String,
    /// Calls that became due a second, if that was fixed; such a row says nothing of the most that
    /// is possible, and its processor time holds the cost of waiting.
    pub rate: Option<f64>,
    /// Calls answered a second.
    pub requests_per_second: f64,
    /// Latency that half of the calls stay below, in microseconds.
    pub p50_us: f64,
    /// The same for nine of ten.
    pub p90_us: f64,
    /// The same for 99 of 100.
    pub p99_us: f64,
    /// The same for 999 of 1,000.
    pub p999_us: f64,
    /// The generator's processor time a call, in microseconds.
    pub generator_cpu_us: f64,
    /// The upstream's.
    pub upstream_cpu_us: f64,
    /// The target's own; zero for the upstream itself.
    pub gate_cpu_us: f64,
    /// Answers that came in another shape than the upstream gave.
    pub reshaped: u64,
    /// Rounds dropped because others used the machine.
    pub dropped: usize,
    /// Rounds kept although others used the machine: there were no better ones.
    pub noisy: usize,
    /// Compared with the upstream itself, unless this is it.
    pub versus: Option<Versus>,
}

/// A target compared with the upstream itself in the same rounds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Versus {
    /// The gate's processor time by all that a direct call costs (generator and upstream).
    pub cpu_ratio: f64,
    /// The lowest and the highest of that ratio in a round.
    pub cpu_ratio_range: [f64; 2],
    /// Calls a second by those of direct calls.
    pub throughput_ratio: f64,
    /// What the gate adds to the latency at the half, in microseconds.
    pub added_p50_us: f64,
    /// What it adds to the latency at 999 of 1,000, in microseconds.
    pub added_p999_us: f64,
}

/// The memory of a target, in KiB.
#[derive(Debug, Serialize, Deserialize)]
pub struct Footprint {
    /// The target's name.
    pub target: String,
    /// Resident after the start, before the first call.
    pub idle_kib: u64,
    /// Resident after all cells.
    pub used_kib: Option<u64>,
    /// The most that was ever resident.
    pub peak_kib: Option<u64>,
    /// What an idle session adds.
    pub session_kib: Option<f64>,
}

impl Footprint {
    /// The footprint of a target that has only been started.
    ///
    /// # Errors
    /// If it is gone.
    pub fn idle(running: &Running) -> anyhow::Result<Self> {
        Ok(Self {
            target: running.target().name.clone(),
            idle_kib: meter::memory(running.pid())?.resident_kib,
            used_kib: None,
            peak_kib: None,
            session_kib: None,
        })
    }

    /// Resident after the start, in MiB.
    pub fn idle_mib(&self) -> f64 {
        float(self.idle_kib) / 1024.0
    }

    /// Adds what is resident after all cells, and the most that was.
    pub fn used(&mut self, memory: Memory) {
        self.used_kib = Some(memory.resident_kib);
        self.peak_kib = Some(memory.peak_kib);
    }

    /// Adds what sessions cost: memory before and after `count` of them were opened.
    pub fn sessions(&mut self, before: Memory, after: Memory, count: usize) {
        let added = after.resident_kib.saturating_sub(before.resident_kib);
        self.session_kib = Some(float(added) / float(count as u64).max(1.0));
    }
}

/// The rounds of one cell.
#[derive(Debug)]
pub struct Rounds {
    /// The windows of each round, in the order of the targets, the upstream itself first.
    pub kept: Vec<Vec<Window>>,
    /// Rounds that were dropped as noisy.
    pub dropped: usize,
    /// Kept rounds that are noisy too: there were no better ones.
    pub noisy: usize,
}

impl Results {
    /// The row of a target in a cell.
    pub fn row(&self, cell: &str, target: &str) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.cell == cell && row.target == target)
    }

    /// The footprint of a target.
    pub fn footprint(&mut self, target: &str) -> Option<&mut Footprint> {
        let mut footprints = self.footprints.iter_mut();
        footprints.find(|footprint| footprint.target == target)
    }

    /// Adds the rows of a cell; `rate` as in [`Row::rate`].
    pub fn add(&mut self, cell: &str, targets: &[String], rounds: &Rounds, rate: Option<f64>) {
        let direct: Vec<_> = rounds
            .kept
            .iter()
            .filter_map(|round| round.first())
            .collect();
        for (index, target) in targets.iter().enumerate() {
            let windows = rounds.kept.iter().filter_map(|round| round.get(index));
            let windows: Vec<_> = windows.collect();
            for window in &windows {
                let fault = window.fault.as_ref();
                self.faults
                    .extend(fault.map(|fault| format!("{cell}, {target}: {fault}")));
            }
            let mut row = Row::of(cell, target, &windows);
            row.rate = rate;
            row.dropped = rounds.dropped;
            row.noisy = rounds.noisy;
            if index > 0 {
                row.versus = Some(versus(&row, &windows, &direct));
            }
            self.rows.push(row);
        }
    }
}

impl Row {
    fn of(cell: &str, target: &str, windows: &[&Window]) -> Self {
        let latency = |quantile| {
            median(windows, |window| {
                float(window.latency.value_at_quantile(quantile)) / 1000.0
            })
        };
        Self {
            cell: cell.to_owned(),
            target: target.to_owned(),
            rate: None,
            requests_per_second: median(windows, rate),
            p50_us: latency(0.5),
            p90_us: latency(0.9),
            p99_us: latency(0.99),
            p999_us: latency(0.999),
            generator_cpu_us: median(windows, |window| a_call(window, window.spent.generator)),
            upstream_cpu_us: median(windows, |window| a_call(window, window.spent.upstream)),
            gate_cpu_us: median(windows, |window| a_call(window, window.spent.gate)),
            reshaped: windows.iter().map(|window| window.reshaped).sum(),
            dropped: 0,
            noisy: 0,
            versus: None,
        }
    }
}

impl Row {
    /// How much of a rate was kept, in percent.
    fn share_of(&self, rate: f64) -> f64 {
        100.0 * self.requests_per_second / rate.max(1e-9)
    }
}

fn versus(row: &Row, windows: &[&Window], direct: &[&Window]) -> Versus {
    let base = Row::of(&row.cell, "direct", direct);
    let pairs = windows.iter().zip(direct);
    let ratios = pairs.map(|(gate, direct)| {
        a_call(gate, gate.spent.gate) / a_call(direct, all_in(direct)).max(1e-9)
    });
    let (low, high) = ratios.fold((f64::MAX, 0.0_f64), |(low, high), ratio| {
        (low.min(ratio), high.max(ratio))
    });
    let all_in = median(direct, |window| a_call(window, all_in(window)));
    Versus {
        cpu_ratio: row.gate_cpu_us / all_in.max(1e-9),
        cpu_ratio_range: [low, high],
        throughput_ratio: row.requests_per_second / base.requests_per_second.max(1e-9),
        added_p50_us: row.p50_us - base.p50_us,
        added_p999_us: row.p999_us - base.p999_us,
    }
}

fn all_in(window: &Window) -> Duration {
    window.spent.generator + window.spent.upstream
}

fn rate(window: &Window) -> f64 {
    float(window.calls) / window.elapsed.as_secs_f64().max(1e-9)
}

fn a_call(window: &Window, spent: Duration) -> f64 {
    spent.as_secs_f64() * 1e6 / float(window.calls.max(1))
}

fn median(windows: &[&Window], value: impl Fn(&Window) -> f64) -> f64 {
    let mut values: Vec<_> = windows.iter().map(|window| value(window)).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or(0.0);
    let lower = values.get(middle.wrapping_sub(1)).copied();
    match lower {
        Some(lower) if values.len().is_multiple_of(2) => f64::midpoint(lower, upper),
        _ => upper,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of a run are far below 2^52"
)]
fn float(count: u64) -> f64 {
    count as f64
}
