//! A stream of messages on its way down: each one released by itself, until an end that is recorded.

use super::listening::Listening;
use super::mark::{Mark, binding};
use super::{Gateway, frame, may_go_on, walk};
use crate::clock;
use crate::listener::{Body, Outlet, Refused, error, events};
use crate::record::{Exchange, note};
use crate::upstream::Events;
use bytes::Bytes;
use hyper::Response;
use portcullis_audit::{Principal as Named, Record};
use portcullis_core::authenticate::{Cause, Unauthenticated};
use portcullis_core::authorize::{Circumstances, Forbidden};
use portcullis_core::inspect::{BadAnswer, Said};
use portcullis_core::protocol::Frame;
use portcullis_core::refusal::{Refusal, Unanswered, Unavailable};
use portcullis_core::route::Ticket;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// How often a silent stream shows that it lives, so that a client that is gone is found out.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// No timer is set further ahead than this.
const FAR: Duration = Duration::from_hours(24 * 365);

/// A stream that is about to start.
pub(super) struct Stream {
    gateway: Arc<Gateway>,
    ticket: Ticket,
    incoming: Events,
    network: String,
    listening: Option<Listening>,
    answers: bool,
    is_resumable: bool,
    is_answered: bool,
    /// When the caller's token ends, and the stream with it.
    expiry: Instant,
    /// Tells when what is revoked has changed.
    changes: watch::Receiver<u64>,
}

/// Why a stream ends.
enum End {
    Upstream,
    Client,
    TokenExpired,
    Draining,
    SessionOver,
    Revoked(Cause),
    Changed,
    StepUp,
    Refused(Refusal),
}

impl End {
    const fn reason(&self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Client => "client",
            Self::TokenExpired => "token_expired",
            Self::Draining => "draining",
            Self::SessionOver => "session",
            Self::Revoked(_) => "revoked",
            Self::Changed => "changed",
            Self::StepUp => "step_up",
            Self::Refused(Refusal::Forbidden(Forbidden::Held { .. })) => "review",
            Self::Refused(_) => "refused",
        }
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        if let Refusal::Unauthenticated(Unauthenticated::Revoked { cause }) = refusal {
            return Self::Revoked(cause);
        }
        if let Refusal::Unauthenticated(Unauthenticated::Changed) = refusal {
            return Self::Changed;
        }
        if let Refusal::Forbidden(Forbidden::StepUp { .. }) = refusal {
            return Self::StepUp;
        }
        Self::Refused(refusal)
    }
}

impl Stream {
    /// The stream that answers a request.
    pub(super) fn of_call(
        gateway: Arc<Gateway>,
        ticket: Ticket,
        incoming: Events,
        network: String,
    ) -> Self {
        let expires = ticket.principal().expires;
        let changes = gateway.revocations.changes();
        Self {
            changes,
            gateway,
            ticket,
            incoming,
            network,
            listening: None,
            answers: true,
            is_resumable: false,
            is_answered: false,
            expiry: Instant::now() + expires.since(clock::now()).min(FAR),
        }
    }

    /// The stream on which a server speaks unasked, or the rest of one that broke.
    pub(super) fn of_server(
        gateway: Arc<Gateway>,
        ticket: Ticket,
        incoming: Events,
        network: String,
    ) -> Self {
        Self {
            answers: false,
            ..Self::of_call(gateway, ticket, incoming, network)
        }
    }

    /// The same, with what we tell its reader ourselves.
    pub(super) fn listening(self, listening: Option<Listening>) -> Self {
        Self { listening, ..self }
    }

    /// Starts to pass messages on; the answer's head goes out at once.
    pub(super) fn start(self, exchange: Exchange) -> Response<Body> {
        let (outlet, body) = Body::stream();
        let tasks = self.gateway.serving.clone();
        tasks.spawn(self.run(outlet, exchange));
        events(body, None)
    }

