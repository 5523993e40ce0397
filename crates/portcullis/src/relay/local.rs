//! The walk for a client on pipes (`wrap`): the same rooms, the same record, a line for each message.

use super::asks::Client;
use super::listening::{Listening, heard};
use super::{Gateway, may_go_on, walk};
use crate::clock;
use crate::export::Side;
use crate::listener::{Refused, error, trace};
use crate::random;
use crate::record::{Caller, Exchange, note, note_closed};
use crate::upstream::{Begun, Carried, Content, Events, Upstream};
use bytes::Bytes;
use hyper::HeaderMap;
use portcullis_audit::Record;
use portcullis_core::authenticate::Principal;
use portcullis_core::authorize::Circumstances;
use portcullis_core::inspect::{BadAnswer, Said};
use portcullis_core::misuse::Anomaly;
use portcullis_core::pipeline::{self, Head, Reading, Rules, Settled};
use portcullis_core::protocol::{Headers, Method};
use portcullis_core::refusal::{Refusal, Unacceptable, Unanswered};
use portcullis_core::route::Ticket;
use portcullis_core::session::{NoSession, Session, SessionId};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// A client behind our own stdin and stdout.
#[derive(Debug)]
pub(crate) struct Local {
    gateway: Arc<Gateway>,
    principal: Principal,
    server: Arc<str>,
    conversation: Mutex<Option<String>>,
    out: mpsc::Sender<Bytes>,
}

