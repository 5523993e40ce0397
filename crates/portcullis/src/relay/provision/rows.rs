//! What a directory's word means in rows of the database, and in the record.

use super::Directory;
use crate::record::Exchange;
use portcullis_core::scim::Effect;
use portcullis_core::signals::DISABLED_FOR;
use portcullis_core::time::Timestamp;
use portcullis_state::{Change, Kind, Lifted, Revocation, Source, Whom};

/// What turns effects into rows.
pub(super) struct Meaning {
    issuer: String,
    claim: Option<String>,
    now: Timestamp,
    trace: String,
}

impl Meaning {
    pub(super) fn of(directory: &Directory, now: Timestamp, trace: &str) -> Self {
        Self {
            issuer: directory.issuer.clone(),
            claim: directory.claim.clone(),
            now,
            trace: trace.to_owned(),
        }
    }

    pub(super) fn changes(&self, effects: &[Effect]) -> Vec<Change> {
        effects.iter().flat_map(|one| self.rows(one)).collect()
    }

    /// What was issued before stays refused when the user comes back; what is issued then is accepted.
    fn rows(&self, effect: &Effect) -> Vec<Change> {
        match effect {
            Effect::Disable(name) => {
                let row = |source, until| {
                    Change::Revoke(Revocation {
                        source,
                        reason: Some("not active in the directory".to_owned()),
                        cause: Some(self.trace.clone()),
                        ..Revocation::new(self.whom(name), until, (self.now, self.by()))
                    })
                };
                let disabled = self.now.plus(DISABLED_FOR);
                vec![
                    row(Source::Event, self.now),
                    row(Source::Directory, disabled),
                ]
            }
            Effect::Enable(name) => {
                let lifted = Lifted {
                    at: self.now,
                    by: self.by(),
                };
                vec![Change::Enable(self.whom(name), Source::Directory, lifted)]
            }
        }
    }

    fn whom(&self, name: &str) -> Whom {
        let (kind, name) = match &self.claim {
            None => (Kind::Subject, name.to_owned()),
            Some(claim) => (Kind::Claim, format!("{claim}={name}")),
        };
        Whom {
            kind,
            issuer: self.issuer.clone(),
            name,
        }
    }

    fn by(&self) -> String {
        format!("scim:{}", self.issuer)
    }
}

/// Takes down for the record who has no access any more, and who has again; gives the event's name.
pub(super) fn take_down(changes: &[Change], exchange: &mut Exchange) -> &'static str {
    let (mut disabled, mut enabled) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Revoke(row) if row.source == Source::Directory => disabled.push(&row.whom),
            Change::Revoke(_) | Change::Say(_) => {}
            Change::Enable(whom, ..) => enabled.push(whom),
        }
    }
    let names = |whom: &[&Whom]| {
        let names = whom.iter().map(|whom| whom.name.as_str());
        names.collect::<Vec<_>>().join(" ")
    };
    if !enabled.is_empty() {
        exchange.fact("enabled", &names(&enabled));
    }
    if disabled.is_empty() {
        return "identity.provisioned";
    }
    exchange.fact("disabled", &names(&disabled));
    "identity.deprovisioned"
}
