//! `portcullis audit tail`: the last records, and those that come.

use super::{Ending, Named, line, place, unknown};
use clap::Args;
use portcullis_audit::{MAX_TAIL_LINES, since, tail};
use std::time::Duration;

/// How often a followed log is looked at.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
#[command(
    after_help = "The log is not verified. Exit codes: 0 done, 2 wrong usage or the log cannot be read."
)]
pub(super) struct Tail {
    #[command(flatten)]
    named: Named,
    /// How many records, at most 10000.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Go on with what is written.
    #[arg(long, short)]
    follow: bool,
    /// Print the lines of the log as they are.
    #[arg(long)]
    json: bool,
}

impl Tail {
    pub(super) fn run(self) -> Ending {
        let log = match place(&self.named) {
            Ok(place) => place.log,
            Err(error) => return unknown(&format!("{error:#}")),
        };
        let cannot = |error| {
            unknown(&format!(
                "cannot read the log in {}: {error}",
                log.display()
            ))
        };
        let (lines, mut cursor) = match tail(&log, self.lines.min(MAX_TAIL_LINES)) {
            Ok(found) => found,
            Err(error) => return cannot(error),
        };
        if line::print(lines.iter(), self.json).is_err() || !self.follow {
            return Ending::Good;
        }
        loop {
            let lines = match since(&log, &mut cursor) {
                Ok(lines) => lines,
                Err(error) => return cannot(error),
            };
            if line::print(lines.iter(), self.json).is_err() {
                return Ending::Good;
            }
            if lines.is_empty() {
                std::thread::sleep(PAUSE);
            }
        }
    }
}
