//! Proofs that were used: bounded, and full sooner than forgetful.

use super::nonce::Nonces;
use super::{AHEAD, BadProof, WINDOW};
use crate::authenticate::{Resource, Scheme, Thumbprint};
use crate::time::{BACK, Timestamp};
use aws_lc_rs::digest;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::mem::{replace, take};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most proofs that are remembered.
const MAX_PROOFS: usize = 1 << 20;
/// The most of them of one key.
const MAX_OF_ONE_KEY: usize = MAX_PROOFS / 4;
/// How long a proof can be good: from `AHEAD` of its time to `WINDOW` after it, and a moment for what is cut off.
const LIFE: Duration = Duration::from_secs(WINDOW.as_secs() + AHEAD.as_secs() + 1);

/// What is remembered of proofs, and what nonces are made with.
///
/// The default has no secret: it gives no nonce and knows none.
#[derive(Default)]
pub struct Proofs {
    used: Mutex<Used>,
    nonces: Option<Nonces>,
}

/// Two generations, each as long as a proof can be good; the older one is forgotten whole.
#[derive(Default)]
struct Used {
    young: Generation,
    old: Generation,
    /// Some of the proofs that were made up to here may have been forgotten: one that is good all the same, as the clock was set
    /// back, has to show by a nonce that it is new.
    forgotten: Timestamp,
    /// The latest that the clock has shown since it was last set back, and how often that was.
    latest: Timestamp,
    setbacks: u64,
}

#[derive(Default)]
struct Generation {
    began: Timestamp,
    /// The latest `iat` of all.
    latest: Timestamp,
    proofs: HashSet<[u8; 16]>,
    by_key: HashMap<Thumbprint, usize>,
}

