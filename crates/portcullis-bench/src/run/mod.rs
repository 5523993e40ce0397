//! The run: starts what is to be weighed, weighs it, and writes down what came out.

mod cell;
mod rounds;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use self::cell::{Cell, MIDDLE, MIDDLE_HANDSHAKE};
use self::rounds::{Plan, Subject, Table, leave_sessions, settle};
use crate::check;
use crate::load::Span;
use crate::meter;
use crate::report::{Footprint, Machine, Results};
use crate::target::{Running, Target};
use crate::wire::Era;

/// What to weigh, and how long.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct Options {
    /// Few, short rounds of few cells: to see that it works, not to publish.
    #[arg(long)]
    quick: bool,
    /// The gateway's binary; it is weighed as L2, with all controls.
    #[arg(long, value_name = "PROGRAM")]
    gateway: Option<PathBuf>,
    /// Weigh the gateway once more as "L2 DPoP": only bound tokens, a fresh proof with each request.
    #[arg(long, requires = "gateway")]
    dpop: bool,
    /// The binary of the crate mcp-proxy.
    #[arg(long, value_name = "PROGRAM")]
    mcp_proxy: Option<PathBuf>,
    /// A target described in a JSON file; may be repeated.
    #[arg(long, value_name = "FILE")]
    target: Vec<PathBuf>,
    /// The relay that checks nothing, as RUNTIME-POOL-BODY (multi-own-stream); may be repeated.
    #[arg(long, value_name = "VARIANT")]
    passthrough: Vec<String>,
    /// The relay as the rungs L0, which checks nothing, and L1, which verifies tokens.
    #[arg(long)]
    rungs: bool,
    /// Cells like 2026-json-16c-1KiB with commas between, or usual, quick or all.
    #[arg(long)]
    cells: Option<String>,
    /// Rounds that each cell is measured in.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of a window.
    #[arg(long)]
    seconds: Option<f64>,
    /// Leave out the open loop and the sessions.
    #[arg(long)]
    only_cells: bool,
    /// Where to write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure nothing; compare the results in a JSON file with the limits.
    #[arg(long, value_name = "FILE", exclusive = true)]
    check: Option<PathBuf>,
}

/// Idle sessions that memory is divided by, after some that warm the target up: the allocator takes a few thousand requests to
/// have touched all that it will use.
const SESSIONS: usize = 4000;
const WARM_SESSIONS: usize = 2000;

/// Weighs, prints a table in Markdown, and fails if any answer was wrong. With `--check`, judges
/// an earlier run instead.
///
/// # Errors
/// If a target cannot be started or measured, or a file cannot be read or written.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(file) = &options.check {
        let results = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let verdict = check::check(&serde_json::from_slice(&results)?);
        std::io::stdout().write_all(verdict.to_string().as_bytes())?;
        return Ok(verdict.code());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let results = tokio::task::LocalSet::new().block_on(&runtime, weigh(options))?;
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(&results)? + "\n")?;
    }
    std::io::stdout().write_all(results.to_string().as_bytes())?;
    Ok(if results.faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn weigh(options: &Options) -> anyhow::Result<Results> {
    let plan = plan(options)?;
    let usual = if options.quick { "quick" } else { "usual" };
    let cells = cell::parse(options.cells.as_deref().unwrap_or(usual))?;

    let upstream = Running::start(Target::direct()?, "").await?;
    let mut gates = Vec::new();
    for target in targets(options)? {
        gates.push(Running::start(target, &upstream.url()).await?);
    }
    let mut results = Results {
        machine: Machine::read()?,
        quick: options.quick,
        rounds: plan.rounds,
        seconds: plan.span.counted.as_secs_f64(),
        ..Results::default()
    };
    settle().await;
    for gate in &gates {
        results.footprints.push(Footprint::idle(gate)?);
    }
    let mut all = vec![&upstream];
    all.extend(&gates);
    let table = Table {
        upstream: &upstream,
        all,
    };
    for cell in cells {
        note(&cell.to_string())?;
        closed(&table, cell, plan, &mut results).await?;
    }
    if !options.only_cells {
        for gate in &gates {
            note(&format!("{}: open loop and sessions", gate.target().name))?;
            open(&table, gate, plan, &mut results).await?;
            sessions(gate, &upstream.url(), &mut results).await?;
        }
    }
    Ok(results)
}

fn plan(options: &Options) -> anyhow::Result<Plan> {
    let (rounds, warm, counted) = if options.quick {
        (3, 0.2, 1.0)
    } else {
        (5, 0.5, 2.0)
    };
    let rounds = options.rounds.unwrap_or(rounds);
    ensure!((1..=1000).contains(&rounds), "{rounds} rounds");
    let counted = options.seconds.unwrap_or(counted);
    ensure!((0.1..=600.0).contains(&counted), "{counted} seconds");
    Ok(Plan {
        rounds,
        span: Span {
            warm: Duration::from_secs_f64(warm),
            counted: Duration::from_secs_f64(counted),
        },
    })
}

fn targets(options: &Options) -> anyhow::Result<Vec<Target>> {
    let mut targets = Vec::new();
    for variant in &options.passthrough {
        targets.push(Target::passthrough(variant)?);
    }
    if options.rungs {
        targets.extend(Target::rungs()?);
    }
    for file in &options.target {
        let text = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let target = serde_json::from_slice(&text);
        targets.push(target.with_context(|| format!("read {}", file.display()))?);
    }
    if let Some(program) = &options.gateway {
        targets.push(Target::gateway(program)?);
        if options.dpop {
            targets.push(Target::gateway_dpop(program)?);
        }
    }
    targets.extend(
        options
            .mcp_proxy
            .as_deref()
            .map(Target::mcp_proxy)
            .transpose()?,
    );
    Ok(targets)
}

fn note(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stderr(), "{text}")?)
}

