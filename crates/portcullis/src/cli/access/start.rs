//! `portcullis access review start`: everything is looked over, and what nobody keeps in time is gone.

use super::reviewer::{Room, ending};
use crate::cli::audit::Named;
use crate::cli::{Ending, out};
use crate::clock;
use crate::reviewing::{Refused, new_review};
use anyhow::Context as _;
use clap::Args;
use portcullis_audit::time_text;
use portcullis_state::Undone;
use serde_json::json;

#[derive(Debug, Args)]
#[command(
    after_help = "A token of a reviewer comes on stdin; it counts once. Exit codes: 0 started, 1 refused, or a review is open \
already, 2 wrong usage, or something cannot be used."
)]
pub(super) struct Start {
    #[command(flatten)]
    named: Named,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Start {
    pub(super) fn run(self) -> Ending {
        ending(self.start())
    }

    fn start(&self) -> anyhow::Result<Ending> {
        let room = Room::enter(&self.named)?;
        let reviewer = match room.reviewer()? {
            Ok(reviewer) => reviewer,
            Err(refused) => return room.refuse(refused),
        };
        let now = clock::now();
        let within = room.checked.review.as_ref().map(|review| review.within);
        let due = now.plus(within.context("no [review]")?);
        let live = &room.built.live;
        let new = new_review(&live.written, live.rules.policy.hash(), due);
        let count = new.items.len();
        let person = reviewer.actor.person.clone();
        let started = room.durable.start_review(new, reviewer.actor, now);
        let number = match room.block_on(started)? {
            Ok(number) => number,
            Err(why @ Undone::Replayed) => {
                return room.refuse(Refused::new("replayed", Some(person), &why));
            }
            Err(why @ (Undone::Open | Undone::Stale | Undone::NoItem)) => {
                out::error(&why.to_string());
                return Ok(Ending::Bad);
            }
        };
        let due = time_text(due.micros());
        out::print(&if self.json {
            format!(
                "{:#}\n",
                json!({ "review": number, "due": due, "items": count })
            )
        } else {
            format!("review {number} of {count} things is open until {due}\n")
        });
        Ok(Ending::Good)
    }
}
