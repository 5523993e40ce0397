//! The one place that reads the clock.

use portcullis_core::time::Timestamp;
use std::time::SystemTime;

/// Now, by the system's clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Microseconds since the epoch, for crates that take a plain function.
pub(crate) fn micros() -> u64 {
    now().micros()
}

/// Milliseconds since the epoch, for crates that take a plain function.
pub(crate) fn millis() -> u64 {
    now().micros() / 1000
}
