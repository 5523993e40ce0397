//! `portcullis revoke`, `reinstate` and `revocations`: who has no access any more, whatever they hold.
//!
//! These write to the database; a running gateway notices within a second, carries it out and records it.

mod whom;

use super::{Ending, audit, out, runtime};
use crate::clock;
use crate::lifecycle::Home;
use crate::operators::revocation as json_of;
use anyhow::{Context as _, bail};
use clap::Args;
use portcullis_audit::time_text;
use portcullis_core::time::Timestamp;
use portcullis_state::{Durable, Kind, Lifted, Revocation};
use serde_json::Value;
use whom::Meant;
pub(super) use whom::{Found, Place};

#[derive(Debug, Args)]
#[command(
    after_help = "TIME is RFC 3339 (2026-07-28T09:00:00Z), a day (2026-07-28, in UTC) or a span from now (90s, 15m, \
2h, 7d). Exit codes: 0 revoked, 1 not revoked, 2 wrong usage."
)]
pub(super) struct Revoke {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    meant: Meant,
    /// Why; it is recorded.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Refuse all tokens of the subject or client that are issued up to then [default: now].
    #[arg(long, value_name = "TIME", conflicts_with_all = ["token_id", "token"])]
    until: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 reinstated, 1 not reinstated (also if nothing was revoked), 2 wrong usage."
)]
pub(super) struct Reinstate {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    meant: Meant,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 listed, also if there are none; 1 not listed; 2 wrong usage."
)]
pub(super) struct Revocations {
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Revoke {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let now = clock::now();
        let until = match &self.until {
            None => Some(now.micros()),
            Some(text) => audit::parse_ahead(text, now.micros()),
        };
        let Some(until) = until.map(Timestamp::from_micros) else {
            out::error("--until is no time: see --help");
            return Ok(Ending::Unknown);
        };
        let found = self.place.find()?;
        let whom = self.meant.whom(&found)?;
        let revocation = Revocation {
            reason: self.reason,
            ..Revocation::new(whom, until, (now, operator()))
        };
        let made = with(&found.home, async |durable| {
            Ok(durable.revoke(revocation).await?)
        })?;
        out::print(&if self.json {
            format!("{:#}\n", json_of(&made))
        } else {
            format!("revoked: {}\n", line_of(&made))
        });
        Ok(Ending::Good)
    }
}

impl Reinstate {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let found = self.place.find()?;
        let whom = self.meant.whom(&found)?;
        let lifted = Lifted {
            at: clock::now(),
            by: operator(),
        };
        let named = format!("{} {} of {}", whom.kind.word(), whom.name, whom.issuer);
        let taken = with(&found.home, async |durable| {
            Ok(durable.reinstate(whom, lifted).await?)
        })?;
        let Some(taken) = taken else {
            bail!("nothing is revoked for the {named}");
        };
        out::print(&if self.json {
            format!("{:#}\n", json_of(&taken))
        } else {
            format!("reinstated: {named}\n")
        });
        Ok(Ending::Good)
    }
}

impl Revocations {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let found = self.place.find()?;
        let all = with(&found.home, async |durable| {
            Ok(durable.revocations(clock::now()).await?)
        })?;
        out::print(&if self.json {
            let all: Vec<Value> = all.iter().map(json_of).collect();
            format!("{:#}\n", Value::from(all))
        } else {
            let lines: Vec<String> = all.iter().map(line_of).collect();
            lines.iter().flat_map(|line| [line, "\n"]).collect()
        });
        Ok(Ending::Good)
    }
}

/// Does something with the database of that data directory.
pub(in crate::cli) fn with<T>(
    home: &Home,
    work: impl AsyncFnOnce(&Durable) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    runtime()?.block_on(async {
        let durable = Durable::open(&home.state()).await?;
        work(&durable).await.context("nothing has changed")
    })
}

/// Who runs this command, as the kernel says.
pub(super) fn operator() -> String {
    format!("uid:{}", rustix::process::getuid().as_raw())
}

fn line_of(one: &Revocation) -> String {
    let whom = &one.whom;
    let scope = match whom.kind {
        Kind::Token => String::new(),
        Kind::Subject | Kind::Client | Kind::Claim => {
            let until = time_text(one.issued_until.micros());
            format!(", tokens issued up to {until}")
        }
    };
    let why = one.reason.as_ref().map(|why| format!(", because: {why:?}"));
    let (kind, name, issuer) = (whom.kind.word(), &whom.name, &whom.issuer);
    let (made, by) = (time_text(one.made.micros()), &one.by);
    let why = why.unwrap_or_default();
    format!("{kind} {name:?} of {issuer:?}{scope} (made {made} by {by}{why})")
}
