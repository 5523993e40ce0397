//! How long to wait before a server that ended is started again.

use std::time::Duration;

/// The wait doubles with each start that did not last, up to a bound; one that lasted begins anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// The longest wait after a first failure.
    first: Duration,
    /// The longest wait at all.
    most: Duration,
    /// A server that ran for so long was well.
    well_after: Duration,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(
            Duration::from_millis(500),
            Duration::from_mins(1),
            Duration::from_mins(1),
        )
    }
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration, well_after: Duration) -> Self {
        Self {
            first,
            most,
            well_after,
            failures: 0,
        }
    }

    /// The wait after a server ran for `ran_for`: between half of what is due and all of it, by `jitter`, a random
    /// number over its whole range, so that servers that fell together do not rise together.
    pub(crate) fn next(&mut self, ran_for: Duration, jitter: u16) -> Duration {
        if ran_for >= self.well_after {
            self.failures = 0;
        }
        let due = self
            .first
            .saturating_mul(2_u32.saturating_pow(self.failures))
            .min(self.most);
        self.failures = self.failures.saturating_add(1);
        let half = due / 2;
        half + half.mul_f64(f64::from(jitter) / f64::from(u16::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn doubles_up_to_the_bound_and_begins_anew_after_a_good_run() {
        let mut backoff = Backoff::new(MS(100), MS(1000), MS(5000));
        let ran_for = [0, 0, 0, 4999, 0, 0, 5000, 0];
        let waits: Vec<Duration> = ran_for
            .iter()
            .map(|ran| backoff.next(MS(*ran), u16::MAX))
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000, 100, 200].map(MS));
    }

    #[test]
    fn jitter_is_within_the_upper_half() {
        for (jitter, expected) in [(0, 50), (u16::MAX, 100)] {
            assert_eq!(
                Backoff::new(MS(100), MS(1000), MS(1)).next(MS(0), jitter),
                MS(expected)
            );
        }
    }

    #[test]
    fn never_overflows_and_never_exceeds_the_bound() {
        let mut backoff = Backoff {
            failures: u32::MAX,
            ..Backoff::default()
        };
        assert_eq!(
            backoff.next(Duration::ZERO, u16::MAX),
            Duration::from_mins(1)
        );
        let mut longest = Backoff::new(Duration::MAX, Duration::from_secs(1), Duration::MAX);
        assert_eq!(
            longest.next(Duration::ZERO, u16::MAX),
            Duration::from_secs(1)
        );
    }
}
