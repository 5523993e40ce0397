//! The walk: every exchange goes through these functions, in this order, and no other way.
//!
//! [`identify`] runs before the body is read, so that who is not known gets no parser to attack;
//! then [`admit`], the one wait at the upstream, and [`release()`].
//!
//! The proofs cannot be made elsewhere, nor a step be left out:
//!
//! ```compile_fail,E0451
//! use portcullis_core::authorize::Permit;
//! fn forge(session: portcullis_core::session::Session) -> Permit {
//!     Permit { session, call: panic!(), slot: panic!(), rule: String::new() }
//! }
//! ```
//! ```compile_fail,E0603
//! let nobody = portcullis_core::authenticate::Principal(panic!());
//! ```
//! ```compile_fail,E0308
//! fn skip(session: portcullis_core::session::Session, call: portcullis_core::protocol::Call) {
//!     let _ = portcullis_core::route::resolve((session, call)); // takes what inspection cleared
//! }
//! ```

mod approved;
mod release;

use crate::authenticate::{self, Claimed, Credentials, Principal, Trust};
use crate::authorize::{self, Circumstances, Forbidden, Gate, Permit};
use crate::inspect;
use crate::protocol::{Call, Headers, Id, Kind, Method, Revision, Target};
use crate::quota::Slot;
use crate::refusal::{Refusal, Unanswered};
use crate::route::{self, Awaited, Dispatch, Ticket};
pub use crate::rules::{Rules, Server, State};
use crate::session::{self, Closed, NoSession, Session, SessionId};
use crate::time::Timestamp;
pub use crate::trail::Trail;
use bytes::Bytes;
use std::sync::Arc;

pub use approved::{expect_approved, needs_approval};
pub use release::release;

/// A request before its body was read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head<'a> {
    /// The server that its path names.
    pub server: &'a str,
    /// What it brought to show who sent it.
    pub credentials: Credentials<'a>,
    /// `Mcp-Session-Id`, and a hash of `User-Agent`.
    pub session: Option<(&'a str, u64)>,
}

/// Who is calling, and in which conversation?
///
/// # Errors
/// [`Refusal`] of the first room that says no.
pub fn identify(
    (rules, trust): (&Rules, &Trust),
    state: &State,
    head: &Head<'_>,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Session, Refusal> {
    let server = rules.server(head.server)?;
    let resource = &server.gate.resource;
    trail.scheme = head.credentials.scheme();
    trail.nonce = state.proofs.offer(trail.scheme, resource, now);
    let memory = (&state.verified, &state.proofs);
    let verified = authenticate::verify(&head.credentials, resource, trust, memory, now);
    let principal = verified.inspect_err(|why| {
        trail.claimed = Claimed::of(&head.credentials);
        let known = rules.servers.values().map(|server| &server.gate.resource);
        trail.issued_for = authenticate::issued_for(&head.credentials, resource, known);
        trail.hint = authenticate::hint(why, &head.credentials, (resource, trust));
    })?;
    // Of a first try, before the issuer was asked.
    (trail.claimed, trail.issued_for, trail.hint) = (None, None, None);
    converse(rules, state, principal, head, (now, trail))
}

/// The same for a caller whom the operating system vouches for (`wrap`).
///
/// # Errors
/// [`Refusal`] if there is no such server or session.
pub fn converse(
    rules: &Rules,
    state: &State,
    principal: Principal,
    head: &Head<'_>,
    (now, trail): (Timestamp, &mut Trail),
) -> Result<Session, Refusal> {
    let server = rules.server(head.server)?;
    let principal = state
        .anew
        .raise(principal, &server.gate.resource.server, now);
    trail.principal = Some(principal.clone());
    state.quota.take_request(&principal, &server.quota, now)?;
    let session = state.sessions.bind(
        principal,
        &server.gate.resource.server,
        head.session,
        (&rules.sessions, now),
    )?;
    if let Some(open) = session.open() {
        trail.session = Some(open.id.fingerprint());
        trail.context_changed = open.changed;
        if session.is_outgrown() {
            trail.outgrown = state.sessions.close(&session, session::OUTGROWN);
            return Err(NoSession::Outgrown.into());
        }
    }
    Ok(session)
}

