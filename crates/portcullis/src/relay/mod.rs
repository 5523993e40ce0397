//! One exchange from beginning to end: the async half of the walk.
//!
//! The core decides, the upstream waits, the record brackets. Nothing is decided here.

mod aggregate;
mod frame;
mod listening;
mod local;
mod stream;
mod mark;
mod place;
mod walk;
mod identify;
mod hear;
mod poll;
mod provision;
mod suspect;
mod internal;
mod authority;
mod account;
mod connect;
mod contents;
mod asks;
mod beside;
mod intake;
mod reply;
mod approved;

use crate::assemble::Written;
use crate::atlas::Atlas;
use crate::authority::{Authority, Front, Held};
use crate::clock;
use crate::detail;
use crate::explaining::Book;
use crate::export::Export;
use crate::flood::Floods;
use crate::issuers::Issuers;
use crate::keys::{Signer, Turns};
use crate::listener::{Body, Edge, Refused, Unread, refuse, set_nonce};
use crate::operators::Office;
use crate::record::{Caller, Exchange, note, note_stranger};
use crate::resume::Seal;
use crate::reviews::Reviews;
use crate::revocations::Revocations;
use crate::sign_in::{SignIn, SignIns};
use crate::telemetry::Counters;
use crate::upstream::{Carried, Upstream};
use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HeaderName, HeaderValue, VARY,
};
use hyper::{Request, Response};
use portcullis_audit::{Record, Recorder};
use portcullis_core::inspect::BadAnswer;
use portcullis_core::misuse::{self, Misuse};
use portcullis_core::pipeline::{self, Rules, State};
use portcullis_core::quota::{Networks, Quota};
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::route::Ticket;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use walk::Walked;

pub(crate) use aggregate::Aggregate;
pub(crate) use approved::Asking;
pub(crate) use hear::Receiving;
pub(crate) use intake::read_most;
pub(crate) use listening::Readers;
pub(crate) use local::Local;
pub(crate) use poll::{Feed, Feeds, OnStale};
pub(crate) use provision::{Directories, Directory};

/// How long a server may take to hear that its request is declined.
const DECLINE_TIMEOUT: Duration = Duration::from_secs(5);

/// Keys of ours that are published; none where nobody hears our word.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// For what is said of callers.
    pub(crate) assertions: Option<Arc<Signer>>,
    /// The same for single servers.
    pub(crate) servers: BTreeMap<Arc<str>, Arc<Signer>>,
    /// For what we say of ourselves to authorization servers.
    pub(crate) client: Option<Arc<Signer>>,
}

/// Everything that a reload replaces, whole.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    /// The core's rules.
    pub(crate) rules: Rules,
    /// Hosts and origins.
    pub(crate) edge: Edge,
    /// The same for operators.
    pub(crate) admin_edge: Edge,
    /// The admin API, if there is one.
    pub(crate) office: Option<Arc<Office>>,
    /// The servers, by name.
    pub(crate) upstreams: BTreeMap<Arc<str>, Arc<Upstream>>,
    /// The headers that we send to servers for their operators, by server.
    pub(crate) own_headers: BTreeMap<Arc<str>, Vec<HeaderName>>,
    /// Who may push security events, by name.
    pub(crate) signals: Arc<HashMap<String, Receiving>>,
    /// The servers that need their user's consent.
    pub(crate) sign_ins: BTreeMap<Arc<str>, Arc<SignIn>>,
    /// Whose directories may tell of users, by name.
    pub(crate) directories: Arc<HashMap<String, Directory>>,
    /// The keys of ours that others verify our word with.
    pub(crate) published: Published,
    /// The authorization server that clients see, if there is one.
    pub(crate) authority: Option<Arc<Authority>>,
    /// Which keys of ours are replaced by their age.
    pub(crate) turns: Arc<Turns>,
    /// What of tokens counts as misuse.
    pub(crate) misuse: misuse::Limits,
    /// Where addresses are that no place is configured for.
    pub(crate) atlas: Option<Arc<Atlas>>,
    /// What the policy is made of, as reviews hold back some of it.
    pub(crate) written: Arc<Written>,
    /// Where its rules stand, and whom they name.
    pub(crate) book: Arc<Book>,
    /// How often grants have to be reviewed.
    pub(crate) review_every: Option<Duration>,
    /// The policy's hash, for the records.
    pub(crate) policy: Arc<str>,
    /// The largest body, in bytes.
    pub(crate) body_bytes: usize,
    /// How long a body may take.
    pub(crate) body_timeout: Duration,
}