impl Local {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        principal: Principal,
        server: Arc<str>,
        out: mpsc::Sender<Bytes>,
    ) -> Self {
        Self {
            gateway,
            principal,
            server,
            conversation: Mutex::default(),
            out,
        }
    }

    /// Takes one line through the walk; what is to be answered goes to the client.
    pub(crate) async fn line(&self, sent: Bytes) {
        let live = self.gateway.live.load_full();
        let begun = Exchange::begin(
            &self.gateway.recorder,
            Caller::Within,
            Arc::clone(&live.policy),
        )
        .await;
        let mut exchange = match begun {
            Ok(exchange) => exchange,
            Err(why) => return self.refuse(&Refusal::Unavailable(why), None).await,
        };
        exchange.server = Some(Arc::clone(&self.server));
        exchange.bytes_in = u64::try_from(sent.len()).unwrap_or(u64::MAX);
        let Err(refusal) = self.walk(sent.clone(), &mut exchange).await else {
            return;
        };
        let client = Client {
            message: &sent,
            opens_urls: None,
        };
        let refusal = self.gateway.told_to(&live, refusal, &client);
        self.gateway.counters.refused(&refusal);
        let is_stateless = exchange
            .trail
            .revision
            .is_some_and(|revision| revision.is_stateless());
        let recorded = exchange.refuse(&refusal, is_stateless).await;
        let refusal = recorded.err().map_or(refusal, Refusal::Unavailable);
        if exchange.trail.id.is_some() || exchange.trail.method.is_none() {
            self.refuse(&refusal, Some(&exchange)).await;
        }
    }

    async fn refuse(&self, refusal: &Refusal, exchange: Option<&Exchange>) {
        let told = Refused {
            refusal,
            id: exchange.and_then(|exchange| exchange.trail.id.as_ref()),
            is_stateless: false,
            resource: None,
            trace: exchange.map_or("", |exchange| exchange.trace.as_str()),
        };
        self.say(error(told)).await;
    }

    async fn say(&self, message: Bytes) {
        if self.out.send(message).await.is_err() {
            tracing::debug!("the client is gone");
        }
    }

    async fn walk(&self, sent: Bytes, exchange: &mut Exchange) -> Result<(), Refusal> {
        let live = self.gateway.live.load_full();
        if sent.len() > live.body_bytes {
            return Err(Unacceptable::TooLarge.into());
        }
        let rules = &live.rules;
        exchange.trail.principal = Some(self.principal.clone());
        self.gateway.admits(&self.principal)?;
        let session = self.session(rules, exchange)?;
        let headers = Headers::absent();
        let (dispatch, mut ticket) = pipeline::admit(
            rules,
            &self.gateway.state,
            session,
            (sent, &headers),
            (circumstances(), &mut exchange.trail),
        )?;
        let upstream = live.upstreams.get(&self.server).ok_or(Unacceptable::Path)?;
        let carried = Carried::default();
        let (going, trail) = ((&dispatch, &mut ticket, &carried), &mut exchange.trail);
        let approved = self.gateway.expect_approved(rules, upstream, going, trail);
        approved.await?;
        let mut hearing = Listening::subscribed(&self.gateway, &self.server, dispatch.call());
        exchange.goes_up(upstream.transport());
        let reply = upstream.call(dispatch, &carried).await;
        exchange.answered = Some(clock::now());
        let reply = heard(&live, &ticket, (reply?, &mut hearing)).await;
        match reply.content {
            Content::Empty if reply.status == 404 => Err(NoSession::Unknown.into()),
            Content::Empty => {
                let settled = exchange.settle(walk::accepted()).await;
                settled.map_err(Refusal::Unavailable)
            }
            Content::Message(message) => {
                self.pass(message, &ticket, reply.session, exchange).await?;
                Ok(())
            }
            Content::Events(events) => self.pass_all((events, hearing), &ticket, exchange).await,
        }
    }

    /// The client's conversation, as far as there is one yet.
    fn session(&self, rules: &Rules, exchange: &mut Exchange) -> Result<Session, Refusal> {
        let mut begun = trace(&HeaderMap::new())?;
        if let Some(export) = &self.gateway.export {
            let header = &mut begun.header;
            exchange.place = Some(export.begin(&begun.id, header, (None, Side::Pipe))?);
        }
        exchange.trace = begun.id;
        exchange.server = Some(Arc::clone(&self.server));
        let known = self
            .conversation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let head = Head {
            server: &self.server,
            session: known.as_deref().map(|id| (id, 0)),
            ..Head::default()
        };
        let principal = self.principal.clone();
        let now = (clock::now(), &mut exchange.trail);
        pipeline::converse(rules, &self.gateway.state, principal, &head, now)
    }

    async fn pass_all(
        &self,
        (mut events, mut hearing): (Events, Option<Listening>),
        ticket: &Ticket,
        exchange: &mut Exchange,
    ) -> Result<(), Refusal> {
        loop {
            let next = tokio::select! {
                told = Listening::hear(&mut hearing) => {
                    self.say(told).await;
                    continue;
                }
                next = events.next() => next?,
            };
            let Some(frame) = next else { break };
            let Some(message) = frame.data else { continue };
            match self.pass(message, ticket, None, exchange).await {
                Ok(()) => events.permitted(),
                Err(Refusal::BadAnswer(why)) if may_go_on(&why, || events.declined()) => {
                    self.gateway
                        .withhold(&why, ticket, self.told(exchange))
                        .await;
                }
                Err(refusal) => return Err(refusal),
            }
        }
        if exchange.is_settled() {
            Ok(())
        } else {
            Err(Unanswered::Ended.into())
        }
    }

    /// Releases one message of the server's and hands it to the client.
    async fn pass(
        &self,
        message: Bytes,
        ticket: &Ticket,
        started: Option<Begun>,
        exchange: &mut Exchange,
    ) -> Result<(), Refusal> {
        self.gateway.admits(&self.principal)?;
        let live = self.gateway.live.load_full();
        let asked = (circumstances(), exchange.trace.as_str());
        let released = self.gateway.release(&live.rules, ticket, message, asked)?;
        if let Said::Answer { code, revision } = released.said().clone() {
            if exchange.is_settled() {
                return Err(BadAnswer::NotAsked.into());
            }
            if let (Some(Method::Initialize), Some(revision)) = (ticket.method(), revision) {
                self.open(ticket, &revision, started)?;
            }
            exchange.bytes_out = released.size();
            self.gateway.completed(exchange);
            exchange
                .settle(walk::completed(200, code))
                .await
                .map_err(Refusal::Unavailable)?;
        }
        self.say(released.into_bytes()).await;
        Ok(())
    }

    fn open(&self, ticket: &Ticket, revision: &str, started: Option<Begun>) -> Result<(), Refusal> {
        let live = self.gateway.live.load_full();
        let id = SessionId::from_entropy(random::bytes()?);
        let settled = Settled {
            revision,
            upstream: started.as_ref().map(|begun| Arc::clone(begun.id())),
            agent: 0,
        };
        let evicted = pipeline::open(
            &live.rules,
            &self.gateway.state,
            ticket,
            (id, settled),
            clock::now(),
        )?;
        started.into_iter().for_each(Begun::keep);
        if let Some(evicted) = evicted {
            note_closed(&self.gateway.recorder, &evicted);
        }
        let mut record = Record::new("session.created");
        record.session = Some(id.fingerprint().as_str().into());
        record.server = Some((&*self.server).into());
        record.detail.set("owner", &*ticket.principal().key);
        note(&self.gateway.recorder, record);
        *self
            .conversation
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(id.wire());
        Ok(())
    }

    /// Whether a session is open.
    pub(crate) fn has_session(&self) -> bool {
        self.conversation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Passes on what the server says unasked, until it ends.
    pub(crate) async fn listen(&self) -> Result<(), Refusal> {
        let live = self.gateway.live.load_full();
        let mut exchange = Exchange::begin(
            &self.gateway.recorder,
            Caller::Within,
            Arc::clone(&live.policy),
        )
        .await?;
        let session = self.session(&live.rules, &mut exchange)?;
        let open = session.open().ok_or(NoSession::Missing)?.clone();
        let ticket = pipeline::admit_listener(
            &live.rules,
            &self.gateway.state,
            (&session, Reading::Whole),
            circumstances(),
            &mut exchange.trail,
        )?;
        let upstream: &Arc<Upstream> =
            live.upstreams.get(&self.server).ok_or(Unacceptable::Path)?;
        let reply = upstream
            .listen((&ticket, &open), None, &Carried::default())
            .await?;
        exchange
            .settle(walk::opened())
            .await
            .map_err(Refusal::Unavailable)?;
        let Content::Events(mut events) = reply.content else {
            return Err(NoSession::Unknown.into());
        };
        let listening = Listening::claim(&self.gateway, &self.server, open.id)?;
        let mut hearing = Some(listening);
        loop {
            let next = tokio::select! {
                told = Listening::hear(&mut hearing) => {
                    self.say(told).await;
                    continue;
                }
                next = events.next() => next?,
            };
            let Some(frame) = next else { return Ok(()) };
            let Some(message) = frame.data else { continue };
            match self.pass(message, &ticket, None, &mut exchange).await {
                Ok(()) => {}
                Err(Refusal::BadAnswer(why)) => {
                    self.gateway
                        .withhold(&why, &ticket, self.told(&exchange))
                        .await;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// A record of what belongs to this exchange, without its event.
    fn told(&self, exchange: &Exchange) -> Record {
        let mut record = Record::new("upstream.refused");
        record.server = Some((&*self.server).into());
        record.session = exchange.trail.session.as_deref().map(Into::into);
        record.trace = Some(exchange.trace.as_str().into());
        record
    }
}

fn circumstances() -> Circumstances<'static> {
    Circumstances {
        now: clock::now(),
        network: None,
        anomaly: Anomaly::CALM,
    }
}
