//! One server's part in an exchange with all of them: admitted, asked, released and recorded by itself.

use super::super::asks::Client;
use super::super::intake::length;
use super::super::{Gateway, Live, walk};
use crate::clock;
use crate::listener::{Refused, error};
use crate::record::{Caller, Exchange, note};
use crate::upstream::{
    Carried, Content, Events, Reply, Teller, Upstream, beside, queue, told, whole,
};
use bytes::Bytes;
use portcullis_audit::Record;
use portcullis_core::authorize::Circumstances;
use portcullis_core::inspect::{BadAnswer, Said};
use portcullis_core::pipeline::{self, Trail};
use portcullis_core::protocol::{Method, PARAM};
use portcullis_core::refusal::{Refusal, Unacceptable, Unanswered};
use portcullis_core::route::aggregate::{AGGREGATE, renamed};
use portcullis_core::route::{Dispatch, Ticket};
use std::sync::Arc;

/// Messages that may wait for a client that does not read.
pub(super) const QUEUE: usize = 16;

/// What is asked of all servers, or of one by its name here.
pub(super) struct Asked<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) live: Arc<Live>,
    pub(super) dispatch: &'a Dispatch,
    pub(super) carried: &'a Carried,
}

/// A server that was asked, what its answers are held against, and its record.
pub(super) struct Part {
    gateway: Arc<Gateway>,
    ticket: Ticket,
    server: Arc<str>,
    network: Option<String>,
    /// Its own record, if it gets one.
    exchange: Option<Exchange>,
    /// What it is told of the trace, if that is not what all are told.
    pub(super) traceparent: Option<String>,
}

/// A message that was released, in the names that it has here.
pub(super) struct Passed {
    pub(super) message: Bytes,
    /// Whether it is the answer to what was asked.
    pub(super) is_answer: bool,
    /// The JSON-RPC error code of the answer.
    pub(super) code: Option<i64>,
}

impl Asked<'_> {
    /// The server of that name.
    pub(super) fn member(&self, name: &str) -> Option<Arc<str>> {
        let known = self.live.upstreams.get_key_value(name);
        known
            .map(|(name, _)| Arc::clone(name))
            .filter(|name| &**name != AGGREGATE)
    }

    /// All servers.
    pub(super) fn members(&self) -> Vec<Arc<str>> {
        let names = self.live.upstreams.keys();
        names
            .filter(|name| &***name != AGGREGATE)
            .cloned()
            .collect()
    }

    /// Admits a message to a server.
    pub(super) fn admit(
        &self,
        server: &Arc<str>,
        body: Bytes,
        trail: &mut Trail,
    ) -> Result<(Dispatch, Part), Refusal> {
        let circumstances = Circumstances {
            now: clock::now(),
            network: self.carried.network.as_deref(),
            anomaly: self.gateway.anomaly(&self.live, self.dispatch.principal()),
        };
        let (dispatch, ticket) = pipeline::admit_member(
            &self.live.rules,
            &self.gateway.state,
            self.dispatch,
            (server, body),
            (circumstances, trail),
        )?;
        let part = Part {
            gateway: Arc::clone(self.gateway),
            ticket,
            server: Arc::clone(server),
            network: self.carried.network.clone(),
            exchange: None,
            traceparent: None,
        };
        Ok((dispatch, part))
    }

    /// The trace id of the whole exchange.
    pub(super) fn trace(&self) -> &str {
        let trace = self.carried.traceparent.split('-').nth(1);
        trace.unwrap_or_default()
    }

    /// Asks a server.
    pub(super) async fn ask(&self, part: &mut Part, dispatch: Dispatch) -> Result<Reply, Refusal> {
        let upstream: &Arc<Upstream> = self
            .live
            .upstreams
            .get(&part.server)
            .ok_or(Unacceptable::Path)?;
        let mut carried = beside(&dispatch, self.carried);
        let params = self.carried.mirrored.iter();
        let params = params.filter(|(name, _)| name.as_str().starts_with(PARAM));
        carried.mirrored.extend(params.cloned());
        if let Some(own) = part.traceparent.take() {
            carried.traceparent = own;
        }
        if let Some(exchange) = &mut part.exchange {
            carried.ledger = exchange.ledger.clone();
            let going = (&dispatch, &mut part.ticket, &carried);
            let rules = &self.live.rules;
            let trail = &mut exchange.trail;
            let approved = self.gateway.expect_approved(rules, upstream, going, trail);
            approved.await?;
            exchange.goes_up(upstream.transport());
        }
        let reply = upstream.call(dispatch, &carried).await;
        if let Some(exchange) = &mut part.exchange {
            exchange.answered = Some(clock::now());
        }
        Ok(reply?)
    }

    /// Does what the message asks of the one server that it names.
    pub(super) async fn one(&self, server: &Arc<str>, body: Bytes) -> Result<Reply, Unanswered> {
        let begun = Exchange::begin(
            &self.gateway.recorder,
            Caller::Within,
            Arc::clone(&self.live.policy),
        );
        let mut exchange = match begun.await {
            Ok(exchange) => exchange,
            Err(why) => return Ok(self.refuse(&why.into(), None).await),
        };
        self.belongs(&mut exchange, server);
        exchange.bytes_in = length(&body);
        let (dispatch, mut part) = match self.admit(server, body, &mut exchange.trail) {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(self.refuse(&refusal, Some(exchange)).await),
        };
        part.traceparent = exchange.traceparent();
        part.exchange = Some(exchange);
        let reply = match self.ask(&mut part, dispatch).await {
            Ok(reply) => reply,
            Err(refusal) => return Ok(self.refuse(&refusal, part.exchange).await),
        };
        match reply.content {
            Content::Message(message) => match part.release(message, reply.status).await {
                Ok(passed) => Ok(whole(passed.message, reply.status)),
                Err(refusal) => Ok(self.refuse(&refusal, part.exchange).await),
            },
            Content::Events(events) => {
                let (tell, said) = queue(QUEUE);
                self.gateway.tasks.spawn(part.pass_all(events, tell));
                Ok(told(said))
            }
            Content::Empty => {
                let refusal = Refusal::Unanswered(Unanswered::Foreign);
                Ok(self.refuse(&refusal, part.exchange).await)
            }
        }
    }

    /// Makes an exchange the part of this server in the whole one.
    pub(super) fn belongs(&self, exchange: &mut Exchange, server: &Arc<str>) {
        exchange.server = Some(Arc::clone(server));
        self.trace().clone_into(&mut exchange.trace);
        let export = self.gateway.export.as_ref();
        exchange.place =
            export.and_then(|export| export.part(self.trace(), &self.carried.traceparent));
    }

    /// Records a refusal; gives the answer that says so.
    async fn refuse(&self, refusal: &Refusal, exchange: Option<Exchange>) -> Reply {
        let client = Client {
            message: self.dispatch.call().body(),
            opens_urls: self.carried.opens_urls,
        };
        let refusal = &self.gateway.told_to(&self.live, refusal.clone(), &client);
        self.gateway.counters.refused(refusal);
        let mut told = refusal.clone();
        let mut trace = String::new();
        if let Some(mut exchange) = exchange {
            trace.clone_from(&exchange.trace);
            if let Err(why) = exchange.refuse(refusal, true).await {
                told = Refusal::Unavailable(why);
            }
        }
        let status = told.public(true).status;
        let answer = error(Refused {
            refusal: &told,
            id: self.dispatch.call().id(),
            is_stateless: true,
            resource: None,
            trace: &trace,
        });
        Reply {
            refused: Some(Box::new(told)),
            ..whole(answer, status)
        }
    }
}

