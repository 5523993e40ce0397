//! The other side: an MCP server over HTTP, or a process of ours behind pipes.

mod begun;
mod body;
mod bridge;
pub(crate) mod http;
pub(crate) mod site;
pub(crate) mod pipes;
mod pool;
mod queue;
pub(crate) mod sse;
pub(crate) mod stdio;

use crate::credentials::Ledger;
use crate::secrets::Lease;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use portcullis_core::authenticate::Principal;
use portcullis_core::protocol::{BadStream, Frame, Frames, Method};
use portcullis_core::refusal::{Refusal, Unanswered};
use portcullis_core::route::Dispatch;
use portcullis_core::session::{Open, SessionId};
use portcullis_core::time::Timestamp;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::task::TaskTracker;

/// How long an answer from inside this process may take.
const INNER_TIMEOUT: Duration = Duration::from_mins(2);

/// What goes up beside the message.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// W3C trace context, for the upstream's own logs.
    pub(crate) traceparent: String,
    /// The client's network address, for servers that decide about the message once more.
    pub(crate) network: Option<String>,
    /// The client's session, if it opens URLs for its user there: for servers that have to send it to a page.
    pub(crate) opens_urls: Option<SessionId>,
    /// `MCP-Protocol-Version`, as the client sent it.
    pub(crate) version: Option<String>,
    /// `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*`, which a stateless request mirrors.
    pub(crate) mirrored: Vec<(hyper::header::HeaderName, hyper::header::HeaderValue)>,
    /// Where it is taken down which credentials were issued.
    pub(crate) ledger: Ledger,
}

impl Carried {
    /// The W3C trace id; empty if there is none.
    pub(crate) fn trace(&self) -> &str {
        self.traceparent.split('-').nth(1).unwrap_or_default()
    }
}

/// How a server is reached.
#[derive(Debug)]
pub(crate) enum Direct {
    /// Streamable HTTP.
    Http(http::Http),
    /// A process, its stdin and its stdout.
    Pipes(pipes::Pipes),
    /// Something inside this process, which speaks the stateless era only.
    Inner(Arc<dyn Inner>),
}

/// A server that is inside this process.
pub(crate) trait Inner: fmt::Debug + Send + Sync {
    /// Sends a stateless message and waits for the first of its answer.
    fn call<'a>(
        &'a self,
        dispatch: &'a Dispatch,
        carried: &'a Carried,
    ) -> BoxFuture<'a, Result<Reply, Unanswered>>;

    /// Whether rules let the server of this exchange ask its caller, as things stand.
    fn may_be_asked(&self, dispatch: &Dispatch, method: &Method) -> bool;

    /// Whether a caller who was known still has access.
    fn admits(&self, principal: &Principal) -> bool;
}

pub(crate) use begun::Begun;
pub(crate) use bridge::mirror::carried as beside;
pub(crate) use bridge::{Upstream, taken, told, whole};
pub(crate) use queue::{Teller, Told, queue};

/// What happened at a server and no exchange can tell of, for the audit log.
#[derive(Debug)]
pub(crate) struct Notice<'a> {
    pub(crate) event: &'static str,
    pub(crate) reason: &'static str,
    /// The server's name, if it was one.
    pub(crate) server: Option<&'a str>,
    /// The key of the principal to whom it happened, if it is anybody's.
    pub(crate) owner: Option<&'a str>,
    /// Further facts, each under a word of ours.
    pub(crate) detail: &'a [(&'static str, &'a str)],
}

