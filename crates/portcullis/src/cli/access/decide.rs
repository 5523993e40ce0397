//! `portcullis access review decide`: keep or revoke, by a second person.

use super::reviewer::{Refused, Reviewer, Room, ending};
use crate::assemble::grant_of;
use crate::cli::audit::Named;
use crate::cli::{Ending, out};
use crate::clock;
use clap::Args;
use portcullis_core::authorize::policy::Grant;
use portcullis_core::review::{grant_id, inventory_id, may_decide};
use portcullis_state::{INVENTORY, Review, Undone, Verdict};
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
            if let Err(mut refused) = judge(&room, &review, (&reviewer, id))? {
                refused.event.fact("review", &review.number.to_string());
                return room.refuse(refused);
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

/// Whether the reviewer may decide about what has that id.
fn judge(
    room: &Room,
    review: &Review,
    (reviewer, id): (&Reviewer, &str),
) -> anyhow::Result<Result<(), Refused>> {
    let person = || Some(reviewer.actor.person.clone());
    let no_such = |why: String| Ok(Err(Refused::new("unknown", person(), &why)));
    let Some(item) = review.items.iter().find(|item| item.id == id) else {
        return no_such(format!("review {} has no {id}", review.number));
    };
    let who = if item.rule == INVENTORY {
        if item.id != inventory_id(room.built.live.rules.policy.hash()) {
            return no_such("the inventory is not what it was when the review began".to_owned());
        }
        None
    } else {
        let grants: Result<Vec<Grant>, _> = room.checked.grants.iter().map(grant_of).collect();
        match grants?.into_iter().find(|grant| grant_id(grant) == id) {
            Some(grant) => Some(grant.who),
            None => return no_such(format!("the configuration has no {id} any more")),
        }
    };
    let starter = (review.by.issuer.as_str(), review.by.subject.as_str());
    let judged = may_decide(&reviewer.identity, starter, who.as_ref());
    Ok(judged.map_err(|why| {
        let mut refused = Refused::new(why.reason(), person(), &why);
        refused.event.fact("grant", id);
        refused.event.fact("rule", &item.rule);
        refused
    }))
}
