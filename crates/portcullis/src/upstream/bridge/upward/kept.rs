//! Our own sessions with a server: one for each principal and what it can be asked, bounded, ended when nobody
//! uses them.

use crate::clock;
use bytes::Bytes;
use portcullis_core::authenticate::Principal;
use portcullis_core::protocol::Id;
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::bridge::Offer;
use portcullis_core::session::Open;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, broadcast};

/// A session ends after so long without a request.
const IDLE: Duration = Duration::from_mins(5);
/// The most sessions with one server; one more ends the idle one that was not used for longest.
const MAX_KEPT: usize = 1024;
/// The most sessions of one principal: clients of its that can be asked different things.
const MAX_OWN: usize = 4;

/// For whom a session is, and what can be asked in it: a server is told that when the session begins.
type Key = (Arc<str>, Offer);
type Table = HashMap<Key, Arc<Kept>>;
/// The server's own id of a session, and who opened it.
type Theirs = (Arc<str>, Principal);

/// Our sessions with one server.
#[derive(Debug, Default)]
pub(in crate::upstream::bridge) struct Conversations(Mutex<Table>);

#[derive(Debug)]
pub(super) struct Kept {
    used_ms: AtomicU64,
    pub(super) conversation: OnceCell<Arc<Conversation>>,
}

/// A session of ours with a server.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) open: Open,
    /// Whoever opened it, by the token of that moment.
    opener: Principal,
    /// The answer to `server/discover`.
    pub(super) discovered: Box<RawValue>,
    numbers: AtomicU64,
    /// The clients' own ids of what is under way, by our number; none for a call that waits for its client.
    under_way: Mutex<BTreeMap<u64, Option<Id>>>,
    pub(super) feed: Mutex<Option<broadcast::Sender<Bytes>>>,
}

impl Conversations {
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of that principal and offer, and a session that has to go for it.
    pub(super) fn keep(
        &self,
        owner: &Arc<str>,
        offer: Offer,
    ) -> Result<(Arc<Kept>, Option<Theirs>), Unanswered> {
        let now = clock::millis();
        let key = (Arc::clone(owner), offer);
        let mut table = self.table();
        if let Some(kept) = table.get(&key) {
            kept.used_ms.store(now, Ordering::Relaxed);
            return Ok((Arc::clone(kept), None));
        }
        let own = table.keys().filter(|(whose, _)| whose == owner).count();
        let oldest = if own >= MAX_OWN {
            Some(oldest(&table, |whose| whose == owner).ok_or(Unanswered::NotRunning)?)
        } else if table.len() >= MAX_KEPT {
            Some(oldest(&table, |_| true).ok_or(Unanswered::NotRunning)?)
        } else {
            None
        };
        let gone = oldest.and_then(|oldest| table.remove(&oldest)?.theirs());
        let kept = Arc::new(Kept {
            used_ms: AtomicU64::new(now),
            conversation: OnceCell::new(),
        });
        table.insert(key, Arc::clone(&kept));
        Ok((kept, gone))
    }

    /// Every session of that principal.
    pub(super) fn of(&self, owner: &Arc<str>) -> Vec<Arc<Conversation>> {
        let table = self.table();
        let own = table.iter().filter(|((whose, _), _)| whose == owner);
        own.filter_map(|(_, kept)| kept.conversation.get().cloned())
            .collect()
    }

    /// Forgets a session that the server does not know any more.
    pub(super) fn forget(&self, lost: &Arc<Conversation>) {
        let is_it = |kept: &Kept| {
            let known = kept.conversation.get();
            known.is_some_and(|known| Arc::ptr_eq(known, lost))
        };
        self.table().retain(|_, kept| !is_it(kept));
    }

    /// Takes out what nobody uses; gives them.
    pub(in crate::upstream::bridge) fn reap(&self, now_ms: u64) -> Vec<Theirs> {
        let is_over = |kept: &Kept| {
            let used = kept.used_ms.load(Ordering::Relaxed);
            let is_idle = Duration::from_millis(now_ms.saturating_sub(used)) > IDLE;
            is_idle && !kept.conversation.get().is_some_and(|own| own.is_busy())
        };
        let mut table = self.table();
        let over = table.extract_if(|_, kept| is_over(kept));
        over.filter_map(|(_, kept)| kept.theirs()).collect()
    }

    /// Takes out those of these principals; gives them.
    pub(in crate::upstream::bridge) fn take(&self, owners: &[Arc<str>]) -> Vec<Theirs> {
        let mut table = self.table();
        let taken = table.extract_if(|(owner, _), _| owners.contains(owner));
        taken.filter_map(|(_, kept)| kept.theirs()).collect()
    }

