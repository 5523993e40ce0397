//! What processes cost, as the kernel counts it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::clock;

/// Whose time is read: this process (the generator), the upstream, the gate, and bystanders.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// The upstream's process.
    pub upstream: u32,
    /// The process that is charged as the gate, if the window has one.
    pub gate: Option<u32>,
    /// Other processes of the harness, which are not foreign.
    pub bystanders: Vec<u32>,
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    at: Instant,
    generator: Duration,
    upstream: Duration,
    gate: Duration,
    bystanders: Duration,
    machine: Machine,
}

/// What was spent between two readings.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// By the generator, which is this process.
    pub generator: Duration,
    /// By the upstream.
    pub upstream: Duration,
    /// By the gate; zero if there is none.
    pub gate: Duration,
    /// The share of all processors' time that went to others: their processes, and the hypervisor.
    pub foreign: f64,
}

impl Meter {
    /// Reads all counters.
    ///
    /// # Errors
    /// If a process is gone.
    pub fn read(&self) -> anyhow::Result<Reading> {
        let mut bystanders = Duration::ZERO;
        for &pid in &self.bystanders {
            bystanders += processor_time(pid)?;
        }
        Ok(Reading {
            at: clock::now(),
            generator: processor_time(std::process::id())?,
            upstream: processor_time(self.upstream)?,
            gate: self.gate.map_or(Ok(Duration::ZERO), processor_time)?,
            bystanders,
            machine: Machine::read()?,
        })
    }
}

impl Reading {
    /// What was spent since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Spent {
        let generator = self.generator.saturating_sub(earlier.generator);
        let upstream = self.upstream.saturating_sub(earlier.upstream);
        let gate = self.gate.saturating_sub(earlier.gate);
        let bystanders = self.bystanders.saturating_sub(earlier.bystanders);
        let ours = generator + upstream + gate + bystanders;
        let machine = &self.machine;
        let busy = machine.busy.saturating_sub(earlier.machine.busy);
        let stolen = machine.stolen.saturating_sub(earlier.machine.stolen);
        let elapsed = self.at.saturating_duration_since(earlier.at);
        let whole = elapsed.as_secs_f64() * f64::from(machine.processors);
        Spent {
            generator,
            upstream,
            gate,
            foreign: (busy.saturating_sub(ours) + stolen).as_secs_f64() / whole.max(1e-9),
        }
    }
}

/// Time of all threads of a process, in user and kernel mode.
fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("process {pid} is gone"))?;
    parse_stat(&stat).with_context(|| format!("{path} has another form"))
}

fn parse_stat(stat: &str) -> Option<Duration> {
    // The name is in brackets and may hold anything, brackets too.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(ticks(user + system))
}

fn ticks(count: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_nanos(count.saturating_mul(1_000_000_000 / per_second))
}

/// The machine's counters.
#[derive(Clone, Copy, Debug)]
struct Machine {
    /// In processes. Interrupts are left out: ours and others' look alike.
    busy: Duration,
    /// Taken by the hypervisor.
    stolen: Duration,
    processors: u32,
}

impl Machine {
    fn read() -> anyhow::Result<Self> {
        Self::parse(&fs::read_to_string("/proc/stat")?).context("/proc/stat has another form")
    }

    fn parse(stat: &str) -> Option<Self> {
        let mut lines = stat.lines();
        let total: Vec<u64> = lines
            .next()?
            .strip_prefix("cpu ")?
            .split_ascii_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        let &[user, nice, system, _idle, _wait, _irq, _softirq, stolen, ..] = total.as_slice()
        else {
            return None;
        };
        Some(Self {
            busy: ticks(user + nice + system),
            stolen: ticks(stolen),
            processors: u32::try_from(lines.take_while(|line| line.starts_with("cpu")).count())
                .ok()?,
        })
    }
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What is resident now.
    pub resident_kib: u64,
    /// The most that ever was.
    pub peak_kib: u64,
}

/// Reads the memory of a process.
///
/// # Errors
/// If the process is gone.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_ascii_whitespace().next());
        anyhow::Ok(number.with_context(|| format!("no {name}"))?.parse()?)
    };
    Ok(Memory {
        resident_kib: field("VmRSS:")?,
        peak_kib: field("VmHWM:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 99 0 0 0 150 50 0 0 20 0 1 0 140596";
        assert_eq!(parse_stat(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn the_machine_has_as_many_processors_as_lines() {
        let stat = "cpu  100 50 50 900 7 3 5 11 0 0\ncpu0 1\ncpu1 2\nintr 5\ncpu9";
        let machine = Machine::parse(stat).unwrap();
        assert_eq!(machine.busy, Duration::from_secs(2));
        assert_eq!(machine.stolen, Duration::from_millis(110));
        assert_eq!(machine.processors, 2);
        assert!(Machine::parse("cpu  1 2 3").is_none());
    }

    #[test]
    fn this_process_can_be_read() {
        let meter = Meter {
            upstream: std::process::id(),
            ..Meter::default()
        };
        let before = meter.read().unwrap();
        let spent = meter.read().unwrap().since(&before);
        assert_eq!(spent.gate, Duration::ZERO);
        assert!(memory(std::process::id()).unwrap().peak_kib > 0);
    }
}
