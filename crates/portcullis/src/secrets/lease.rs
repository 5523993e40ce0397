//! How long what needs a secret of elsewhere may go on without its being read again.

use crate::config::Borrowing;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What is held by one who needs secrets of elsewhere. Who needs none holds one that is never over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lease(Option<Arc<Term>>);

#[derive(Debug)]
struct Term {
    began: Instant,
    /// In milliseconds after `began`.
    until: AtomicU64,
}

impl Lease {
    /// Whether it can be over at all.
    pub(crate) const fn is_bound(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the secrets are believed still. Cost for who needs none: one comparison.
    pub(crate) fn holds(&self) -> bool {
        let Some(term) = &self.0 else { return true };
        term.after(Instant::now()) < term.until.load(Ordering::Relaxed)
    }
}

impl Term {
    fn after(&self, moment: Instant) -> u64 {
        let after = moment.saturating_duration_since(self.began);
        u64::try_from(after.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The leases of a gateway, by who holds them: a server, an issuer, another part of the file.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<BTreeMap<String, Arc<Term>>>);

impl Leases {
    /// The lease of `owner`, such as `servers.notes`, if the file has it need secrets of elsewhere.
    pub(crate) fn of(&self, owner: &str, borrowing: &Borrowing) -> Lease {
        let needs = |key: &str| owner_of(key) == owner;
        if !borrowing.secrets.iter().any(|secret| needs(&secret.key)) {
            return Lease(None);
        }
        let mut terms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let term = terms.entry(owner.to_owned()).or_insert_with(|| {
            let now = Instant::now();
            let term = Term {
                began: now,
                until: AtomicU64::new(0),
            };
            let until = term.after(now + borrowing.ttl);
            term.until.store(until, Ordering::Relaxed);
            Arc::new(term)
        });
        Lease(Some(Arc::clone(term)))
    }

    /// All that is needed was asked for at `asked`, and read.
    pub(crate) fn renew_all(&self, borrowing: &Borrowing, asked: Instant) {
        for secret in &borrowing.secrets {
            self.renew(owner_of(&secret.key), asked, borrowing.ttl);
        }
    }

    /// What `owner` needs was asked for at `asked`, and read.
    pub(super) fn renew(&self, owner: &str, asked: Instant, ttl: Duration) {
        let terms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(term) = terms.get(owner) {
            term.until.store(term.after(asked + ttl), Ordering::Relaxed);
        }
    }

    /// Whether the lease of `owner` is over.
    pub(super) fn is_over(&self, owner: &str) -> bool {
        let terms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        terms
            .get(owner)
            .is_some_and(|term| !Lease(Some(Arc::clone(term))).holds())
    }

    /// Forgets who needs nothing any more.
    pub(super) fn keep_only(&self, borrowing: &Borrowing) {
        let mut terms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        terms.retain(|owner, _| {
            let mut keys = borrowing.secrets.iter().map(|secret| owner_of(&secret.key));
            keys.any(|other| other == owner)
        });
    }
}

/// Whose key it is: its first two parts, such as `servers.notes`.
pub(super) fn owner_of(key: &str) -> &str {
    let end = key
        .match_indices('.')
        .nth(1)
        .map_or(key.len(), |(at, _)| at);
    key.get(..end).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_belong_to_the_table_that_they_stand_in() {
        for (key, owner) in [
            ("servers.notes.headers.authorization.vault", "servers.notes"),
            ("issuers.idp.introspection.client_secret", "issuers.idp"),
            ("servers.notes", "servers.notes"),
            ("gateway", "gateway"),
        ] {
            assert_eq!(owner_of(key), owner);
        }
    }
}