    async fn run(mut self, outlet: Outlet, mut exchange: Exchange) {
        let end = self.pass_all(&outlet, &mut exchange).await;
        if let End::Revoked(cause) = &end
            && !exchange.is_settled()
        {
            let cause = cause.clone();
            let refusal = Unauthenticated::Revoked { cause }.into();
            self.gateway.counters.refused(&refusal);
            let is_stateless = self.ticket.revision().is_stateless();
            if let Err(error) = exchange.refuse(&refusal, is_stateless).await {
                tracing::error!(%error, "the end of an exchange was not recorded");
            }
        }
        if let End::Refused(refusal) = &end {
            self.gateway.counters.refused(refusal);
            let is_stateless = self.ticket.revision().is_stateless();
            let recorded = exchange.refuse(refusal, is_stateless).await;
            let told = Refused {
                refusal,
                id: self.ticket.id(),
                is_stateless,
                resource: None,
                trace: &exchange.trace,
            };
            if recorded.is_ok()
                && self.answers
                && outlet.send(frame::event(&error(told))).await.is_err()
            {
                tracing::debug!("the client had gone before it could be told");
            }
        }
        if !self.answers || !matches!(end, End::Upstream | End::Client | End::Refused(_)) {
            note(&self.gateway.recorder, self.closing(&end, &exchange));
        }
        drop(self.listening.take());
    }

    fn closing(&self, end: &End, exchange: &Exchange) -> Record {
        let principal = self.ticket.principal();
        let mut record = Record::new("stream.closed");
        record.reason = Some(end.reason().into());
        record.principal = Some(Named {
            iss: principal.vouched_by().into(),
            sub: principal.subject.as_str().into(),
        });
        record.server = Some((&**self.ticket.server()).into());
        record
            .session
            .clone_from(&exchange.trail.session.as_deref().map(Into::into));
        record.trace = Some(exchange.trace.as_str().into());
        record.bytes_out = Some(exchange.bytes_out);
        record
    }

    async fn pass_all(&mut self, outlet: &Outlet, exchange: &mut Exchange) -> End {
        let drain = self.gateway.drain.clone();
        loop {
            let (until, end) = self.limit();
            let next = tokio::select! {
                biased;
                () = outlet.closed() => return End::Client,
                () = sleep_until(until) => return end,
                no = self.gateway.until_refused(&self.ticket, &mut self.changes) => return no.into(),
                () = drain.cancelled(), if !self.answers => return End::Draining,
                told = Listening::hear(&mut self.listening) => match self.put(frame::event(&told), outlet, exchange).await {
                    Ok(()) => continue,
                    Err(end) => return end,
                },
                next = timeout(KEEP_ALIVE, self.incoming.next()) => next,
            };
            let frame = match next {
                Err(_) if self.is_over() => return End::SessionOver,
                Err(_) => Frame {
                    id: None,
                    retry: None,
                    data: None,
                },
                Ok(Ok(Some(frame))) => frame,
                Ok(Ok(None)) if exchange.is_settled() => return End::Upstream,
                Ok(Ok(None)) if self.is_resumable => return self.suspend(exchange).await,
                Ok(Ok(None)) => return End::Refused(Unanswered::Ended.into()),
                Ok(Err(flaw)) => return End::Refused(flaw.into()),
            };
            if !self.answers && self.is_over() {
                return End::SessionOver;
            }
            let has_id = frame.id.as_deref().is_some_and(|id| !id.is_empty());
            self.is_resumable |= has_id && !self.ticket.revision().is_stateless();
            if let Err(end) = self.pass(&frame, outlet, exchange).await {
                return end;
            }
        }
    }

    /// When this stream ends at the latest, and why; by the rules of now.
    fn limit(&self) -> (Instant, End) {
        if !self.ticket.is_listening() {
            return (self.expiry, End::TokenExpired);
        }
        let live = self.gateway.live.load();
        let server = live.rules.server(self.ticket.server()).ok();
        let until = server.and_then(|server| server.gate.listens_until(self.ticket.principal()));
        let until = until.map(|until| Instant::now() + until.since(clock::now()).min(FAR));
        match until {
            Some(until) if until < self.expiry => (until, End::StepUp),
            Some(_) | None => (self.expiry, End::TokenExpired),
        }
    }

    /// Whether the session that this stream belongs to has ended.
    fn is_over(&self) -> bool {
        let owner = &self.ticket.principal().key;
        self.ticket
            .session()
            .is_some_and(|id| !self.gateway.state.sessions.is_open(owner, id))
    }

    /// Passes one frame on, if its message is released.
    async fn pass(
        &mut self,
        frame: &Frame,
        outlet: &Outlet,
        exchange: &mut Exchange,
    ) -> Result<(), End> {
        let id = self.sealed(frame).map_err(End::Refused)?;
        let bytes = match frame.data.clone().filter(|data| !data.is_empty()) {
            None => frame::rewrite(frame, id.as_deref(), b""),
            Some(message) => {
                let Some(message) = self.release(message, exchange).await? else {
                    return Ok(());
                };
                frame::rewrite(frame, id.as_deref(), &message)
            }
        };
        self.put(bytes, outlet, exchange).await
    }