    /// Takes out everything; gives them.
    pub(in crate::upstream::bridge) fn drain(&self) -> Vec<Theirs> {
        let mut table = self.table();
        table
            .drain()
            .filter_map(|(_, kept)| kept.theirs())
            .collect()
    }
}

/// The session of these that was not used for longest, of those in which nothing is under way.
fn oldest(table: &Table, is_meant: impl Fn(&Arc<str>) -> bool) -> Option<Key> {
    let meant = table.iter().filter(|((whose, _), _)| is_meant(whose));
    let idle = meant.filter(|(_, kept)| match kept.conversation.get() {
        Some(conversation) => !conversation.is_busy(),
        // Whoever shakes hands holds the place too.
        None => Arc::strong_count(kept) == 1,
    });
    let oldest = idle.min_by_key(|(_, kept)| kept.used_ms.load(Ordering::Relaxed));
    oldest.map(|(key, _)| key.clone())
}

impl Kept {
    fn theirs(&self) -> Option<Theirs> {
        let own = self.conversation.get()?;
        Some((own.open.upstream.clone()?, own.opener.clone()))
    }
}

impl Conversation {
    pub(super) fn new(open: Open, opener: Principal, discovered: Box<RawValue>) -> Self {
        Self {
            open,
            opener,
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
            .insert(number, Some(id.clone()));
    }

    /// The request waits for its client, who knows it by no id any more.
    pub(super) fn waits(&self, number: u64) {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, None);
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
            .find(|(_, own)| own.as_ref() == Some(id))
            .map(|(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::authenticate::operating_system_user;
    use portcullis_core::protocol::Revision;
    use portcullis_core::session::SessionId;
    use portcullis_core::time::Timestamp;

    fn conversation(number: usize) -> Arc<Conversation> {
        let open = Open {
            id: SessionId::from_entropy([0; 32]),
            upstream: Some(format!("theirs-{number}").into()),
            revision: Revision::V2025_11_25,
            opens_urls: false,
            changed: false,
        };
        let opener = operating_system_user(1, "a", Timestamp::default());
        Arc::new(Conversation::new(open, opener, RawValue::NULL.to_owned()))
    }

    fn shaken(kept: &Kept, number: usize) -> Arc<Conversation> {
        let own = conversation(number);
        kept.conversation.set(Arc::clone(&own)).unwrap();
        own
    }

    #[test]
    fn ses_11_ends_no_session_that_is_being_opened_or_used() {
        let all = Conversations::default();
        let keep = |number: usize| all.keep(&format!("user-{number}").into(), Offer::default());
        // The first is shaking hands, the second has a call under way, the others are idle.
        let (opening, _) = keep(0).unwrap();
        let busy = shaken(&keep(1).unwrap().0, 1);
        busy.begins(1, &Id::Number(1));
        for number in 2..MAX_KEPT {
            shaken(&keep(number).unwrap().0, number);
        }
        let (_, gone) = keep(MAX_KEPT).unwrap();
        assert!(gone.is_some_and(|(gone, _)| gone.starts_with("theirs-") && &*gone != "theirs-1"));
        let is_kept = |number: usize| {
            let key = (Arc::from(format!("user-{number}")), Offer::default());
            all.table().contains_key(&key)
        };
        assert!(is_kept(0) && is_kept(1) && is_kept(MAX_KEPT));
        drop(opening);
    }

    #[test]
    fn ses_11_bounds_the_sessions_of_one_principal_and_refuses_where_all_are_in_use() {
        let all = Conversations::default();
        let owner: Arc<str> = "alice".into();
        let places: Vec<_> = OFFERS
            .iter()
            .take(MAX_OWN)
            .map(|text| all.keep(&owner, offer(text)).unwrap().0)
            .collect();
        assert_eq!(
            all.keep(&owner, offer(OFFERS[MAX_OWN])).unwrap_err(),
            Unanswered::NotRunning
        );
        for (number, place) in places.iter().enumerate() {
            shaken(place, number);
        }
        let (_, gone) = all.keep(&owner, offer(OFFERS[MAX_OWN])).unwrap();
        assert!(gone.is_some());
        assert_eq!(all.table().len(), MAX_OWN);
    }

    const OFFERS: [&str; 5] = [
        "{}",
        r#"{"roots":{}}"#,
        r#"{"sampling":{}}"#,
        r#"{"elicitation":{}}"#,
        r#"{"sampling":{},"roots":{}}"#,
    ];

    fn offer(capabilities: &str) -> Offer {
        use portcullis_core::protocol::{Call, Headers};
        let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
        let meta =
            format!(r#"{{{version},"io.modelcontextprotocol/clientCapabilities":{capabilities}}}"#);
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"_meta":{meta}}}}}"#);
        Offer::of(&Call::parse(body.into(), &Headers::absent(), None).unwrap())
    }
}
