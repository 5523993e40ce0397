//! Questions an issuer about tokens (RFC 7662): one question at a time for each token, few for each network, and no
//! answer is never a yes.

use super::fetch::{NoAnswer, Way};
use super::{Issuers, Source, lock};
use crate::clock;
use crate::config::HttpUrl;
use crate::egress::Site;
use crate::record::note;
use crate::secrets::Lease;
use bytes::Bytes;
use hyper::header::HeaderValue;
use portcullis_audit::Record;
use portcullis_core::authenticate::{
    Form, NoAnswer as NotBelieved, Question, Resource, Trust, Unauthenticated, Verified,
};
use portcullis_core::quota::{Exhausted, Networks, Rate, network};
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::time::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How many questions about tokens that were never good before one network may cause.
const RATE: Rate = Rate {
    per_minute: 600,
    burst: 100,
};
/// How many of them at once: not all that there are.
const OF_NETWORK: u32 = 4;
/// Questions to one issuer at once about such tokens, and about those that were good a moment ago.
const STRANGERS: usize = 16;
const KNOWN: usize = 16;
/// How long a question waits for its turn.
const TURN: Duration = Duration::from_secs(3);
/// How long a no is remembered, and how many.
const NO: Duration = Duration::from_secs(5);
const MAX_NOES: usize = 8192;
/// How often it is recorded that an issuer cannot be asked.
const TOLD: Duration = Duration::from_secs(10);

/// An issuer that can be asked.
pub(crate) struct Desk {
    endpoint: Option<HttpUrl>,
    credentials: HeaderValue,
    /// What it answers with.
    form: Form,
    ttl: Duration,
    /// What holds while the credentials are believed.
    lease: Lease,
    strangers: Semaphore,
    known: Semaphore,
    /// Where its metadata says that it answers.
    found: Mutex<Option<Site>>,
    told: Mutex<Option<Timestamp>>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk(..)")
    }
}

impl Desk {
    /// `credentials` is the value of `Authorization`.
    pub(crate) fn new(
        endpoint: Option<HttpUrl>,
        mut credentials: HeaderValue,
        (form, ttl): (Form, Duration),
        lease: Lease,
    ) -> Self {
        credentials.set_sensitive(true);
        Self {
            endpoint,
            credentials,
            form,
            ttl,
            lease,
            strangers: Semaphore::new(STRANGERS),
            known: Semaphore::new(KNOWN),
            found: Mutex::default(),
            told: Mutex::default(),
        }
    }

    async fn turn(&self, question: &Question) -> Result<SemaphorePermit<'_>, Unavailable> {
        let lane = if question.is_known {
            &self.known
        } else {
            &self.strangers
        };
        let turn = timeout(TURN, lane.acquire()).await;
        turn.map_err(|_| Unavailable::Introspection)?
            .map_err(|_| Unavailable::Introspection)
    }

    async fn endpoint(&self, way: Way<'_>) -> Result<Site, NoAnswer> {
        if let Some(endpoint) = &self.endpoint {
            return Ok(Site::Written(endpoint.clone()));
        }
        let known = lock(&self.found).clone();
        if let Some(endpoint) = known {
            return Ok(endpoint);
        }
        let found = way.introspection().await?;
        *lock(&self.found) = Some(found.clone());
        Ok(found)
    }

    async fn ask(&self, question: &Question, way: Way<'_>) -> Result<Bytes, NoAnswer> {
        if !self.lease.holds() {
            return Err(NoAnswer::Secret);
        }
        let endpoint = self.endpoint(way).await?;
        let asked = Bytes::from(question.form().expose().clone());
        let answer = way
            .ask(&endpoint, &self.credentials, (asked, &self.form))
            .await;
        if answer.is_err() {
            *lock(&self.found) = None; // it may have moved
        }
        answer
    }
}

type Place = [u8; 32];

/// What is being asked, and what was answered with no.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// One question at a time for each token; whoever asks the same waits for its answer.
    flights: Mutex<HashMap<Place, Arc<tokio::sync::Mutex<()>>>>,
    noes: Mutex<HashMap<Place, No>>,
    networks: Networks,
    under_way: Mutex<HashMap<IpAddr, u32>>,
}

#[derive(Debug)]
struct No {
    trust: u64,
    until: Timestamp,
    why: Unauthenticated,
}

