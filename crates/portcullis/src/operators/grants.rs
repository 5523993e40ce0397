//! Grants with their last use, as the audit log has it.

use super::asked::beside;
use super::{Answer, Asked, Trouble};
use crate::clock;
use crate::moment;
use crate::usage::Usage;
use portcullis_audit::time_text;
use serde_json::json;
use std::time::Duration;

/// Use is counted since then, if nothing else is said.
const SINCE: Duration = Duration::from_hours(24 * 90);

pub(super) async fn all(asked: &Asked) -> Result<Answer, Trouble> {
    let now = clock::micros();
    let since = match asked.query.text("since") {
        None => Some(now.saturating_sub(u64::try_from(SINCE.as_micros()).unwrap_or(u64::MAX))),
        Some(text) => moment::parse(text, now),
    };
    let since = since.ok_or_else(|| Trouble::Unreadable("since is no moment".to_owned()))?;
    let log = asked.office.log.clone();
    let usage = beside(move || {
        Usage::read(&log, since).map_err(|error| Trouble::Failed(format!("the log: {error}")))
    });
    let usage = usage.await?;
    let standing = asked.gateway.revocations.durable().standing().await?;
    let now = clock::now();
    let is_held = |id: &str| {
        let mut held = standing.held.iter();
        held.any(|held| held.id == id && held.from <= now)
    };
    let all = asked.live.written.grants().map(|(id, grant)| {
        let count = usage.of_rule(&grant.rule());
        let until = grant.until.and_then(|until| u64::try_from(until).ok());
        let told = json!({
            "id": id,
            "rule": grant.rule(),
            "who": grant.who.to_string(),
            "what": grant.allow,
            "until": until.map(|until| time_text(until.saturating_mul(1_000_000))),
            "held": is_held(id),
            "hits": count.hits,
            "last": (count.hits > 0).then(|| time_text(count.last)),
        });
        (id.to_owned(), told)
    });
    asked.page("grants", all.collect())
}
