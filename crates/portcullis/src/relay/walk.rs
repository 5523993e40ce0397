//! The steps of an exchange over HTTP, in order.

use super::asks::Client;
use super::listening::{Listening, heard, is_held};
use super::mark::{self, Mark};
use super::place::Place;
use super::stream::Stream;
use super::{Gateway, Live, intake};
use crate::clock;
use crate::export::Side;
use crate::listener::{Body, Seen, plain, preflight, seen};
use crate::record::{Came, Exchange, note_closed};
use crate::upstream::{Content, Upstream};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use portcullis_core::authorize::Circumstances;
use portcullis_core::misuse::Anomaly;
use portcullis_core::pipeline::{self, Reading};
use portcullis_core::protocol::Revision;
use portcullis_core::refusal::{Refusal, Unacceptable, Unanswered};
use portcullis_core::route::aggregate::AGGREGATE;
use portcullis_core::session::{Closed, NoSession, Open, Session, SessionId};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What an exchange has come to.
pub(super) enum Walked {
    /// An answer, already recorded.
    Whole(Response<Body>),
    /// Messages still to come.
    Stream(Box<Stream>),
}

/// What every step needs.
pub(super) struct Step<'a> {
    pub(super) live: &'a Arc<Live>,
    pub(super) seen: Seen<'a>,
    pub(super) network: String,
    pub(super) peer: IpAddr,
    pub(super) anomaly: Anomaly,
}

impl Step<'_> {
    pub(super) fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            now: clock::now(),
            network: Some(&self.network),
            anomaly: self.anomaly,
        }
    }
}

impl Gateway {
    pub(super) async fn walk(
        self: &Arc<Self>,
        live: &Arc<Live>,
        (parts, body): (&Parts, Incoming),
        peer: SocketAddr,
        exchange: &mut Exchange,
    ) -> Result<Walked, Refusal> {
        let server = match Place::of(parts.uri.path()) {
            Place::Endpoint(server) => server,
            other @ (Place::Metadata(_)
            | Place::Keys
            | Place::ServerKeys(_)
            | Place::ClientKeys
            | Place::Authority(_)
            | Place::Signals(_)
            | Place::Scim(..)
            | Place::Account(_)
            | Place::Connect(_)
            | Place::Nowhere) => {
                let beside = self.beside(live, (parts, body), (other, peer), exchange);
                return Box::pin(beside).await;
            }
        };
        if parts.method == Method::OPTIONS {
            let settled = exchange.settle(asked_before()).await;
            settled.map_err(Refusal::Unavailable)?;
            return Ok(Walked::Whole(preflight()));
        }
        let known = live.rules.servers.get_key_value(server);
        exchange.server = known.map(|(name, _)| Arc::clone(name));
        let mut seen = seen(parts)?;
        seen.carried.ledger = exchange.ledger.clone();
        let network = peer.ip().to_string();
        if server == AGGREGATE {
            seen.carried.network = Some(network.clone());
        }
        if let Some(export) = &self.export {
            let side = if server == AGGREGATE {
                Side::All
            } else {
                Side::Http
            };
            let (trace, header) = (&seen.trace, &mut seen.carried.traceparent);
            exchange.place = Some(export.begin(&trace.id, header, (trace.parent, side))?);
        }
        let mut step = Step {
            live,
            seen,
            network,
            peer: peer.ip(),
            anomaly: Anomaly::CALM,
        };
        exchange.trace.clone_from(&step.seen.trace.id);
        exchange.trail.revision = step.seen.mirrors.version.and_then(Revision::parse);
        let session = self.identify(&step, server, exchange).await?;
        step.anomaly = self.watch_known(live, session.principal(), peer, exchange);
        self.watch_headers(live, &parts.headers, (session.principal(), peer), exchange);
        step.seen.carried.opens_urls = session.open().and_then(Open::opening);
        match parts.method {
            Method::POST => Box::pin(self.post(step, session, (parts, body), exchange)).await,
            Method::GET | Method::DELETE if is_stateless(&step) => Err(Unacceptable::Method.into()),
            Method::GET => self.listen(&step, session, exchange).await,
            Method::DELETE => self.delete(&step, &session, exchange).await,
            _ => Err(Unacceptable::Method.into()),
        }
    }

