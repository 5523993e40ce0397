//! Too much? Rates, bytes and concurrency per principal, tool and upstream, in bounded memory.

mod network;

use crate::authenticate::Principal;
use crate::hashed::Hashed;
use crate::protocol::{Call, Target};
use crate::session::Session;
use crate::time::{BACK, Timestamp};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use network::{Networks, network};

/// The most buckets that are kept; a caller who would need one more is refused.
const MAX_BUCKETS: usize = 65_536;

/// So many in a minute, and so many at once before the pace counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many a minute; at least 1.
    pub per_minute: u64,
    /// How many may come at once; at least 1.
    pub burst: u64,
}

/// What one server allows.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Messages of one principal, over all servers, sessions and clients.
    pub requests: Rate,
    /// Calls of one principal to one tool.
    pub tool_requests: Option<Rate>,
    /// The same for the tools that have a rate of their own.
    pub per_tool: HashMap<String, Rate>,
    /// Exchanges of one principal under way at once.
    pub concurrency: u32,
    /// Body bytes of one principal a minute, both directions.
    pub bytes: Rate,
    /// Exchanges with this upstream under way at once.
    pub upstream_concurrency: u32,
}

/// Why it is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the {which} quota")]
pub struct Exhausted {
    /// `principal`, `tool`, `bytes`, `concurrency`, `upstream`, `network` or `memory`.
    pub which: &'static str,
    /// When it is worth another try.
    pub retry_after: Duration,
}

/// How long a caller waits where no pace tells.
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// Which bucket, at which rate, how much, and the name of the quota.
type Charge = (u64, Rate, u64, &'static str);

#[derive(Default)]
struct Held {
    /// When each bucket will be full again (GCRA's theoretical arrival time).
    full_at: Hashed<Timestamp>,
    under_way: Hashed<u32>,
    /// The newest time at which anything was charged.
    latest: Timestamp,
}

/// What was used up so far.
#[derive(Default)]
pub struct Quota {
    hasher: RandomState,
    held: Mutex<Held>,
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Quota(..)")
    }
}

/// A place among the exchanges under way; gives it back when dropped.
pub struct Slot {
    quota: Arc<Quota>,
    places: [u64; 2],
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot(..)")
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self
            .quota
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for place in self.places {
            held.leave(place);
        }
    }
}

impl Quota {
    /// Takes what any request of this caller's costs, before anything else of it is looked at.
    ///
    /// # Errors
    /// [`Exhausted`], with the time after which it would pass.
    pub fn take_request(
        &self,
        principal: &Principal,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), Exhausted> {
        let bucket = self.hasher.hash_one((2u8, &*principal.key));
        self.held()
            .charge(&[(bucket, limits.requests, 1, "principal")], now)
    }

    /// Takes a place among the exchanges under way.
    ///
    /// # Errors
    /// [`Exhausted`] if there is none for this principal or this upstream.
    pub fn take_slot(
        self: &Arc<Self>,
        session: &Session,
        limits: &Limits,
    ) -> Result<Slot, Exhausted> {
        let who = &*session.principal().key;
        let server = &**session.server();
        let places = [
            self.hasher.hash_one((0u8, who)),
            self.hasher.hash_one((1u8, server)),
        ];
        self.take_places(places, limits)
    }

    /// Takes a place at one of the servers behind the aggregate, whose own place the exchange has already.
    ///
    /// # Errors
    /// [`Exhausted`] if there is none for this principal or this upstream.
    pub fn take_member_slot(
        self: &Arc<Self>,
        session: &Session,
        limits: &Limits,
    ) -> Result<Slot, Exhausted> {
        let (who, server) = (&*session.principal().key, &**session.server());
        let places = [
            self.hasher.hash_one((5u8, who, server)),
            self.hasher.hash_one((1u8, server)),
        ];
        self.take_places(places, limits)
    }

    fn take_places(self: &Arc<Self>, places: [u64; 2], limits: &Limits) -> Result<Slot, Exhausted> {
        let mut held = self.held();
        held.check_concurrency(places, [limits.concurrency, limits.upstream_concurrency])?;
        for place in places {
            *held.under_way.entry(place).or_default() += 1;
        }
        drop(held);
        Ok(Slot {
            quota: Arc::clone(self),
            places,
        })
    }