/// From the client's bytes to the upstream's door.
///
/// # Errors
/// [`Refusal`] of the first room that says no.
pub fn admit(
    rules: &Rules,
    state: &State,
    session: Session,
    (body, headers): (Bytes, &Headers<'_>),
    (circumstances, trail): (Circumstances<'_>, &mut Trail),
) -> Result<(Dispatch, Ticket), Refusal> {
    let server = rules.server(session.server())?;
    let settled = session.open().map(|open| open.revision);
    let call = Call::parse(body, headers, settled)?;
    trail.asks(&call, rules.view);
    state.mirrored.check(session.server(), &call, headers)?;
    expect_session(&session, &call)?;
    state
        .quota
        .take_call(&session, &call, &server.quota, circumstances.now)?;
    let slot = state.quota.take_slot(&session, &server.quota)?;
    let asked = (session, call, slot);
    decide((rules, server, state), asked, circumstances, trail)
}

/// The last steps of every admission.
fn decide(
    (rules, server, state): (&Rules, &Server, &State),
    asked: (Session, Call, Slot),
    circumstances: Circumstances<'_>,
    trail: &mut Trail,
) -> Result<(Dispatch, Ticket), Refusal> {
    trail.is_decided = true;
    let gate = &server.gate;
    let risky = gate.strengths.risky.as_ref();
    let is_rated = risky.is_some() || rules.policy.reads_risk();
    let (at, target) = (&gate.resource.server, asked.1.target());
    let rated = is_rated.then(|| state.pinned.rated(at, target)).flatten();
    if !gate.is_aggregate {
        let (session, call, _) = &asked;
        let what = (Some(call), rated.as_ref());
        let looked_at = authorize::looked_at(&rules.policy, session, what, circumstances);
        trail.looked_at = looked_at;
    }
    let permit = authorize::decide(&rules.policy, gate, asked, rated.as_ref(), circumstances)
        .and_then(|permit| {
            let caller = (&**permit.session().principal(), permit.call().target());
            gate.check_elevation(&rules.elevations, caller, circumstances.now)?;
            Ok(permit)
        })
        .inspect_err(|why| trail.denied(why))?;
    trail.rule = Some(permit.rule().to_owned());
    let permit = if permit.session().principal().authentication.is_anew {
        permit.without_our_answer()
    } else {
        permit
    };
    expect_raised(gate, state, &permit)?;
    let score = rated.map(|rated| rated.score);
    let permit = gate
        .take_approval(&state.approvals, permit, (circumstances.now, score))
        .inspect_err(|why| trail.denied(why))?;
    if !server.gate.is_aggregate {
        state.tasks.expect_named(permit.session(), permit.call())?;
    }
    let (dispatch, mut ticket) = route::resolve(inspect::request(permit));
    if let (Target::Task(task), true) = (dispatch.call().target(), server.terms.is_binding())
        && let Some(tool) = state.tasks.tool((dispatch.server(), task))
    {
        approved::hold(state, &mut ticket, tool)?;
    }
    Ok((dispatch, ticket))
}

/// What an elevation opens, it opens to no session of before: those have ended by now, also where a message of theirs
/// is still under way (SES-12).
fn expect_raised(gate: &Gate, state: &State, permit: &Permit) -> Result<(), NoSession> {
    let Some(open) = permit.session().open() else {
        return Ok(());
    };
    let owner = &permit.session().principal().key;
    let is_raised = gate.is_privileged(permit.call().target());
    if is_raised && !state.sessions.is_open(owner, open.id) {
        return Err(NoSession::Unknown);
    }
    Ok(())
}

/// From an exchange with all servers together to the door of one of them, which decides for itself.
///
/// `body` is the stateless message in that server's own names.
///
/// # Errors
/// [`Refusal`] of the first room that says no; [`Forbidden::NoRule`] too if the server would not take the caller's token.
pub fn admit_member(
    rules: &Rules,
    state: &State,
    asked: &Dispatch,
    (name, body): (&str, Bytes),
    (circumstances, trail): (Circumstances<'_>, &mut Trail),
) -> Result<(Dispatch, Ticket), Refusal> {
    let server = rules.server(name)?;
    let resource = &server.gate.resource;
    let principal = asked.principal().clone();
    let principal = state
        .anew
        .raise(principal, &resource.server, circumstances.now);
    trail.principal = Some(principal.clone());
    let session = Session::at_member(principal, Arc::clone(&resource.server));
    let call = Call::parse(body, &Headers::absent(), None)?;
    trail.asks(&call, rules.view);
    if !call.revision().is_stateless() {
        return Err(NoSession::Missing.into());
    }
    trail.is_decided = true;
    if server.gate.is_aggregate || !resource.would_know(asked.principal()) {
        return Err(Forbidden::NoRule.into());
    }
    let quota = &state.quota;
    quota.take_tool(&session, &call, &server.quota, circumstances.now)?;
    let slot = quota.take_member_slot(&session, &server.quota)?;
    let asked = (session, call, slot);
    decide((rules, server, state), asked, circumstances, trail)
}

/// From a `GET` to the upstream's door: the stream on which the server speaks unasked, up to 2025-11-25.
///
/// # Errors
/// [`Refusal`] of the first room that says no.
pub fn admit_listener(
    rules: &Rules,
    state: &State,
    (session, reading): (&Session, Reading),
    circumstances: Circumstances<'_>,
    trail: &mut Trail,
) -> Result<Ticket, Refusal> {
    permit_use(rules, session, circumstances, trail)?;
    let rule = trail.rule.clone().unwrap_or_default();
    match reading {
        Reading::Whole => Ok(Ticket::listening(session, None, rule)),
        Reading::Rest(awaited) => {
            let server = rules.server(session.server())?;
            let slot = state.quota.take_slot(session, &server.quota)?;
            let tool = awaited.as_ref().and_then(|awaited| awaited.tool.clone());
            let mut ticket = Ticket::resuming(session, slot, (awaited, rule));
            if let (Some(tool), true) = (tool, server.terms.is_binding()) {
                approved::hold(state, &mut ticket, tool)?;
            }
            Ok(ticket)
        }
    }
}

/// Which stream a `GET` wants to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The session's own: there is one, with one reader, so the number of sessions bounds them.
    Whole,
    /// The rest of one that broke (`Last-Event-ID`), with the request that it answers: counts among
    /// the exchanges under way.
    Rest(Option<Awaited>),
}

/// Ends the session that a `DELETE` names.
///
/// # Errors
/// [`Refusal`] of the first room that says no; [`NoSession::Missing`] if it names none.
pub fn end(
    rules: &Rules,
    state: &State,
    session: &Session,
    circumstances: Circumstances<'_>,
    trail: &mut Trail,
) -> Result<Closed, Refusal> {
    permit_use(rules, session, circumstances, trail)?;
    state
        .sessions
        .close(session, "deleted")
        .ok_or(Refusal::NoSession(NoSession::Missing))
}

fn permit_use(
    rules: &Rules,
    session: &Session,
    circumstances: Circumstances<'_>,
    trail: &mut Trail,
) -> Result<(), Refusal> {
    let gate = &rules.server(session.server())?.gate;
    trail.is_decided = true;
    if !gate.is_aggregate {
        trail.looked_at = authorize::looked_at(&rules.policy, session, (None, None), circumstances);
    }
    let rule = authorize::decide_use(&rules.policy, gate, session, circumstances)
        .inspect_err(|why| trail.denied(why))?;
    trail.rule = Some(rule);
    Ok(())
}

/// Our no to a server's request that the client is not asked: it goes up in place of the client's answer.
///
/// `None` if the exchange has no session, or none any more: then no answer would be understood.
pub fn decline(state: &State, ticket: &Ticket, id: &Id) -> Option<Dispatch> {
    let open = state
        .sessions
        .find(&ticket.principal().key, ticket.session()?)?;
    let error = r#"{"code":-32601,"message":"not permitted"}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.json());
    let call = Call::parse(body.into(), &Headers::absent(), Some(open.revision)).ok()?;
    Some(route::reply(ticket, open, call))
}

/// What the upstream settled in its answer to `initialize`.
#[derive(Debug)]
pub struct Settled<'a> {
    /// The protocol revision, as it wrote it.
    pub revision: &'a str,
    /// Its own session id, which the client never sees.
    pub upstream: Option<Arc<str>>,
    /// A hash of the client's `User-Agent`.
    pub agent: u64,
}

/// Opens the session that an answered `initialize` asks for, under an id just drawn.
///
/// # Errors
/// [`Refusal`] if the revision is not spoken here, or there are too many sessions.
pub fn open(
    rules: &Rules,
    state: &State,
    ticket: &Ticket,
    (id, settled): (SessionId, Settled<'_>),
    now: Timestamp,
) -> Result<Option<Closed>, Refusal> {
    let revision = Revision::parse(settled.revision)
        .filter(|revision| !revision.is_stateless())
        .ok_or(Refusal::Unanswered(Unanswered::Foreign))?;
    let opening = session::Opening {
        server: Arc::clone(ticket.server()),
        upstream: settled.upstream,
        revision,
        agent: settled.agent,
        opens_urls: ticket.opens_urls(),
    };
    Ok(state
        .sessions
        .open(ticket.principal(), id, opening, (&rules.sessions, now))?)
}

/// Up to 2025-11-25 everything but `initialize` belongs to a session; after it nothing does.
fn expect_session(session: &Session, call: &Call) -> Result<(), Refusal> {
    let is_first =
        matches!(call.method(), Method::Initialize) && matches!(call.kind(), Kind::Request(_));
    match (session.open(), call.revision().is_stateless() || is_first) {
        (None, false) => Err(Refusal::NoSession(NoSession::Missing)),
        (None | Some(_), true) | (Some(_), false) => Ok(()),
    }
}
