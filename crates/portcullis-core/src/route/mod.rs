//! Where does it go? A cleared call becomes what the upstream is sent, and the ticket that its answers are held against.

pub mod aggregate;
pub mod bridge;
pub mod remap;
mod listing;

use crate::authenticate::Principal;
use crate::catalog::schemas::Schemas;
use crate::elicit;
use crate::inspect::{Cleared, Heard};
use crate::protocol::{Call, Id, Method, Revision, Target};
use crate::quota::Slot;
use crate::session::{Open, Session, SessionId};
use std::sync::Arc;

pub use listing::{NoList, Part, listed};

/// What the upstream is sent. Only this room makes one, and an upstream takes nothing else.
#[derive(Debug)]
#[must_use]
pub struct Dispatch {
    server: Arc<str>,
    call: Call,
    session: Option<Open>,
    principal: Principal,
}

impl Dispatch {
    /// The server's name.
    pub const fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// The message.
    pub const fn call(&self) -> &Call {
        &self.call
    }

    /// The open session, if there is one.
    pub const fn session(&self) -> Option<&Open> {
        self.session.as_ref()
    }

    /// For whom it goes.
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The key of the principal for whom it goes ([`crate::authenticate::Identity::key`]).
    pub fn owner(&self) -> &Arc<str> {
        &self.principal.key
    }
}

/// A request that is still to be answered, where its stream is read on after it broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The id that the answer must bear.
    pub id: Id,
    /// What was asked.
    pub method: Method,
    /// The tool to whose schemas the answer is held, if to any.
    pub tool: Option<Arc<str>>,
}

/// What an exchange's answers are held against; keeps its place in the quota until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    principal: Principal,
    server: Arc<str>,
    method: Option<Method>,
    id: Option<Id>,
    revision: Revision,
    session: Option<SessionId>,
    rule: String,
    opens_urls: bool,
    held_to: Option<(Arc<str>, Arc<Schemas>)>,
    tool: Option<Arc<str>>,
    heard: Heard,
    _slot: Option<Slot>,
}

impl Ticket {
    /// For whom.
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// With which server.
    pub const fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// What was asked; `None` on a stream that answers nothing.
    pub const fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    /// The rules that permitted it.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Whether the client says in its `initialize` that it opens URLs for its user.
    pub(crate) const fn opens_urls(&self) -> bool {
        self.opens_urls
    }

    /// Whether it is for what the server says unasked.
    pub fn is_listening(&self) -> bool {
        matches!(self.method, None | Some(Method::Listen))
    }

    /// The id that an answer must bear.
    pub const fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    /// The revision of the exchange.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// In which session.
    pub const fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Holds its answers to the schemas of this tool.
    pub(crate) fn hold(&mut self, tool: Arc<str>, schemas: Arc<Schemas>) {
        self.held_to = Some((tool, schemas));
    }

    /// The schemas to which its answers are held, if to any.
    pub(crate) fn schemas(&self) -> Option<&Schemas> {
        self.held_to.as_ref().map(|(_, schemas)| &**schemas)
    }

    /// The tool that they are of, to be kept.
    pub(crate) const fn held(&self) -> Option<&Arc<str>> {
        match &self.held_to {
            Some((tool, _)) => Some(tool),
            None => None,
        }
    }

    /// The tool that they are of.
    pub fn held_tool(&self) -> Option<&str> {
        self.held_to.as_ref().map(|(tool, _)| &**tool)
    }

    /// The tool that is called, if one is.
    pub(crate) fn tool(&self) -> Option<&str> {
        self.tool.as_deref()
    }

    /// What it has heard so far.
    pub(crate) const fn heard(&self) -> &Heard {
        &self.heard
    }

    /// The ticket of a stream that the client opened to listen (HTTP GET, up to 2025-11-25).
    pub(crate) fn listening(session: &Session, slot: Option<Slot>, rule: String) -> Self {
        Self {
            principal: session.principal().clone(),
            server: Arc::clone(session.server()),
            method: None,
            id: None,
            revision: session
                .open()
                .map_or(Revision::V2025_03_26, |open| open.revision),
            session: session.open().map(|open| open.id),
            rule,
            opens_urls: false,
            held_to: None,
            tool: None,
            heard: Heard::default(),
            _slot: slot,
        }
    }

    /// The ticket of a stream that is read on after it broke: what was asked there may be answered here.
    pub(crate) fn resuming(
        session: &Session,
        slot: Slot,
        (awaited, rule): (Option<Awaited>, String),
    ) -> Self {
        let tool = awaited.as_ref().and_then(|awaited| awaited.tool.clone());
        let (id, method) = awaited.map(|awaited| (awaited.id, awaited.method)).unzip();
        Self {
            method,
            id,
            tool,
            ..Self::listening(session, Some(slot), rule)
        }
    }
}

/// A message of our own to the server of an exchange, in place of the client's answer.
pub(crate) fn reply(ticket: &Ticket, open: Open, call: Call) -> Dispatch {
    Dispatch {
        server: Arc::clone(&ticket.server),
        principal: ticket.principal.clone(),
        session: Some(open),
        call,
    }
}

/// Splits a cleared call into what goes up and what its answers are held against.
pub fn resolve(cleared: Cleared) -> (Dispatch, Ticket) {
    let (session, call, slot, rule) = cleared.into_parts();
    let ticket = Ticket {
        principal: session.principal().clone(),
        server: Arc::clone(session.server()),
        method: Some(call.method().clone()),
        id: call.id().cloned(),
        revision: call.revision(),
        session: session.open().map(|open| open.id),
        rule,
        opens_urls: *call.method() == Method::Initialize && elicit::says_so(call.body()),
        held_to: None,
        tool: match call.target() {
            Target::Tool(name) => Some(name.to_string().into()),
            Target::Server | Target::Prompt(_) | Target::Resource(_) | Target::Task(_) => None,
        },
        heard: Heard::default(),
        _slot: Some(slot),
    };
    let dispatch = Dispatch {
        server: Arc::clone(session.server()),
        principal: session.principal().clone(),
        session: session.open().cloned(),
        call,
    };
    (dispatch, ticket)
}
