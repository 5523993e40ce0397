//! Security events that have to be fetched (RFC 8936): asked for again and again, judged as those that are pushed, and
//! acknowledged only once they are kept.
//!
//! Nothing is lost if the process ends in between: what is not acknowledged comes again, and counts once.

mod feeds;
mod pulse;
mod course;

use super::hear::{changes, told};
use super::{Gateway, Receiving};
use crate::clock;
use crate::egress::{self, Site};
use crate::record::note_in_turn;
use crate::tls::Client;
use course::{Course, Silent};
pub(crate) use feeds::Feeds;
use hyper::header::HeaderValue;
use portcullis_audit::Record;
use portcullis_core::authenticate::Unauthenticated;
use portcullis_core::signals::poll::Patience;
use portcullis_core::signals::{Effect, Unheard};
use portcullis_state::Heard;
use pulse::Pulse;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Where an issuer keeps events for us.
pub(crate) struct Feed {
    pub(crate) site: Site,
    /// The value of `Authorization`.
    pub(crate) authorization: HeaderValue,
    pub(crate) tls: Option<Client>,
    /// After so long without an answer it is stale.
    pub(crate) stale_after: Duration,
    /// Whether the issuer's tokens are refused then.
    pub(crate) on_stale: OnStale,
}

/// What follows from a feed that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnStale {
    /// A record.
    Record,
    /// Nobody who is known by this issuer has access.
    Deny,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feed(..)")
    }
}

impl Gateway {
    /// Fetches from every feed that is configured and not fetched from yet, until it is not any more.
    pub(crate) fn keep_polling(self: &Arc<Self>) {
        self.feeds.reloaded();
        let live = self.live.load_full();
        let fed = live.signals.iter();
        fed.filter_map(|(name, receiving)| Some((name, receiving, receiving.feed.as_ref()?)))
            .filter(|(name, ..)| self.feeds.begin(name))
            .for_each(|(name, receiving, feed)| {
                self.unheard(receiving, feed);
                self.tasks.spawn(follow(Arc::clone(self), name.clone()));
            });
    }

    /// Puts it into effect that nothing is heard of an issuer's feed: streams look again.
    fn unheard(&self, receiving: &Receiving, feed: &Feed) {
        let issuer = &receiving.receiver.issuer;
        let is_changed = match feed.on_stale {
            OnStale::Deny => self.feeds.deny(issuer),
            OnStale::Record => self.feeds.admit(issuer),
        };
        if is_changed {
            self.revocations.wake();
        }
    }

    /// Takes one event; `None` if it has to come again.
    async fn fetch(&self, receiving: &Receiving, id: &str, token: &str) -> Option<Taken> {
        let receiver = &receiving.receiver;
        let mut record = Record::new("signal.accepted");
        record.detail.set("issuer", receiver.issuer.as_str());
        record.detail.set("delivery", "poll");
        record.detail.set("id", id);
        let judged = self.judge(token.as_bytes(), receiver).await;
        let signal = match judged {
            Ok(signal) if signal.id == id => signal,
            Ok(_) => return self.refuse_fetched(record, Unheard::Claims).await,
            Err(Unheard::Token(Unauthenticated::UnknownKey { .. })) => return Some(Taken::Unknown),
            Err(why) => return self.refuse_fetched(record, why).await,
        };
        let now = clock::now();
        let (effect, subject, changes) = changes(&signal, receiving, now);
        record.detail.set("event", signal.event);
        record.detail.set("effect", effect);
        if let Some(subject) = subject {
            record.detail.set("subject", subject.name.as_str());
        }
        if let Effect::Say(_, topic, value) = &signal.effect {
            let said = format!("{} {value}", topic.name());
            record.detail.set("said", said.as_str());
        }
        let outcome = match self
            .revocations
            .hear(told(&signal, receiver, changes, now), now)
            .await
        {
            Ok(Heard::News) => Taken::News,
            Ok(Heard::Before) => {
                record.event = "signal.refused".into();
                record.reason = Some("replayed".into());
                Taken::Before
            }
            Err(error) => {
                tracing::error!(%error, "a security event was not kept");
                return None;
            }
        };
        note_in_turn(&self.recorder, record).await.map(|_| outcome)
    }

    async fn refuse_fetched(&self, mut record: Record, why: Unheard) -> Option<Taken> {
        record.event = "signal.refused".into();
        record.reason = Some(why.reason().into());
        let noted = note_in_turn(&self.recorder, record).await;
        noted.map(|_| Taken::Refused(why))
    }
}

/// What has become of an event.
enum Taken {
    News,
    Before,
    Refused(Unheard),
    /// Our keys may be old.
    Unknown,
}

/// Follows one feed until it is configured no more, or the gateway drains.
async fn follow(gateway: Arc<Gateway>, name: String) {
    let mut reloads = gateway.feeds.reloads();
    let (mut pulse, mut course) = (Pulse::new(), Course::new());
    let mut place = None;
    loop {
        reloads.mark_unchanged();
        let live = gateway.live.load_full();
        let followed = live.signals.get(&name);
        let followed = followed.and_then(|one| Some((one, one.feed.as_ref()?)));
        let Some((receiving, feed)) = followed else {
            gateway.forget(place.take());
            if gateway.feeds.end(&name, || is_followed(&gateway, &name)) {
                return;
            }
            continue;
        };
        let now = (receiving.receiver.issuer.clone(), feed.site.clone());
        if place.as_ref().is_some_and(|before| *before != now) {
            gateway.forget(place.take());
            (pulse, course) = (Pulse::new(), Course::new());
        }
        place = Some(now);
        if pulse.is_stale || !pulse.has_answered {
            gateway.unheard(receiving, feed);
        }
        let patience = course.patience;
        let asked = Instant::now();
        let asking = pulse.watch(&gateway, (receiving, feed), course.ask(receiving, feed));
        let answered = tokio::select! {
            () = gateway.drain.cancelled() => return,
            Ok(()) = reloads.changed() => continue,
            answered = asking => answered,
        };
        let pause = match answered {
            Ok(events) => {
                pulse.beat(&gateway, receiving);
                course.take(&gateway, receiving, (events, asked)).await
            }
            // It may only have had nothing to tell. The next question shows it.
            Err(Silent::Unsent(egress::NoAnswer::Timeout)) if patience == Patience::Long => {
                course.patience = Patience::None;
                Duration::ZERO
            }
            Err(why) => {
                tracing::warn!(issuer = receiving.receiver.issuer, %why, "security events cannot be fetched");
                pulse.trouble = why.to_string();
                course.failed()
            }
        };
        let resting = pulse.watch(&gateway, (receiving, feed), sleep(pause));
        tokio::select! {
            () = gateway.drain.cancelled() => return,
            Ok(()) = reloads.changed() => {}
            () = resting => {}
        }
    }
}

fn is_followed(gateway: &Gateway, name: &str) -> bool {
    let live = gateway.live.load();
    let receiving = live.signals.get(name);
    receiving.is_some_and(|receiving| receiving.feed.is_some())
}

impl Gateway {
    /// A feed that is followed no more keeps nobody out.
    fn forget(&self, place: Option<(String, Site)>) {
        if let Some((issuer, _)) = place {
            self.feeds.admit(&issuer);
        }
    }
}