/// The gateway's data path.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) live: ArcSwap<Live>,
    pub(crate) issuers: Issuers,
    pub(crate) revocations: Revocations,
    /// What servers define, and what of it is approved.
    pub(crate) catalog: portcullis_state::Catalog,
    /// Which grants are held back.
    pub(crate) reviews: Reviews,
    /// What users have granted at servers, and are about to.
    pub(crate) sign_ins: Arc<SignIns>,
    /// Browsers that are signed in, and what they have begun.
    pub(crate) front: Front,
    /// What the authorization server holds.
    pub(crate) authority: Held,
    /// Where security events are fetched.
    pub(crate) feeds: Feeds,
    /// How many security events networks have pushed.
    pub(crate) signals: Networks,
    /// What networks have asked of the directories' door.
    pub(crate) directories: Directories,
    /// What was seen of tokens of late.
    pub(crate) misuse: Misuse,
    pub(crate) state: State,
    /// Who asks servers what they define now.
    pub(crate) asking: Asking,
    /// What operators have asked of the admin API.
    pub(crate) operating: Quota,
    /// Has the configuration read again.
    pub(crate) reread: Arc<Notify>,
    pub(crate) recorder: Recorder,
    pub(crate) floods: Arc<Floods>,
    pub(crate) seal: Seal,
    /// Upstream connections and other work that no client waits for.
    pub(crate) tasks: TaskTracker,
    /// Client connections and their streams: a drain waits for these.
    pub(crate) serving: TaskTracker,
    pub(crate) drain: CancellationToken,
    /// Sessions whose own stream is being read, one reader each, and the pages to which clients were sent.
    pub(crate) listening: Readers,
    pub(crate) counters: Counters,
    /// What collectors get, where there are any.
    pub(crate) export: Option<Arc<Export>>,
}

impl Gateway {
    /// Answers one request. A panic in it refuses this request and no other.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<Body> {
        let answered = AssertUnwindSafe(self.bracket(request, peer))
            .catch_unwind()
            .await;
        answered.unwrap_or_else(|_| {
            self.panicked(peer);
            unavailable(Unavailable::Bug)
        })
    }

    /// Records that a bug has ended a request.
    pub(crate) fn panicked(&self, peer: SocketAddr) {
        let mut record = Record::new("gateway.panic");
        record.peer = Some(peer);
        note(&self.recorder, record);
    }

    /// The bracket around the walk: a place in the audit log first, the record last.
    async fn bracket(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<Body> {
        let live = self.live.load_full();
        let caller = Caller::Peer(peer, Arc::clone(&self.floods));
        let begun = Exchange::begin(&self.recorder, caller, Arc::clone(&live.policy)).await;
        let mut exchange = match begun {
            Ok(exchange) => exchange,
            Err(why) => return unavailable(why),
        };
        let (parts, body) = request.into_parts();
        let origin = match live.edge.check(&parts.uri, &parts.headers) {
            Ok(origin) => origin,
            Err(why) => return self.refuse(&live, &mut exchange, &why.into()).await,
        };
        let walked = self.walk(&live, (&parts, body), peer, &mut exchange).await;
        let nonce = exchange.trail.nonce.take();
        let mut response = match walked {
            Ok(Walked::Whole(response)) => response,
            Ok(Walked::Stream(stream)) => stream.start(exchange),
            Err(refusal) => {
                self.watch_refused(&live, &refusal, peer, &exchange);
                self.refuse(&live, &mut exchange, &refusal).await
            }
        };
        if let Some(nonce) = nonce {
            set_nonce(&mut response, &nonce);
        }
        if let Some(origin) = origin {
            allow_origin(&mut response, origin);
        }
        response
    }

    /// Records what never became a request: its head could not be read, or there was no handshake.
    pub(crate) fn unread(&self, why: Unread, peer: SocketAddr) {
        let what = match why {
            Unread::Head(why) => Refusal::from(why).event(),
            Unread::Handshake(why) => ("tls.rejected", why),
        };
        self.counters.refused_as(what);
        note_stranger(&self.recorder, &self.floods, what, peer);
    }

    async fn refuse(
        &self,
        live: &Live,
        exchange: &mut Exchange,
        refusal: &Refusal,
    ) -> Response<Body> {
        let is_stateless = exchange
            .trail
            .revision
            .is_some_and(|revision| revision.is_stateless());
        self.counters.refused(refusal);
        if let Err(why) = exchange.refuse(refusal, is_stateless).await {
            return unavailable(why);
        }
        let server = exchange
            .server
            .as_deref()
            .and_then(|name| live.rules.servers.get(name));
        refuse(Refused {
            refusal,
            id: exchange.trail.id.as_ref(),
            is_stateless,
            resource: server.map(|server| (&server.gate.resource, exchange.trail.scheme)),
            trace: &exchange.trace,
        })
    }
}

