//! What is revoked, as far as the operator is over the tenants of its issuer.

use super::{Answer, Asked, Trouble};
use crate::clock;
use crate::moment;
use portcullis_audit::time_text;
use portcullis_authority::grant::CLIENTS;
use portcullis_core::authenticate::{Issuer, Membership};
use portcullis_core::time::Timestamp;
use portcullis_state::{Kind, Lifted, Revocation, Whom};
use serde::Deserialize;
use serde_json::{Value, json};

/// Whose tokens, or which one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meant {
    kind: String,
    issuer: String,
    name: String,
    reason: Option<String>,
    until: Option<String>,
}

pub(super) async fn all(asked: &Asked) -> Result<Answer, Trouble> {
    let durable = asked.gateway.revocations.durable();
    let all = durable.revocations(clock::now()).await?.into_iter();
    let own = all.filter(|one| is_theirs(asked, &one.whom.issuer));
    let key = |one: &Revocation| {
        let whom = &one.whom;
        format!("{} {} {}", whom.issuer, whom.kind.word(), whom.name)
    };
    asked.page(
        "revocations",
        own.map(|one| (key(&one), json_of(&one))).collect(),
    )
}

pub(super) async fn revoke(asked: &Asked) -> Result<Answer, Trouble> {
    let meant: Meant = asked.told()?;
    let now = clock::now();
    let until = match &meant.until {
        None => Some(now),
        Some(text) => moment::written(text).map(Timestamp::from_micros),
    };
    let until = until.ok_or_else(|| Trouble::Unreadable("until is no moment".to_owned()))?;
    let reason = meant.reason.clone();
    let whom = whom(asked, meant)?;
    let revocation = Revocation {
        reason,
        ..Revocation::new(whom, until, (now, asked.by()))
    };
    let made = asked
        .gateway
        .revocations
        .durable()
        .revoke(revocation)
        .await?;
    Ok(Answer::Done(201, json_of(&made)))
}

pub(super) async fn reinstate(asked: &Asked) -> Result<Answer, Trouble> {
    let whom = whom(asked, asked.told()?)?;
    let lifted = Lifted {
        at: clock::now(),
        by: asked.by(),
    };
    let durable = asked.gateway.revocations.durable();
    let taken = durable.reinstate(whom, lifted).await?;
    let taken = taken.ok_or(Trouble::NotFound("nothing of this is revoked"))?;
    Ok(Answer::ok(json_of(&taken)))
}

fn whom(asked: &Asked, meant: Meant) -> Result<Whom, Trouble> {
    let kinds = [Kind::Token, Kind::Subject, Kind::Client, Kind::Claim];
    let kind = kinds.into_iter().find(|kind| kind.word() == meant.kind);
    let kind = kind
        .ok_or_else(|| Trouble::Unreadable("kind is token, subject, client or claim".to_owned()))?;
    asked.is_about(format!("{} {} of {}", meant.kind, meant.name, meant.issuer));
    if !is_theirs(asked, &meant.issuer) {
        return Err(Trouble::NotFound("no server here trusts this issuer"));
    }
    Ok(Whom {
        kind,
        issuer: meant.issuer,
        name: meant.name,
    })
}

/// A slip of the pen would revoke nothing, so the issuer is known; of one whose callers belong to several tenants, nobody is
/// over all but who is over everything.
fn is_theirs(asked: &Asked, issuer: &str) -> bool {
    let trust = asked.gateway.issuers.trust();
    // Agents that come for themselves are of the issuer that gives them tokens.
    let has_agents = |own: &&Issuer| {
        let vouching = own.claims.provider.as_ref();
        vouching.is_some_and(|vouching| vouching.by.contains(CLIENTS))
    };
    let known = if issuer == CLIENTS {
        trust.issuers.values().find(has_agents)
    } else {
        trust.issuers.get(issuer)
    };
    let tenant = known.and_then(|known| match &known.claims.membership {
        Membership::All(tenant) => Some(tenant),
        Membership::Nobody | Membership::By { .. } => None,
    });
    known.is_some() && asked.mandate.over().covers(tenant)
}

/// A revocation as commands and the API tell it.
pub(crate) fn json_of(one: &Revocation) -> Value {
    let is_single = one.whom.kind == Kind::Token;
    let until = (!is_single).then(|| time_text(one.issued_until.micros()));
    json!({
        "kind": one.whom.kind.word(),
        "issuer": one.whom.issuer,
        "name": one.whom.name,
        "issued_until": until,
        "made": time_text(one.made.micros()),
        "by": one.by,
        "reason": one.reason,
        "expires": time_text(one.expires.micros()),
        "lifted": one.lifted.as_ref().map(|lifted| time_text(lifted.at.micros())),
        "lifted_by": one.lifted.as_ref().map(|lifted| &lifted.by),
    })
}
