//! Security events that an issuer pushes (RFC 8935): read here, judged in the core, kept as revocations.

use super::{Feed, Gateway, Live, intake};
use crate::clock;
use crate::listener::{Body, plain, trace, unheard};
use crate::record::{Came, Exchange};
use crate::secrets::Lease;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use portcullis_core::authenticate::Unauthenticated;
use portcullis_core::quota::Rate;
use portcullis_core::refusal::{Refusal, Unacceptable, Unavailable};
use portcullis_core::secret::Secret;
use portcullis_core::signals::{
    self, DISABLED_FOR, Effect, MAX_AGE, MAX_TOKEN_BYTES, Receiver, Signal, Subject, Unheard,
};
use portcullis_core::time::Timestamp;
use portcullis_state::{
    Change, Failed, Heard, Kind, Lifted, Revocation, Saying, Source, Told, Whom,
};
use std::net::SocketAddr;

/// How many events one network may push.
const RATE: Rate = Rate {
    per_minute: 600,
    burst: 100,
};
const MEDIA: &str = "application/secevent+jwt";
/// An event is remembered a little longer than it could be taken.
const MARGIN: std::time::Duration = std::time::Duration::from_mins(5);

/// An issuer that tells us what has happened to its subjects.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub(crate) receiver: Receiver,
    /// What it sends besides its signature.
    pub(crate) bearer: Option<Secret<String>>,
    /// Whether subjects are called here as events call them: by `sub`.
    pub(crate) is_by_subject: bool,
    /// Where events are fetched, besides those that are pushed.
    pub(crate) feed: Option<Feed>,
    /// What holds while its secrets are believed.
    pub(crate) lease: Lease,
}

