//! The issuers whose tokens are accepted, and their keys: fetched here, judged in the core.

pub(crate) mod embedded;
mod fetch;
mod introspect;
mod examine;

use crate::clock;
use crate::config::HttpUrl;
use crate::egress::{self, Egress, note_denied};
use crate::keys::Signer;
use crate::record::note;
use crate::tls::Client;
use arc_swap::ArcSwap;
use fetch::{NoAnswer, Way};
use futures_util::future::join_all;
use introspect::Questions;
use portcullis_audit::{Record, Recorder};
use portcullis_core::authenticate::{
    Issuer, KeySet, Keys, Principal, Revoked, Trust, Unauthenticated,
};
use portcullis_core::time::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use examine::{Fault, examine, keys_of};
pub(crate) use introspect::Desk;

/// An unknown `kid` leads to one fetch in this time, for each issuer.
const COOL_DOWN: Duration = Duration::from_mins(1);
/// Keys are fetched again after so long; a key that its issuer withdrew verifies no longer than that.
pub(crate) const REFRESH: Duration = Duration::from_mins(5);

/// Where an issuer's keys come from.
#[derive(Clone)]
pub(crate) enum Source {
    /// They are our own.
    Embedded(Arc<Signer>),
    /// From its JWKS.
    Remote {
        /// Where, unless its metadata says.
        jwks: Option<HttpUrl>,
        /// How it is reached.
        tls: Option<Client>,
        /// Where it is asked about tokens.
        desk: Option<Arc<Desk>>,
        /// Where it may send us.
        egress: Arc<Egress>,
    },
}

impl Source {
    /// Whether keys of the one would be those of the other: from the same place, and from whoever can prove the same.
    fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Remote { jwks, tls, .. },
                Self::Remote {
                    jwks: place,
                    tls: proof,
                    ..
                },
            ) => {
                let is_same = match (tls, proof) {
                    (Some(tls), Some(proof)) => tls.trusts_as(proof),
                    (None, None) => true,
                    (Some(_), None) | (None, Some(_)) => false,
                };
                jwks == place && is_same
            }
            (Self::Embedded(_), _) | (Self::Remote { .. }, Self::Embedded(_)) => false,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded(_) => "Embedded",
            Self::Remote { .. } => "Remote",
        })
    }
}

/// A trusted issuer and where its keys come from.
#[derive(Debug, Clone)]
pub(crate) struct Trusted {
    pub(crate) issuer: Issuer,
    pub(crate) source: Source,
}

/// All trusted issuers.
#[derive(Debug)]
pub(crate) struct Issuers {
    trust: ArcSwap<Trust>,
    sources: ArcSwap<HashMap<String, Arc<Source>>>,
    asked: Mutex<HashMap<String, Asked>>,
    /// One fetch at a time for each issuer; nobody waits for what another one does.
    fetching: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Held while what is trusted is replaced by what it leads to.
    publishing: Mutex<()>,
    generations: AtomicU64,
    questions: Questions,
    recorder: Recorder,
}

/// When an issuer was last asked because of an unknown `kid`.
#[derive(Debug)]
struct Asked {
    at: Timestamp,
    /// Whether it is recorded that it was not asked again.
    is_told: bool,
}

/// Whether an issuer is asked because of an unknown `kid`.
enum Asking {
    Now,
    /// Not so soon. It is recorded once until the next time, as strangers cause it.
    FirstTooSoon,
    TooSoon,
}

impl Issuers {
    fn new(recorder: Recorder) -> Self {
        let nobody = Trust {
            issuers: HashMap::new(),
            keys: Keys::default(),
            revoked: Arc::default(),
            generation: 0,
        };
        Self {
            trust: ArcSwap::from_pointee(nobody),
            sources: ArcSwap::default(),
            asked: Mutex::default(),
            fetching: Mutex::default(),
            publishing: Mutex::default(),
            generations: AtomicU64::new(1),
            questions: Questions::default(),
            recorder,
        }
    }

