//! `portcullis access`: who may do what, since when nobody has, and whether they still should.

mod report;
pub(super) mod reviewed;
mod grants;
mod reviewer;
mod start;
mod decide;
mod show;
mod elevations;

use super::{Ending, out};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(super) struct Access {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List every grant with its last use, and what of rules and scopes is of no use; or have grants reviewed.
    Review(Review),
    /// List who was raised to a privileged tool, or has asked for it, and take that back.
    Elevation(elevations::Elevations),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
struct Review {
    #[command(subcommand)]
    step: Option<Step>,
    #[command(flatten)]
    report: report::Report,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// Start a review of every grant and of the inventory; what nobody keeps until it is due gives no access any more.
    Start(start::Start),
    /// Keep or revoke grants; whoever started the review does not, and nobody does for themselves.
    Decide(decide::Decide),
    /// Print what was decided, as the audit log has it, with proofs.
    Show(show::Show),
}

impl Access {
    pub(super) fn run(self) -> Ending {
        let review = match self.command {
            Command::Review(review) => review,
            Command::Elevation(elevations) => return elevations.run(),
        };
        match review.step {
            None => review.report.run(),
            Some(Step::Start(start)) => start.run(),
            Some(Step::Decide(decide)) => decide.run(),
            Some(Step::Show(show)) => show.run(),
        }
    }
}

/// Says why nothing can be told.
fn unknown(why: &str) -> Ending {
    out::error(why);
    Ending::Unknown
}
