//! Elevations: asked for by whoever needs one, approved by somebody else, over by themselves.

use super::{Answer, Asked, Trouble};
use crate::clock;
use crate::reviewing::person;
use portcullis_audit::time_text;
use portcullis_core::authorize::may_approve;
use portcullis_state::{Approval, Elevation, NewElevation};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    server: String,
    tool: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    approve: bool,
    /// Seconds, if not as long as it may be.
    seconds: Option<u64>,
}

pub(super) async fn all(asked: &Asked) -> Result<Answer, Trouble> {
    let all = asked.gateway.revocations.durable().elevations().await?;
    let own = all.into_iter().filter(|one| {
        let is_own = one.person == person(&asked.principal);
        (is_own || is_theirs(asked, one)) && longest(asked, &one.server, &one.tool).is_some()
    });
    let key = |one: &Elevation| format!("{:020}", one.number);
    asked.page(
        "elevations",
        own.map(|one| (key(&one), json_of(&one))).collect(),
    )
}

/// Whoever asks does so for themselves.
pub(super) async fn ask(asked: &Asked) -> Result<Answer, Trouble> {
    let wish: Wish = asked.told()?;
    asked.is_about(format!("{}__{}", wish.server, wish.tool));
    longest(asked, &wish.server, &wish.tool).ok_or(NOTHING)?;
    let new = NewElevation {
        person: person(&asked.principal),
        server: wish.server,
        tool: wish.tool,
        tenant: asked.principal.tenant.as_deref().map(str::to_owned),
        why: wish.reason,
    };
    let durable = asked.gateway.revocations.durable();
    let number = durable.ask_elevation(new, clock::now()).await?;
    Ok(Answer::Done(201, json!({ "elevation": number })))
}

pub(super) async fn decide(asked: &Asked) -> Result<Answer, Trouble> {
    let said: Said = asked.told()?;
    asked.is_about(format!("elevation {}", asked.name()));
    let durable = asked.gateway.revocations.durable();
    let number: Option<u64> = asked.name().parse().ok();
    let all = durable.elevations().await?;
    let wish = all.into_iter().find(|one| Some(one.number) == number);
    let wish = wish.filter(|one| is_theirs(asked, one)).ok_or(NOTHING)?;
    let longest = longest(asked, &wish.server, &wish.tool).ok_or(NOTHING)?;
    let may = may_approve(&asked.principal, &wish.person.subject);
    may.map_err(|why| Trouble::Objection(why.to_string()))?;
    let now = clock::now();
    let span = said
        .seconds
        .map_or(longest, Duration::from_secs)
        .min(longest);
    let approval = if said.approve {
        Approval::Approve(now.plus(span))
    } else {
        Approval::Refuse
    };
    let by = person(&asked.principal);
    let decided = durable
        .decide_elevation(wish.number, approval, by, now)
        .await?;
    let decided = decided.ok_or_else(|| Trouble::Conflict("it is not open any more".to_owned()))?;
    Ok(Answer::ok(json_of(&decided)))
}

/// Whoever may take access away may take this away too; it needs no second person.
pub(super) async fn withdraw(asked: &Asked) -> Result<Answer, Trouble> {
    asked.is_about(format!("elevation {}", asked.name()));
    let durable = asked.gateway.revocations.durable();
    let number: Option<u64> = asked.name().parse().ok();
    let mut all = durable.elevations().await?.into_iter();
    let known = all.find(|one| Some(one.number) == number);
    let is_over = |one: &Elevation| {
        let server = asked.live.rules.servers.get(&*one.server);
        server.is_none_or(|server| asked.mandate.over().covers(&server.gate.tenants))
    };
    let known = known.filter(|one| is_theirs(asked, one) && is_over(one));
    let known = known.ok_or(NOTHING)?;
    let by = person(&asked.principal);
    let withdrawn = durable.withdraw_elevation(known.number, by, clock::now());
    let withdrawn = withdrawn.await?;
    let withdrawn =
        withdrawn.ok_or_else(|| Trouble::Conflict("it is over, or was refused".to_owned()))?;
    Ok(Answer::ok(json_of(&withdrawn)))
}

const NOTHING: Trouble = Trouble::NotFound("there is no such privileged tool, or no such request");

/// How long an elevation to this tool may last; nothing for a tool that needs none, or that the caller is not over.
fn longest(asked: &Asked, server: &str, tool: &str) -> Option<Duration> {
    let gate = &asked.live.rules.servers.get(server)?.gate;
    let is_theirs = asked.mandate.over().covers(&gate.tenants);
    is_theirs
        .then(|| gate.privileged.get(tool).copied())
        .flatten()
}

/// A server may be several tenants'; what one of their callers asks for is not the others'.
fn is_theirs(asked: &Asked, one: &Elevation) -> bool {
    let tenant = one.tenant.as_deref().map(Arc::from);
    asked.mandate.over().covers(tenant.as_ref())
}

pub(crate) fn json_of(one: &Elevation) -> Value {
    json!({
        "elevation": one.number,
        "issuer": one.person.issuer,
        "subject": one.person.subject,
        "server": one.server,
        "tool": one.tool,
        "reason": one.why,
        "asked": time_text(one.asked.micros()),
        "verdict": one.verdict,
        "by": one.by.as_ref().map(|by| &by.subject),
        "until": one.until.map(|until| time_text(until.micros())),
    })
}
