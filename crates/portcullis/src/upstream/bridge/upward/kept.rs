//! Our own sessions with a server: one for each principal, bounded, ended when nobody uses them.

use crate::clock;
use bytes::Bytes;
use portcullis_core::protocol::Id;
use portcullis_core::session::Open;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, broadcast};

/// A session ends after so long without a request.
const IDLE: Duration = Duration::from_mins(5);
/// The most sessions with one server; one more ends the one that was not used for longest.
const MAX_KEPT: usize = 1024;

/// Our sessions with one server, by principal.
#[derive(Debug, Default)]
pub(in crate::upstream::bridge) struct Conversations(Mutex<HashMap<Arc<str>, Arc<Kept>>>);

#[derive(Debug)]
pub(super) struct Kept {
    used_ms: AtomicU64,
    pub(super) conversation: OnceCell<Arc<Conversation>>,
}

/// A session of ours with a server.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) open: Open,
    /// The answer to `server/discover`.
    pub(super) discovered: Box<RawValue>,
    numbers: AtomicU64,
    /// The clients' own ids of what is under way, by our number.
    under_way: Mutex<BTreeMap<u64, Id>>,
    pub(super) feed: Mutex<Option<broadcast::Sender<Bytes>>>,
}

impl Conversations {
    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Arc<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The principal's place, and a session that has to go for it.
    pub(super) fn keep(&self, owner: &Arc<str>) -> (Arc<Kept>, Option<Arc<str>>) {
        let now = clock::millis();
        let mut table = self.table();
        if let Some(kept) = table.get(owner) {
            kept.used_ms.store(now, Ordering::Relaxed);
            return (Arc::clone(kept), None);
        }
        let is_full = table.len() >= MAX_KEPT;
        let oldest = is_full
            .then(|| {
                let all = table.iter();
                all.min_by_key(|(_, kept)| kept.used_ms.load(Ordering::Relaxed))
            })
            .flatten()
            .map(|(owner, _)| Arc::clone(owner));
        let gone = oldest.and_then(|oldest| table.remove(&oldest)?.theirs());
        let kept = Arc::new(Kept {
            used_ms: AtomicU64::new(now),
            conversation: OnceCell::new(),
        });
        table.insert(Arc::clone(owner), Arc::clone(&kept));
        (kept, gone)
    }

    /// Forgets a session that the server does not know any more.
    pub(super) fn forget(&self, owner: &Arc<str>, lost: &Arc<Conversation>) {
        let mut table = self.table();
        let is_it = table
            .get(owner)
            .and_then(|kept| kept.conversation.get())
            .is_some_and(|known| Arc::ptr_eq(known, lost));
        if is_it {
            table.remove(owner);
        }
    }

    /// Takes out what nobody uses; gives the server's own ids.
    pub(in crate::upstream::bridge) fn reap(&self, now_ms: u64) -> Vec<Arc<str>> {
        let is_over = |kept: &Kept| {
            let used = kept.used_ms.load(Ordering::Relaxed);
            let is_idle = Duration::from_millis(now_ms.saturating_sub(used)) > IDLE;
            is_idle && !kept.conversation.get().is_some_and(|own| own.is_busy())
        };
        let mut table = self.table();
        let over = table.extract_if(|_, kept| is_over(kept));
        over.filter_map(|(_, kept)| kept.theirs()).collect()
    }

    /// Takes out those of these principals; gives the server's own ids.
    pub(in crate::upstream::bridge) fn take(&self, owners: &[Arc<str>]) -> Vec<Arc<str>> {
        let mut table = self.table();
        let taken = owners
            .iter()
            .filter_map(|owner| table.remove(owner)?.theirs());
        taken.collect()
    }

    /// Takes out everything; gives the server's own ids.
    pub(in crate::upstream::bridge) fn drain(&self) -> Vec<Arc<str>> {
        let mut table = self.table();
        table
            .drain()
            .filter_map(|(_, kept)| kept.theirs())
            .collect()
    }
}

impl Kept {
    fn theirs(&self) -> Option<Arc<str>> {
        self.conversation.get()?.open.upstream.clone()
    }
}

impl Conversation {
    pub(super) fn new(open: Open, discovered: Box<RawValue>) -> Self {
        Self {
            open,
            discovered,
            numbers: AtomicU64::new(1),
            under_way: Mutex::default(),
            feed: Mutex::default(),
        }
    }

    fn is_busy(&self) -> bool {
        let under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !under_way.is_empty() {
            return true;
        }
        drop(under_way);
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        feed.as_ref().is_some_and(|feed| feed.receiver_count() > 0)
    }

    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn begins(&self, number: u64, id: &Id) {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, id.clone());
    }

    pub(super) fn ends(&self, number: u64) {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
    }

    /// Our number of the request that the client calls so.
    pub(super) fn number_of(&self, id: &Id) -> Option<u64> {
        let under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way
            .iter()
            .find(|(_, own)| *own == id)
            .map(|(number, _)| *number)
    }
}