    async fn post(
        self: &Arc<Self>,
        step: Step<'_>,
        session: Session,
        (parts, body): (&Parts, Incoming),
        exchange: &mut Exchange,
    ) -> Result<Walked, Refusal> {
        if !is_json(parts) {
            return Err(Unacceptable::MediaType.into());
        }
        let body = intake::read(body, step.live).await?;
        exchange.bytes_in = intake::length(&body);
        // A body takes its time: it is the rules of now that decide.
        let live = &self.live.load_full();
        let step = &Step { live, ..step };
        self.admits(session.principal())?;
        exchange.policy = Arc::clone(&live.policy);
        let upstream = upstream(step.live, session.server())?;
        let owner = (
            session.principal().clone(),
            session.open().map(|open| open.id),
        );
        let client = Client {
            message: &body,
            opens_urls: step.seen.carried.opens_urls,
        };
        let admitted = pipeline::admit(
            &step.live.rules,
            &self.state,
            session,
            (body.clone(), &step.seen.mirrors),
            (step.circumstances(), &mut exchange.trail),
        );
        let told = |why| self.told_to(live, why, &client);
        let (dispatch, mut ticket) = admitted.map_err(told)?;
        let going = (&dispatch, &mut ticket, &step.seen.carried);
        let (rules, trail) = (&step.live.rules, &mut exchange.trail);
        let approved = self.expect_approved(rules, upstream, going, trail).await;
        if let Err(Refusal::NoSession(NoSession::Unknown)) = &approved {
            self.forgotten(&owner.0.key, owner.1)?;
        }
        let withheld = |why| self.told_of_withheld((live, &dispatch), why, &client);
        approved.map_err(withheld)?;
        let mut listening = Listening::subscribed(self, ticket.server(), dispatch.call());
        exchange.goes_up(upstream.transport());
        let reply = upstream.call(dispatch, &step.seen.carried).await;
        exchange.answered = Some(clock::now());
        self.admits(&owner.0)?;
        let reply = reply.map_err(|why| told(why.into()))?;
        if reply.status == 404 && !ticket.revision().is_stateless() {
            self.forgotten(&owner.0.key, owner.1)?;
        }
        let reply = heard(step.live, &ticket, (reply, &mut listening)).await;
        match self.reply(step, ticket, reply, exchange).await? {
            Walked::Stream(stream) => Ok(Walked::Stream(Box::new(stream.listening(listening)))),
            whole @ Walked::Whole(_) => Ok(whole),
        }
    }

    /// Opens the stream on which the server speaks unasked.
    async fn listen(
        self: &Arc<Self>,
        step: &Step<'_>,
        session: Session,
        exchange: &mut Exchange,
    ) -> Result<Walked, Refusal> {
        exchange.trail.method = Some("GET".to_owned());
        let open = session.open().ok_or(NoSession::Missing)?;
        let binding = mark::binding(session.principal(), Some(open.id), session.server());
        let read = |last| {
            let opened = self.seal.open(&binding, last);
            let mark = opened.as_deref().and_then(Mark::read);
            mark.ok_or(Unacceptable::Resume)
        };
        let last = step.seen.last_event.map(read).transpose()?;
        let (reading, last, mut listening) = self.reads(session.server(), open.id, last)?;
        let ticket = pipeline::admit_listener(
            &step.live.rules,
            &self.state,
            (&session, reading),
            step.circumstances(),
            &mut exchange.trail,
        )?;
        let reply = upstream(step.live, session.server())?
            .listen((&ticket, open), last.as_deref(), &step.seen.carried)
            .await?;
        if reply.status == 404 {
            self.forgotten(&session.principal().key, Some(open.id))?;
        }
        let reply = match &mut listening {
            Some(own)
                if reply.status == 405
                    && last.is_none()
                    && is_held(step.live, session.server()) =>
            {
                own.instead().await
            }
            Some(_) | None => reply,
        };
        let Content::Events(incoming) = reply.content else {
            return Err(if reply.status == 405 {
                Unacceptable::Method.into()
            } else {
                Unanswered::Foreign.into()
            });
        };
        exchange
            .settle(opened())
            .await
            .map_err(Refusal::Unavailable)?;
        let stream = Stream::of_server(Arc::clone(self), ticket, incoming, step.network.clone());
        Ok(Walked::Stream(Box::new(stream.listening(listening))))
    }