impl Gateway {
    /// Counts an answered call: for operators, and against its principal's bytes.
    fn completed(&self, exchange: &Exchange) {
        self.counters.completed(exchange);
        let live = self.live.load();
        let server = exchange
            .server
            .as_ref()
            .and_then(|name| live.rules.servers.get(name));
        if let (Some(server), Some(principal)) = (server, &exchange.trail.principal) {
            let quota = &self.state.quota;
            quota.count_bytes(
                &principal.key,
                exchange.bytes_out,
                &server.quota,
                clock::now(),
            );
        }
    }
}

impl Gateway {
    /// Records a message of a server's that the client is not passed. A request that no rule permits is
    /// declined in the client's place, so that the server does not wait for an answer.
    async fn withhold(&self, why: &BadAnswer, ticket: &Ticket, mut record: Record) {
        record.event = "upstream.refused".into();
        record.reason = Some(why.reason().into());
        if let BadAnswer::Unfit(unfit) = why {
            detail::of_unfit(&mut record, unfit);
        }
        note(&self.recorder, record);
        let (BadAnswer::Reverse { id, .. } | BadAnswer::Instructions { asks: Some(id), .. }) = why
        else {
            return;
        };
        let Some(no) = pipeline::decline(&self.state, ticket, id) else {
            return;
        };
        let live = self.live.load_full();
        let Some(upstream) = live.upstreams.get(ticket.server()) else {
            return;
        };
        let carried = Carried {
            version: Some(ticket.revision().name().to_owned()),
            ..Carried::default()
        };
        let told = timeout(DECLINE_TIMEOUT, upstream.call(no, &carried)).await;
        if !matches!(told, Ok(Ok(_))) {
            tracing::debug!(
                server = &**ticket.server(),
                "the server did not take our no"
            );
        }
    }
}

/// Whether a stream goes on without a message that was refused; `declined` says so of an answer that asks.
fn may_go_on(why: &BadAnswer, declined: impl FnOnce() -> bool) -> bool {
    match why {
        BadAnswer::Reverse { .. } | BadAnswer::NotAsked | BadAnswer::Task => true,
        BadAnswer::Question { .. } => declined(),
        BadAnswer::Instructions { is_answer, .. } => !is_answer,
        BadAnswer::Malformed(_) | BadAnswer::List | BadAnswer::Unfit(_) => false,
    }
}

fn unavailable(why: Unavailable) -> Response<Body> {
    let refusal = Refusal::Unavailable(why);
    refuse(Refused {
        refusal: &refusal,
        id: None,
        is_stateless: false,
        resource: None,
        trace: "",
    })
}

fn allow_origin(response: &mut Response<Body>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("mcp-session-id, www-authenticate, dpop-nonce"),
    );
    headers.insert(VARY, HeaderValue::from_static("origin"));
}
