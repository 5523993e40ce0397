//! `portcullis sandbox`: the walls around servers, by hand.

mod run;
mod explain;
mod doctor;

use super::{Ending, environment, out};
use clap::{Args, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Sandbox {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run a command behind walls; its input, output and exit code are passed through.
    Run(run::Run),
    /// Tell in plain words what a server of a configuration can do to this machine.
    Explain(explain::Explain),
    /// Tell what this machine offers for walls, what is missing, and how to get it.
    Doctor(doctor::Doctor),
}

impl Sandbox {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.task {
            Task::Run(run) => run.run(),
            Task::Explain(explain) => explain.run().map(Into::into),
            Task::Doctor(doctor) => Ok(doctor.run().into()),
        }
    }
}
