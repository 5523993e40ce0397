//! The command line: what each command does, and how it ends.
//!
//! Exit codes are the same everywhere: 0 done or sound, 1 not done or not sound, 2 wrong usage or no telling.

mod out;
mod demo;
mod serve;
mod token;
mod owner;
mod revoke;
mod keys;
mod tools;
mod asking;
mod up;
mod check;
mod policy;
mod access;
mod audit;
mod doctor;
mod explain;
mod wrap;
mod import;
mod import_file;
mod scan;
mod inspect;
mod sandbox;

use crate::telemetry;
use clap::{Parser, Subcommand};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::path::PathBuf;
use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Done, or sound.
    Good,
    /// Not done, or not sound.
    Bad,
    /// Nothing can be told.
    Unknown,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Good => 0,
            Ending::Bad => 1,
            Ending::Unknown => 2,
        })
    }
}

/// A security gateway for the Model Context Protocol.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done or sound, 1 not done or not sound, 2 wrong usage or no telling."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start with no configuration: a demo server behind the gate, on loopback.
    Up(up::Up),
    /// Serve what a configuration file says.
    Serve(serve::Serve),
    /// Print an access token of the embedded issuer for one server, and nothing else.
    Token(token::Token),
    /// Let the owner of this computer sign in, where there is no identity provider.
    Owner(owner::Owner),
    /// Make tokens worthless: one, or all of a subject or a client. What they have open ends at once.
    Revoke(revoke::Revoke),
    /// Take a revocation back.
    Reinstate(revoke::Reinstate),
    /// List what is revoked.
    Revocations(revoke::Revocations),
    /// List the keys of this installation, or replace one.
    Keys(keys::Keys),
    /// Look at what servers define, and approve, reject or roll back versions of it.
    Tools(tools::Tools),
    /// Stand in for a stdio server's command in a client's configuration.
    Wrap(wrap::Wrap),
    /// Run the demo MCP server on stdin and stdout.
    Demo(demo::Demo),
    /// Tell whether a configuration file is good, and what it means.
    Check(check::Check),
    /// Try the rules of a configuration on cases, explain a decision, list what decides.
    Policy(policy::Policy),
    /// Look over who may do what, and since when nobody has.
    Access(access::Access),
    /// Verify, follow and search the audit log, and prove what is in it.
    Audit(audit::Audit),
    /// Tell what is wrong with this installation, and how to mend it.
    Doctor(doctor::Doctor),
    /// Tell whether a token on stdin would be accepted, and why not.
    Explain(explain::Explain),
    /// Turn the file of an MCP client into a configuration file.
    Import(import_file::ImportFile),
    /// Tell what MCP servers would have a model believe: a server, a command, or what is found on this machine.
    Scan(scan::Scan),
    /// Tell whether texts or tools give orders to the model that reads them.
    Inspect(inspect::Inspect),
    /// Run a command behind the walls of a server, tell what a server can do, and what this machine offers.
    Sandbox(sandbox::Sandbox),
}

impl Command {
    /// What of the log is shown where `RUST_LOG` does not say; none if it is the usual.
    const fn level(&self) -> Option<&'static str> {
        match self {
            // Servers come and go while they are looked at; what counts is in the report.
            Self::Scan(_) => Some("warn"),
            Self::Up(_)
            | Self::Serve(_)
            | Self::Token(_)
            | Self::Owner(_)
            | Self::Revoke(_)
            | Self::Reinstate(_)
            | Self::Revocations(_)
            | Self::Keys(_)
            | Self::Tools(_)
            | Self::Wrap(_)
            | Self::Demo(_)
            | Self::Check(_)
            | Self::Policy(_)
            | Self::Access(_)
            | Self::Audit(_)
            | Self::Doctor(_)
            | Self::Explain(_)
            | Self::Import(_)
            | Self::Inspect(_)
            | Self::Sandbox(_) => None,
        }
    }
}

/// Parses the arguments and runs the command.
pub(crate) fn run() -> ExitCode {
    let command = Arguments::parse().command;
    // Whoever runs as the same user, such as a stdio server, must not look into memory and environment; no core is left.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        out::error(&format!("secrets cannot be kept in memory alone: {error}"));
        return ExitCode::from(1);
    }
    telemetry::start(environment("RUST_LOG").or_else(|| command.level().map(ToOwned::to_owned)));
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a crypto provider was already installed");
    }
    let done = match command {
        Command::Up(up) => up.run(),
        Command::Serve(serve) => serve.run(),
        Command::Token(token) => token.run(),
        Command::Owner(owner) => owner.run(),
        Command::Revoke(revoke) => revoke.run(),
        Command::Reinstate(reinstate) => reinstate.run(),
        Command::Revocations(revocations) => revocations.run(),
        Command::Keys(keys) => keys.run(),
        Command::Tools(tools) => tools.run(),
        Command::Wrap(wrap) => wrap.run(),
        Command::Demo(demo) => demo.run(),
        Command::Check(check) => check.run(),
        Command::Policy(policy) => Ok(policy.run()),
        Command::Access(access) => Ok(access.run()),
        Command::Audit(audit) => audit.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Explain(explain) => Ok(explain.run()),
        Command::Import(import) => import.run(),
        Command::Scan(scan) => scan.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Sandbox(sandbox) => return ended(sandbox.run()),
    };
    ended(done.map(Into::into))
}

fn ended(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        out::error(&format!("{error:#}"));
        ExitCode::from(1)
    })
}

/// A variable of the environment; the one place that reads it for the commands.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is where the environment comes in"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The process of that number, as a file told it; numbers below 1 are of none.
fn process(number: i32) -> Option<rustix::process::Pid> {
    if number > 0 {
        rustix::process::Pid::from_raw(number)
    } else {
        None
    }
}

/// The data directory where none is named.
fn default_data() -> anyhow::Result<PathBuf> {
    if let Some(data) = environment("XDG_DATA_HOME").filter(|data| data.starts_with('/')) {
        return Ok(PathBuf::from(data).join("portcullis"));
    }
    let home = environment("HOME")
        .ok_or_else(|| anyhow::anyhow!("HOME is not set: name a directory with --data"))?;
    Ok(PathBuf::from(home).join(".local/share/portcullis"))
}

/// A Tokio runtime for commands that serve.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}