/// Told of such things.
#[derive(Clone)]
pub(crate) struct Report(Arc<dyn Fn(&Notice<'_>) + Send + Sync>);

impl Report {
    pub(crate) fn new(told: impl Fn(&Notice<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    pub(crate) fn tell(&self, notice: &Notice<'_>) {
        (self.0)(notice);
    }

    /// A server wrote what nobody gets.
    fn refused(&self, server: &str, reason: &'static str) {
        self.tell(&Notice {
            event: "upstream.refused",
            reason,
            server: Some(server),
            owner: None,
            detail: &[],
        });
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Report(..)")
    }
}

/// What an upstream knows of the gateway that it is part of.
#[derive(Debug)]
pub(crate) struct Around {
    /// What the server is called.
    pub(crate) server: Arc<str>,
    /// Where work runs that no client waits for.
    pub(crate) tasks: TaskTracker,
    pub(crate) report: Report,
    /// What knows the rules of now.
    pub(crate) inside: Arc<dyn Inner>,
    /// How long a client may take to answer what the server asks.
    pub(crate) question_timeout: Duration,
    /// What holds while the secrets that it needs are believed.
    pub(crate) lease: Lease,
}

impl Around {
    /// Nothing goes up with secrets that could not be read for too long.
    fn believed(&self) -> Result<(), Unanswered> {
        if self.lease.holds() {
            Ok(())
        } else {
            Err(Unanswered::Secret)
        }
    }
}

/// What an upstream answered.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The HTTP status, or what it would have been.
    pub(crate) status: u16,
    /// The session id that the upstream gave.
    pub(crate) session: Option<Begun>,
    /// The answer itself.
    pub(crate) content: Content,
    /// The refusal that it tells of, where one server of all refused: HTTP says more of it than the message.
    pub(crate) refused: Option<Box<Refusal>>,
}

impl Reply {
    const fn new(status: u16, session: Option<Begun>, content: Content) -> Self {
        Self {
            status,
            session,
            content,
            refused: None,
        }
    }

    /// The same, of a server over HTTP. A 404 says that a session is over (2025-11-25 transports, session management); one
    /// that never named a session has no such path or method, and nothing of ours ends.
    fn within(mut self, open: Option<&Open>, instead: StatusCode) -> Self {
        let is_unnamed = open.is_some_and(|open| open.upstream.is_none());
        if is_unnamed && self.status == StatusCode::NOT_FOUND {
            self.status = instead.as_u16();
        }
        self
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Content {
    /// Nothing.
    Empty,
    /// One message.
    Message(Bytes),
    /// A stream of them.
    Events(Events),
}

/// Messages that come one by one.
#[derive(Debug)]
pub(crate) enum Events {
    /// An event stream.
    Http(body::EventStream),
    /// Lines of a process, already sorted to this exchange.
    Pipes(pipes::Lines),
    /// The answer of a server that speaks the other era.
    Bridged(bridge::Bridged),
}

impl Events {
    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Unanswered> {
        match self {
            Self::Http(stream) => stream.next().await,
            Self::Pipes(lines) => Ok(lines.next().await.map(framed)),
            Self::Bridged(bridged) => bridged.next().await,
        }
    }

    /// What came last was released: a call that ends in a question is kept for the answer.
    pub(crate) fn permitted(&mut self) {
        match self {
            Self::Http(_) | Self::Pipes(_) => {}
            Self::Bridged(bridged) => bridged.permitted(),
        }
    }

    /// What came last was not released: `true` if it was a question to which the server now has its no, so that
    /// its answer is still to come.
    pub(crate) fn declined(&mut self) -> bool {
        match self {
            Self::Http(_) | Self::Pipes(_) => false,
            Self::Bridged(bridged) => bridged.declined(),
        }
    }
}

/// A bare message as one server-sent event.
pub(crate) fn framed(message: Bytes) -> Frame {
    Frame {
        id: None,
        retry: None,
        data: Some(message),
    }
}

impl Direct {
    /// How long an answer may take.
    const fn timeout(&self) -> Duration {
        match self {
            Self::Http(http) => http.timeout(),
            Self::Pipes(pipes) => pipes.timeout(),
            Self::Inner(_) => INNER_TIMEOUT,
        }
    }

    /// How and where it is reached, as what it defines is recorded.
    fn place(&self) -> (&'static str, String) {
        match self {
            Self::Http(http) => ("http", http.place()),
            Self::Pipes(pipes) => pipes.place(),
            Self::Inner(_) => ("inner", String::new()),
        }
    }

    /// How it is reached, in OpenTelemetry's words; none if it is inside this process.
    const fn transport(&self) -> Option<&'static str> {
        match self {
            Self::Http(_) => Some("tcp"),
            Self::Pipes(pipes) => Some(pipes.transport()),
            Self::Inner(_) => None,
        }
    }

    /// Sends a message and waits for the first of its answer.
    async fn call(&self, dispatch: &Dispatch, carried: &Carried) -> Result<Reply, Unanswered> {
        match self {
            Self::Http(http) => http.call(dispatch, carried).await,
            Self::Pipes(pipes) => pipes.call(dispatch, carried).await,
            Self::Inner(inner) => inner.call(dispatch, carried).await,
        }
    }

    /// Opens the stream on which the server speaks unasked (HTTP GET, up to 2025-11-25).
    async fn listen(
        &self,
        (open, whose): (&Open, &Principal),
        last: Option<&str>,
        carried: &Carried,
    ) -> Result<Reply, Unanswered> {
        match self {
            Self::Http(http) => http.listen((open, whose), last, carried).await,
            Self::Pipes(pipes) => pipes.listen(open, &whose.key),
            Self::Inner(_) => Err(Unanswered::Foreign),
        }
    }

    /// Tells the upstream that the session which it knows by this id has ended; nobody waits for what it says.
    /// Where that takes a credential, only who still has access has one.
    async fn end(&self, session: &str, whose: Option<&Principal>) {
        match self {
            Self::Http(http) => http.end(session, whose).await,
            Self::Pipes(pipes) => pipes.end(session).await,
            Self::Inner(_) => {}
        }
    }

    /// Ends what nobody used for a while.
    async fn reap(&self, now: Timestamp) {
        match self {
            Self::Http(http) => http.reap(now),
            Self::Inner(_) => {}
            Self::Pipes(pipes) => pipes.reap(now.micros() / 1000).await,
        }
    }

    /// Ends the processes of these principals.
    async fn dismiss(&self, owners: &[Arc<str>]) {
        match self {
            Self::Http(http) => http.dismiss(owners),
            Self::Inner(_) => {}
            Self::Pipes(pipes) => pipes.dismiss(owners).await,
        }
    }

    /// What was decided has been replaced: nothing that was fetched before is shown on.
    fn reloaded(&self) {
        match self {
            Self::Http(http) => http.reloaded(),
            Self::Inner(_) => {}
            Self::Pipes(pipes) => pipes.reloaded(),
        }
    }

    /// Ends everything that runs for it.
    async fn stop(&self) {
        match self {
            Self::Http(_) | Self::Inner(_) => {}
            Self::Pipes(pipes) => pipes.stop().await,
        }
    }
}

/// Reads frames out of whatever bytes come.
pub(crate) fn take_frame(frames: &mut Frames) -> Result<Option<Frame>, Unanswered> {
    frames.next_frame().map_err(|flaw| match flaw {
        BadStream::TooLarge => Unanswered::TooLarge,
        BadStream::Encoding => Unanswered::Foreign,
    })
}

/// A message for one reader, and whether it is the answer that ends its exchange.
#[derive(Debug)]
pub(crate) struct Line {
    bytes: Bytes,
    is_last: bool,
    /// What it takes of the room that a process has for what nobody has read yet.
    _room: Option<OwnedSemaphorePermit>,
}

/// A bounded queue of messages for one reader.
pub(crate) type Queue = mpsc::Receiver<Line>;
