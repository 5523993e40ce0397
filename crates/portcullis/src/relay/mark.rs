//! What an event id says to us and to nobody else.

use portcullis_core::authenticate::Principal;
use portcullis_core::protocol::{Id, Method};
use portcullis_core::route::{Awaited, Ticket};
use portcullis_core::session::SessionId;
use serde_json::json;
use serde_json::value::RawValue;

/// What an event id is bound to: principal, session and server.
pub(super) fn binding(principal: &Principal, session: Option<SessionId>, server: &str) -> String {
    let session = session.map(|id| id.wire()).unwrap_or_default();
    format!("{}\n{session}\n{server}", principal.key)
}

/// What an event id is sealed with: the upstream's own id, and the request whose answer is still to come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) awaited: Option<Awaited>,
    pub(super) id: String,
}

/// The id that is waited for, the method, the tool, and the upstream's own event id.
type Written = (Option<String>, Option<String>, Option<String>, String);

impl Mark {
    pub(super) fn written(ticket: &Ticket, id: &str) -> String {
        let asked = ticket.id().map(Id::json);
        let method = ticket.method().map(Method::name);
        json!([asked, method, ticket.held_tool(), id]).to_string()
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(text).ok()?;
        let (asked, method, tool, id) = written;
        let asked: Option<&RawValue> = asked
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .ok()?;
        let asked = asked.map(Id::read).transpose().ok()?;
        let asked = asked.zip(method.as_deref().map(Method::parse));
        let awaited = asked.map(|(id, method)| Awaited {
            id,
            method,
            tool: tool.map(Into::into),
        });
        Some(Self { awaited, id })
    }
}