/// Why an event changes nothing.
#[derive(Debug, thiserror::Error)]
enum Dismissed {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Unheard(#[from] Unheard),
    #[error("not the bearer token that was agreed on")]
    Bearer,
    #[error("not application/secevent+jwt")]
    Media,
    #[error("taken before")]
    Before,
}

impl Gateway {
    /// Takes an event, or says why not. Whatever comes is recorded.
    pub(super) async fn hear(
        &self,
        live: &Live,
        (parts, body): (&Parts, Incoming),
        (name, peer): (&str, SocketAddr),
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Refusal> {
        exchange.trace = trace(&parts.headers)?.id;
        let receiving = live.signals.get(name).ok_or(Unacceptable::Path)?;
        exchange.fact("issuer", &receiving.receiver.issuer);
        let taken = self
            .take((live, receiving), (parts, body), peer, exchange)
            .await;
        let (status, code, reason) = match &taken {
            Ok(()) => (202, "", None),
            Err(Dismissed::Refused(refusal)) => return Err(refusal.clone()),
            Err(Dismissed::Unheard(why)) => (400, why.code(), Some(why.reason())),
            Err(Dismissed::Bearer) => (401, "authentication_failed", Some("bearer")),
            Err(Dismissed::Media) => (400, "invalid_request", Some("media_type")),
            // RFC 8935 section 2: who sends it again is answered as before.
            Err(Dismissed::Before) => (202, "", Some("replayed")),
        };
        let event = match reason {
            None => "signal.accepted",
            Some(_) => "signal.refused",
        };
        let came = Came {
            event,
            reason,
            status,
            code: None,
        };
        exchange.settle(came).await.map_err(Refusal::Unavailable)?;
        Ok(match taken {
            Err(why) if status != 202 => unheard(status, code, &why.to_string()),
            Ok(()) | Err(_) => plain(202),
        })
    }

    async fn take(
        &self,
        (live, receiving): (&Live, &Receiving),
        (parts, body): (&Parts, Incoming),
        peer: SocketAddr,
        exchange: &mut Exchange,
    ) -> Result<(), Dismissed> {
        if parts.method != Method::POST {
            return Err(Refusal::from(Unacceptable::Method).into());
        }
        let rated = self.signals.take(peer.ip(), RATE, clock::now());
        rated.map_err(Refusal::from)?;
        if !receiving.lease.holds() {
            return Err(Refusal::from(Unavailable::Secret).into());
        }
        if !is_agreed(&parts.headers, receiving.bearer.as_ref()) {
            return Err(Dismissed::Bearer);
        }
        let media = parts.headers.get(CONTENT_TYPE);
        if !media.is_some_and(|media| media.as_bytes().eq_ignore_ascii_case(MEDIA.as_bytes())) {
            return Err(Dismissed::Media);
        }
        let body = intake::read_most(body, MAX_TOKEN_BYTES, live.body_timeout).await?;
        exchange.bytes_in = intake::length(&body);
        let receiver = &receiving.receiver;
        let signal = self.judge(&body, receiver).await?;
        exchange.vouch();
        exchange.fact("id", &signal.id);
        exchange.fact("event", signal.event);
        let now = clock::now();
        let (effect, subject, changes) = changes(&signal, receiving, now);
        exchange.fact("effect", effect);
        if let Some(subject) = subject {
            exchange.fact("subject", &subject.name);
        }
        if let Effect::Say(_, topic, value) = &signal.effect {
            exchange.fact("said", &format!("{} {value}", topic.name()));
        }
        let told = told(&signal, receiver, changes, now);
        match self.revocations.hear(told, now).await {
            Ok(Heard::News) => Ok(()),
            Ok(Heard::Before) => Err(Dismissed::Before),
            Err(error) => Err(not_kept(&error, exchange)),
        }
    }

    /// An unknown key may only mean that ours are old: then they are fetched, and it is asked once more.
    pub(super) async fn judge(&self, token: &[u8], receiver: &Receiver) -> Result<Signal, Unheard> {
        let trust = self.issuers.trust();
        let first = signals::read(token, receiver, &trust, clock::now());
        let Err(Unheard::Token(Unauthenticated::UnknownKey { issuer })) = &first else {
            return first;
        };
        if !self.issuers.refresh(issuer, trust.generation).await {
            return first;
        }
        signals::read(token, receiver, &self.issuers.trust(), clock::now())
    }
}

/// The issuer sends it again later: nothing of it is lost.
fn not_kept(error: &Failed, exchange: &mut Exchange) -> Dismissed {
    tracing::error!(%error, "a security event was not kept");
    exchange.fact("error", &error.to_string());
    Refusal::from(Unavailable::State).into()
}

pub(super) fn is_agreed(headers: &HeaderMap, bearer: Option<&Secret<String>>) -> bool {
    let Some(agreed) = bearer else { return true };
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let (Some(sent), None) = (sent.next(), sent.next()) else {
        return false;
    };
    let (scheme, token) = sent.as_bytes().split_at_checked(7).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer ")
        && verify_slices_are_equal(token, agreed.expose().as_bytes()).is_ok()
}

/// What is kept of an event, with what it changes.
pub(super) fn told(
    signal: &Signal,
    receiver: &Receiver,
    changes: Vec<Change>,
    now: Timestamp,
) -> Told {
    Told {
        issuer: receiver.issuer.clone(),
        id: signal.id.clone(),
        until: now.plus(MAX_AGE + MARGIN),
        changes,
    }
}

/// What an event changes, in a word and in rows.
pub(super) fn changes<'a>(
    signal: &'a Signal,
    receiving: &Receiving,
    now: Timestamp,
) -> (&'static str, Option<&'a Subject>, Vec<Change>) {
    let receiver = &receiving.receiver;
    let by = || format!("issuer:{}", receiver.issuer);
    let whom = |subject: &Subject| {
        let (kind, name) = if receiving.is_by_subject {
            (Kind::Subject, subject.name.clone())
        } else {
            (Kind::Claim, format!("sub={}", subject.name))
        };
        Whom {
            kind,
            issuer: receiver.issuer.clone(),
            name,
        }
    };
    let ended = |subject: &Subject| {
        Change::Revoke(Revocation {
            source: Source::Event,
            reason: Some(signal.event.to_owned()),
            ..Revocation::new(whom(subject), subject.since, (now, by()))
        })
    };
    match &signal.effect {
        Effect::Nothing => ("none", None, Vec::new()),
        Effect::End(subject) => ("ended", Some(subject), vec![ended(subject)]),
        Effect::Disable(subject) => {
            let until = subject.since.plus(DISABLED_FOR);
            let disabled = Change::Revoke(Revocation {
                source: Source::Disabled,
                reason: Some(signal.event.to_owned()),
                ..Revocation::new(whom(subject), until, (subject.since, by()))
            });
            ("disabled", Some(subject), vec![ended(subject), disabled])
        }
        Effect::Enable(subject) => {
            let lifted = Lifted {
                at: subject.since,
                by: by(),
            };
            let enabled = Change::Enable(whom(subject), Source::Disabled, lifted);
            ("enabled", Some(subject), vec![enabled])
        }
        Effect::Say(subject, topic, value) => {
            let said = Change::Say(Saying {
                issuer: receiver.issuer.clone(),
                name: subject.name.clone(),
                topic: *topic,
                value: value.clone(),
                since: subject.since,
            });
            ("said", Some(subject), vec![said])
        }
    }
}
