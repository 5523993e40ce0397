//! Keeps a running gateway up with its keys: what has changed on the disk, and what changes because its time has come.

use super::ring::Change;
use super::schedule::Schedule;
use super::signer::OfServers;
use super::wrapping::only;
use super::{LogKey, Purpose, Signer, Signers, Unready};
use crate::clock;
use crate::lifecycle::{Files, Home};
use crate::record::note;
use crate::relay::Gateway;
use portcullis_audit::{Record, time_text};
use portcullis_core::time::Timestamp;
use portcullis_state::WrappingKeys;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);
/// How often the key that wraps others is asked whether it can be used, in seconds.
const ASK_SECONDS: u64 = 5;

/// Which key, and of which server if it is of one alone.
pub(super) type Which<'a> = (&'static str, Option<&'a Arc<str>>);

/// A key, and its files as they were when it was last taken up.
struct Watched {
    signer: Arc<Signer>,
    files: Files,
    /// Why it could not be, if it could not.
    why: Option<String>,
    /// Why its token did not sign, if it did not.
    unready: Option<Unready>,
}

/// The same of the key of the audit log.
struct WatchedLog {
    key: LogKey,
    files: Files,
    why: Option<String>,
    unready: Option<Unready>,
}

/// The key that wraps others.
struct Wrapping {
    directory: PathBuf,
    only: Option<String>,
    keys: WrappingKeys,
    /// When it was last asked whether it can be used, and why it cannot.
    asked: Option<u64>,
    why: Option<String>,
}

/// Keeps up until the process ends: exchanges that outlive the beginning of a drain need to know too.
pub(crate) fn keep_up(
    gateway: &Arc<Gateway>,
    home: &Home,
    (signers, (log, keys)): (&Signers, (LogKey, WrappingKeys)),
) {
    let wrapping = Wrapping {
        only: only(&home.keys()),
        directory: home.keys(),
        keys,
        asked: None,
        why: None,
    };
    let watched = signers.all().into_iter().map(Watched::new).collect();
    let servers = Arc::clone(&signers.servers);
    let log = WatchedLog {
        key: log,
        files: Files::default(),
        why: None,
        unready: None,
    };
    let by_age = (wrapping, Schedule::new(home.keys()));
    let watching = watch(Arc::clone(gateway), (watched, servers, log), by_age);
    gateway.tasks.spawn(watching);
}

async fn watch(
    gateway: Arc<Gateway>,
    (mut watched, servers, mut log): (Vec<Watched>, Arc<OfServers>, WatchedLog),
    (mut wrapping, mut schedule): (Wrapping, Schedule),
) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let within = Arc::clone(&gateway);
        for signer in servers.all() {
            if !watched.iter().any(|one| Arc::ptr_eq(&one.signer, &signer)) {
                watched.push(Watched::new(signer));
            }
        }
        // Another process may hold the lock.
        let looked = tokio::task::spawn_blocking(move || {
            for one in &mut watched {
                one.look(&within);
                one.ask(&within);
            }
            log.look(&within);
            log.ask(&within);
            wrapping.look(&within);
            wrapping.ask(&within);
            schedule.look(&within);
            (watched, log, wrapping, schedule)
        });
        let Ok(back) = looked.await else {
            return tracing::error!("keys are not watched any more");
        };
        (watched, log, wrapping, schedule) = back;
    }
}

impl Watched {
    fn new(signer: Arc<Signer>) -> Self {
        Self {
            signer,
            files: Files::default(),
            why: None,
            unready: None,
        }
    }

    /// Takes up what has changed, and then tells of it: what is in the log is in effect.
    fn look(&mut self, gateway: &Gateway) {
        let (now, files) = (clock::now(), Files::of(self.signer.files()));
        let due = self.signer.changes();
        if files == self.files && due.is_none_or(|due| due > now.seconds()) {
            return;
        }
        self.files = files;
        let (purpose, recorder) = (self.signer.purpose(), &gateway.recorder);
        let which = (purpose.word(), self.signer.server());
        let taken = self.signer.reread(now);
        match purpose {
            Purpose::Issuer => gateway.issuers.renew_own(),
            Purpose::Assertion | Purpose::Client | Purpose::Audit | Purpose::Catalog => {}
        }
        let tell = |change| note(recorder, record_of(which, change));
        let settled = taken.and_then(|()| self.signer.settle(now, tell));
        let why = settled.err().map(|error| format!("{error:#}"));
        tell_rejected(gateway, which, (&self.why, &why));
        self.why = why;
    }

    /// Tells of a token that signs no more, or does again.
    fn ask(&mut self, gateway: &Gateway) {
        let now = self.signer.unready();
        if now != self.unready {
            note(
                &gateway.recorder,
                readiness(self.signer.purpose(), now.as_ref()),
            );
            self.unready = now;
        }
    }
}

