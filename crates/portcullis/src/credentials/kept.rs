//! Tokens that were fetched for one server: bounded, each for its caller, gone when they are over.

use super::fetched::{Flight, Outcome};
use hyper::header::HeaderValue;
use portcullis_core::credentials::{Exchange, NoCredential, Place, Token, Want};
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most tokens of one server, and of one caller at it; one more forgets what is over first.
const MAX_KEPT: usize = 4096;
const MAX_OWN: usize = 64;
/// After so long it is tried once more to replace a token that is still good.
const RETRY: Duration = Duration::from_secs(2);

/// A token as it is shown.
pub(crate) struct Held {
    pub(super) shown: HeaderValue,
    /// Its id, and whom it is for.
    pub(super) id: String,
    pub(super) audience: Arc<str>,
    /// The id of the grant for which it was given, if there was one.
    pub(super) grant: Option<String>,
    pub(super) until: Timestamp,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.audience)
    }
}

impl Held {
    pub(super) fn new(
        token: Token,
        grant: Option<String>,
        of: &Exchange,
    ) -> Result<Self, NoCredential> {
        let scheme = match of.bound_to {
            None => "Bearer ",
            Some(_) => super::proof::SCHEME,
        };
        let text = Secret::new([scheme, token.text.expose()].concat());
        let mut shown = HeaderValue::from_str(text.expose()).map_err(|_| NoCredential::Broken)?;
        shown.set_sensitive(true);
        Ok(Self {
            shown,
            id: token.id,
            audience: Arc::clone(&of.audience),
            grant,
            until: token.until,
        })
    }
}

/// What is known of a token.
#[derive(Debug)]
pub(super) enum Known {
    Fresh(Arc<Held>),
    /// It is good, but not for long.
    Ageing(Arc<Held>),
    Nothing,
}

/// All tokens of one server.
#[derive(Default)]
pub(crate) struct Kept {
    table: Mutex<HashMap<Place, Slot>>,
    flights: AtomicU64,
}

struct Slot {
    owner: Arc<str>,
    held: Option<Arc<Held>>,
    /// From when on another one is fetched.
    again: Timestamp,
    flight: Option<(u64, Flight)>,
}

impl Kept {
    fn table(&self) -> MutexGuard<'_, HashMap<Place, Slot>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, place: &Place, now: Timestamp) -> Known {
        let table = self.table();
        let Some(slot) = table.get(place) else {
            return Known::Nothing;
        };
        match &slot.held {
            Some(held) if held.until <= now => Known::Nothing,
            Some(held) if slot.again <= now && slot.flight.is_none() => {
                Known::Ageing(Arc::clone(held))
            }
            Some(held) => Known::Fresh(Arc::clone(held)),
            None => Known::Nothing,
        }
    }

    /// The question under way, or a new one; says whether it is.
    pub(super) fn fly(
        &self,
        place: Place,
        want: &Want,
        now: Timestamp,
        begin: impl FnOnce(u64) -> Flight,
    ) -> Result<(Flight, bool), NoCredential> {
        let mut table = self.table();
        if let Some((_, flight)) = table.get(&place).and_then(|slot| slot.flight.as_ref()) {
            return Ok((flight.clone(), false));
        }
        let owner = &want.principal().key;
        if !table.contains_key(&place) {
            make_room(&mut table, owner, now)?;
        }
        let slot = table.entry(place).or_insert_with(|| Slot {
            owner: Arc::clone(owner),
            held: None,
            again: now,
            flight: None,
        });
        let number = self.flights.fetch_add(1, Ordering::Relaxed);
        let flight = begin(number);
        slot.flight = Some((number, flight.clone()));
        Ok((flight, true))
    }

    /// An answer came. What was forgotten meanwhile is not kept; what could not be fetched again is good until it is over.
    pub(super) fn landed(
        &self,
        (place, number): (&Place, u64),
        outcome: &Outcome,
        (now, jitter): (Timestamp, u8),
    ) {
        let mut table = self.table();
        let is_it = |slot: &&mut Slot| slot.flight.as_ref().is_some_and(|(own, _)| *own == number);
        let Some(slot) = table.get_mut(place).filter(is_it) else {
            return;
        };
        slot.flight = None;
        match outcome {
            Ok(held) => {
                // Between seven and nine tenths of its life.
                let part = 700 + u32::from(jitter) * 200 / 255;
                slot.again = now.plus(held.until.since(now) * part / 1000);
                slot.held = Some(Arc::clone(held));
            }
            Err(_) if slot.held.is_some() => slot.again = now.plus(RETRY),
            Err(_) => drop(table.remove(place)),
        }
    }

    /// Forgets a token that the server did not accept.
    pub(super) fn forget(&self, place: &Place) {
        self.table().remove(place);
    }

    /// Forgets the tokens of these callers.
    pub(super) fn dismiss(&self, owners: &[Arc<str>]) {
        self.table().retain(|_, slot| !owners.contains(&slot.owner));
    }

    /// Forgets all of them.
    pub(super) fn clear(&self) {
        self.table().clear();
    }

    /// Forgets what is over.
    pub(super) fn reap(&self, now: Timestamp) {
        self.table().retain(|_, slot| !slot.is_over(now));
    }
}

impl Slot {
    fn is_over(&self, now: Timestamp) -> bool {
        let is_good = self.held.as_ref().is_some_and(|held| held.until > now);
        self.flight.is_none() && !is_good
    }

