//! One server behind the gate, whichever era its client speaks.
//!
//! Where client and server speak the same one, every message goes through as it came. Which eras a server speaks is
//! found out when it first refuses one, and remembered.

mod upward;
mod downward;
mod place;
pub(super) mod mirror;

use super::{Around, Begun, Carried, Content, Direct, Events, Inner, Reply, Told, framed};
use crate::clock;
use bytes::Bytes;
use downward::Guests;
use futures_util::future::join_all;
use portcullis_core::authenticate::Principal;
use portcullis_core::protocol::{Frame, Kind, Method, ToolHeaders};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::{Dispatch, Ticket, bridge};
use portcullis_core::session::Open;
use portcullis_core::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use upward::{Conversations, Questions};

/// After so long a server is asked again for an era that it did not speak.
const ASK_AGAIN: Duration = Duration::from_mins(10);
/// A process that does not answer `server/discover` in this time does not speak without a handshake.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// `Unsupported protocol version` of the stateless revisions: a server that has it is stateless.
const UNSUPPORTED_VERSION: i64 = -32022;
/// `Invalid request`, `Method not found` and `Invalid params`: the server did not get as far as doing anything.
const UNREAD: std::ops::RangeInclusive<i64> = -32602..=-32600;
/// What servers say in their own words, such as that they were not initialized (JSON-RPC 2.0 section 5.1).
const OF_SERVERS: std::ops::RangeInclusive<i64> = -32099..=-32000;
/// Codes that only a stateless server gives (2026-07-28 basic/transports/streamable-http, "Fallback").
const STATELESS_CODES: std::ops::RangeInclusive<i64> = UNSUPPORTED_VERSION..=-32020;

/// One server behind the gate.
#[derive(Debug)]
pub(crate) struct Upstream {
    direct: Direct,
    around: Around,
    stateless: Era,
    sessions: Era,
    /// Our own sessions with it, for clients that have none.
    conversations: Conversations,
    /// Calls of such clients that wait for what the client answers.
    questions: Arc<Questions>,
    /// Sessions of clients with us, where it has none.
    guests: Guests,
    /// Which arguments its tools want in headers.
    mirrors: ToolHeaders,
}

/// Whether a server speaks an era: unknown at first; a no is doubted after a while.
#[derive(Debug, Default)]
struct Era(AtomicU64);

impl Era {
    const YES: u64 = u64::MAX;
    const NEVER: u64 = u64::MAX - 1;

    fn spoken(&self) -> Option<bool> {
        match self.0.load(Ordering::Relaxed) {
            Self::YES => Some(true),
            until if clock::millis() < until => Some(false),
            _ => None,
        }
    }

    fn is(&self, spoken: bool) {
        let again = u64::try_from(ASK_AGAIN.as_millis()).unwrap_or(u64::MAX);
        let known = if spoken {
            Self::YES
        } else {
            clock::millis().saturating_add(again)
        };
        self.0.store(known, Ordering::Relaxed);
    }
}

/// Messages of a server that speaks the other era, as its client is to read them.
#[derive(Debug)]
pub(crate) enum Bridged {
    /// The stream that answers a stateless client's request.
    Answering(Box<upward::Answering>),
    /// A stateless client's subscription.
    Listening(Box<upward::Listening>),
    /// What a task of ours says.
    Told(Told),
}

impl Bridged {
    /// The next event; `None` at the end. If the future is dropped, nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, Unanswered> {
        match self {
            Self::Answering(answering) => answering.next().await,
            Self::Listening(listening) => Ok(listening.next().await.map(framed)),
            Self::Told(told) => told.recv().await.transpose().map(|next| next.map(framed)),
        }
    }

    /// What was said last may go to the client.
    pub(super) fn permitted(&mut self) {
        match self {
            Self::Answering(answering) => answering.permitted(),
            Self::Listening(_) | Self::Told(_) => {}
        }
    }

    /// What was said last may not: `true` if the server has been told, and goes on.
    pub(super) fn declined(&mut self) -> bool {
        match self {
            Self::Answering(answering) => answering.declined(),
            Self::Listening(_) | Self::Told(_) => false,
        }
    }
}

impl Upstream {
    pub(crate) fn new(direct: Direct, around: Around) -> Self {
        let questions = Questions::new(&around);
        Self {
            direct,
            around,
            stateless: Era::default(),
            sessions: Era::default(),
            conversations: Conversations::default(),
            questions: Arc::new(questions),
            guests: Guests::default(),
            mirrors: ToolHeaders::default(),
        }
    }

    /// One that is known to be stateless.
    pub(crate) fn inner(inner: Arc<dyn Inner>, around: Around) -> Self {
        let upstream = Self::new(Direct::Inner(inner), around);
        upstream.stateless.is(true);
        upstream.sessions.0.store(Era::NEVER, Ordering::Relaxed);
        upstream
    }

