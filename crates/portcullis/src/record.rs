//! The bracket around an exchange: its place in the audit log is taken first and settled last.

use crate::credentials::Ledger;
use crate::export::Place;
use crate::flood::{Deed, Floods};
use crate::upstream::Report;
use crate::{clock, detail};
use portcullis_audit::{
    Arguments, Decision, Digest, Effect, Entry, Outcome, Principal, Record, Recorder, View,
};
use portcullis_core::pipeline::Trail;
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::session::Closed;
use portcullis_core::time::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long an exchange waits for a place in the log; there is one unless the disk does not keep up.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What an exchange came to, in the words of its record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    /// What happened.
    pub(crate) event: &'static str,
    /// Why.
    pub(crate) reason: Option<&'static str>,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The JSON-RPC error code.
    pub(crate) code: Option<i32>,
}

/// An exchange under way. Dropped unsettled, it leaves `exchange.abandoned` with what was known.
#[derive(Debug)]
pub(crate) struct Exchange {
    entry: Option<Entry>,
    /// What the rooms found out.
    pub(crate) trail: Trail,
    /// When it began.
    pub(crate) began: Timestamp,
    /// When it went up.
    pub(crate) sent: Option<Timestamp>,
    /// When the first of the answer came.
    pub(crate) answered: Option<Timestamp>,
    /// The W3C trace id.
    pub(crate) trace: String,
    /// The server that was asked for.
    pub(crate) server: Option<Arc<str>>,
    /// The hash of the policy that decides.
    pub(crate) policy: Arc<str>,
    /// The bytes that came in.
    pub(crate) bytes_in: u64,
    /// The bytes that went out.
    pub(crate) bytes_out: u64,
    /// Its place in its trace, where anything is exported.
    pub(crate) place: Option<Box<Place>>,
    /// Which credentials were issued for it.
    pub(crate) ledger: Ledger,
    caller: Caller,
    facts: Vec<(&'static str, String)>,
    /// Whether an issuer of ours, or its directory, has sent what came, without being a caller.
    is_vouched: bool,
}

/// From where an exchange comes.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Through a pipe, or by way of an exchange that is known.
    Within,
    /// Over the network. Strangers are recorded only as often as these allow.
    Peer(SocketAddr, Arc<Floods>),
}

impl Exchange {
    /// Takes the exchange's place in the log.
    ///
    /// # Errors
    /// [`Unavailable::Audit`]: no place, no exchange.
    pub(crate) async fn begin(
        recorder: &Recorder,
        caller: Caller,
        policy: Arc<str>,
    ) -> Result<Self, Unavailable> {
        let reserved = timeout(RESERVE_TIMEOUT, recorder.reserve()).await;
        let entry = reserved
            .map_err(|_| Unavailable::Audit)?
            .map_err(|_| Unavailable::Audit)?;
        Ok(Self {
            entry: Some(entry),
            trail: Trail::default(),
            began: clock::now(),
            sent: None,
            answered: None,
            trace: String::new(),
            server: None,
            policy,
            bytes_in: 0,
            bytes_out: 0,
            place: None,
            ledger: Ledger::open(),
            caller,
            facts: Vec::new(),
            is_vouched: false,
        })
    }

    /// Writes the record and waits until it is written.
    ///
    /// # Errors
    /// [`Unavailable::Audit`]: then nothing may be answered but that.
    pub(crate) async fn settle(&mut self, came: Came) -> Result<(), Unavailable> {
        let Some(mut entry) = self.entry.take() else {
            return Ok(());
        };
        if self.is_counted(came) {
            entry.withdraw();
            return Ok(());
        }
        self.fill(&mut entry.record, came);
        let settled = entry.settle().await;
        self.export(came);
        settled.map(drop).map_err(|_| Unavailable::Audit)
    }

    /// It goes up now, over this transport; none if to ourselves.
    pub(crate) fn goes_up(&mut self, over: Option<&'static str>) {
        self.sent.get_or_insert(clock::now());
        if let Some(place) = &mut self.place {
            place.goes_up(over);
        }
    }

