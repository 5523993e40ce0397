//! `portcullis audit`: verify, follow and search the log, and prove what is in it.

mod place;
mod verify;
mod tail;
mod search;
mod proof;
mod line;

use super::{Ending, out};
use clap::{Args, Subcommand};

pub(super) use crate::moment::{parse, parse_ahead};
pub(super) use place::{Named, Place, configuration, keys, place};
pub(super) use proof::{Prover, checkpoint};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done or sound, 1 not done or not sound, 2 wrong usage or it cannot be told."
)]
pub(super) struct Audit {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Tell whether the log is what was written; a gateway may be writing to it.
    Verify(verify::Verify),
    /// Print the last records, and those that come.
    Tail(tail::Tail),
    /// Print the records that have all that is asked for, the oldest first.
    Search(search::Search),
    /// Prove that a record is in the log, or that the log went on from an earlier state; or check a proof.
    Proof(proof::Proof),
}

impl Audit {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        Ok(match self.task {
            Task::Verify(verify) => verify.run(),
            Task::Tail(tail) => tail.run(),
            Task::Search(search) => search.run(),
            Task::Proof(proof) => proof.run()?,
        })
    }
}

/// Says why nothing can be told.
fn unknown(why: &str) -> Ending {
    out::error(why);
    Ending::Unknown
}
