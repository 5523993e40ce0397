//! `portcullis audit search`: the records that have all that is asked for.

use super::{Ending, Named, line, out, place, unknown};
use crate::{clock, moment};
use clap::{Args, ValueEnum};
use portcullis_audit::{Filter, MAX_BACKWARDS_MICROS, Unsearchable, newest_first};
use std::collections::VecDeque;
use std::path::Path;

/// The most records that are kept to be turned round.
const MAX_FOUND: usize = 100_000;

#[derive(Debug, Args)]
#[command(
    after_help = "TIME is RFC 3339 (2026-07-28T09:00:00Z), a day (2026-07-28, in UTC) or a span before now \
(90s, 15m, 2h, 7d). The log is not verified. Exit codes: 0 done, found or not; 1 a line is no record; 2 wrong \
usage or the log cannot be read."
)]
pub(super) struct Search {
    #[command(flatten)]
    named: Named,
    /// How the event begins, as in `authz.` or `authz.deny`.
    #[arg(long, value_name = "PREFIX")]
    event: Option<String>,
    /// The subject of the token.
    #[arg(long, value_name = "SUB")]
    principal: Option<String>,
    /// The server.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// The tool, resource or prompt.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// The W3C trace id.
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// What the policy said.
    #[arg(long)]
    effect: Option<Effect>,
    /// Not before this.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The newest so many, at most 100000.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Print the lines of the log as they are.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Effect {
    Allow,
    Deny,
}

impl Search {
    pub(super) fn run(self) -> Ending {
        let now = clock::micros();
        let (from, until) = match (
            micros(self.since.as_deref(), now),
            micros(self.until.as_deref(), now),
        ) {
            (Ok(from), Ok(until)) => (from, until),
            (Err(why), _) | (_, Err(why)) => return unknown(&why),
        };
        let log = match place(&self.named) {
            Ok(place) => place.log,
            Err(error) => return unknown(&format!("{error:#}")),
        };
        let filter = Filter {
            event: self.event,
            sub: self.principal,
            server: self.server,
            target: self.target,
            trace: self.trace,
            effect: self.effect.map(|effect| match effect {
                Effect::Allow => portcullis_audit::Effect::Allow,
                Effect::Deny => portcullis_audit::Effect::Deny,
            }),
            from,
            until,
        };
        let (lines, failed) = find(&log, &filter, self.limit.min(MAX_FOUND));
        if line::print(lines.iter(), self.json).is_err() {
            tracing::debug!("stdout is closed");
        }
        match failed {
            None => Ending::Good,
            Some(Unsearchable::Io(error)) => unknown(&format!(
                "cannot read the log in {}: {error}",
                log.display()
            )),
            Some(error @ Unsearchable::NotARecord { .. }) => {
                out::error(&format!(
                    "{error}: nothing older was looked at; run `portcullis audit verify`"
                ));
                Ending::Bad
            }
        }
    }
}

fn micros(time: Option<&str>, now: u64) -> Result<Option<u64>, String> {
    let Some(time) = time else { return Ok(None) };
    moment::parse(time, now).map(Some).ok_or_else(|| {
        format!("{time:?} is no time: write 2026-07-28T09:00:00Z, 2026-07-28, or a span before now as in 15m")
    })
}

/// The newest so many that fit, the oldest of them first; and what ended the search early.
fn find(log: &Path, filter: &Filter, limit: usize) -> (VecDeque<String>, Option<Unsearchable>) {
    let mut lines = VecDeque::new();
    let search = match newest_first(log, Filter::default()) {
        Ok(search) => search,
        Err(error) => return (lines, Some(error.into())),
    };
    for found in search {
        let found = match found {
            Ok(found) => found,
            Err(error) => return (lines, Some(error)),
        };
        let is_over = filter
            .from
            .is_some_and(|from| found.stamp.time.saturating_add(MAX_BACKWARDS_MICROS) < from);
        if is_over || lines.len() >= limit {
            break;
        }
        if filter.fits(&found) {
            lines.push_front(found.line);
        }
    }
    (lines, None)
}