impl WatchedLog {
    /// Has the next key sign whose time has come, and tells of it.
    fn look(&mut self, gateway: &Gateway) {
        let (now, files) = (clock::now(), Files::of(self.key.files()));
        let due = self.key.changes();
        if files == self.files && due.is_none_or(|due| due > now.seconds()) {
            return;
        }
        let (which, recorder) = ((Purpose::Audit.word(), None), &gateway.recorder);
        let tell = |change| {
            let mut record = record_of(which, change);
            let signer = recorder.signer().to_string();
            record.detail.set("verifier", signer.as_str());
            note(recorder, record);
        };
        let kept = self.key.keep_up(recorder, tell);
        let why = kept.err().map(|error| format!("{error:#}"));
        tell_rejected(gateway, which, (&self.why, &why));
        self.why = why;
        self.files = files;
    }

    /// Tells of a token that signs no more, or does again; of that, once there is a checkpoint and hence a place.
    fn ask(&mut self, gateway: &Gateway) {
        let now = self.key.unready();
        if now != self.unready && gateway.recorder.is_healthy() {
            note(&gateway.recorder, readiness(Purpose::Audit, now.as_ref()));
            self.unready = now;
        }
    }
}

fn tell_rejected(gateway: &Gateway, which: Which<'_>, why: (&Option<String>, &Option<String>)) {
    tell_once(gateway, ("key.rejected", which), why);
}

/// Tells why the old key stays, if it was not told before.
pub(super) fn tell_once(
    gateway: &Gateway,
    (event, which): (&'static str, Which<'_>),
    (before, now): (&Option<String>, &Option<String>),
) {
    let Some(why) = now.as_ref().filter(|_| before != now) else {
        return;
    };
    tracing::error!(key = which.0, event, why, "the old key stays");
    let mut record = about(event, which);
    record.detail.set("problem", why.as_str());
    note(&gateway.recorder, record);
}

fn readiness(purpose: Purpose, unready: Option<&Unready>) -> Record {
    let event = unready.map_or("key.available", |_| "key.unavailable");
    let mut record = Record::new(event);
    record.detail.set("key", purpose.word());
    if let Some(why) = unready {
        record.detail.set("problem", why.to_string().as_str());
    }
    record
}

impl Wrapping {
    /// Asks now and then whether the key can be used; while it cannot, nothing of what it wraps stays in memory.
    fn ask(&mut self, gateway: &Gateway) {
        let now = clock::now().seconds();
        let is_early = |asked: u64| now < asked.saturating_add(ASK_SECONDS) && now >= asked;
        if self.asked.is_some_and(is_early) {
            return;
        }
        self.asked = Some(now);
        // While it is replaced there are two, and nothing is asked.
        let Some(name) = only(&self.directory) else {
            return;
        };
        let why = self.keys.check(&name).err().map(|why| why.to_string());
        if why.is_some() {
            gateway.sign_ins.lock_up();
        }
        if why.is_some() != self.why.is_some() {
            let event = why.as_ref().map_or("key.available", |_| "key.unavailable");
            let mut record = Record::new(event);
            record.detail.set("key", "wrapping");
            if let Some(why) = &why {
                record.detail.set("problem", why.as_str());
            }
            note(&gateway.recorder, record);
        }
        self.why = why;
    }

    /// Tells of another key, once the old one is gone.
    fn look(&mut self, gateway: &Gateway) {
        let found = only(&self.directory);
        if found.is_none() || found == self.only {
            return;
        }
        let mut record = Record::new("key.rewrapped");
        for (name, value) in [("old", &self.only), ("new", &found)] {
            let value = value.as_deref().unwrap_or_default();
            record.detail.set(name, value);
        }
        note(&gateway.recorder, record);
        self.only = found;
    }
}

/// What is to be told of a key.
fn about(event: &'static str, (word, server): Which<'_>) -> Record {
    let mut record = Record::new(event);
    record.detail.set("key", word);
    record.server = server.map(|server| (&**server).into());
    record
}

fn record_of(which: Which<'_>, change: Change) -> Record {
    let (event, facts) = match change {
        Change::Published(next) => (
            "key.published",
            vec![
                ("new", next.key.kid),
                ("from", time(next.from)),
                ("by", next.by),
            ],
        ),
        Change::Rotated(old) => (
            "key.rotated",
            vec![
                ("old", old.key.kid),
                ("new", old.successor),
                ("until", time(old.until)),
                ("by", old.by),
            ],
        ),
        Change::Ended(old) => ("key.retired", vec![("old", old.key.kid)]),
    };
    let mut record = about(event, which);
    for (name, value) in facts {
        record.detail.set(name, value.as_str());
    }
    record
}

fn time(seconds: u64) -> String {
    time_text(Timestamp::from_seconds(seconds).micros())
}