    /// One that is known to want sessions.
    pub(crate) fn with_sessions(direct: Direct, around: Around) -> Self {
        let upstream = Self::new(direct, around);
        upstream.stateless.0.store(Era::NEVER, Ordering::Relaxed);
        upstream
    }

    /// How long an answer may take; who waits for one on a stream bounds that.
    pub(crate) const fn timeout(&self) -> Duration {
        self.direct.timeout()
    }

    /// How many processes, or connections that stand for one, there are of it.
    pub(crate) fn processes(&self) -> usize {
        match &self.direct {
            Direct::Pipes(pipes) => pipes.count(),
            Direct::Http(_) | Direct::Inner(_) => 0,
        }
    }

    /// How it is reached, in OpenTelemetry's words; none if it is inside this process.
    pub(crate) const fn transport(&self) -> Option<&'static str> {
        self.direct.transport()
    }

    /// Sends a message and waits for the first of its answer.
    pub(crate) async fn call(
        self: &Arc<Self>,
        dispatch: Dispatch,
        carried: &Carried,
    ) -> Result<Reply, Unanswered> {
        self.around.believed()?;
        if dispatch.call().revision().is_stateless() {
            return match self.stateless.spoken() {
                Some(true) => self.direct.call(&dispatch, carried).await,
                Some(false) => Box::pin(self.over_sessions(&dispatch, carried)).await,
                None => Box::pin(self.first_stateless(&dispatch, carried)).await,
            };
        }
        if let Some(guest) = self.guests.of(dispatch.session(), dispatch.owner()) {
            return downward::call(self, &guest, dispatch, carried).await;
        }
        let is_first = is_handshake(&dispatch);
        if !is_first {
            return self.direct.call(&dispatch, carried).await;
        }
        if self.sessions.spoken() == Some(false) {
            return downward::welcome(self, &dispatch, carried).await;
        }
        let mut reply = self.direct.call(&dispatch, carried).await?;
        let whose = dispatch.principal();
        reply.session = reply.session.map(|begun| self.answer_for(begun, whose));
        let known = self.sessions.spoken();
        if !is_refused(&reply) {
            if known.is_none() {
                self.sessions.is(true);
            }
            return Ok(reply);
        }
        // Another client may have found out in the meantime.
        let is_stateless = match known {
            Some(has_sessions) => !has_sessions,
            None => is_of_stateless(&reply) || self.discovers(&dispatch, carried).await?,
        };
        if !is_stateless {
            return Ok(reply);
        }
        self.sessions.is(false);
        self.stateless.is(true);
        drop(reply.session);
        downward::welcome(self, &dispatch, carried).await
    }

    /// Sees to it that a session which nobody opens here is ended at the server too.
    fn answer_for(self: &Arc<Self>, begun: Begun, whose: &Principal) -> Begun {
        let (upstream, id, whose) = (Arc::clone(self), Arc::clone(begun.id()), whose.clone());
        begun.otherwise(move || {
            let tasks = upstream.around.tasks.clone();
            tasks.spawn(async move { upstream.direct.end(&id, Some(&whose)).await });
        })
    }

    /// A stateless request before it is known whether the server takes one.
    async fn first_stateless(
        self: &Arc<Self>,
        dispatch: &Dispatch,
        carried: &Carried,
    ) -> Result<Reply, Unanswered> {
        if matches!(self.direct, Direct::Pipes(_)) {
            // Before its handshake a process may answer anything, or nothing at all: it is asked what it is.
            return if self.discovers(dispatch, carried).await? {
                self.stateless.is(true);
                self.direct.call(dispatch, carried).await
            } else {
                self.stateless.is(false);
                self.over_sessions(dispatch, carried).await
            };
        }
        let reply = self.direct.call(dispatch, carried).await?;
        if !is_refused(&reply) {
            return Ok(reply);
        }
        if is_of_stateless(&reply) || self.discovers(dispatch, carried).await? {
            self.stateless.is(true);
            return Ok(reply);
        }
        // A server with sessions does nothing for whoever has none: what it refused can be asked again.
        match upward::call(self, dispatch, carried).await {
            Err(Unanswered::Foreign) => Ok(reply),
            answered => {
                self.stateless.is(false);
                answered
            }
        }
    }

    /// A stateless request to a server that seems to want sessions. One that only took too long to say what it is
    /// refuses the handshake in its own words, and is asked as it wants to be.
    async fn over_sessions(
        self: &Arc<Self>,
        dispatch: &Dispatch,
        carried: &Carried,
    ) -> Result<Reply, Unanswered> {
        match upward::call(self, dispatch, carried).await {
            Err(Unanswered::Foreign) if self.stateless.spoken() == Some(true) => {
                self.direct.call(dispatch, carried).await
            }
            answered => answered,
        }
    }

    /// Whether the server speaks the stateless era.
    async fn discovers(&self, asked: &Dispatch, carried: &Carried) -> Result<bool, Unanswered> {
        let discover = bridge::discover(asked).ok_or(Unanswered::Foreign)?;
        let carried = mirror::carried(&discover, carried);
        let answer = timeout(PROBE_TIMEOUT, self.direct.call(&discover, &carried)).await;
        match (answer, &self.direct) {
            (Ok(Ok(reply)), _) => Ok(match reply.content {
                Content::Message(said) => bridge::is_discovered(&said),
                Content::Empty | Content::Events(_) => false,
            }),
            // To end, or to say nothing, is one way of not knowing a method.
            (Ok(Err(Unanswered::Ended | Unanswered::Timeout)) | Err(_), Direct::Pipes(_)) => {
                Ok(false)
            }
            (Ok(Err(why)), _) => Err(why),
            (Err(_), _) => Err(Unanswered::Timeout),
        }
    }

    /// Opens the stream on which the server speaks unasked (HTTP GET, up to 2025-11-25).
    pub(crate) async fn listen(
        self: &Arc<Self>,
        (ticket, open): (&Ticket, &Open),
        last: Option<&str>,
        carried: &Carried,
    ) -> Result<Reply, Unanswered> {
        self.around.believed()?;
        let whose = ticket.principal();
        match self.guests.of(Some(open), &whose.key) {
            Some(guest) => downward::listen(self, guest, (ticket, open), carried),
            None => self.direct.listen((open, whose), last, carried).await,
        }
    }

    /// Tells the upstream that the session which it knows by this id has ended; nobody waits for what it says.
    pub(crate) async fn end(&self, session: &str, whose: Option<&Principal>) {
        if !self.guests.end(session) {
            self.direct.end(session, whose).await;
        }
    }

    /// Ends what nobody used for a while.
    pub(crate) async fn reap(&self, now: Timestamp) {
        let over = self.conversations.reap(now.micros() / 1000);
        self.end_all(&over).await;
        self.direct.reap(now).await;
    }

    /// Ends what runs for these principals in particular: processes, and our own sessions with the server.
    pub(crate) async fn dismiss(&self, owners: &[Arc<str>]) {
        self.questions.dismiss(owners);
        let theirs = self.conversations.take(owners);
        // They have no access any more, so there is no credential for them.
        let told = join_all(theirs.iter().map(|(id, _)| self.direct.end(id, None)));
        tokio::join!(told, self.direct.dismiss(owners));
    }

    /// What was decided has been replaced: nothing that was fetched before is shown on.
    pub(crate) fn reloaded(&self) {
        self.direct.reloaded();
    }

    /// Ends everything that runs for it.
    pub(crate) async fn stop(&self) {
        self.questions.drain();
        let theirs = self.conversations.drain();
        self.end_all(&theirs).await;
        self.direct.stop().await;
    }

    async fn end_all(&self, over: &[(Arc<str>, Principal)]) {
        let told = over.iter();
        join_all(told.map(|(id, whose)| self.direct.end(id, Some(whose)))).await;
    }
}

