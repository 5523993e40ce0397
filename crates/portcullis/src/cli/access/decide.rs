//! `portcullis access review decide`: keep or revoke, by a second person.

use super::reviewer::{Room, ending};
use crate::cli::audit::Named;
use crate::cli::{Ending, out};
use crate::clock;
use crate::reviewing::{Refused, judge};
use clap::Args;
use portcullis_state::{Review, Undone, Verdict};
use serde_json::json;

#[derive(Debug, Args)]
#[command(
    after_help = "ID is that of `portcullis access review`. A token of a reviewer comes on stdin; it counts once, for all that \
is named. Exit codes: 0 decided, 1 refused: then nothing was decided, 2 wrong usage, or something cannot be used."
)]
pub(super) struct Decide {
    #[command(flatten)]
    named: Named,
    /// Keep this grant; may be given several times.
    #[arg(long, value_name = "ID", required_unless_present = "revoke")]
    keep: Vec<String>,
    /// Revoke this grant; may be given several times.
    #[arg(long, value_name = "ID")]
    revoke: Vec<String>,
    /// Why; it is recorded.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Decide {
    pub(super) fn run(self) -> Ending {
        ending(self.decide())
    }

    fn decide(&self) -> anyhow::Result<Ending> {
        let room = Room::enter(&self.named)?;
        let reviewer = match room.reviewer()? {
            Ok(reviewer) => reviewer,
            Err(refused) => return room.refuse(refused),
        };
        let Some(review) = room.block_on(room.durable.review(None))? else {
            out::error("there is no review: run `portcullis access review start`");
            return Ok(Ending::Bad);
        };
        let keep = self.keep.iter().map(|id| (id.clone(), Verdict::Keep));
        let revoke = self.revoke.iter().map(|id| (id.clone(), Verdict::Revoke));
        let verdicts: Vec<(String, Verdict)> = keep.chain(revoke).collect();
        for (id, _) in &verdicts {
            let rules = &room.built.live;
            let rules = (&*rules.written, rules.rules.policy.hash());
            if let Err(mut refused) = judge(rules, &review, (&reviewer.identity, id)) {
                refused.event.fact("review", &review.number.to_string());
                return room.refuse(*refused);
            }
        }
        let person = reviewer.actor.person.clone();
        let said = (reviewer.actor, self.reason.clone());
        let deciding =
            room.durable
                .decide_review(review.number, verdicts.clone(), said, clock::now());
        let review = match room.block_on(deciding)? {
            Ok(review) => review,
            Err(why @ Undone::Replayed) => {
                return room.refuse(Refused::new("replayed", Some(person), &why));
            }
            Err(why @ (Undone::Open | Undone::Stale | Undone::NoItem)) => {
                out::error(&why.to_string());
                return Ok(Ending::Bad);
            }
        };
        self.tell(&review, &verdicts);
        Ok(Ending::Good)
    }

    fn tell(&self, review: &Review, verdicts: &[(String, Verdict)]) {
        let (number, items) = (review.number, review.items.iter());
        let open = items.filter(|item| item.decided.is_none()).count();
        out::print(&if self.json {
            let decided: Vec<_> = verdicts
                .iter()
                .map(|(id, verdict)| json!({ "id": id, "verdict": verdict.word() }))
                .collect();
            format!(
                "{:#}\n",
                json!({ "review": number, "decided": decided, "undecided": open })
            )
        } else {
            let count = verdicts.len();
            format!("review {number}: {count} decided, {open} left\n")
        });
    }
}