    /// The `traceparent` that an upstream is to get, where anything is exported.
    pub(crate) fn traceparent(&self) -> Option<String> {
        let place = self.place.as_ref()?;
        Some(place.traceparent(&self.trace))
    }

    fn export(&mut self, came: Came) {
        if let Some(place) = self.place.take() {
            place.export().settled(self, &place, came);
        }
    }

    /// Writes the record of a refusal.
    ///
    /// # Errors
    /// [`Unavailable::Audit`].
    pub(crate) async fn refuse(
        &mut self,
        refusal: &Refusal,
        is_stateless: bool,
    ) -> Result<(), Unavailable> {
        let (event, reason) = refusal.event();
        let public = refusal.public(is_stateless);
        if let Some(cause) = refusal.cause() {
            self.fact("cause", cause);
        }
        self.trail.refused(refusal);
        if let Some(detail) = refusal.step_up() {
            self.fact("seen", &detail.seen());
            self.fact("required", &detail.required());
        }
        self.settle(Came {
            event,
            reason: Some(reason),
            status: public.status,
            code: Some(public.code),
        })
        .await
    }

    /// Adds what only this kind of exchange has.
    pub(crate) fn fact(&mut self, name: &'static str, fact: &str) {
        self.facts.push((name, fact.to_owned()));
    }

    /// An issuer of ours has signed what came, or its directory sent the secret: whoever it was is no stranger.
    pub(crate) const fn vouch(&mut self) {
        self.is_vouched = true;
    }

    /// Whether the record was written.
    pub(crate) const fn is_settled(&self) -> bool {
        self.entry.is_none()
    }

    /// Whether it is one of too many of a stranger's, and has been counted instead.
    fn is_counted(&self, came: Came) -> bool {
        let Caller::Peer(peer, floods) = &self.caller else {
            return false;
        };
        let deed = Deed {
            peer: *peer,
            event: came.event,
            reason: came.reason.unwrap_or_default(),
            claimed: self.trail.claimed.as_ref(),
        };
        let is_stranger = self.trail.principal.is_none() && !self.is_vouched;
        is_stranger && !floods.admits(&deed, clock::now())
    }

    fn fill(&self, record: &mut Record, came: Came) {
        record.event = came.event.into();
        record.reason = came.reason.map(Into::into);
        if let Some(principal) = &self.trail.principal {
            record.principal = Some(Principal {
                iss: principal.vouched_by().into(),
                sub: principal.subject.as_str().into(),
            });
            record.client = principal.client.as_deref().map(Into::into);
            record.jti = principal.token_id.as_deref().map(Into::into);
        }
        record.server = self.server.as_deref().map(Into::into);
        record.method = self.trail.method.as_deref().map(Into::into);
        record.target = self.trail.target.as_deref().map(Into::into);
        record.arguments = self.trail.arguments.as_ref().map(|summary| Arguments {
            digest: Digest::of(&summary.bytes),
            view: summary.view.as_ref().map(View::from),
        });
        record.decision = self.decision();
        record.outcome = (came.status != 0).then_some(Outcome {
            status: came.status,
            code: came.code,
        });
        record.session = self.trail.session.as_deref().map(Into::into);
        record.peer = match &self.caller {
            Caller::Within => None,
            Caller::Peer(peer, _) => Some(*peer),
        };
        let now = clock::now();
        record.duration_us = Some(micros(now.since(self.began)));
        record.upstream_us = self
            .sent
            .map(|sent| micros(self.answered.unwrap_or(now).since(sent)));
        record.bytes_in = Some(self.bytes_in);
        record.bytes_out = Some(self.bytes_out);
        record.trace = (!self.trace.is_empty()).then(|| self.trace.as_str().into());
        if let Some(revision) = self.trail.revision {
            record.detail.set("revision", revision.name());
        }
        for (name, fact) in &self.facts {
            record.detail.set(name, fact.as_str());
        }
        self.ledger.close_into(record);
        detail::of_trail(record, &self.trail);
    }

