//! `portcullis tools`: what servers define, what of it waits for somebody, and what was decided.
//!
//! These write to the database; a running gateway notices within a second, and records what was decided.

mod place;
mod list;
mod show;
mod diff;
mod decide;
mod history;

use super::{Ending, out};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done or sound, 1 not done or not sound, 2 wrong usage. Characters that nobody sees are \
named in what is printed, such as ⟨U+200B⟩."
)]
pub(super) struct Tools {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// List what servers define, and what of it is approved.
    List(list::List),
    /// Show one definition: how things stand, and its text.
    Show(show::Show),
    /// Show what changed: what waits beside what is served.
    Diff(diff::Diff),
    /// Have a version served, after it was looked at.
    Approve(decide::Approve),
    /// Say no to a version: to one that waits, or to the one that is served.
    Reject(decide::Reject),
    /// Have an earlier version served again that was approved.
    Rollback(decide::Rollback),
    /// Show what became of a definition, and whether that was tampered with.
    History(history::Show),
    /// Print every version and every event of all of them as JSON.
    Export(history::Export),
}

impl Tools {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        match self.task {
            Task::List(list) => list.run(),
            Task::Show(show) => show.run(),
            Task::Diff(diff) => diff.run(),
            Task::Approve(approve) => approve.run(),
            Task::Reject(reject) => reject.run(),
            Task::Rollback(rollback) => rollback.run(),
            Task::History(history) => history.run(),
            Task::Export(export) => export.run(),
        }
    }
}
