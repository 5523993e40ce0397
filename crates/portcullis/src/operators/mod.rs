//! The admin API: what operators may see and do, on a listener of its own and with tokens of its own.
//!
//! The core says who may do what (`portcullis-core::operate`); here it is carried out, by the functions that the commands
//! use too. Every request is a bracket like any exchange: its place in the audit log first, its record before the answer.

mod answer;
mod identify;
mod asked;
mod document;
mod health;
mod servers;
mod sessions;
mod revocations;
mod grants;
mod elevations;
mod reviews;
mod records;
mod explanations;
mod keys;
mod tools;

use crate::listener::{Body, Edge, metadata, set_nonce, trace};
use crate::record::{Caller, Came, Exchange};
use crate::relay::{Gateway, Live, read_most};
use answer::{Answer, Trouble};
use asked::{Asked, Query};
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, Response};
use portcullis_core::authenticate::{Resource, Scheme};
use portcullis_core::operate::{Endpoint, NoRoute, Operators, find};
use portcullis_core::quota;
use portcullis_core::refusal::Refusal;
use portcullis_core::review::Reviewers;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use elevations::json_of as elevation;
pub(crate) use revocations::json_of as revocation;

/// Where the metadata of the API is (RFC 9728 section 3).
pub(crate) const METADATA: &str = "/.well-known/oauth-protected-resource/api";
/// The largest body of a request.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What of the admin API a reload replaces.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) edge: Edge,
    /// The API as a protected resource; `url` is what its paths are below.
    pub(crate) resource: Resource,
    pub(crate) operators: Operators,
    pub(crate) quota: quota::Limits,
    /// Who may review, and how long a review is open.
    pub(crate) reviewers: Option<(Reviewers, Duration)>,
    /// Where the audit log is.
    pub(crate) log: PathBuf,
    /// How long what a key has signed may count after it is replaced; none for those that are in a token.
    pub(crate) overlaps: Vec<(crate::keys::Purpose, Option<Duration>)>,
    /// Where everything is.
    pub(crate) home: crate::lifecycle::Home,
}

