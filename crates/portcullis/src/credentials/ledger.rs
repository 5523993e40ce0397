//! What was issued for one exchange, for its audit record: ids and audiences, never a token.

use portcullis_audit::Record;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most that one record tells of; what is beyond that is recorded by itself.
const MAX_ENTRIES: usize = 16;

/// A credential that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    /// Its `jti`; empty where nobody can read it.
    pub(crate) id: String,
    /// For which upstream.
    pub(crate) audience: Arc<str>,
}

/// Where an exchange takes down what was issued for it. The default belongs to none, and takes nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Option<Arc<Mutex<Page>>>);

#[derive(Debug, Default)]
struct Page {
    entries: Vec<Issued>,
    is_closed: bool,
}

impl Ledger {
    /// One that belongs to an exchange.
    pub(crate) fn open() -> Self {
        Self(Some(Arc::default()))
    }

    /// Takes it down; gives it back if no record will tell of it.
    pub(crate) fn enter(&self, issued: Issued) -> Option<Issued> {
        let Some(page) = &self.0 else {
            return Some(issued);
        };
        let mut page = lock(page);
        if page.is_closed || page.entries.len() >= MAX_ENTRIES {
            return Some(issued);
        }
        page.entries.push(issued);
        None
    }

    /// Tells the record of it: by these ids the upstream's own log names the same call.
    pub(crate) fn close_into(&self, record: &mut Record) {
        let issued = self.close();
        let ids: Vec<&str> = issued.iter().map(|one| one.id.as_str()).collect();
        let mut audiences: Vec<&str> = issued.iter().map(|one| &*one.audience).collect();
        audiences.dedup();
        for (name, texts) in [("issued_jti", ids), ("issued_aud", audiences)] {
            if !texts.is_empty() {
                record.detail.set(name, texts.join(" ").as_str());
            }
        }
    }

    /// All of it; what comes later is not in it.
    fn close(&self) -> Vec<Issued> {
        let Some(page) = &self.0 else {
            return Vec::new();
        };
        let mut page = lock(page);
        page.is_closed = true;
        std::mem::take(&mut page.entries)
    }
}

fn lock(page: &Mutex<Page>) -> MutexGuard<'_, Page> {
    page.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(number: usize) -> Issued {
        Issued {
            id: number.to_string(),
            audience: "u".into(),
        }
    }

    #[test]
    fn tok_02_what_a_record_does_not_tell_of_is_given_back() {
        assert_eq!(Ledger::default().enter(issued(0)), Some(issued(0)));
        let ledger = Ledger::open();
        for number in 0..MAX_ENTRIES {
            assert_eq!(ledger.clone().enter(issued(number)), None);
        }
        assert_eq!(ledger.enter(issued(99)), Some(issued(99)));
        assert_eq!(ledger.close().len(), MAX_ENTRIES);
        assert_eq!(ledger.enter(issued(1)), Some(issued(1)));
        assert_eq!(ledger.close(), []);
    }
}