    fn until(&self) -> Option<Timestamp> {
        let held = self.held.as_ref().filter(|_| self.flight.is_none())?;
        Some(held.until)
    }
}

fn make_room(
    table: &mut HashMap<Place, Slot>,
    owner: &Arc<str>,
    now: Timestamp,
) -> Result<(), NoCredential> {
    let own = table.values().filter(|slot| slot.owner == *owner).count();
    if own < MAX_OWN && table.len() < MAX_KEPT {
        return Ok(());
    }
    table.retain(|_, slot| !slot.is_over(now));
    let own = table.values().filter(|slot| slot.owner == *owner).count();
    let is_own_full = own >= MAX_OWN;
    if !is_own_full && table.len() < MAX_KEPT {
        return Ok(());
    }
    let meant = table
        .iter()
        .filter(|(_, slot)| !is_own_full || slot.owner == *owner);
    let first = meant.filter_map(|(place, slot)| Some((slot.until()?, *place)));
    let first = first
        .min_by_key(|(until, _)| *until)
        .map(|(_, place)| place);
    table.remove(&first.ok_or(NoCredential::Full)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use portcullis_core::authenticate::operating_system_user;
    use portcullis_core::credentials::{Exchange, Grant, Scopes};

    const NOW: Timestamp = Timestamp::from_seconds(1000);

    fn wanting(user: u32, scope: &str) -> (Place, Want) {
        let exchange = Exchange {
            grant: Grant::Exchange,
            audience: "u".into(),
            resource: None,
            max_age: Duration::from_mins(1),
            bound_to: None,
        };
        let scopes = Scopes::new([scope], []);
        let want = scopes.for_other(&operating_system_user(user, "a", NOW));
        (exchange.place(&want), want)
    }

    fn held(until: u64) -> Arc<Held> {
        Arc::new(Held {
            shown: HeaderValue::from_static("Bearer x"),
            id: "x".to_owned(),
            audience: "u".into(),
            grant: None,
            until: Timestamp::from_seconds(until),
        })
    }

    /// Fetches a token that is over then; gives whether it was the first to ask.
    fn fetch(kept: &Kept, (place, want): &(Place, Want), until: u64) -> Result<bool, NoCredential> {
        let mut number = 0;
        let begin = |own| {
            number = own;
            async move { Ok(held(until)) }.boxed().shared()
        };
        let (_, is_first) = kept.fly(*place, want, NOW, begin)?;
        kept.landed((place, number), &Ok(held(until)), (NOW, 0));
        Ok(is_first)
    }

    #[test]
    fn tok_15_a_token_is_replaced_before_it_is_over_and_never_shown_after() {
        let (kept, alice) = (Kept::default(), wanting(1, "a"));
        let known = |seconds| match kept.find(&alice.0, Timestamp::from_seconds(seconds)) {
            Known::Fresh(_) => "fresh",
            Known::Ageing(_) => "ageing",
            Known::Nothing => "nothing",
        };
        assert_eq!(known(1000), "nothing");
        assert_eq!(fetch(&kept, &alice, 1100), Ok(true));
        for (seconds, expected) in [
            (1000, "fresh"),
            (1069, "fresh"),
            (1070, "ageing"),
            (1099, "ageing"),
            (1100, "nothing"),
        ] {
            assert_eq!(known(seconds), expected, "{seconds}");
        }
        // What cannot be replaced is good until it is over; whoever comes meanwhile does not wait.
        let never = |_| futures_util::future::pending::<Outcome>().boxed().shared();
        let (_, is_first) = kept.fly(alice.0, &alice.1, NOW, never).unwrap();
        assert!(is_first);
        assert!(
            !kept.fly(alice.0, &alice.1, NOW, never).unwrap().1,
            "one flight"
        );
        assert_eq!(known(1099), "fresh");
        kept.landed((&alice.0, 1), &Err(NoCredential::Timeout), (NOW, 0));
        assert_eq!(known(1099), "ageing");
        assert_eq!(known(1100), "nothing");
    }

    #[test]
    fn tok_15_what_was_forgotten_while_it_was_fetched_is_not_kept() {
        let (kept, alice) = (Kept::default(), wanting(1, "a"));
        let never = |_| futures_util::future::pending::<Outcome>().boxed().shared();
        assert!(kept.fly(alice.0, &alice.1, NOW, never).unwrap().1);
        kept.dismiss(&[Arc::clone(&alice.1.principal().key)]);
        kept.landed((&alice.0, 0), &Ok(held(1100)), (NOW, 0));
        assert!(matches!(kept.find(&alice.0, NOW), Known::Nothing));
        fetch(&kept, &alice, 1100).unwrap();
        kept.clear();
        assert!(matches!(kept.find(&alice.0, NOW), Known::Nothing));
        fetch(&kept, &alice, 1100).unwrap();
        kept.reap(Timestamp::from_seconds(1100));
        assert!(kept.table().is_empty(), "an idle gateway holds none");
    }

    #[test]
    fn tok_15_tokens_are_bounded_for_one_caller_and_for_all() {
        let kept = Kept::default();
        for number in 0..=MAX_OWN {
            fetch(&kept, &wanting(1, &number.to_string()), 1100).unwrap();
        }
        assert_eq!(kept.table().len(), MAX_OWN);
        for user in 0..u32::try_from(MAX_KEPT).unwrap() {
            fetch(&kept, &wanting(2 + user, "a"), 1100).unwrap();
        }
        assert_eq!(kept.table().len(), MAX_KEPT);
    }
}