    /// What of a session's own stream is read, after which event, and who hears there what we say ourselves. Resuming is
    /// reading on where a broken stream ended; a second reader of a whole one is not.
    fn reads(
        self: &Arc<Self>,
        server: &Arc<str>,
        id: SessionId,
        last: Option<Mark>,
    ) -> Result<(Reading, Option<String>, Option<Listening>), Refusal> {
        let Some(mark) = last else {
            let listening = Listening::claim(self, server, id)?;
            return Ok((Reading::Whole, None, Some(listening)));
        };
        let is_own = mark.awaited.is_none();
        let listening = is_own.then(|| Listening::goes_on(self, server, id));
        Ok((Reading::Rest(mark.awaited), Some(mark.id), listening))
    }

    /// The upstream does not know a session any more: it is over here too.
    fn forgotten(&self, owner: &Arc<str>, id: Option<SessionId>) -> Result<(), Refusal> {
        let closed = id.and_then(|id| self.state.sessions.end(owner, id, "upstream"));
        let Some(closed) = closed else { return Ok(()) };
        note_closed(&self.recorder, &closed);
        Err(NoSession::Unknown.into())
    }

    async fn delete(
        &self,
        step: &Step<'_>,
        session: &Session,
        exchange: &mut Exchange,
    ) -> Result<Walked, Refusal> {
        exchange.trail.method = Some("DELETE".to_owned());
        let closed = pipeline::end(
            &step.live.rules,
            &self.state,
            session,
            step.circumstances(),
            &mut exchange.trail,
        )?;
        self.ended(step.live, closed);
        let came = Came {
            event: "session.deleted",
            reason: None,
            status: 200,
            code: None,
        };
        exchange.settle(came).await.map_err(Refusal::Unavailable)?;
        Ok(Walked::Whole(plain(200)))
    }

    /// Records the end of a session and tells its upstream, behind the answer.
    pub(crate) fn ended(&self, live: &Live, closed: Closed) {
        match live.upstreams.get(&closed.server) {
            Some(upstream) => self.ended_at(upstream, closed),
            None => note_closed(&self.recorder, &closed),
        }
    }

    /// The same, where the upstream is at hand.
    pub(crate) fn ended_at(&self, upstream: &Arc<Upstream>, closed: Closed) {
        note_closed(&self.recorder, &closed);
        self.goodbye(upstream, closed);
    }

    /// Tells the upstream that a session has ended; nobody waits for it.
    pub(crate) fn say_goodbye(&self, live: &Live, closed: Closed) {
        if let Some(upstream) = live.upstreams.get(&closed.server) {
            self.goodbye(upstream, closed);
        }
    }

    /// The same, where the upstream is at hand.
    pub(crate) fn goodbye(&self, upstream: &Arc<Upstream>, closed: Closed) {
        if let Some(theirs) = closed.upstream {
            let upstream = Arc::clone(upstream);
            let whose = self.admits(&closed.opener).is_ok().then_some(closed.opener);
            self.tasks
                .spawn(async move { upstream.end(&theirs, whose.as_ref()).await });
        }
    }
}

/// How an answered call is recorded.
pub(super) fn completed(status: u16, code: Option<i64>) -> Came {
    Came {
        event: if code.is_some() {
            "call.failed"
        } else {
            "call.completed"
        },
        reason: code.map(|_| "upstream_error"),
        status,
        code: code.and_then(|code| i32::try_from(code).ok()),
    }
}

/// How a preflight is recorded.
const fn asked_before() -> Came {
    Came {
        event: "http.preflight",
        reason: None,
        status: 204,
        code: None,
    }
}

/// How a message without an answer is recorded.
pub(super) const fn accepted() -> Came {
    Came {
        event: "message.accepted",
        reason: None,
        status: 202,
        code: None,
    }
}

/// How a call is recorded whose stream the server closed before the answer, to be read on.
pub(super) const fn suspended() -> Came {
    Came {
        event: "call.suspended",
        reason: None,
        status: 200,
        code: None,
    }
}

/// How the start of a server's own stream is recorded.
pub(super) const fn opened() -> Came {
    Came {
        event: "stream.opened",
        reason: None,
        status: 200,
        code: None,
    }
}

fn is_json(parts: &Parts) -> bool {
    let media = parts.headers.get(CONTENT_TYPE);
    let media = media.and_then(|value| value.to_str().ok());
    let kind = media.and_then(|media| media.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn is_stateless(step: &Step<'_>) -> bool {
    step.seen
        .mirrors
        .version
        .and_then(Revision::parse)
        .is_some_and(Revision::is_stateless)
}

pub(super) fn upstream<'a>(live: &'a Live, server: &str) -> Result<&'a Arc<Upstream>, Refusal> {
    live.upstreams
        .get(server)
        .ok_or(Refusal::Unacceptable(Unacceptable::Path))
}
