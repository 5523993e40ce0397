//! The audit log, read from its end: bounded in what is looked at, so that a search ends.

use super::asked::beside;
use super::{Answer, Asked, Trouble};
use crate::checkpoints;
use crate::clock;
use crate::moment;
use portcullis_audit::{Effect, Filter, MAX_BACKWARDS_MICROS, newest_before};
use serde_json::{Value, json};
use std::path::Path;

/// Records that one request looks at; the answer says where the next goes on.
const MOST_LOOKED_AT: usize = 200_000;

pub(super) async fn search(asked: &Asked) -> Result<Answer, Trouble> {
    let text = |name: &str| asked.query.text(name).map(str::to_owned);
    let now = clock::micros();
    let moment = |name: &str| match asked.query.text(name) {
        None => Ok(None),
        Some(text) => moment::parse(text, now)
            .map(Some)
            .ok_or_else(|| Trouble::Unreadable(format!("{name} is no moment"))),
    };
    let effect = match asked.query.text("effect") {
        None => None,
        Some("allow") => Some(Effect::Allow),
        Some("deny") => Some(Effect::Deny),
        Some(_) => return Err(Trouble::Unreadable("effect is allow or deny".to_owned())),
    };
    let filter = Filter {
        event: text("event"),
        sub: text("subject"),
        server: text("server"),
        target: text("target"),
        trace: text("trace"),
        effect,
        from: moment("since")?,
        until: moment("until")?,
    };
    let before = match asked.query.text("before").map(str::parse) {
        None => u64::MAX,
        Some(Ok(before)) => before,
        Some(Err(_)) => return Err(Trouble::Unreadable("before is no number".to_owned())),
    };
    let (log, limit) = (asked.office.log.clone(), asked.query.limit()?);
    beside(move || found(&log, &filter, (before, limit))).await
}

fn found(log: &Path, filter: &Filter, (before, limit): (u64, usize)) -> Result<Answer, Trouble> {
    let failed = |error: &dyn std::fmt::Display| Trouble::Failed(error.to_string());
    let search = newest_before(log, before, Filter::default()).map_err(|error| failed(&error))?;
    let (mut records, mut looked_at, mut next) = (Vec::new(), 0_usize, None);
    for found in search {
        let found = found.map_err(|error| failed(&error))?;
        let is_over = filter
            .from
            .is_some_and(|from| found.stamp.time.saturating_add(MAX_BACKWARDS_MICROS) < from);
        if is_over {
            break;
        }
        if found.seq >= before {
            continue;
        }
        if records.len() >= limit || looked_at >= MOST_LOOKED_AT {
            next = Some(found.seq.saturating_add(1));
            break;
        }
        looked_at += 1;
        if filter.fits(&found) {
            let record: Value =
                serde_json::from_str(&found.line).map_err(|error| failed(&error))?;
            records.push(record);
        }
    }
    Ok(Answer::ok(json!({ "records": records, "next": next })))
}

/// The note as it was signed; who has the key verifies it.
pub(super) async fn checkpoint(asked: &Asked) -> Result<Answer, Trouble> {
    let log = asked.office.log.clone();
    let note = beside(move || {
        checkpoints::newest(&log).map_err(|error| Trouble::Failed(format!("{error:#}")))
    });
    let note = note.await?;
    let note = note.ok_or(Trouble::NotFound("nothing was signed yet"))?;
    Ok(Answer::ok(json!({ "checkpoint": note })))
}
