//! Calls that a server asks the client about: kept until the client comes back with its answers, for a while.

use super::super::super::{Around, Notice, Report};
use super::answering::Ongoing;
use crate::clock;
use crate::resume::Seal;
use portcullis_core::route::Dispatch;
use portcullis_core::route::bridge::{BadState, Bound};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// The most calls of one principal that are kept with one server; one more ends the oldest of them.
const MAX_OWN: usize = 8;
/// The most calls that are kept with one server; no question is put to anybody beyond that.
const MAX_KEPT: usize = 256;
/// What `requestState` is sealed for, and nothing else is.
const PURPOSE: &str = "request-state";

/// The calls of one server that wait for their clients.
#[derive(Debug)]
pub(in crate::upstream::bridge) struct Questions {
    server: Arc<str>,
    patience: Duration,
    report: Report,
    numbers: AtomicU64,
    seal: OnceLock<Option<Seal>>,
    kept: Mutex<BTreeMap<u64, Kept>>,
}

/// A call that waits for its client.
#[derive(Debug)]
struct Kept {
    owner: Arc<str>,
    ongoing: Box<Ongoing>,
    /// Dropped with the rest of it, this ends the wait for its end.
    _taken: oneshot::Sender<()>,
}

impl Questions {
    pub(in crate::upstream::bridge) fn new(around: &Around) -> Self {
        Self {
            server: Arc::clone(&around.server),
            patience: around.question_timeout,
            report: around.report.clone(),
            numbers: AtomicU64::new(1),
            seal: OnceLock::new(),
            kept: Mutex::default(),
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no other question has.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn seal(&self) -> Option<&Seal> {
        self.seal.get_or_init(|| Seal::new().ok()).as_ref()
    }

    /// A number to keep a call under, and the `requestState` for it; `None` if there is no room for one more.
    pub(super) fn state(&self, bound: &Bound) -> Option<(u64, String)> {
        if self.table().len() >= MAX_KEPT {
            return None;
        }
        let number = self.number();
        let bound = bound.anew(number, clock::now().plus(self.patience));
        let sealed = self.seal()?.seal(PURPOSE, &bound.text()).ok()?;
        Some((number, sealed))
    }

    /// Keeps a call until its client comes back, or for as long as it may take.
    pub(super) fn keep(
        self: &Arc<Self>,
        (number, owner): (u64, &Arc<str>),
        ongoing: Box<Ongoing>,
        tasks: &TaskTracker,
    ) {
        let (taken, is_taken) = oneshot::channel::<()>();
        let kept = Kept {
            owner: Arc::clone(owner),
            ongoing,
            _taken: taken,
        };
        let mut over = Vec::new();
        {
            let mut table = self.table();
            let own = |(number, kept): (&u64, &Kept)| (kept.owner == *owner).then_some(*number);
            let all: Vec<u64> = table.iter().filter_map(own).collect();
            let oldest = all.first().filter(|_| all.len() >= MAX_OWN);
            over.extend(oldest.and_then(|oldest| table.remove(oldest)));
            if table.len() < MAX_KEPT {
                table.insert(number, kept);
            } else {
                over.push(kept);
            }
        }
        for over in over {
            self.give_up(over, "evicted");
        }
        let questions = Arc::clone(self);
        tasks.spawn(async move {
            if timeout(questions.patience, is_taken).await.is_err() {
                questions.lapse(number);
            }
        });
    }

    /// The client did not come back in time.
    fn lapse(&self, number: u64) {
        let lapsed = self.table().remove(&number);
        if let Some(lapsed) = lapsed {
            self.give_up(lapsed, "lapsed");
        }
    }

    /// The call that a `requestState` stands for: for its own principal, about the same thing, in time and once.
    pub(super) fn take(&self, state: &str, asked: &Dispatch) -> Result<Box<Ongoing>, BadState> {
        let opened = self.seal().and_then(|seal| seal.open(PURPOSE, state));
        let number = Bound::check(&opened.ok_or(BadState::Forged)?, asked, clock::now())?;
        let kept = self.table().remove(&number).ok_or(BadState::Reused)?;
        Ok(kept.ongoing)
    }

    /// Gives up those of these principals.
    pub(in crate::upstream::bridge) fn dismiss(&self, owners: &[Arc<str>]) {
        let mut table = self.table();
        let over = table.extract_if(.., |_, kept| owners.contains(&kept.owner));
        let over: Vec<Kept> = over.map(|(_, kept)| kept).collect();
        drop(table);
        for kept in over {
            self.give_up(kept, "revoked");
        }
    }

    /// Gives up all of them.
    pub(in crate::upstream::bridge) fn drain(&self) {
        let all = std::mem::take(&mut *self.table());
        for kept in all.into_values() {
            self.give_up(kept, "stopped");
        }
    }

    /// Dropped, the call is cancelled at the server, which is told that its question is not answered.
    fn give_up(&self, kept: Kept, reason: &'static str) {
        self.report.tell(&Notice {
            event: "call.lapsed",
            reason,
            server: Some(&self.server),
            owner: Some(&kept.owner),
            detail: &[],
        });
        drop(kept);
    }
}
