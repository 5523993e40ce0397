//! The one notion of time that decisions use.

use std::time::Duration;

/// A moment in microseconds since 1970-01-01T00:00:00Z, as the caller's clock read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment that many microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment that many whole seconds after the epoch; saturates at the end of time.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// This moment, later by `span`; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// By so much a clock may be set back before what is of the future then counts no more.
pub const BACK: Duration = Duration::from_secs(5);

/// The time in which something counts: from when it was made, and for no longer than it lasts, whichever way the clock is set
/// meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    made: Timestamp,
    until: Timestamp,
}

impl Span {
    /// From then on, for so long.
    pub fn new(made: Timestamp, lasts: Duration) -> Self {
        let until = made.plus(lasts);
        Self { made, until }
    }

    /// When it began.
    pub const fn made(self) -> Timestamp {
        self.made
    }

    /// Whether now is within it. What was made in what is the future now is not, but for [`BACK`].
    pub fn has(self, now: Timestamp) -> bool {
        self.made <= now.plus(BACK) && now < self.until
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cd_11_nothing_lives_longer_since_a_clock_was_set() {
        let made = Timestamp::from_seconds(1_800_000_000);
        let span = Span::new(made, Duration::from_mins(10));
        let back = |seconds: u64| Timestamp::from_seconds(made.seconds() - seconds);
        for (now, is_within) in [
            (made, true),
            (made.plus(Duration::from_secs(599)), true),
            (made.plus(Duration::from_mins(10)), false),
            (made.plus(Duration::from_hours(1)), false),
            (back(5), true),
            (back(6), false),
            (back(3600), false),
        ] {
            assert_eq!(span.has(now), is_within, "{now:?}");
        }
    }
}