impl Part {
    pub(super) const fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// Releases a message of the server's under its own rules, and records it if it is the answer.
    pub(super) async fn release(&mut self, message: Bytes, status: u16) -> Result<Passed, Refusal> {
        // The rules of now: a reload that tightens them tightens this too.
        let live = self.gateway.live.load_full();
        let circumstances = Circumstances {
            now: clock::now(),
            network: self.network.as_deref(),
            anomaly: self.gateway.anomaly(&live, self.ticket.principal()),
        };
        let exchange = self.exchange.as_ref();
        let trace = exchange.map_or("", |exchange| exchange.trace.as_str());
        let asked = (circumstances, trace);
        let released = self
            .gateway
            .release(&live.rules, &self.ticket, message, asked)?;
        let (is_answer, code) = match released.said() {
            Said::Answer { code, .. } => (true, *code),
            Said::Request { .. } | Said::Notification { .. } => (false, None),
        };
        if let (true, Some(exchange)) = (is_answer, &mut self.exchange) {
            exchange.bytes_out = released.size();
            let settled = exchange.settle(walk::completed(status, code)).await;
            settled.map_err(Refusal::Unavailable)?;
        }
        let method = self.ticket.method().unwrap_or(&Method::Ping);
        let message = renamed(method, &self.server, released.into_bytes());
        Ok(Passed {
            message,
            is_answer,
            code,
        })
    }

    /// Records a question that the client is not asked; the call goes on without an answer to it.
    fn declined(&self, why: &Refusal) {
        let (event, reason) = why.event();
        let mut record = Record::new(event);
        record.reason = Some(reason.into());
        record.server = Some((&*self.server).into());
        let trace = self.exchange.as_ref().map(|exchange| &exchange.trace);
        record.trace = trace.map(|trace| trace.as_str().into());
        note(&self.gateway.recorder, record);
    }

    /// Passes on what a server says in answer, until it has answered.
    async fn pass_all(mut self, mut events: Events, tell: Teller) {
        let passed = tokio::select! {
            // Dropped, the exchange is recorded as abandoned.
            () = tell.closed() => return,
            passed = self.pass(&mut events, &tell) => passed,
        };
        let (Err(refusal), Some(mut exchange)) = (passed, self.exchange) else {
            return;
        };
        self.gateway.counters.refused(&refusal);
        let recorded = exchange.refuse(&refusal, true).await;
        let refused = recorded.err().map_or(refusal, Refusal::Unavailable);
        let answer = error(Refused {
            refusal: &refused,
            id: self.ticket.id(),
            is_stateless: true,
            resource: None,
            trace: &exchange.trace,
        });
        tell.send(Ok(answer)).await.ok();
    }

    async fn pass(&mut self, events: &mut Events, tell: &Teller) -> Result<(), Refusal> {
        while let Some(frame) = events.next().await? {
            let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
                continue;
            };
            let released = self.release(data, 200).await;
            if let Err(why @ Refusal::BadAnswer(BadAnswer::Question { .. })) = &released
                && events.declined()
            {
                self.declined(why);
                continue;
            }
            let passed = released?;
            events.permitted();
            if tell.send(Ok(passed.message)).await.is_err() || passed.is_answer {
                return Ok(());
            }
        }
        Err(Unanswered::Ended.into())
    }
}