impl Issuers {
    /// Asks the issuer about a token; the trust under which `verified` knows its caller then.
    ///
    /// # Errors
    /// [`Refusal`]: the token is not accepted, too much was asked, or there is no answer.
    pub(crate) async fn introspect(
        &self,
        question: &Question,
        resource: &Resource,
        (verified, peer): (&Verified, IpAddr),
    ) -> Result<Arc<Trust>, Refusal> {
        let source = self.sources.load().get(&question.issuer).cloned();
        let Some(Source::Remote {
            tls,
            desk: Some(desk),
            egress,
            ..
        }) = source.as_deref()
        else {
            return Err(Unavailable::Introspection.into());
        };
        self.questions.check(question, &self.trust())?;
        let flight = self.questions.flight(question);
        let _alone = timeout(TURN, flight.lock())
            .await
            .map_err(|_| Unavailable::Introspection)?;
        let trust = self.trust();
        if question.is_answered(&trust, verified, clock::now()) {
            return Ok(trust);
        }
        self.questions.check(question, &trust)?;
        let _of_network = self.questions.enter(question, peer)?;
        let _turn = desk.turn(question).await?;
        let way = Way {
            issuer: &question.issuer,
            tls: tls.as_ref(),
            egress,
        };
        let answer = match desk.ask(question, way).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.unanswered(&question.issuer, desk, &error)),
        };
        let told = (&*answer, &desk.form, desk.ttl);
        let (trust, judged) = self.judge(question, told, resource, verified).await;
        match judged {
            Ok(()) => Ok(trust),
            Err(NotBelieved::Refused(why)) => {
                let (generation, now) = (trust.generation, clock::now());
                self.questions
                    .remember(question, generation, why.clone(), now);
                Err(why.into())
            }
            Err(NotBelieved::Broken) => {
                Err(self.unanswered(&question.issuer, desk, &NoAnswer::Broken))
            }
            Err(NotBelieved::Unsigned(why)) => {
                Err(self.unanswered(&question.issuer, desk, &NoAnswer::Unsigned(why)))
            }
        }
    }

    /// Judges an answer by what is trusted now, which may have changed while the issuer was asked. An unknown key may only
    /// mean that ours are old.
    async fn judge(
        &self,
        question: &Question,
        (answer, form, ttl): (&[u8], &Form, Duration),
        resource: &Resource,
        verified: &Verified,
    ) -> (Arc<Trust>, Result<(), NotBelieved>) {
        let judge = |trust: &Trust| {
            let memory = (verified, ttl, clock::now());
            question.believe((answer, form), resource, trust, memory)
        };
        let trust = self.trust();
        let first = judge(&trust);
        let Err(NotBelieved::Unsigned(Unauthenticated::UnknownKey { issuer })) = &first else {
            return (trust, first);
        };
        if !self.refresh(issuer, trust.generation).await {
            return (trust, first);
        }
        let trust = self.trust();
        let second = judge(&trust);
        (trust, second)
    }

    fn unanswered(&self, issuer: &str, desk: &Desk, error: &NoAnswer) -> Refusal {
        let now = clock::now();
        let is_due = {
            let mut told = lock(&desk.told);
            let is_due = told.is_none_or(|told| now.since(told) >= TOLD);
            if is_due {
                *told = Some(now);
            }
            is_due
        };
        if is_due {
            self.denied(issuer, error);
            tracing::warn!(issuer, %error, "the issuer cannot be asked about tokens");
            let mut record = Record::new("introspection.failed");
            record.detail.set("issuer", issuer);
            record.detail.set("error", error.to_string().as_str());
            note(&self.recorder, record);
        }
        Unavailable::Introspection.into()
    }
}

impl Questions {
    /// A no of a moment ago is one still.
    fn check(&self, question: &Question, trust: &Trust) -> Result<(), Unauthenticated> {
        let now = clock::now();
        match lock(&self.noes).get(&question.place()) {
            Some(no) if no.trust == trust.generation && no.until > now => Err(no.why.clone()),
            Some(_) | None => Ok(()),
        }
    }

    fn remember(&self, question: &Question, trust: u64, why: Unauthenticated, now: Timestamp) {
        let mut noes = lock(&self.noes);
        if noes.len() >= MAX_NOES {
            noes.retain(|_, no| no.until > now);
        }
        if noes.len() >= MAX_NOES {
            noes.clear();
        }
        let until = now.plus(NO);
        noes.insert(question.place(), No { trust, until, why });
    }

    /// There are no more than callers who wait.
    fn flight(&self, question: &Question) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = lock(&self.flights);
        flights.retain(|_, flight| Arc::strong_count(flight) > 1);
        Arc::clone(flights.entry(question.place()).or_default())
    }

    /// What a network may cause by tokens that nobody knows. Those that were good before are not counted.
    fn enter(&self, question: &Question, peer: IpAddr) -> Result<Option<Entered<'_>>, Exhausted> {
        if question.is_known {
            return Ok(None);
        }
        let peer = network(peer);
        let mut under_way = lock(&self.under_way);
        let count = under_way.entry(peer).or_default();
        if *count >= OF_NETWORK {
            return Err(Exhausted {
                which: "network",
                retry_after: Duration::from_secs(1),
            });
        }
        *count += 1;
        drop(under_way);
        let entered = Entered { asking: self, peer };
        self.networks.take(peer, RATE, clock::now())?;
        Ok(Some(entered))
    }
}

/// One of a network's questions that are under way.
struct Entered<'a> {
    asking: &'a Questions,
    peer: IpAddr,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.asking.under_way);
        let left = under_way.remove(&self.peer).unwrap_or_default();
        if left > 1 {
            under_way.insert(self.peer, left - 1);
        }
    }
}
