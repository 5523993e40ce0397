//! The command line of the scales.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portcullis_bench::passthrough::{Bodies, Keeping, Runtime, Variant};
use portcullis_bench::{passthrough, run, upstream};

/// Weighs a gateway: what it adds to a call in processor time, in waiting and in memory.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the fast upstream, and say its URL on standard output.
    Upstream {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
    },
    /// Relay to an upstream and check nothing: the floor of what a gateway can cost.
    Passthrough {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// The upstream's URL.
        #[arg(long)]
        upstream: String,
        /// How tasks are put on threads.
        #[arg(long, value_enum, default_value = "multi")]
        runtime: Runtime,
        /// Threads of a runtime that has several.
        #[arg(long, default_value = "2")]
        workers: NonZeroUsize,
        /// How connections to the upstream are kept.
        #[arg(long, value_enum, default_value = "own")]
        pool: Keeping,
        /// How bodies are passed on.
        #[arg(long, value_enum, default_value = "stream")]
        body: Bodies,
        /// Relay only what bears a token, and leave such a token in this file.
        #[arg(long, value_name = "FILE")]
        token: Option<PathBuf>,
    },
    /// Weigh targets against the upstream itself.
    Run(run::Options),
}

fn main() -> ExitCode {
    match act(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell if standard error is gone.
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Upstream { listen } => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(upstream::serve(&listen))?;
        }
        Command::Passthrough {
            listen,
            upstream,
            runtime,
            workers,
            pool,
            body,
            token,
        } => passthrough::serve(
            &listen,
            &upstream,
            token.as_deref(),
            Variant {
                runtime,
                workers,
                keeping: pool,
                bodies: body,
            },
        )?,
        Command::Run(options) => return run::run(&options),
    }
    Ok(ExitCode::SUCCESS)
}
