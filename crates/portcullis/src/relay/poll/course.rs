//! How far a feed was read: what is asked next, what comes of the answer, and when.

use super::{Feed, Taken};
use crate::egress::{self, Egress};
use crate::random;
use crate::relay::{Gateway, Receiving};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use portcullis_audit::Record;
use portcullis_core::authenticate::Unauthenticated;
use portcullis_core::signals::Unheard;
use portcullis_core::signals::poll::{self, Patience, Settled};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer is waited for that may let us wait, and one that may not; at most half of what makes a feed stale.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_secs(10);
/// What lies between two questions at least, unless all that came was news.
const PACE: Duration = Duration::from_secs(1);
/// The longest pause after a failure; the first is a second.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// How long an event waits whose key is not known here yet: longer than keys are not fetched again.
const KEY_PATIENCE: Duration = Duration::from_mins(2);

/// Why a feed has not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silent {
    #[error(transparent)]
    Unsent(#[from] egress::NoAnswer),
    #[error("answered with status {0}")]
    Status(u16),
    #[error(transparent)]
    Answer(#[from] poll::BadAnswer),
    #[error("a secret that it needs could not be read in time")]
    Secret,
}

/// How far a feed was read.
pub(super) struct Course {
    settled: Settled,
    pub(super) patience: Patience,
    failures: u32,
    /// Events whose key is not known, since when.
    waiting: BTreeMap<String, Instant>,
}

impl Course {
    pub(super) fn new() -> Self {
        Self {
            settled: Settled::default(),
            patience: Patience::None,
            failures: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// One question, which says what has become of the events before.
    pub(super) async fn ask(
        &self,
        receiving: &Receiving,
        feed: &Feed,
    ) -> Result<Vec<(String, String)>, Silent> {
        if !receiving.lease.holds() {
            return Err(Silent::Secret);
        }
        let body = Bytes::from(poll::request(&self.settled, self.patience));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, feed.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let within = match self.patience {
            Patience::Long => LONG,
            Patience::None => SHORT,
        };
        let within = within.min(feed.stale_after / 2);
        let egress = Egress::to_written();
        let answer = egress
            .send(&feed.site, feed.tls.as_ref(), request, within)
            .await?;
        if answer.status != StatusCode::OK {
            return Err(Silent::Status(answer.status.as_u16()));
        }
        Ok(poll::answer(&answer.body)?)
    }

    /// Takes what came, and says how long to wait before the next question.
    pub(super) async fn take(
        &mut self,
        gateway: &Gateway,
        receiving: &Receiving,
        (events, asked): (Vec<(String, String)>, Instant),
    ) -> Duration {
        let is_at_once = self.patience == Patience::None && events.is_empty();
        self.settled = Settled::default();
        self.patience = Patience::Long;
        self.waiting
            .retain(|id, _| events.iter().any(|(own, _)| own == id));
        let (mut is_kept, mut is_news) = (true, !events.is_empty());
        for (id, token) in events {
            match gateway.fetch(receiving, &id, &token).await {
                Some(Taken::News) => {
                    self.settled.taken.insert(id);
                    continue;
                }
                Some(Taken::Before) => {
                    self.settled.taken.insert(id);
                }
                Some(Taken::Refused(why)) => {
                    self.settled.refused.insert(id, why);
                }
                Some(Taken::Unknown) => self.wait_for_key(gateway, receiving, id).await,
                None => is_kept = false,
            }
            is_news = false;
        }
        if !is_kept {
            return self.failed();
        }
        self.failures = 0;
        // Whoever was not to wait has not shown that it would not.
        if is_news || is_at_once {
            return Duration::ZERO;
        }
        PACE.saturating_sub(asked.elapsed())
    }

    /// An event whose key nobody knows is refused only when its issuer was asked for its keys in vain.
    async fn wait_for_key(&mut self, gateway: &Gateway, receiving: &Receiving, id: String) {
        let since = *self.waiting.entry(id.clone()).or_insert_with(Instant::now);
        if since.elapsed() < KEY_PATIENCE {
            return;
        }
        let issuer = receiving.receiver.issuer.clone();
        let mut record = Record::new("signal.refused");
        record.detail.set("issuer", issuer.as_str());
        record.detail.set("delivery", "poll");
        record.detail.set("id", id.as_str());
        let why = Unheard::Token(Unauthenticated::UnknownKey { issuer });
        if let Some(Taken::Refused(why)) = gateway.refuse_fetched(record, why).await {
            self.settled.refused.insert(id, why);
        }
    }

    /// How long to wait after a failure: twice as long each time, and never all at once with others.
    pub(super) fn failed(&mut self) -> Duration {
        self.patience = Patience::None;
        let pause = (PACE * 2_u32.pow(self.failures.min(5))).min(MAX_PAUSE);
        self.failures = self.failures.saturating_add(1);
        let [random] = random::bytes().unwrap_or([u8::MAX]);
        pause / 2 + pause.mul_f64(f64::from(random) / 510.0)
    }
}
