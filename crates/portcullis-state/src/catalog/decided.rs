//! What people decide about definitions: each in one transaction, bound to one version.

use super::{Catalog, Undone, rows};
use crate::durable::Failed;
use crate::reviews::{Event as Told, Person, tell};
use crate::revocations::{MAX_NAME_BYTES, MAX_REASON_BYTES, begin, next_epoch};
use portcullis_core::catalog::{Deed, Digest, Needed, Said, Standing, Thing, Undecided};
use portcullis_core::time::Timestamp;
use std::sync::Arc;

/// Who decides, and why.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Who, as the history calls them.
    pub by: String,
    /// Who, where an issuer names them: for the audit log.
    pub person: Option<Person>,
    /// Why, in their words.
    pub reason: Option<String>,
    /// How many persons have to say yes.
    pub needed: Needed,
    /// When.
    pub at: Timestamp,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What it is that happened.
    pub deed: Deed,
    /// With which version.
    pub digest: Digest,
    /// What was served until then.
    pub old: Option<Digest>,
    /// How things stand now.
    pub standing: Standing,
}

impl Catalog {
    /// Decides by how things stand at that moment, and writes it down with what the audit log is to be told.
    pub(super) async fn decide(
        &self,
        thing: Thing,
        decision: Decision,
        judge: impl FnOnce(&Standing, &Decision) -> Result<(Deed, Digest), Undecided> + Send + 'static,
    ) -> Result<Result<Outcome, Undone>, Failed> {
        let is_long = |reason: &String| reason.len() > MAX_REASON_BYTES;
        let is_named = (1..=MAX_NAME_BYTES).contains(&decision.by.len());
        if !is_named || decision.reason.as_ref().is_some_and(is_long) {
            return Err(Failed::Unfit);
        }
        let notary = Arc::clone(&self.notary);
        self.durable
            .run(move |connection| {
                let change = begin(connection)?;
                let kept = rows::one(&change, &thing)?;
                if kept.is_nothing() {
                    return Ok(Err(Undecided::Unknown.into()));
                }
                let mut history = match kept.sound(&thing, (&notary, None)) {
                    Ok((history, _)) => history,
                    Err(why) => return Ok(Err(why.into())),
                };
                let (deed, digest) = match judge(history.standing(), &decision) {
                    Ok(decided) => decided,
                    Err(why) => return Ok(Err(why.into())),
                };
                let old = history.standing().approved;
                history.add(Said {
                    deed,
                    digest: Some(digest),
                    by: decision.by.clone(),
                    reason: decision.reason.clone(),
                    at: decision.at,
                    provenance: None,
                });
                rows::append(&change, &notary, &history)?;
                let outcome = Outcome {
                    deed,
                    digest,
                    old,
                    standing: history.standing().clone(),
                };
                tell(&change, &told(&thing, &outcome, decision))?;
                next_epoch(&change)?;
                change.commit()?;
                Ok(Ok(outcome))
            })
            .await
    }
}

fn told(thing: &Thing, outcome: &Outcome, decision: Decision) -> Told {
    let event = match outcome.deed {
        Deed::Endorsed => "tool.endorsed",
        Deed::Rejected => "tool.rejected",
        Deed::RolledBack => "tool.rolled_back",
        Deed::Approved | Deed::Seen | Deed::Changed | Deed::Removed => "tool.approved",
    };
    let mut told = Told::new(event, None, decision.person);
    told.fact("server", &thing.server);
    told.fact("kind", thing.kind.name());
    told.fact("name", &thing.name);
    told.fact("new", &outcome.digest.to_string());
    if let Some(old) = outcome.old {
        told.fact("old", &old.to_string());
    }
    told.fact("by", &decision.by);
    told.fact("at", &decision.at.micros().to_string());
    if let Some(why) = &decision.reason {
        told.fact("why", why);
    }
    told
}
