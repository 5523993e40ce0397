//! Messages of servers on their way down, with what their contents say to the model, which is recorded without saying it.

use super::Gateway;
use crate::random;
use crate::record::note;
use bytes::Bytes;
use portcullis_audit::{Principal as Named, Record};
use portcullis_core::authorize::Circumstances;
use portcullis_core::inspect::{Action, Found, Inspector, Released};
use portcullis_core::pipeline::{self, Rules};
use portcullis_core::refusal::Refusal;
use portcullis_core::route::Ticket;

impl Gateway {
    /// Releases a message of the upstream's under these rules, and records what was found in it.
    ///
    /// # Errors
    /// [`Refusal`] if the message may not be passed on.
    pub(super) fn release(
        &self,
        rules: &Rules,
        ticket: &Ticket,
        message: Bytes,
        (circumstances, trace): (Circumstances<'_>, &str),
    ) -> Result<Released, Refusal> {
        let fresh = || random::bytes().ok();
        let mut inspector = Inspector::new(&fresh);
        let deciding = (rules, &self.state);
        let looking = (circumstances, &mut inspector);
        let released = pipeline::release(deciding, ticket, message, looking);
        for found in &inspector.found {
            note(&self.recorder, record(found, ticket, trace));
        }
        released
    }
}

fn record(found: &Found, ticket: &Ticket, trace: &str) -> Record {
    let mut record = Record::new("inspect.finding");
    let reason = match found.action {
        Action::Observe => "observed",
        Action::Mark => "marked",
        Action::Redact => "redacted",
        Action::Refuse => "refused",
    };
    let principal = ticket.principal();
    record.reason = Some(reason.into());
    record.principal = Some(Named {
        iss: principal.vouched_by().into(),
        sub: principal.subject.as_str().into(),
    });
    record.server = Some((&**ticket.server()).into());
    record.method = ticket.method().map(|method| method.name().into());
    record.session = ticket
        .session()
        .map(|session| session.fingerprint().as_str().into());
    record.trace = (!trace.is_empty()).then(|| trace.into());
    record.detail.set("rule", &*found.rule);
    record.detail.set("technique", &*found.technique);
    record.detail.set("score", found.score.to_string());
    record.detail.set("pointer", found.pointer.as_str());
    if let Some(way) = found.hidden_by {
        record.detail.set("hidden_by", way);
    }
    if let Some(incident) = &found.incident {
        record.detail.set("incident", incident.as_str());
    }
    record
}
