//! Requests that clients have pushed (RFC 9126): each used once, soon, and few in all.

use super::{mark, voucher};
use portcullis_authority::request::Asked;
use portcullis_core::time::{Span, Timestamp};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What stands before a handle.
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// How long a request waits.
pub(crate) const LIFETIME: Duration = Duration::from_secs(90);
/// The most that wait.
const MAX: usize = 4096;

/// Those that wait, by the marks of their handles.
#[derive(Default)]
pub(crate) struct Pushed(Mutex<HashMap<String, (Span, Asked)>>);

impl fmt::Debug for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pushed(..)")
    }
}

impl Pushed {
    /// Keeps a request; gives its `request_uri`. None if there is no room or no entropy.
    pub(crate) fn keep(&self, asked: Asked, now: Timestamp) -> Option<String> {
        let handle = voucher().ok()?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MAX {
            held.retain(|_, (span, _)| span.has(now));
        }
        if held.len() >= MAX {
            return None;
        }
        held.insert(mark(handle.expose()), (Span::new(now, LIFETIME), asked));
        Some(format!("{PREFIX}{}", handle.expose()))
    }

    /// What was pushed by this client under that name; it is not there again.
    pub(crate) fn take(&self, name: &str, client: &str, now: Timestamp) -> Option<Asked> {
        let place = mark(name.strip_prefix(PREFIX)?);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (span, asked) = held.remove(&place)?;
        (span.has(now) && asked.client().id == client).then_some(asked)
    }
}