fn is_handshake(dispatch: &Dispatch) -> bool {
    matches!(dispatch.call().kind(), Kind::Request(_))
        && *dispatch.call().method() == Method::Initialize
}

/// Whether a reply may mean that the server does not speak the era of the request, and did nothing.
fn is_refused(reply: &Reply) -> bool {
    let is_unread =
        error_code(reply).is_some_and(|code| UNREAD.contains(&code) || OF_SERVERS.contains(&code));
    (400..500).contains(&reply.status) || is_unread
}

/// Whether only a server that speaks the stateless era gives such a reply.
fn is_of_stateless(reply: &Reply) -> bool {
    error_code(reply).is_some_and(|code| STATELESS_CODES.contains(&code))
}

fn error_code(reply: &Reply) -> Option<i64> {
    match &reply.content {
        Content::Message(said) => bridge::error_code(said),
        Content::Empty | Content::Events(_) => None,
    }
}

/// An answer in one piece.
pub(crate) const fn whole(message: Bytes, status: u16) -> Reply {
    Reply::new(status, None, Content::Message(message))
}

/// An answer that a task of ours gives.
pub(crate) const fn told(told: Told) -> Reply {
    stream(Bridged::Told(told))
}

/// An answer in pieces.
const fn stream(bridged: Bridged) -> Reply {
    Reply::new(200, None, Content::Events(Events::Bridged(bridged)))
}

/// That a message without an answer was taken.
pub(crate) const fn taken() -> Reply {
    Reply::new(202, None, Content::Empty)
}