    /// The same, with these to begin with.
    pub(crate) fn with(recorder: Recorder, trusted: Vec<Trusted>) -> Self {
        let issuers = Self::new(recorder);
        issuers.install(trusted);
        issuers
    }

    /// What tokens are verified against now.
    pub(crate) fn trust(&self) -> Arc<Trust> {
        self.trust.load_full()
    }

    /// Whether a caller who was known is still.
    pub(crate) fn check_revoked(&self, principal: &Principal) -> Result<(), Unauthenticated> {
        self.trust.load().check_revoked(principal)
    }

    /// Whether what issuers say of a caller is what it was when the token was verified.
    pub(crate) fn check_said(&self, principal: &Principal) -> Result<(), Unauthenticated> {
        self.trust.load().check_said(principal)
    }

    /// Replaces what is revoked.
    pub(crate) fn revoke(&self, revoked: Revoked) {
        let _alone = lock(&self.publishing);
        let old = self.trust();
        if *old.revoked != revoked {
            let keys = Keys(old.keys.0.clone());
            self.publish(old.issuers.clone(), keys, Arc::new(revoked));
        }
    }

    /// Replaces the trusted issuers; keys that are already here are kept, if they would be fetched in the same way.
    pub(crate) fn install(&self, trusted: Vec<Trusted>) {
        let _alone = lock(&self.publishing);
        let (old, before) = (self.trust(), self.sources.load_full());
        let mut keys = HashMap::new();
        for Trusted { issuer, source } in &trusted {
            let held = match source {
                Source::Embedded(own) => own_keys(own),
                Source::Remote { .. } => before
                    .get(&issuer.issuer)
                    .filter(|before| source.is_as(before))
                    .and_then(|_| old.keys.0.get(&issuer.issuer).cloned()),
            };
            keys.extend(held.map(|held| (issuer.issuer.clone(), held)));
        }
        let issuers = trusted
            .iter()
            .map(|one| (one.issuer.issuer.clone(), one.issuer.clone()))
            .collect();
        self.sources.store(Arc::new(
            trusted
                .into_iter()
                .map(|one| (one.issuer.issuer, Arc::new(one.source)))
                .collect(),
        ));
        self.publish(issuers, Keys(keys), Arc::clone(&old.revoked));
    }

    /// Takes up the keys of our own issuer as they are now.
    pub(crate) fn renew_own(&self) {
        let _alone = lock(&self.publishing);
        let (old, sources) = (self.trust(), self.sources.load());
        let mut keys = old.keys.0.clone();
        let own = |source: &Source| match source {
            Source::Embedded(own) => Some(own_keys(own)),
            Source::Remote { .. } => None,
        };
        let renewed = sources
            .iter()
            .filter_map(|(issuer, source)| Some((issuer, own(source)?)));
        let Some((issuer, renewed)) = renewed.last() else {
            return;
        };
        keys.remove(issuer);
        keys.extend(renewed.map(|keys| (issuer.clone(), keys)));
        self.publish(old.issuers.clone(), Keys(keys), Arc::clone(&old.revoked));
    }

    /// Whether the keys of every issuer are here.
    pub(crate) fn is_ready(&self) -> bool {
        let trust = self.trust.load();
        trust
            .issuers
            .keys()
            .all(|issuer| trust.keys.0.contains_key(issuer))
    }

    /// Fetches the keys of an issuer because of an unknown `kid`, unless that was done a moment ago.
    ///
    /// `seen` is the generation of the trust that did not know the key. Says whether it is worth asking again.
    pub(crate) async fn refresh(&self, issuer: &str, seen: u64) -> bool {
        let alone = self.alone(issuer);
        let _alone = alone.lock().await;
        if self.trust.load().generation != seen {
            return true; // somebody else just did
        }
        let now = clock::now();
        match self.ask(issuer, now) {
            Asking::Now => self.fetch(issuer).await,
            Asking::TooSoon => false,
            Asking::FirstTooSoon => {
                let mut record = Record::new("jwks.refresh_suppressed");
                record.detail.set("issuer", issuer);
                note(&self.recorder, record);
                false
            }
        }
    }