impl Proofs {
    /// With a secret for nonces: 32 random bytes that live as long as this does.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self {
            nonces: Some(Nonces::new(secret)),
            ..Self::default()
        }
    }

    /// The nonce for the next proof of whoever proves, where one is needed.
    pub fn offer(&self, scheme: Scheme, resource: &Resource, now: Timestamp) -> Option<String> {
        match scheme {
            Scheme::Bearer => return None,
            Scheme::Dpop => {}
        }
        let mut used = self.used();
        used.turn(now);
        let is_needed = resource.needs_nonce || used.doubts(now);
        drop(used);
        is_needed.then(|| self.nonce(now))?
    }

    /// The newest nonce; `None` without a secret.
    pub fn nonce(&self, now: Timestamp) -> Option<String> {
        let setbacks = self.used().setbacks;
        let nonces = self.nonces.as_ref();
        nonces.map(|nonces| nonces.newest(setbacks, now))
    }

    pub(super) fn knows_nonce(&self, nonce: Option<&str>, now: Timestamp) -> bool {
        let setbacks = self.used().setbacks;
        self.knows(nonce, (setbacks, now))
    }

    fn knows(&self, nonce: Option<&str>, (setbacks, now): (u64, Timestamp)) -> bool {
        match (&self.nonces, nonce) {
            (Some(nonces), Some(nonce)) => nonces.knows(nonce, (setbacks, now)),
            (None, _) | (_, None) => false,
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a proof; of equal ones that come at the same time, one passes.
    pub(super) fn use_up(
        &self,
        key: &Thumbprint,
        (id, nonce): (&str, Option<&str>),
        (made, now): (Timestamp, Timestamp),
    ) -> Result<(), BadProof> {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(key.bytes());
        hash.update(id.as_bytes());
        let hash = hash.finish();
        let (place, _) = hash
            .as_ref()
            .split_first_chunk()
            .ok_or(BadProof::Malformed)?;
        let mut used = self.used();
        used.turn(now);
        // INVARIANT: a proof that may have been forgotten has a nonce of after the clock was last set back, so it is none of before.
        if made <= used.forgotten && !self.knows(nonce, (used.setbacks, now)) {
            return Err(match self.nonces {
                Some(_) => BadProof::Nonce,
                None => BadProof::Time,
            });
        }
        used.insert(key, *place, made)
    }
}

impl Used {
    fn turn(&mut self, now: Timestamp) {
        if now.plus(BACK) < self.latest {
            self.setbacks = self.setbacks.saturating_add(1);
            self.latest = now;
        }
        self.latest = self.latest.max(now);
        if now.since(self.young.began) <= LIFE {
            return;
        }
        let gone = replace(&mut self.old, take(&mut self.young));
        self.forget(&gone);
        self.young.began = now;
        if now.since(self.old.began) > LIFE.saturating_mul(2) {
            let gone = take(&mut self.old);
            self.forget(&gone);
        }
    }

    /// Whether a proof that is made now may be as old as one that was forgotten.
    fn doubts(&self, now: Timestamp) -> bool {
        now <= self.forgotten.plus(WINDOW)
    }

    /// By a clock that is never set back, all of it is too old to be good. By another it has to show that it is new.
    fn forget(&mut self, gone: &Generation) {
        self.forgotten = self.forgotten.max(gone.latest);
    }

    fn insert(
        &mut self,
        key: &Thumbprint,
        place: [u8; 16],
        made: Timestamp,
    ) -> Result<(), BadProof> {
        if self.young.proofs.contains(&place) || self.old.proofs.contains(&place) {
            return Err(BadProof::Replay);
        }
        let of_key = |generation: &Generation| generation.by_key.get(key).copied().unwrap_or(0);
        if self.young.proofs.len() + self.old.proofs.len() >= MAX_PROOFS
            || of_key(&self.young) + of_key(&self.old) >= MAX_OF_ONE_KEY
        {
            return Err(BadProof::Full);
        }
        self.young.proofs.insert(place);
        *self.young.by_key.entry(*key).or_default() += 1;
        self.young.latest = self.young.latest.max(made);
        Ok(())
    }
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proofs(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn used(proofs: &Proofs, id: &str, (made, now): (u64, u64)) -> Result<(), BadProof> {
        let key = Thumbprint::of(b"key");
        proofs.use_up(&key, (id, None), (at(made), at(now)))
    }

    #[test]
    fn tok_14_remembers_a_proof_for_as_long_as_it_is_good() {
        for first in [NOW, NOW + 1, NOW + 65, NOW + 66, NOW + 67, NOW + 131] {
            let proofs = Proofs::default();
            used(&proofs, "first", (NOW, NOW)).unwrap();
            used(&proofs, "a", (first + 5, first)).unwrap();
            // All the while it is good, and whatever else comes in between.
            for later in 0..=65 {
                let now = first + later;
                assert_eq!(
                    used(&proofs, "a", (first + 5, now)),
                    Err(BadProof::Replay),
                    "{later} s after"
                );
                used(&proofs, &format!("{later}"), (now, now)).unwrap();
            }
        }
    }

    #[test]
    fn tok_14_knows_the_key_of_a_proof() {
        let proofs = Proofs::default();
        used(&proofs, "a", (NOW, NOW)).unwrap();
        let other = Thumbprint::of(b"other");
        let used_by = |id| proofs.use_up(&other, (id, None), (at(NOW), at(NOW)));
        used_by("a").unwrap();
        let again = used_by("a");
        assert_eq!(again, Err(BadProof::Replay));
    }

    #[test]
    fn tok_14_forgets_nothing_when_the_clock_is_set_back() {
        let proofs = Proofs::default();
        used(&proofs, "a", (NOW, NOW)).unwrap();
        used(&proofs, "b", (NOW + 3600, NOW + 3600)).unwrap();
        used(&proofs, "c", (NOW + 7200, NOW + 7200)).unwrap();
        assert_eq!(used(&proofs, "a", (NOW, NOW)), Err(BadProof::Time));
        assert_eq!(
            used(&proofs, "b", (NOW + 3600, NOW + 3600)),
            Err(BadProof::Time)
        );
    }

    #[test]
    fn tok_14_whose_clock_is_right_is_refused_nothing_after_ours_was_set_back() {
        let proofs = Proofs::new(&[1; 32]);
        let key = Thumbprint::of(b"key");
        let prove = |id: &str, nonce: &Option<String>, now: u64| {
            let shown = (id, nonce.as_deref());
            proofs.use_up(&key, shown, (at(now), at(now)))
        };
        let nonce = |now: u64| proofs.nonce(at(now));
        // An hour ahead for an hour, with a proof each minute, and what was heard of one of them.
        let ahead = |minute: u64| NOW + 3600 + minute * 60;
        let mut heard = Vec::new();
        for minute in 0..60 {
            let (id, nonce) = (format!("ahead-{minute}"), nonce(ahead(minute)));
            prove(&id, &nonce, ahead(minute)).unwrap();
            heard.push((id, nonce, ahead(minute)));
        }
        // Then as late as it is. Without a nonce of now nobody knows what is new, and what is said of that is how to go on.
        for minute in 0..50 {
            let now = NOW + 3600 + minute * 60;
            let id = format!("right-{minute}");
            assert_eq!(prove(&id, &None, now), Err(BadProof::Nonce), "{minute}");
            let (old, then, when) = &heard[usize::try_from(minute).unwrap()];
            assert_eq!(*when, now);
            for said in [then, &None] {
                assert_eq!(prove(old, said, now), Err(BadProof::Nonce), "{minute}");
            }
            let fresh = nonce(now);
            assert_eq!(prove(&id, &fresh, now), Ok(()), "{minute}");
            assert_eq!(prove(&id, &fresh, now), Err(BadProof::Replay), "{minute}");
        }
        // What was made with it is no better after the clock was set back once more.
        let (id, then) = ("right-0", nonce(NOW + 3600));
        assert_eq!(prove("later", &None, NOW + 9000), Ok(()));
        assert_eq!(prove(id, &then, NOW + 3600), Err(BadProof::Nonce));
        // A clock that goes on asks nobody.
        assert_eq!(prove("on", &None, NOW + 9100), Ok(()));
    }

    #[test]
    fn tok_14_is_full_for_one_key_and_not_for_others() {
        let proofs = Proofs::default();
        for number in 0..MAX_OF_ONE_KEY {
            used(&proofs, &number.to_string(), (NOW, NOW)).unwrap();
        }
        assert_eq!(used(&proofs, "more", (NOW, NOW)), Err(BadProof::Full));
        assert_eq!(used(&proofs, "0", (NOW, NOW)), Err(BadProof::Replay));
        let other = Thumbprint::of(b"other");
        let more = proofs.use_up(&other, ("more", None), (at(NOW), at(NOW)));
        more.unwrap();
        // Once they are too old to be good, there is room again.
        used(&proofs, "later", (NOW + 67, NOW + 67)).unwrap_err();
        used(&proofs, "later", (NOW + 140, NOW + 140)).unwrap();
    }

    #[test]
    fn tok_14_makes_nonces_that_end() {
        let (proofs, other) = (Proofs::new(&[1; 32]), Proofs::new(&[2; 32]));
        let nonce = proofs.nonce(at(NOW)).unwrap();
        for (later, is_known) in [(0, true), (120, true), (239, true), (241, false)] {
            let begin = NOW - NOW % 120;
            let nonce = proofs.nonce(at(begin)).unwrap();
            let now = at(begin + later);
            assert_eq!(proofs.knows_nonce(Some(&nonce), now), is_known, "{later}");
        }
        assert!(!other.knows_nonce(Some(&nonce), at(NOW)));
        assert!(!proofs.knows_nonce(None, at(NOW)));
        assert!(!proofs.knows_nonce(Some(""), at(NOW)));
        assert!(!proofs.knows_nonce(Some(&nonce), at(NOW - 240)));
        assert_eq!(Proofs::default().nonce(at(NOW)), None);
        assert!(!Proofs::default().knows_nonce(Some(&nonce), at(NOW)));
    }
}
