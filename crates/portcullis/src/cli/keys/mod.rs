//! `portcullis keys`: which keys of its own this installation has, and new ones in their place.

mod list;
mod rotate;
mod rewrap;

use super::Ending;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 done, 1 not done, 2 wrong usage.")]
pub(super) struct Keys {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// List the keys: which sign, which will, which of before still count. No key itself is shown.
    List(list::List),
    /// Make a new key; what the old one has signed counts until it is over.
    Rotate(rotate::Rotate),
    /// Make a new key that wraps the keys under which secrets are sealed in state.db, and destroy the old one.
    Rewrap(rewrap::Rewrap),
}

impl Keys {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        match self.task {
            Task::List(list) => list.run(),
            Task::Rotate(rotate) => rotate.run(),
            Task::Rewrap(rewrap) => rewrap.run(),
        }
    }
}