    /// Whether an issuer may be asked for its keys at this moment.
    fn ask(&self, issuer: &str, now: Timestamp) -> Asking {
        let mut asked = lock(&self.asked);
        match asked.get_mut(issuer) {
            Some(last) if now.since(last.at) < COOL_DOWN => {
                if std::mem::replace(&mut last.is_told, true) {
                    Asking::TooSoon
                } else {
                    Asking::FirstTooSoon
                }
            }
            Some(_) | None => {
                let first = Asked {
                    at: now,
                    is_told: false,
                };
                asked.insert(issuer.to_owned(), first);
                Asking::Now
            }
        }
    }

    /// Fetches the keys of every issuer that is not our own.
    pub(crate) async fn refresh_all(&self) {
        let names: Vec<String> = self.sources.load().keys().cloned().collect();
        let fetches = names.iter().map(|name| async {
            let alone = self.alone(name);
            let _alone = alone.lock().await;
            self.fetch(name).await;
        });
        join_all(fetches).await;
    }

    /// What is held while this issuer's keys are fetched. There is one for each issuer that is trusted.
    fn alone(&self, issuer: &str) -> Arc<tokio::sync::Mutex<()>> {
        let sources = self.sources.load();
        let mut fetching = lock(&self.fetching);
        fetching.retain(|name, held| sources.contains_key(name) || Arc::strong_count(held) > 1);
        Arc::clone(fetching.entry(issuer.to_owned()).or_default())
    }

    async fn fetch(&self, issuer: &str) -> bool {
        let Some(source) = self.sources.load().get(issuer).cloned() else {
            return false;
        };
        let Source::Remote {
            jwks, tls, egress, ..
        } = &*source
        else {
            return false;
        };
        let way = Way {
            issuer,
            tls: tls.as_ref(),
            egress,
        };
        let mut record = Record::new("jwks.refreshed");
        record.detail.set("issuer", issuer);
        match way.keys(jwks.as_ref()).await {
            Ok(set) => {
                let _alone = lock(&self.publishing);
                // What was fetched from a source that a reload has replaced is not what is trusted now.
                let now = self.sources.load();
                if !now.get(issuer).is_some_and(|now| Arc::ptr_eq(now, &source)) {
                    return false;
                }
                let old = self.trust();
                let mut keys = old.keys.0.clone();
                keys.insert(issuer.to_owned(), Arc::new(set));
                self.publish(old.issuers.clone(), Keys(keys), Arc::clone(&old.revoked));
                note(&self.recorder, record);
                true
            }
            Err(error) => {
                tracing::warn!(issuer, %error, "cannot fetch the issuer's keys");
                self.denied(issuer, &error);
                record.event = "jwks.refresh_failed".into();
                record.detail.set("error", error.to_string().as_str());
                note(&self.recorder, record);
                false
            }
        }
    }

    /// Records that an issuer sent us where no peer may.
    fn denied(&self, issuer: &str, error: &NoAnswer) {
        if let NoAnswer::Unsent(egress::NoAnswer::Denied { why, host }) = error {
            note_denied(&self.recorder, issuer, host, *why);
        }
    }

    fn publish(&self, issuers: HashMap<String, Issuer>, keys: Keys, revoked: Arc<Revoked>) {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        self.trust.store(Arc::new(Trust {
            issuers,
            keys,
            revoked,
            generation,
        }));
    }
}

/// None if they cannot be used: then nobody is let in by them, and the gateway is not ready.
fn own_keys(own: &Signer) -> Option<Arc<KeySet>> {
    let keys = embedded::key_set(own);
    let keys = keys.inspect_err(|error| tracing::error!("{error:#}"));
    keys.ok().map(Arc::new)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