impl Gateway {
    /// Answers one request of an operator's. A panic in it refuses this request and no other.
    pub(crate) async fn operate(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<Body> {
        let answered = AssertUnwindSafe(self.serve_operator(request, peer))
            .catch_unwind()
            .await;
        answered.unwrap_or_else(|_| {
            self.panicked(peer);
            Trouble::Failed("internal error".to_owned()).response("")
        })
    }

    async fn serve_operator(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<Body> {
        let live = self.live.load_full();
        let Some(office) = &live.office else {
            return Trouble::NoPath.response("");
        };
        let caller = Caller::Peer(peer, Arc::clone(&self.floods));
        let begun = Exchange::begin(&self.recorder, caller, Arc::clone(&live.policy)).await;
        let Ok(mut exchange) = begun else {
            return Trouble::Unavailable.response("");
        };
        let (parts, body) = request.into_parts();
        if let Ok(trace) = trace(&parts.headers) {
            exchange.trace = trace.id;
        }
        let visit = Visit {
            live: &live,
            office,
            parts: &parts,
            peer,
        };
        let done = self.visited(&visit, body, &mut exchange).await;
        let nonce = exchange.trail.nonce.take();
        let came = match &done {
            Ok(answer) => answer.came(),
            Err(trouble) => trouble.came(exchange.trail.is_decided),
        };
        if exchange.settle(came).await.is_err() {
            return Trouble::Unavailable.response(&exchange.trace);
        }
        let mut response = match done {
            Ok(answer) => answer.response(),
            Err(trouble) => {
                let mut response = trouble.response(&exchange.trace);
                trouble.challenge(&mut response, (&office.resource, exchange.trail.scheme));
                response
            }
        };
        if let Some(nonce) = nonce {
            set_nonce(&mut response, &nonce);
        }
        response
    }

    async fn visited(
        self: &Arc<Self>,
        visit: &Visit<'_>,
        body: Incoming,
        exchange: &mut Exchange,
    ) -> Result<Answer, Trouble> {
        let (parts, office) = (visit.parts, visit.office);
        let edge = office.edge.check(&parts.uri, &parts.headers);
        edge.map_err(|why| Trouble::Refused(why.into()))?;
        let path = parts.uri.path();
        if path == METADATA && parts.method == hyper::Method::GET {
            return Ok(Answer::Public(metadata(&office.resource)));
        }
        // Who is not known does not learn which paths there are.
        let principal = self.operator(visit, exchange).await?;
        let (endpoint, names) = match find(parts.method.as_str(), path) {
            Ok(found) => found,
            Err(NoRoute::Path) => return Err(Trouble::NoPath),
            Err(NoRoute::Method(allowed)) => return Err(Trouble::NoMethod(allowed)),
        };
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let trail = &mut exchange.trail;
        trail.method = Some(format!("{} {}", endpoint.method(), endpoint.path()));
        trail.target = (!names.is_empty()).then(|| names.join(" "));
        trail.is_decided = true;
        let mandate = office.operators.decide(&principal, endpoint);
        let mandate = mandate.map_err(Trouble::NoMandate)?;
        trail.rule = Some(mandate.rule());
        let query = Query::read(parts.uri.query(), endpoint)?;
        let read = read_most(body, MAX_BODY_BYTES, visit.live.body_timeout).await;
        let asked = Asked {
            gateway: Arc::clone(self),
            live: Arc::clone(visit.live),
            office: Arc::clone(office),
            mandate,
            principal,
            names,
            query,
            body: read.map_err(Trouble::Refused)?,
            token: identify::token(parts),
            about: std::sync::Mutex::default(),
        };
        asked.expect_json(parts)?;
        // What was begun is done, also if nobody waits for the answer any more.
        let facts = self.tasks.spawn(async move {
            let done = perform(&asked).await;
            (done, asked.target())
        });
        let (done, target) = facts.await.map_err(|_| Trouble::Unavailable)?;
        if let Some(target) = target {
            exchange.trail.target = Some(target);
        }
        done
    }
}

/// A request of an operator's.
struct Visit<'a> {
    live: &'a Arc<Live>,
    office: &'a Arc<Office>,
    parts: &'a Parts,
    peer: SocketAddr,
}

async fn perform(asked: &Asked) -> Result<Answer, Trouble> {
    match asked.mandate.endpoint() {
        Endpoint::Document => Ok(Answer::ok(document::document())),
        Endpoint::Health => Ok(health::health(asked)),
        Endpoint::Servers => servers::all(asked),
        Endpoint::Server => servers::one(asked),
        Endpoint::Sessions => sessions::all(asked),
        Endpoint::EndSession => sessions::end(asked),
        Endpoint::Revocations => revocations::all(asked).await,
        Endpoint::Revoke => revocations::revoke(asked).await,
        Endpoint::Reinstate => revocations::reinstate(asked).await,
        Endpoint::Grants => grants::all(asked).await,
        Endpoint::Review => reviews::newest(asked).await,
        Endpoint::StartReview => reviews::start(asked).await,
        Endpoint::DecideReview => reviews::decide(asked).await,
        Endpoint::Elevations => elevations::all(asked).await,
        Endpoint::AskElevation => elevations::ask(asked).await,
        Endpoint::DecideElevation => elevations::decide(asked).await,
        Endpoint::WithdrawElevation => elevations::withdraw(asked).await,
        Endpoint::Tools => tools::all(asked).await,
        Endpoint::Tool => tools::one(asked).await,
        Endpoint::ToolDiff => tools::diff(asked).await,
        Endpoint::ToolHistory => tools::history(asked).await,
        Endpoint::DecideTool => tools::decide(asked).await,
        Endpoint::Policy => Ok(health::policy(asked)),
        Endpoint::Explain => explanations::of_question(asked).await,
        Endpoint::ExplainRecord => explanations::of_record(asked).await,
        Endpoint::Records => records::search(asked).await,
        Endpoint::Checkpoint => records::checkpoint(asked).await,
        Endpoint::Keys => keys::all(asked).await,
        Endpoint::RotateKey => keys::rotate(asked).await,
        Endpoint::Reload => Ok(health::reload(asked)),
    }
}