    /// Takes what this message costs beyond being a request: its bytes, and its tool. All or nothing.
    ///
    /// # Errors
    /// [`Exhausted`], with the time after which it would pass.
    pub fn take_call(
        &self,
        session: &Session,
        call: &Call,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), Exhausted> {
        let who = &*session.principal().key;
        let bytes = (
            self.hasher.hash_one((3u8, who)),
            limits.bytes,
            size(call),
            "bytes",
        );
        match self.of_tool(session, call, limits) {
            Some(tool) => self.held().charge(&[bytes, tool], now),
            None => self.held().charge(&[bytes], now),
        }
    }

    /// Takes what a tool costs, where the message's bytes were taken already.
    ///
    /// # Errors
    /// [`Exhausted`], with the time after which it would pass.
    pub fn take_tool(
        &self,
        session: &Session,
        call: &Call,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), Exhausted> {
        match self.of_tool(session, call, limits) {
            Some(tool) => self.held().charge(&[tool], now),
            None => Ok(()),
        }
    }

    fn of_tool(&self, session: &Session, call: &Call, limits: &Limits) -> Option<Charge> {
        let Target::Tool(tool) = call.target() else {
            return None;
        };
        let own = limits.per_tool.get(&**tool).copied();
        let rate = own.or(limits.tool_requests)?;
        let (who, server) = (&*session.principal().key, &**session.server());
        let bucket = self.hasher.hash_one((4u8, who, server, &**tool));
        Some((bucket, rate, 1, "tool"))
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer's bytes; they were already received, so this refuses nothing by itself.
    pub fn count_bytes(&self, principal: &str, bytes: u64, limits: &Limits, now: Timestamp) {
        let bucket = self.hasher.hash_one((3u8, principal));
        let mut held = self.held();
        held.follow(now);
        if let Some(full_at) = held.full_at.get_mut(&bucket) {
            *full_at = (*full_at).max(now).plus(limits.bytes.cost(bytes));
        }
    }
}

fn size(call: &Call) -> u64 {
    u64::try_from(call.body().len()).unwrap_or(u64::MAX)
}

impl Rate {
    /// How much of the pace so many take.
    fn cost(self, count: u64) -> Duration {
        let micros = count.saturating_mul(60_000_000) / self.per_minute.max(1);
        Duration::from_micros(micros)
    }
}

impl Held {
    fn leave(&mut self, place: u64) {
        let left = self.under_way.remove(&place).unwrap_or_default();
        if left > 1 {
            self.under_way.insert(place, left - 1);
        }
    }

    fn check_concurrency(&self, places: [u64; 2], most: [u32; 2]) -> Result<(), Exhausted> {
        for ((place, most), which) in places.iter().zip(most).zip(["concurrency", "upstream"]) {
            if self.under_way.get(place).copied().unwrap_or_default() >= most {
                return Err(Exhausted {
                    which,
                    retry_after: SHORT_WAIT,
                });
            }
        }
        Ok(())
    }

    /// Whether the buckets that are not kept yet may be.
    fn has_room(&self, charges: &[Charge]) -> bool {
        if self.full_at.len() + charges.len() <= MAX_BUCKETS {
            return true;
        }
        let new = charges
            .iter()
            .filter(|(bucket, ..)| !self.full_at.contains_key(bucket))
            .count();
        self.full_at.len() + new <= MAX_BUCKETS
    }

    /// Where the clock was set back, nobody waits until it is where it was.
    fn follow(&mut self, now: Timestamp) {
        let back = self.latest.since(now);
        if back > BACK {
            self.full_at.retain(|_, full_at| {
                *full_at = now.plus(full_at.since(self.latest));
                true
            });
            self.latest = now;
        }
        self.latest = self.latest.max(now);
    }

    /// Charges all buckets or none.
    fn charge(&mut self, charges: &[Charge], now: Timestamp) -> Result<(), Exhausted> {
        self.follow(now);
        if !self.has_room(charges) {
            self.full_at.retain(|_, full_at| *full_at > now);
            if !self.has_room(charges) {
                return Err(Exhausted {
                    which: "memory",
                    retry_after: SHORT_WAIT,
                });
            }
        }
        for (bucket, rate, count, which) in charges {
            let full_at = self.full_at.get(bucket).copied().unwrap_or(now).max(now);
            // A single message larger than the whole burst passes when the bucket is full.
            let room = rate.cost(rate.burst).max(rate.cost(*count));
            let over = full_at.plus(rate.cost(*count)).since(now.plus(room));
            if !over.is_zero() {
                return Err(Exhausted {
                    which,
                    retry_after: over,
                });
            }
        }
        for (bucket, rate, count, _) in charges {
            let full_at = self.full_at.entry(*bucket).or_insert(now);
            *full_at = (*full_at).max(now).plus(rate.cost(*count));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
