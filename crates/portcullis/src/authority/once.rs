//! What waits for a browser to come back: each found by a handle, used once, gone after ten minutes, few in all.

use super::browser::{Mark, mark, secret};
use portcullis_core::secret::Secret;
use portcullis_core::time::{Span, Timestamp};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a user may take.
pub(crate) const LIFETIME: Duration = Duration::from_mins(10);
/// The most at once; there is no room for one more.
const MAX: usize = 4096;

/// What waits.
pub(crate) struct Once<T>(Mutex<HashMap<Mark, (Span, T)>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once(..)")
    }
}

impl<T> Once<T> {
    /// Keeps it; gives its handle. None if there is no room or no entropy.
    pub(crate) fn keep(&self, value: T, now: Timestamp) -> Option<Secret<String>> {
        let handle = secret()?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MAX {
            held.retain(|_, (span, _)| span.has(now));
        }
        if held.len() >= MAX {
            return None;
        }
        held.insert(mark(handle.expose()), (Span::new(now, LIFETIME), value));
        Some(handle)
    }

    /// What this handle stands for; it is not there again.
    pub(crate) fn take(&self, handle: &str, now: Timestamp) -> Option<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (span, value) = held.remove(&mark(handle))?;
        span.has(now).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cd_06_is_used_once_in_time_and_bounded() {
        let (once, now) = (Once::default(), Timestamp::from_seconds(1_800_000_000));
        let handle = once.keep(1, now).unwrap();
        assert_eq!(once.take("guess", now), None);
        assert_eq!(once.take(handle.expose(), now), Some(1));
        assert_eq!(once.take(handle.expose(), now), None);
        let handle = once.keep(2, now).unwrap();
        assert_eq!(once.take(handle.expose(), now.plus(LIFETIME)), None);
        for number in 0..MAX {
            assert!(once.keep(number, now).is_some());
        }
        assert!(once.keep(0, now).is_none());
        // A clock that was set back makes nothing live longer, and nobody waits for it.
        let back = Timestamp::from_seconds(now.seconds() - 3600);
        let handle = once.keep(3, back).unwrap();
        assert_eq!(once.take(handle.expose(), back), Some(3));
        let handle = once.keep(4, now).unwrap();
        assert_eq!(once.take(handle.expose(), back), None);
        for number in 1..MAX {
            assert!(once.keep(number, now).is_some(), "{number}");
        }
        assert!(once.keep(0, now.plus(LIFETIME)).is_some());
    }
}