async fn closed(
    table: &Table<'_>,
    cell: Cell,
    plan: Plan,
    results: &mut Results,
) -> anyhow::Result<()> {
    let speaks = |running: &Running| running.target().eras.contains(&cell.0.era);
    let speakers = table.all.iter().filter(|running| speaks(running));
    let subjects: Vec<_> = speakers
        .map(|running| Subject {
            running,
            rate: None,
        })
        .collect();
    let rounds = table.rounds(&subjects, cell.0, plan).await?;
    results.add(&cell.to_string(), &subjects_of(&subjects), &rounds, None);
    Ok(())
}

fn subjects_of(subjects: &[Subject<'_>]) -> Vec<String> {
    let names = subjects
        .iter()
        .map(|subject| &subject.running.target().name);
    names.cloned().collect()
}

/// A target at half of its maximum, and the upstream itself at the same rate.
async fn open(
    table: &Table<'_>,
    gate: &Running,
    plan: Plan,
    results: &mut Results,
) -> anyhow::Result<()> {
    let name = &gate.target().name;
    let maximum = [MIDDLE, MIDDLE_HANDSHAKE]
        .into_iter()
        .find_map(|cell| Some((cell, results.row(cell, name)?.requests_per_second)));
    let Some((cell, maximum)) = maximum else {
        return note(&format!("{name}: no open loop without {MIDDLE}"));
    };
    let rate = Some((maximum / 2.0).max(1.0));
    let subjects = [table.upstream, gate].map(|running| Subject { running, rate });
    let load = cell.parse::<Cell>()?.0;
    let rounds = table.rounds(&subjects, load, plan).await?;
    let cell = format!("{cell} at half of {name}");
    results.add(&cell, &subjects_of(&subjects), &rounds, rate);
    Ok(())
}

/// What a session takes, in a fresh process: one that was busy has room left from then.
async fn sessions(gate: &Running, upstream: &str, results: &mut Results) -> anyhow::Result<()> {
    let used = meter::memory(gate.pid())?;
    let speaks = gate.target().eras.contains(&Era::Handshake);
    let added = if speaks {
        let fresh = Running::start(gate.target().clone(), upstream).await?;
        let endpoint = fresh.endpoint().await?;
        leave_sessions(&endpoint, WARM_SESSIONS).await?;
        settle().await;
        let before = meter::memory(fresh.pid())?;
        leave_sessions(&endpoint, SESSIONS).await?;
        settle().await;
        Some((before, meter::memory(fresh.pid())?))
    } else {
        None
    };
    if let Some(footprint) = results.footprint(&gate.target().name) {
        footprint.used(used);
        if let Some((before, after)) = added {
            footprint.sessions(before, after, SESSIONS);
        }
    }
    Ok(())
}
