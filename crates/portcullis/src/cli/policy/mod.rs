//! `portcullis policy`: what the rules decide, why, and which of them there are.

mod explain;
pub(super) mod inventory;
pub(super) mod counted;
pub(super) mod shadow;
mod table;

use super::{Ending, out};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(super) struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge a table of cases by a configuration's rules, and tell which come out otherwise than expected.
    Test(table::Test),
    /// Tell why something is permitted or not: what a record says, or what the rules would say.
    Explain(Box<explain::Explain>),
    /// List every point of decision and every rule, with how often each has decided.
    Inventory(inventory::Inventory),
}

impl Policy {
    pub(super) fn run(self) -> Ending {
        match self.command {
            Command::Test(test) => test.run(),
            Command::Explain(explain) => explain.run(),
            Command::Inventory(inventory) => inventory.run(),
        }
    }
}

/// Says why nothing can be told.
fn unknown(why: &str) -> Ending {
    out::error(why);
    Ending::Unknown
}
