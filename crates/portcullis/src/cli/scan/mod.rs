//! `portcullis scan`: what do MCP servers define, and what do the files say that name them?
//!
//! Nothing that is found is started or reached unless the command line says so, and nothing leaves the machine but
//! what is said to a server that is looked at.

mod targets;
mod places;
mod facts;
mod finding;
mod client;
mod look;
mod compare;
mod alike;
mod risks;
mod report;
mod machine;

use super::{Ending, environment, out};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use finding::{Outcome, Scanned, Severity};
use futures_util::StreamExt as _;
use futures_util::stream;
use portcullis_core::catalog::escaped;
use portcullis_core::catalog::lock::Lock;
use report::Paint;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use targets::{Named, Target};

/// How many servers are looked at at once.
const AT_ONCE: usize = 4;
/// The longest that a server may take, in seconds.
const MAX_PATIENCE: u64 = 3600;

#[derive(Debug, Args)]
#[command(
    after_help = "Without TARGET and COMMAND, the files of Claude Desktop, Claude Code, VS Code, Cursor, Windsurf, Zed and \
Codex are looked for. Servers of a file are started or reached with --run only, since that runs their code; a URL or a \
COMMAND is reached or started. Nothing leaves this machine but what is said to such a server. Exit codes: 0 clean; 1 \
something was found that is at least as grave as --fail-on, or --locked and something has changed; 2 wrong usage, or \
something could not be scanned."
)]
pub(super) struct Scan {
    /// The URL of a running server, or the file of a client.
    #[arg(conflicts_with = "command")]
    target: Option<String>,
    /// Start the servers of files, or connect to them, and look at what they define. It runs their code.
    #[arg(long, conflicts_with = "command")]
    run: bool,
    /// A header for the server of the URL, such as `Authorization: Bearer ${TOKEN}`, which names a variable.
    #[arg(long, value_name = "NAME: VALUE", conflicts_with = "command")]
    header: Vec<String>,
    /// How long each server may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=MAX_PATIENCE))]
    timeout: u64,
    /// From which severity on a finding is a failure.
    #[arg(long, value_name = "SEVERITY", default_value = "high")]
    fail_on: FailOn,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    locking: Locking,
    /// The command of a server, which is started.
    #[arg(last = true)]
    command: Vec<String>,
}

#[derive(Debug, Args)]
struct Form {
    /// Print JSON.
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// Print SARIF 2.1.0.
    #[arg(long)]
    sarif: bool,
}

#[derive(Debug, Args)]
struct Locking {
    /// Write what was seen to the lock file.
    #[arg(long, conflicts_with = "locked")]
    lock: bool,
    /// Fail if anything is not as it stands in the lock file.
    #[arg(long)]
    locked: bool,
    /// The lock file.
    #[arg(long, value_name = "FILE", default_value = "portcullis.lock")]
    lock_file: PathBuf,
}

/// From where on findings count.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailOn {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl FailOn {
    const fn severity(self) -> Severity {
        match self {
            Self::Info => Severity::Info,
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

impl Scan {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let folder = std::env::current_dir().context("no working folder")?;
        let targets = match self.targets(&folder) {
            Ok(targets) => targets,
            Err(why) => {
                out::error(&why);
                return Ok(Ending::Unknown);
            }
        };
        let is_any_asked = targets.iter().any(|target| target.is_asked);
        if (self.locking.lock || self.locking.locked) && !is_any_asked {
            out::error(
                "no server is looked at, so there is nothing to lock: name a URL or a COMMAND, or add --run",
            );
            return Ok(Ending::Unknown);
        }
        let before = match self
            .locking
            .locked
            .then(|| read_lock(&self.locking.lock_file))
        {
            Some(Err(why)) => {
                out::error(&why);
                return Ok(Ending::Unknown);
            }
            Some(Ok(lock)) => Some(lock),
            None => None,
        };
        let mut servers = self.scan(targets)?;
        alike::tell(&mut servers);
        let changes = before.map(|lock| compare::against(&lock, &servers));
        let is_changed = changes.as_ref().is_some_and(|changes| !changes.is_empty());
        compare::tell(changes.unwrap_or_default(), &mut servers);
        self.print(&servers, &folder)?;
        let is_failed = servers
            .iter()
            .any(|server| matches!(server.outcome, Outcome::Failed(_)));
        if self.locking.lock {
            if is_failed {
                out::error(
                    "the lock file was not written, since not every server could be looked at",
                );
            } else {
                write_lock(&self.locking.lock_file, &compare::locked(&servers))?;
            }
        }
        let worst = servers.iter().filter_map(Scanned::worst).max();
        let is_found = worst.is_some_and(|worst| worst >= self.fail_on.severity());
        Ok(match (is_found || is_changed, is_failed) {
            (true, _) => Ending::Bad,
            (false, true) => Ending::Unknown,
            (false, false) => Ending::Good,
        })
    }

    fn targets(&self, folder: &Path) -> Result<Vec<Target>, String> {
        let named = match (&self.target, self.command.split_first()) {
            (None, Some((command, arguments))) => Named::Command(command, arguments),
            (Some(url), _) if url.contains("://") => Named::Url(url, &self.header),
            (Some(file), _) => Named::File(Path::new(file)),
            (None, None) => Named::Nothing(folder),
        };
        if !self.header.is_empty() && !matches!(named, Named::Url(..)) {
            return Err("--header is for a URL".to_owned());
        }
        targets::find(&named, self.run)
    }

    /// Looks at all of them, some at once, and keeps their order.
    fn scan(&self, targets: Vec<Target>) -> anyhow::Result<Vec<Scanned>> {
        let patience = Duration::from_secs(self.timeout);
        let runtime = super::runtime()?;
        let scanned = runtime.block_on(
            stream::iter(targets)
                .map(|target| target.scan(patience))
                .buffered(AT_ONCE)
                .collect::<Vec<_>>(),
        );
        runtime.shutdown_background();
        Ok(scanned)
    }

    fn print(&self, servers: &[Scanned], folder: &Path) -> anyhow::Result<()> {
        let value = if self.form.json {
            machine::json(servers)
        } else if self.form.sarif {
            machine::sarif(servers, folder)
        } else {
            out::print(&report::text(servers, paint()));
            return Ok(());
        };
        let text = serde_json::to_string_pretty(&value)?;
        out::print(&(escaped(&text) + "\n"));
        Ok(())
    }
}

/// Colours are for terminals whose user wants them (no-color.org).
fn paint() -> Paint {
    let is_unwanted = environment("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = environment("TERM").is_some_and(|value| value == "dumb");
    if std::io::stdout().is_terminal() && !is_unwanted && !is_dumb {
        Paint::Colours
    } else {
        Paint::Plain
    }
}

fn read_lock(file: &Path) -> Result<Lock, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Lock::read(&text).map_err(|why| format!("{}: {why}", file.display()))
}

/// Whoever reads the file sees the old one or the new one.
fn write_lock(file: &Path, lock: &Lock) -> anyhow::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let written = std::fs::write(&new, lock.write()).and_then(|()| std::fs::rename(&new, file));
    written.with_context(|| format!("cannot write {}", file.display()))
}