    fn decision(&self) -> Option<Decision> {
        if !self.trail.is_decided {
            return None;
        }
        let (effect, rule) = match &self.trail.rule {
            Some(rule) => (Effect::Allow, rule.as_str()),
            None => (
                Effect::Deny,
                self.trail.denied_by.as_deref().unwrap_or_default(),
            ),
        };
        Some(Decision {
            effect,
            rule: rule.into(),
            policy: (&*self.policy).into(),
        })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let came = Came {
            event: portcullis_audit::ABANDONED,
            reason: None,
            status: 0,
            code: None,
        };
        if let Some(mut entry) = self.entry.take() {
            if self.is_counted(came) {
                return entry.withdraw();
            }
            self.fill(&mut entry.record, came);
        }
        self.export(came);
    }
}

/// Records something that is no exchange; what cannot be recorded is logged.
pub(crate) fn note(recorder: &Recorder, record: Record) {
    match recorder.try_reserve() {
        Ok(mut entry) => {
            entry.record = record;
            if let Err(error) = entry.submit() {
                tracing::error!(%error, "an event was not recorded");
            }
        }
        Err(error) => {
            tracing::error!(%error, event = record.event.as_str(), "an event was not recorded");
        }
    }
}

/// Records what a stranger did that never became an exchange, or counts it.
pub(crate) fn note_stranger(
    recorder: &Recorder,
    floods: &Floods,
    (event, reason): (&'static str, &'static str),
    peer: SocketAddr,
) {
    let deed = Deed {
        peer,
        event,
        reason,
        claimed: None,
    };
    if !floods.admits(&deed, clock::now()) {
        return;
    }
    let mut record = Record::new(event);
    record.reason = Some(reason.into());
    record.peer = Some(peer);
    note(recorder, record);
}

/// Records something that must be there before what follows from it; gives its number once it is written.
pub(crate) async fn note_in_turn(recorder: &Recorder, record: Record) -> Option<u64> {
    let reserved = timeout(RESERVE_TIMEOUT, recorder.reserve()).await;
    let Ok(Ok(mut entry)) = reserved else {
        tracing::error!(event = record.event.as_str(), "an event was not recorded");
        return None;
    };
    entry.record = record;
    let settled = entry.settle().await;
    settled.ok().map(|position| position.seq)
}

/// Records the sums of what was counted; what finds no place in the log stays counted.
pub(crate) async fn note_sums(recorder: &Recorder, floods: &Floods) {
    while !floods.is_empty() {
        let reserved = timeout(RESERVE_TIMEOUT, recorder.reserve()).await;
        let Ok(Ok(mut entry)) = reserved else {
            return tracing::error!("what strangers did was not recorded");
        };
        match floods.take() {
            Some(record) => entry.record = record,
            None => return entry.withdraw(),
        }
        if let Err(error) = entry.submit() {
            tracing::error!(%error, "what strangers did was not recorded");
        }
    }
}

/// Records what upstreams tell of.
pub(crate) fn reporter(recorder: Recorder) -> Report {
    Report::new(move |notice| {
        let mut record = Record::new(notice.event);
        record.reason = Some(notice.reason.into());
        record.server = notice.server.map(Into::into);
        if let Some(owner) = notice.owner {
            record.detail.set("owner", owner);
        }
        for (name, fact) in notice.detail.iter().filter(|(_, fact)| !fact.is_empty()) {
            record.detail.set(name, *fact);
        }
        note(&recorder, record);
    })
}

/// Records the end of a session.
pub(crate) fn note_closed(recorder: &Recorder, closed: &Closed) {
    note(recorder, record_of(closed));
}

/// The same where thousands may end at once: waits for a place instead of leaving a record out.
pub(crate) async fn note_closed_in_turn(recorder: &Recorder, closed: &Closed) {
    let reserved = timeout(RESERVE_TIMEOUT, recorder.reserve()).await;
    let Ok(Ok(mut entry)) = reserved else {
        return tracing::error!("the end of a session was not recorded");
    };
    entry.record = record_of(closed);
    if let Err(error) = entry.submit() {
        tracing::error!(%error, "the end of a session was not recorded");
    }
}

fn record_of(closed: &Closed) -> Record {
    let mut record = Record::new("session.terminated");
    record.reason = Some(closed.reason.into());
    record.session = Some(closed.id.fingerprint().as_str().into());
    record.server = Some((&*closed.server).into());
    record.detail.set("owner", &*closed.owner);
    record
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
