//! Reviews of grants: the same rules, and the same functions, as `portcullis access review`.

use super::{Answer, Asked, Trouble};
use crate::clock;
use crate::reviewing::{MARGIN, judge, new_review, person};
use portcullis_audit::time_text;
use portcullis_core::review::token_digest;
use portcullis_state::{Actor, Item, Review, Undone, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    #[serde(default)]
    keep: Vec<String>,
    #[serde(default)]
    revoke: Vec<String>,
    reason: Option<String>,
}

pub(super) async fn newest(asked: &Asked) -> Result<Answer, Trouble> {
    let review = asked.gateway.revocations.durable().review(None).await?;
    let review = review.ok_or(Trouble::NotFound("there is no review"))?;
    Ok(Answer::ok(json_of(&review)))
}

pub(super) async fn start(asked: &Asked) -> Result<Answer, Trouble> {
    let (actor, within) = reviewer(asked).await?;
    let now = clock::now();
    let written = &asked.live.written;
    let hash = asked.live.rules.policy.hash();
    let new = new_review(written, hash, now.plus(within));
    let durable = asked.gateway.revocations.durable();
    let number = match durable.start_review(new, actor, now).await? {
        Ok(number) => number,
        Err(why) => return undone(asked, why).await,
    };
    asked.is_about(format!("review {number}"));
    Ok(Answer::Done(
        201,
        json!({ "review": number, "due": time_text(now.plus(within).micros()) }),
    ))
}

pub(super) async fn decide(asked: &Asked) -> Result<Answer, Trouble> {
    let told: Told = asked.told()?;
    asked.is_about(format!("review {}", asked.name()));
    let (actor, _) = reviewer(asked).await?;
    let durable = asked.gateway.revocations.durable();
    let review = durable.review(None).await?;
    let number: Option<u64> = asked.name().parse().ok();
    let review = review.filter(|review| Some(review.number) == number);
    let review = review.ok_or(Trouble::NotFound("the newest review has another number"))?;
    let keep = told.keep.into_iter().map(|id| (id, Verdict::Keep));
    let revoke = told.revoke.into_iter().map(|id| (id, Verdict::Revoke));
    let verdicts: Vec<(String, Verdict)> = keep.chain(revoke).collect();
    let rules = (&*asked.live.written, asked.live.rules.policy.hash());
    for (id, _) in &verdicts {
        if let Err(mut refused) = judge(rules, &review, (&asked.principal, id)) {
            refused.event.fact("review", &review.number.to_string());
            durable.review_refused(refused.event).await?;
            return Err(Trouble::Objection(refused.why));
        }
    }
    let said = (actor, told.reason);
    match durable
        .decide_review(review.number, verdicts, said, clock::now())
        .await?
    {
        Ok(review) => Ok(Answer::ok(json_of(&review))),
        Err(why) => undone(asked, why).await,
    }
}

/// Whoever acts is a reviewer too: the role of the API says who may ask, the review who may decide.
async fn reviewer(asked: &Asked) -> Result<(Actor, Duration), Trouble> {
    let Some((reviewers, within)) = &asked.office.reviewers else {
        return Err(Trouble::Conflict(
            "the configuration has no [review]".to_owned(),
        ));
    };
    let identity = &asked.principal;
    if let Err(why) = reviewers.admit(identity) {
        let event = portcullis_state::Event::refused(why.reason(), Some(person(identity)));
        asked
            .gateway
            .revocations
            .durable()
            .review_refused(event)
            .await?;
        return Err(Trouble::Objection(why.to_string()));
    }
    let actor = Actor {
        person: person(identity),
        token: token_digest(asked.token.expose()),
        until: identity.expires.plus(MARGIN),
    };
    Ok((actor, *within))
}

async fn undone(asked: &Asked, why: Undone) -> Result<Answer, Trouble> {
    match why {
        Undone::Replayed => {
            let event =
                portcullis_state::Event::refused("replayed", Some(person(&asked.principal)));
            asked
                .gateway
                .revocations
                .durable()
                .review_refused(event)
                .await?;
            Err(Trouble::Objection(why.to_string()))
        }
        Undone::Open | Undone::Stale | Undone::NoItem => Err(Trouble::Conflict(why.to_string())),
    }
}

fn json_of(review: &Review) -> Value {
    let items: Vec<Value> = review.items.iter().map(item).collect();
    json!({
        "review": review.number,
        "started": time_text(review.started.micros()),
        "by": review.by.subject,
        "due": time_text(review.due.micros()),
        "policy": review.policy,
        "closed": review.closed.map(|at| time_text(at.micros())),
        "items": items,
    })
}

fn item(item: &Item) -> Value {
    let decided = item.decided.as_ref();
    json!({
        "id": item.id,
        "rule": item.rule,
        "verdict": decided.map(|decided| decided.verdict.word()),
        "at": decided.map(|decided| time_text(decided.at.micros())),
        "by": decided.and_then(|decided| decided.by.as_ref()).map(|by| &by.subject),
        "reason": decided.and_then(|decided| decided.reason.as_ref()),
    })
}
