//! Reads secrets of elsewhere again before they are not believed any more.

use super::lease::owner_of;
use super::{Leases, Read, Sources};
use crate::config::{Borrowed, Borrowing, digest};
use crate::record::note;
use portcullis_audit::{Record, Recorder};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often a vault that does not answer is asked again, at least and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often it is looked whether a lease is over while nothing can be read.
const LOOK: Duration = Duration::from_millis(250);

/// Who keeps secrets fresh, and whom to tell that one has changed.
pub(crate) struct Keeping {
    pub(crate) borrowing: watch::Receiver<Arc<Borrowing>>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) recorder: Recorder,
    /// Notified when a secret is another than it was: the file is read again.
    pub(crate) changed: Arc<tokio::sync::Notify>,
    pub(crate) drain: CancellationToken,
}

/// Why keeping woke.
enum Woke {
    /// They are to be read again.
    Due,
    /// They are others now.
    Changed,
    /// The gateway ends.
    Ended,
}

/// Keeps them until the gateway drains.
pub(crate) async fn keep(mut keeping: Keeping) {
    let mut over = BTreeSet::new();
    let mut retry = None;
    loop {
        let borrowing = Arc::clone(&keeping.borrowing.borrow_and_update());
        keeping.leases.keep_only(&borrowing);
        let due = Instant::now() + retry.take().unwrap_or(borrowing.ttl / 2);
        match keeping.wait(&borrowing, due, &mut over).await {
            Woke::Ended => return,
            Woke::Changed => {}
            Woke::Due => {
                let is_whole = keeping.read(&borrowing).await;
                retry = (!is_whole).then(|| (borrowing.ttl / 10).clamp(RETRY.0, RETRY.1));
            }
        }
    }
}

impl Keeping {
    async fn wait(
        &mut self,
        borrowing: &Borrowing,
        due: Instant,
        over: &mut BTreeSet<String>,
    ) -> Woke {
        loop {
            self.tell(borrowing, over);
            let is_needed = !borrowing.secrets.is_empty();
            let next = due.min(Instant::now() + LOOK);
            tokio::select! {
                () = self.drain.cancelled() => return Woke::Ended,
                changed = self.borrowing.changed() => {
                    return changed.map_or(Woke::Ended, |()| Woke::Changed);
                }
                () = sleep_until(next), if is_needed => {}
            }
            if Instant::now() >= due {
                return Woke::Due;
            }
        }
    }

    /// Reads all again; says whether all could be read.
    async fn read(&self, borrowing: &Arc<Borrowing>) -> bool {
        let asked = Instant::now();
        let wanted = Arc::clone(borrowing);
        let reading = tokio::task::spawn_blocking(move || read_all(&wanted.secrets));
        let Ok((found, reads)) = reading.await else {
            return false;
        };
        for read in &reads {
            note(&self.recorder, read.record());
        }
        // What is another now is taken up by a reload, and only that renews who needs it.
        let mut stale = BTreeSet::new();
        for (secret, now) in borrowing.secrets.iter().zip(&found) {
            if *now != Some(secret.digest) {
                stale.insert(owner_of(&secret.key));
            }
            if now.is_some_and(|now| now != secret.digest) {
                self.changed.notify_one();
            }
        }
        let owners: BTreeSet<&str> = owners(borrowing).collect();
        for owner in owners.difference(&stale) {
            self.leases.renew(owner, asked, borrowing.ttl);
        }
        found.iter().all(Option::is_some)
    }

    /// Records once that what needs a secret goes on no longer, and once that it does again.
    fn tell(&self, borrowing: &Borrowing, over: &mut BTreeSet<String>) {
        for owner in owners(borrowing) {
            let is_over = self.leases.is_over(owner);
            let event = match (is_over, over.contains(owner)) {
                (true, false) => "secret.expired",
                (false, true) => "secret.recovered",
                (true, true) | (false, false) => continue,
            };
            if is_over {
                over.insert(owner.to_owned());
            } else {
                over.remove(owner);
            }
            tracing::warn!(owner, "{event}");
            let mut record = Record::new(event);
            record.detail.set("owner", owner);
            note(&self.recorder, record);
        }
    }
}

fn owners(borrowing: &Borrowing) -> impl Iterator<Item = &str> {
    borrowing.secrets.iter().map(|secret| owner_of(&secret.key))
}

fn read_all(secrets: &[Borrowed]) -> (Vec<Option<[u8; 32]>>, Vec<Read>) {
    let sources = Sources::default();
    let found = secrets
        .iter()
        .map(|secret| {
            let found = sources.fetch(&secret.wanted, &secret.key).ok();
            found.as_ref().map(digest)
        })
        .collect();
    (found, sources.finish())
}
