//! The one place that reads the clock.

use std::time::Instant;

/// Now, on the clock that never goes back.
#[expect(
    clippy::disallowed_methods,
    reason = "a meter measures time; this is its only clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