    async fn put(
        &mut self,
        bytes: Bytes,
        outlet: &Outlet,
        exchange: &mut Exchange,
    ) -> Result<(), End> {
        exchange.bytes_out += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        // A client that does not read must not keep the stream beyond its token, nor beyond a revocation.
        let (until, end) = self.limit();
        tokio::select! {
            biased;
            () = sleep_until(until) => Err(end),
            no = self.gateway.until_refused(&self.ticket, &mut self.changes) => Err(no.into()),
            sent = outlet.send(bytes) => sent.map_err(|_| End::Client),
        }
    }

    /// The released message; none if it was refused and the stream may go on.
    async fn release(
        &mut self,
        message: Bytes,
        exchange: &mut Exchange,
    ) -> Result<Option<Bytes>, End> {
        // The rules of now, not of when the stream began: a reload that tightens them tightens this too.
        let live = self.gateway.live.load_full();
        let circumstances = Circumstances {
            now: clock::now(),
            network: Some(&self.network),
            anomaly: self.gateway.anomaly(&live, self.ticket.principal()),
        };
        let asked = (circumstances, exchange.trace.as_str());
        let released = self
            .gateway
            .release(&live.rules, &self.ticket, message, asked);
        let released = match released {
            // One answer a request: a second one was not asked for.
            Ok(second) if self.is_answered && matches!(second.said(), Said::Answer { .. }) => {
                Err(Refusal::BadAnswer(BadAnswer::NotAsked))
            }
            other => other,
        };
        let released = match released {
            Ok(released) => released,
            Err(Refusal::BadAnswer(why)) if may_go_on(&why, || self.incoming.declined()) => {
                let record = self.closing(&End::Upstream, exchange);
                self.gateway.withhold(&why, &self.ticket, record).await;
                return Ok(None);
            }
            // It has its record already, which does not tell of this.
            Err(Refusal::BadAnswer(why)) if exchange.is_settled() => {
                let record = self.closing(&End::Upstream, exchange);
                self.gateway.withhold(&why, &self.ticket, record).await;
                return Err(Refusal::BadAnswer(why).into());
            }
            Err(refusal) => return Err(refusal.into()),
        };
        if let Said::Answer { code, .. } = released.said() {
            self.is_answered = true;
            let settled = self.settle(*code, released.size(), exchange).await;
            settled.map_err(|why| End::Refused(Refusal::Unavailable(why)))?;
            self.incoming.permitted();
        }
        Ok(Some(released.into_bytes()))
    }

    /// The server closed a stream that it gave event ids to: the client comes back for the answer.
    async fn suspend(&self, exchange: &mut Exchange) -> End {
        match exchange.settle(walk::suspended()).await {
            Ok(()) => End::Upstream,
            Err(why) => End::Refused(Refusal::Unavailable(why)),
        }
    }

    /// Records the answer before it leaves. On a stream that was read on after it broke, the exchange has its
    /// record already (`stream.opened`), so the answer gets one of its own.
    async fn settle(
        &self,
        code: Option<i64>,
        size: u64,
        exchange: &mut Exchange,
    ) -> Result<(), Unavailable> {
        let came = walk::completed(200, code);
        self.gateway.completed(exchange);
        if self.answers {
            exchange.answered = Some(clock::now());
            exchange.bytes_out += size;
            return exchange.settle(came).await;
        }
        let reserved = self.gateway.recorder.reserve().await;
        let mut entry = reserved.map_err(|_| Unavailable::Audit)?;
        entry.record = self.closing(&End::Upstream, exchange);
        entry.record.event = came.event.into();
        entry.record.reason = came.reason.map(Into::into);
        entry.record.method = self.ticket.method().map(|method| method.name().into());
        entry
            .settle()
            .await
            .map(drop)
            .map_err(|_| Unavailable::Audit)
    }

    fn sealed(&self, frame: &Frame) -> Result<Option<String>, Refusal> {
        let Some(id) = frame.id.as_deref().filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        if self.ticket.revision().is_stateless() {
            return Ok(None);
        }
        let binding = binding(
            self.ticket.principal(),
            self.ticket.session(),
            self.ticket.server(),
        );
        self.gateway
            .seal
            .seal(&binding, &Mark::written(&self.ticket, id))
            .map(Some)
            .map_err(Refusal::Unavailable)
    }
}
