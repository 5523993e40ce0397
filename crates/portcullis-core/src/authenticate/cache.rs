//! Tokens that verified: bounded, keyed by digest, void once the trust they were made under changed.

use super::{Identity, Principal};
use crate::time::Timestamp;
use aws_lc_rs::digest;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The most entries of one generation; twice as many are held at most.
pub(super) const MAX_ENTRIES: usize = 8192;

pub(super) type Place = [u8; 32];

/// Remembers verified tokens by the SHA-256 of token and audience; never the token itself.
#[derive(Default)]
pub struct Verified(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Place, Entry>,
    old: HashMap<Place, Entry>,
}

#[derive(Clone)]
struct Entry {
    trust: u64,
    principal: Principal,
    /// The issuer has to be asked again then; the end of time if it need not be.
    until: Timestamp,
}

impl Verified {
    pub(super) fn find(&self, place: &Place, trust: u64, now: Timestamp) -> Option<Principal> {
        let holds = |entry: &Entry| entry.trust == trust && entry.until > now;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = held.young.get(place) {
            return holds(entry).then(|| entry.principal.clone());
        }
        let entry = held.old.get(place).filter(|entry| holds(entry))?.clone();
        held.old.remove(place);
        let principal = entry.principal.clone();
        held.insert(*place, entry);
        Some(principal)
    }

    /// Whether there was such a token a while ago, whatever has become of it.
    pub(super) fn has_known(&self, place: &Place) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.young.contains_key(place) || held.old.contains_key(place)
    }

    /// The keys ([`Identity::key`]) of callers of late who are meant.
    pub fn keys_of(&self, is_meant: impl Fn(&Identity) -> bool) -> HashSet<Arc<str>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = held.young.values().chain(held.old.values());
        let meant = all.filter(|entry| is_meant(&entry.principal));
        meant
            .map(|entry| Arc::clone(&entry.principal.key))
            .collect()
    }

    pub(super) fn keep(&self, place: Place, trust: u64, principal: Principal) {
        self.keep_until(place, trust, principal, Timestamp::from_micros(u64::MAX));
    }

    pub(super) fn keep_until(
        &self,
        place: Place,
        trust: u64,
        principal: Principal,
        until: Timestamp,
    ) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry {
            trust,
            principal,
            until,
        };
        held.insert(place, entry);
    }
}

#[cfg(test)]
impl Verified {
    pub(super) fn len(&self) -> usize {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.young.len() + held.old.len()
    }
}

impl Generations {
    fn insert(&mut self, place: Place, entry: Entry) {
        if self.young.len() >= MAX_ENTRIES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(place, entry);
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verified(..)")
    }
}

pub(super) fn place(token: &str, audience: &str) -> Place {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(token.as_bytes());
    hash.update(b"\n"); // in neither a token nor a URI
    hash.update(audience.as_bytes());
    let mut place = Place::default();
    place.copy_from_slice(hash.finish().as_ref());
    place
}
