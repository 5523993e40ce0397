//! `portcullis access`: who may do what, since when nobody has, and whether they still should.

mod report;
mod grants;

use super::{Ending, out};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(super) struct Access {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List every grant with its last use, and what of rules and scopes is of no use.
    Review(report::Report),
}

impl Access {
    pub(super) fn run(self) -> Ending {
        match self.command {
            Command::Review(report) => report.run(),
        }
    }
}

/// Says why nothing can be told.
fn unknown(why: &str) -> Ending {
    out::error(why);
    Ending::Unknown
}
