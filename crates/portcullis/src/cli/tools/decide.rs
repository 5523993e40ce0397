//! `portcullis tools approve`, `reject` and `rollback`.

use super::place::{One, digest, needed, within};
use super::{Ending, out};
use crate::cataloguing::{Known, sides};
use crate::cli::revoke::operator;
use crate::clock;
use crate::judged::{Judged, Names, text};
use anyhow::{Context as _, bail};
use clap::Args;
use portcullis_core::catalog::{Deed, Digest, Needed, Thing, visible};
use portcullis_state::{Catalog, Decision, NotDecided, Outcome};
use serde_json::{Value, json};
use std::io::BufRead as _;

#[derive(Debug, Args)]
#[command(
    after_help = "What is approved is the version that was shown, or that --digest names, and no other. Exit codes: 0 \
approved, or the first of two said yes; 1 not approved, 2 wrong usage."
)]
pub(super) struct Approve {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    said: Said,
    /// This version, which you have looked at: nothing is shown, and nothing is asked.
    #[arg(long, value_name = "DIGEST", value_parser = digest, conflicts_with = "all")]
    digest: Option<Digest>,
    /// Everything of the server that waits.
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct Reject {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    said: Said,
    /// This version [default: the one that waits].
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    digest: Option<Digest>,
}

#[derive(Debug, Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    said: Said,
    /// To this version [default: the last one that was served before this one].
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    to: Option<Digest>,
}

/// What goes with every decision.
#[derive(Debug, Args)]
pub(super) struct Said {
    /// Why; it is recorded.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Said {
    fn decision(&self, needed: Needed) -> Decision {
        Decision {
            by: operator(),
            person: None,
            reason: self.reason.clone(),
            needed,
            at: clock::now(),
        }
    }

    fn tell(&self, decided: &[(Thing, Outcome)]) -> Ending {
        out::print(&if self.json {
            let decided = decided.iter().map(|(thing, outcome)| {
                json!({
                    "server": &*thing.server,
                    "kind": thing.kind.name(),
                    "name": &*thing.name,
                    "event": outcome.deed.word(),
                    "digest": outcome.digest.to_string(),
                    "old": outcome.old.map(|old| old.to_string()),
                })
            });
            format!("{:#}\n", Value::from(decided.collect::<Vec<_>>()))
        } else {
            let lines = decided.iter().map(|(thing, outcome)| {
                let what = visible(&thing.to_string());
                let more = match outcome.deed {
                    Deed::Endorsed => "; a second person has to approve it too",
                    Deed::Seen
                    | Deed::Changed
                    | Deed::Removed
                    | Deed::Approved
                    | Deed::Rejected
                    | Deed::RolledBack => "",
                };
                let deed = outcome.deed.word().replace('_', " ");
                format!("{deed}: {what} {}{more}\n", outcome.digest)
            });
            lines.collect()
        });
        Ending::Good
    }
}

impl Approve {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let needed = needed(&self.one.place, &self.one.server)?;
        let decided = within(&self.one.place, async |catalog, _| {
            let meant = self.meant(catalog).await?;
            if self.digest.is_none() && !self.yes && !is_agreed()? {
                bail!("nobody said yes");
            }
            let mut decided = Vec::new();
            for (thing, digest) in meant {
                let decision = self.said.decision(needed);
                let done = catalog.approve(thing.clone(), digest, decision).await?;
                decided.push((thing.clone(), done_or(&thing, done)?));
            }
            Ok(decided)
        })?;
        Ok(self.said.tell(&decided))
    }

    /// What is to be approved, after it was shown.
    async fn meant(&self, catalog: &Catalog) -> anyhow::Result<Vec<(Thing, Digest)>> {
        if let Some(digest) = self.digest {
            let (thing, _) = self.one.find(catalog).await?;
            return Ok(vec![(thing, digest)]);
        }
        let known: Vec<Known> = if self.all {
            let mut all = catalog.histories(Some(self.one.server.clone())).await?;
            all.retain(|(_, history)| pending(history).is_some());
            all
        } else {
            vec![self.one.find(catalog).await?]
        };
        let names = Names::read(catalog).await?;
        let others = names.beside(&self.one.server);
        let mut all = Vec::new();
        for (thing, history) in known {
            let digest = pending(&history);
            let history = history.map_err(|why| anyhow::anyhow!("{thing}: {why}"))?;
            let digest = digest.or(history.standing().listed);
            let digest = digest.with_context(|| format!("{thing} is not defined now"))?;
            let both = sides(catalog, &history, (None, Some(digest))).await?;
            let (old, new) = both.context("there is no such version")?;
            let judged = Judged::of(&new, &others);
            out::print(&text(&thing, (old.as_ref(), &new), &judged));
            all.push((thing, digest));
        }
        if all.is_empty() {
            bail!("nothing waits");
        }
        Ok(all)
    }
}

impl Reject {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let decided = within(&self.one.place, async |catalog, _| {
            let (thing, history) = self.one.find(catalog).await?;
            let digest = self.digest.or_else(|| pending(&history));
            let digest = digest.context("nothing of it waits: name the version with --digest")?;
            let done = catalog.reject(thing.clone(), digest, self.said.decision(Needed::One));
            let done = done_or(&thing, done.await?)?;
            Ok(vec![(thing, done)])
        })?;
        Ok(self.said.tell(&decided))
    }
}

impl Rollback {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let decided = within(&self.one.place, async |catalog, _| {
            let (thing, _) = self.one.find(catalog).await?;
            let done = catalog.rollback(thing.clone(), self.to, self.said.decision(Needed::One));
            let done = done_or(&thing, done.await?)?;
            Ok(vec![(thing, done)])
        })?;
        Ok(self.said.tell(&decided))
    }
}

pub(super) type History =
    Result<portcullis_core::catalog::History, portcullis_core::catalog::Broken>;

pub(super) fn pending(history: &History) -> Option<Digest> {
    history.as_ref().ok()?.standing().pending()
}

fn done_or(thing: &Thing, done: Result<Outcome, NotDecided>) -> anyhow::Result<Outcome> {
    done.with_context(|| visible(&thing.to_string()))
}

fn is_agreed() -> anyhow::Result<bool> {
    out::print("\nApprove? Write yes: ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}
