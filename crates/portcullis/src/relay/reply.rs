//! From the upstream's reply to the client's answer.

use super::intake::length;
use super::stream::Stream;
use super::walk::{Step, Walked, accepted, completed, upstream};
use super::{Gateway, frame};
use crate::clock;
use crate::listener::{Body, advise, events, message, plain};
use crate::random;
use crate::record::{Exchange, note};
use crate::upstream::{Begun, Content, Events, Reply};
use bytes::BytesMut;
use portcullis_audit::Record;
use portcullis_core::inspect::{Released, Said};
use portcullis_core::pipeline::{self, Settled};
use portcullis_core::refusal::{Refusal, Unanswered};
use portcullis_core::route::Ticket;
use portcullis_core::session::SessionId;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// What may come before the answer to `initialize` on its stream.
const MAX_PREAMBLE: usize = 64;

impl Gateway {
    /// From the upstream's reply to the client's answer.
    pub(super) async fn reply(
        self: &Arc<Self>,
        step: &Step<'_>,
        ticket: Ticket,
        reply: Reply,
        exchange: &mut Exchange,
    ) -> Result<Walked, Refusal> {
        let is_first = ticket.method() == Some(&portcullis_core::protocol::Method::Initialize);
        match reply.content {
            Content::Message(bytes) => {
                let asked = (step.circumstances(), exchange.trace.as_str());
                let released = self.release(&step.live.rules, &ticket, bytes, asked)?;
                let Said::Answer { code, revision } = released.said() else {
                    return Err(Unanswered::Foreign.into());
                };
                let code = *code;
                let session = match (is_first, revision) {
                    (true, Some(revision)) => Some(
                        self.open(step, &ticket, (revision, reply.session), exchange)
                            .await?,
                    ),
                    (true, None) | (false, _) => None,
                };
                self.settle(exchange, (reply.status, code), &released)
                    .await?;
                let mut answer = message(reply.status, released, session.as_deref());
                if let Some(refusal) = &reply.refused {
                    let resource = &step.live.rules.server(ticket.server())?.gate.resource;
                    advise(
                        &mut answer,
                        refusal,
                        Some((resource, exchange.trail.scheme)),
                    );
                }
                Ok(Walked::Whole(answer))
            }
            Content::Events(incoming) if is_first => {
                self.first_events(step, &ticket, (incoming, reply.session), exchange)
                    .await
            }
            Content::Events(incoming) => Ok(Walked::Stream(Box::new(Stream::of_call(
                Arc::clone(self),
                ticket,
                incoming,
                step.network.clone(),
            )))),
            Content::Empty if ticket.id().is_none() && (200..300).contains(&reply.status) => {
                exchange
                    .settle(accepted())
                    .await
                    .map_err(Refusal::Unavailable)?;
                Ok(Walked::Whole(plain(202)))
            }
            Content::Empty => Err(Unanswered::Foreign.into()),
        }
    }

    /// `initialize` answered as a stream: the session's id stands in the head, so the answer is awaited.
    async fn first_events(
        &self,
        step: &Step<'_>,
        ticket: &Ticket,
        (mut incoming, upstream): (Events, Option<Begun>),
        exchange: &mut Exchange,
    ) -> Result<Walked, Refusal> {
        let mut whole = BytesMut::new();
        let patience = self::upstream(step.live, ticket.server())?.timeout();
        let deadline = Instant::now() + patience;
        for _ in 0..MAX_PREAMBLE {
            let next = timeout_at(deadline, incoming.next()).await;
            let next = next.map_err(|_| Unanswered::Timeout)?;
            let frame = next?.ok_or(Unanswered::Ended)?;
            let Some(data) = frame.data.clone().filter(|data| !data.is_empty()) else {
                continue;
            };
            let asked = (step.circumstances(), exchange.trace.as_str());
            let released = self.release(&step.live.rules, ticket, data, asked)?;
            let said = released.said().clone();
            whole.extend_from_slice(&frame::rewrite(&frame, None, &released.into_bytes()));
            let Said::Answer { code, revision } = said else {
                continue;
            };
            let session = match &revision {
                Some(revision) => Some(
                    self.open(step, ticket, (revision, upstream), exchange)
                        .await?,
                ),
                None => None,
            };
            exchange.bytes_out = length(&whole);
            let came = completed(200, code);
            exchange.settle(came).await.map_err(Refusal::Unavailable)?;
            return Ok(Walked::Whole(events(
                Body::whole(whole.freeze()),
                session.as_deref(),
            )));
        }
        Err(Unanswered::Foreign.into())
    }

    /// Opens the session that an answered `initialize` asks for; gives the id for the wire.
    async fn open(
        &self,
        step: &Step<'_>,
        ticket: &Ticket,
        (revision, theirs): (&str, Option<Begun>),
        exchange: &mut Exchange,
    ) -> Result<String, Refusal> {
        let id = SessionId::from_entropy(random::bytes()?);
        let settled = Settled {
            revision,
            upstream: theirs.as_ref().map(|begun| Arc::clone(begun.id())),
            agent: step.seen.agent,
        };
        let opened = pipeline::open(
            &step.live.rules,
            &self.state,
            ticket,
            (id, settled),
            clock::now(),
        );
        let upstream = upstream(step.live, ticket.server())?;
        let evicted = match opened {
            Ok(evicted) => evicted,
            Err(refusal) => {
                if let Some(theirs) = theirs {
                    upstream.end(theirs.id(), Some(ticket.principal())).await;
                    theirs.keep();
                }
                return Err(refusal);
            }
        };
        theirs.into_iter().for_each(Begun::keep);
        exchange.trail.session = Some(id.fingerprint());
        let mut record = Record::new("session.created");
        record.session = Some(id.fingerprint().as_str().into());
        record.server = Some((&**ticket.server()).into());
        record.trace = Some(exchange.trace.as_str().into());
        record.detail.set("owner", &*ticket.principal().key);
        note(&self.recorder, record);
        if let Some(evicted) = evicted {
            self.ended(step.live, evicted);
        }
        // A reload that came since then did not see this session.
        let now = self.live.load_full();
        let now = now.upstreams.get(ticket.server());
        if !now.is_some_and(|now| Arc::ptr_eq(now, upstream)) {
            let sessions = &self.state.sessions;
            let closed = sessions.end(&ticket.principal().key, id, "reloaded");
            if let Some(closed) = closed {
                self.ended_at(upstream, closed);
            }
        }
        // Nor did a revocation.
        if let Err(refusal) = self.admits(ticket.principal()) {
            let sessions = &self.state.sessions;
            if let Some(closed) = sessions.end(&ticket.principal().key, id, "revoked") {
                self.ended_at(upstream, closed);
            }
            return Err(refusal);
        }
        Ok(id.wire())
    }

    async fn settle(
        &self,
        exchange: &mut Exchange,
        (status, code): (u16, Option<i64>),
        released: &Released,
    ) -> Result<(), Refusal> {
        exchange.bytes_out = released.size();
        self.completed(exchange);
        exchange
            .settle(completed(status, code))
            .await
            .map_err(Refusal::Unavailable)
    }
}
