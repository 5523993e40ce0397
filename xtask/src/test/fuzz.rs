//! Every fuzz target for a while: does any input end the process?
//!
//! `cargo-fuzz` is not needed for that: its flags are those of the compiler, and the targets are programs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::available_parallelism;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::shell;
use crate::workspace::{Workspace, make};

const SECONDS: u64 = 30;

/// What `cargo fuzz --sanitizer none` says to the compiler, as in `fuzz/README.md`: coverage for the
/// fuzzer's eyes. Our crates forbid unsafe code; what is looked for are panics and second readings.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Ccodegen-units=16",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Bin>,
}

#[derive(Deserialize)]
struct Bin {
    name: String,
}

/// Builds all targets and runs each, as many at once as there are processors.
pub(super) fn smoke(workspace: &Workspace) -> anyhow::Result<()> {
    let folder = workspace.root.join("fuzz");
    let targets = targets(&folder)?;
    let programs = build(workspace, &folder)?;
    let work = workspace.fresh("fuzz-work")?;
    let at_once = available_parallelism().map_or(1, usize::from);
    for batch in targets.chunks(at_once) {
        let mut running = Vec::new();
        for name in batch {
            running.push(Running::start(&folder, &programs, &work, name)?);
        }
        for one in running {
            one.finish()?;
        }
    }
    shell::say(&format!("{} fuzz targets, {SECONDS} s each", targets.len()));
    Ok(())
}

/// The names of the targets, from the manifest: one that is not listed there is not built.
fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let file = folder.join("Cargo.toml");
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let manifest: Manifest = toml::from_str(&text)?;
    let names: Vec<String> = manifest.bin.into_iter().map(|bin| bin.name).collect();
    ensure!(!names.is_empty(), "fuzz/Cargo.toml names no target");
    Ok(names)
}

/// Builds them; gives the folder of the programs.
fn build(workspace: &Workspace, folder: &Path) -> anyhow::Result<PathBuf> {
    let triple = host()?;
    let target = workspace.target.join("fuzz");
    let mut command = workspace.cargo("build");
    command
        .current_dir(folder)
        .args(["--release", "--bins", "--target", &triple]);
    command.arg("--target-dir").arg(&target);
    // With a target named, the flags reach no build script.
    command.env("RUSTFLAGS", FLAGS.join(" "));
    shell::run(&mut command)?;
    Ok(target.join(triple).join("release"))
}

/// The machine that we are on, as the compiler calls it.
fn host() -> anyhow::Result<String> {
    let rustc = shell::variable("RUSTC").unwrap_or_else(|| "rustc".to_owned());
    let (_, told) = shell::output(shell::program(rustc).arg("-vV"))?;
    let line = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line
        .context("rustc does not say what its host is")?
        .to_owned())
}

/// A target that is running.
struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    findings: PathBuf,
}

impl Running {
    fn start(folder: &Path, programs: &Path, work: &Path, name: &str) -> anyhow::Result<Self> {
        let own = work.join(name);
        let (corpus, findings, log) = (own.join("corpus"), own.join("findings/"), own.join("log"));
        make(&corpus)?;
        make(&findings)?;
        let mut command = shell::program(programs.join(name));
        command
            // The same of one state of the tree for everybody; a long hunt takes others (`fuzz/README.md`).
            .arg("-seed=1")
            .arg(format!("-max_total_time={SECONDS}"))
            .args(["-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1"])
            .arg(format!("-artifact_prefix={}", findings.display()))
            .arg(&corpus);
        seeds(folder, name, &mut command);
        let output = std::fs::File::create(&log)?;
        command.stdout(output.try_clone()?).stderr(output);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start the fuzz target {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
            findings,
        })
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        let log = std::fs::read(&self.log)?;
        let log = String::from_utf8_lossy(&log);
        if !status.success() {
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines
                .get(lines.len().saturating_sub(60)..)
                .unwrap_or_default();
            shell::say(&tail.join("\n"));
            bail!(
                "fuzz target {}: {status}; the input is in {}",
                self.name,
                self.findings.display()
            );
        }
        let runs = log
            .lines()
            .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        let runs: u64 = runs.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        ensure!(runs > 0, "fuzz target {} has run nothing", self.name);
        shell::say(&format!("{:16} {runs} runs", self.name));
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.kill().is_err() {
            // It has ended already.
        }
    }
}

/// What the fuzzer starts from, where the sources have it.
fn seeds(folder: &Path, name: &str, command: &mut Command) {
    let seeds = folder.join("seeds").join(name);
    if seeds.is_dir() {
        command.arg(seeds);
    }
}
