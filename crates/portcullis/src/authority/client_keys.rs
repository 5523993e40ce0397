//! Keys of clients that are kept from where the clients say that they are.

use portcullis_core::authenticate::KeySet;
use portcullis_core::egress::Target;
use portcullis_core::time::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long keys are kept at least, and at most: what is withdrawn counts no longer.
const MIN_AGE: Duration = Duration::from_mins(1);
const MAX_AGE: Duration = Duration::from_hours(1);
/// How often one place is asked in [`SPELL`], whoever wants it.
const ASKED: u32 = 10;
const SPELL: Duration = Duration::from_mins(1);
/// The most places.
const MAX: usize = 1024;

/// Those that were fetched, by where they are.
#[derive(Default)]
pub(crate) struct ClientKeys(Mutex<HashMap<String, Place>>);

struct Place {
    /// The keys, and up to when they count.
    keys: Option<(Arc<KeySet>, Timestamp)>,
    /// How often it was asked since then.
    asked: u32,
    since: Timestamp,
}

impl ClientKeys {
    /// The keys of that place, if they are fresh.
    pub(super) fn find(&self, at: &Target, now: Timestamp) -> Option<Arc<KeySet>> {
        let held = self.held();
        let (keys, until) = held.get(&at.to_string())?.keys.as_ref()?;
        (*until > now).then(|| Arc::clone(keys))
    }

    /// Whether that place may be asked once more, which then counts.
    pub(crate) fn take(&self, at: &Target, now: Timestamp) -> bool {
        let (mut held, at) = (self.held(), at.to_string());
        // Whoever fills it must not keep others out: any one makes room.
        if held.len() >= MAX
            && !held.contains_key(&at)
            && let Some(any) = held.keys().next().cloned()
        {
            held.remove(&any);
        }
        let place = held.entry(at).or_insert(Place {
            keys: None,
            asked: 0,
            since: now,
        });
        if now.since(place.since) >= SPELL {
            (place.asked, place.since) = (0, now);
        }
        place.asked += 1;
        place.asked <= ASKED
    }

    pub(super) fn keep(&self, at: &Target, keys: &Arc<KeySet>, (age, now): (Duration, Timestamp)) {
        let until = now.plus(age.clamp(MIN_AGE, MAX_AGE));
        if let Some(place) = self.held().get_mut(&at.to_string()) {
            place.keys = Some((Arc::clone(keys), until));
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn at(number: usize) -> Target {
        Target::parse(&format!("https://app.example/{number}")).unwrap()
    }

    fn keys() -> Arc<KeySet> {
        let key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        Arc::new(KeySet::parse(key.as_bytes()).unwrap())
    }

    #[test]
    fn cd_12_keys_are_kept_for_a_minute_at_least_and_an_hour_at_most() {
        for (said, expected) in [
            (Duration::ZERO, MIN_AGE),
            (Duration::from_mins(5), Duration::from_mins(5)),
            (Duration::from_hours(24), MAX_AGE),
        ] {
            let cache = ClientKeys::default();
            assert!(cache.take(&at(1), NOW));
            cache.keep(&at(1), &keys(), (said, NOW));
            let just = expected.saturating_sub(Duration::from_millis(1));
            assert!(cache.find(&at(1), NOW.plus(just)).is_some(), "{said:?}");
            assert!(cache.find(&at(1), NOW.plus(expected)).is_none(), "{said:?}");
            assert!(cache.find(&at(2), NOW).is_none());
        }
    }

    #[test]
    fn cd_12_a_place_is_asked_so_often_and_the_table_is_bounded() {
        let cache = ClientKeys::default();
        for _ in 0..ASKED {
            assert!(cache.take(&at(0), NOW));
        }
        assert!(!cache.take(&at(0), NOW));
        assert!(cache.take(&at(0), NOW.plus(SPELL)));
        for number in 1..=MAX {
            assert!(cache.take(&at(number), NOW));
            cache.keep(&at(number), &keys(), (MAX_AGE, NOW));
            assert!(cache.find(&at(number), NOW).is_some(), "{number}");
        }
        assert_eq!(cache.held().len(), MAX);
    }
}
