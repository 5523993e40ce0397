//! `portcullis policy`: what the rules decide, why, and which of them there are.

mod asked;
mod court;
mod said;
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
}

impl Policy {
    pub(super) fn run(self) -> Ending {
        match self.command {
            Command::Test(test) => test.run(),
        }
    }
}

/// Says why nothing can be told.
fn unknown(why: &str) -> Ending {
    out::error(why);
    Ending::Unknown
}
