//! What servers define: the same, by the same functions, as `portcullis tools`.

use super::{Answer, Asked, Trouble};
use crate::cataloguing::{Known, change_json, compared, event_json, json_of, meant, sides};
use crate::clock;
use crate::reviewing::person;
use portcullis_core::catalog::{Digest, History, Kind, Needed};
use portcullis_state::{Catalog, Decision, NotDecided};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    verdict: Verdict,
    server: String,
    kind: String,
    name: String,
    /// Needed but for a rollback to what was served before.
    digest: Option<String>,
    reason: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Approve,
    Reject,
    Rollback,
}

pub(super) async fn all(asked: &Asked) -> Result<Answer, Trouble> {
    let server = asked.query.text("server").map(str::to_owned);
    let mut all = catalog(asked).histories(server).await?;
    all.retain(|(thing, _)| is_theirs(asked, &thing.server));
    let mut rows: Vec<(String, Value)> = all
        .iter()
        .map(|known| {
            let thing = &known.0;
            let key = format!("{} {} {}", thing.server, thing.kind, thing.name);
            (key, json_of(known))
        })
        .collect();
    if let Some(state) = asked.query.text("state") {
        rows.retain(|(_, row)| row.get("state").and_then(Value::as_str) == Some(state));
    }
    asked.page("tools", rows)
}

pub(super) async fn one(asked: &Asked) -> Result<Answer, Trouble> {
    let (known, history) = found(asked).await?;
    let digest = digest(asked.query.text("digest"))?;
    let shown = sides(catalog(asked), &history, (None, digest)).await?;
    let (_, shown) = shown.ok_or(NOTHING)?;
    let mut told = json_of(&known);
    if let Some(told) = told.as_object_mut() {
        told.insert("digest".to_owned(), json!(shown.digest().to_string()));
        told.insert("definition".to_owned(), json!(&**shown.canonical()));
    }
    Ok(Answer::ok(told))
}

pub(super) async fn diff(asked: &Asked) -> Result<Answer, Trouble> {
    let (_, history) = found(asked).await?;
    let named = |name: &str| digest(asked.query.text(name));
    let both = sides(catalog(asked), &history, (named("from")?, named("to")?)).await?;
    let (old, new) = both.ok_or(NOTHING)?;
    let changes = compared(old.as_ref(), &new);
    let changes: Vec<Value> = changes.iter().map(change_json).collect();
    Ok(Answer::ok(json!({
        "old": old.as_ref().map(|old| old.digest().to_string()),
        "new": new.digest().to_string(),
        "changes": changes,
    })))
}

pub(super) async fn history(asked: &Asked) -> Result<Answer, Trouble> {
    let (known, history) = found(asked).await?;
    let mut told = json_of(&known);
    let events: Vec<Value> = history.events().iter().map(event_json).collect();
    if let Some(told) = told.as_object_mut() {
        told.insert("events".to_owned(), events.into());
    }
    Ok(Answer::ok(told))
}

pub(super) async fn decide(asked: &Asked) -> Result<Answer, Trouble> {
    let told: Told = asked.told()?;
    asked.is_about(format!("{} {} {}", told.server, told.kind, told.name));
    let kind = kind(Some(&told.kind))?;
    if !is_theirs_alone(asked, &told.server) {
        return Err(NOTHING);
    }
    let (thing, _) = of(asked, &told.server, (kind, &told.name)).await?;
    let digest = digest(told.digest.as_deref())?;
    let decision = Decision {
        by: asked.by(),
        person: Some(person(&asked.principal)),
        reason: told.reason,
        needed: needed(asked, &told.server),
        at: clock::now(),
    };
    let missing = || Trouble::Unreadable("no digest: of the version that was looked at".to_owned());
    let catalog = catalog(asked);
    let decided = match (told.verdict, digest) {
        (Verdict::Approve, digest) => {
            let digest = digest.ok_or_else(missing)?;
            catalog.approve(thing, digest, decision).await?
        }
        (Verdict::Reject, digest) => {
            let digest = digest.ok_or_else(missing)?;
            catalog.reject(thing, digest, decision).await?
        }
        (Verdict::Rollback, to) => catalog.rollback(thing, to, decision).await?,
    };
    let outcome = decided.map_err(|why: NotDecided| Trouble::Conflict(why.to_string()))?;
    Ok(Answer::ok(json!({
        "event": outcome.deed.word(),
        "digest": outcome.digest.to_string(),
        "old": outcome.old.map(|old| old.to_string()),
    })))
}

const NOTHING: Trouble = Trouble::NotFound("there is no such definition, or no such version of it");

fn catalog(asked: &Asked) -> &Catalog {
    &asked.gateway.catalog
}

/// What of a query names one thing.
async fn found(asked: &Asked) -> Result<(Known, History), Trouble> {
    let text = |name: &str| asked.query.text(name).unwrap_or_default();
    let kind = kind(asked.query.text("kind"))?;
    let known = of(asked, text("server"), (kind, text("name"))).await?;
    let history = known.1.clone();
    let history = history.map_err(|why| Trouble::Conflict(why.to_string()))?;
    Ok((known, history))
}

/// One thing of a server that the caller is over.
async fn of(asked: &Asked, server: &str, named: (Option<Kind>, &str)) -> Result<Known, Trouble> {
    if !is_theirs(asked, server) {
        return Err(NOTHING);
    }
    let all = catalog(asked).histories(Some(server.to_owned())).await?;
    meant(all, named).map_err(|_| NOTHING)
}

/// What a server defines is its tenants'; of one that is not there any more, of whoever is over everything.
fn is_theirs(asked: &Asked, server: &str) -> bool {
    let over = asked.mandate.over();
    match asked.live.rules.servers.get(server) {
        Some(server) => over.covers(&server.gate.tenants),
        None => over.covers(&[]),
    }
}

/// What is served to several tenants is decided about by whoever is over all of them.
fn is_theirs_alone(asked: &Asked, server: &str) -> bool {
    let over = asked.mandate.over();
    match asked.live.rules.servers.get(server) {
        Some(server) if !server.gate.tenants.is_empty() => {
            let mut tenants = server.gate.tenants.iter();
            tenants.all(|tenant| over.covers([tenant]))
        }
        Some(_) | None => over.covers(&[]),
    }
}

/// How many persons have to approve what it defines; of one that is not there any more nothing is served.
fn needed(asked: &Asked, server: &str) -> Needed {
    let server = asked.live.rules.servers.get(server);
    server.map_or(Needed::One, |server| server.terms.approvals)
}

fn kind(text: Option<&str>) -> Result<Option<Kind>, Trouble> {
    let kind = text.map(str::parse).transpose();
    kind.map_err(|why: portcullis_core::catalog::NoKind| Trouble::Unreadable(why.to_string()))
}

fn digest(text: Option<&str>) -> Result<Option<Digest>, Trouble> {
    let digest = text.map(str::parse).transpose();
    digest.map_err(|why: portcullis_core::catalog::NoDigest| Trouble::Unreadable(why.to_string()))
}
