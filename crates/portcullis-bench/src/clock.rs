//! The one place that reads the clock.

use std::time::{Instant, SystemTime};

/// Now, on the clock that never goes back.
#[expect(
    clippy::disallowed_methods,
    reason = "a meter measures time; this is its only clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day, as tokens state it.
#[expect(
    clippy::disallowed_methods,
    reason = "a token says when it was made; this is its only clock"
)]
pub(crate) fn today() -> SystemTime {
    SystemTime::now()
}
