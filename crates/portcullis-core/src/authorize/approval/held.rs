//! What waits for somebody, and what somebody has approved: few, for a while, each used once.

use super::{Asked, Needed, rule_of};
use crate::authorize::Forbidden;
use crate::hexadecimal::mark;
use crate::quota::Exhausted;
use crate::secret::Secret;
use crate::time::{Span, Timestamp};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What may wait at once, in all.
pub(super) const MAX_HELD: usize = 4096;
/// How often one caller may have somebody asked, within this time.
pub(super) const MAX_ASKED: u32 = 10;
pub(super) const ASKED_WITHIN: Duration = Duration::from_mins(10);

/// Calls that wait for somebody, and those that somebody has approved. Bounded.
#[derive(Default)]
pub struct Approvals(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// By digest.
    held: HashMap<[u8; 32], Held>,
    /// How often callers had somebody asked, since when.
    asked: HashMap<Arc<str>, (Span, u32)>,
}

struct Held {
    needed: Needed,
    text: Secret<String>,
    mark: [u8; 32],
    stands: Stands,
    span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Open,
    Approved,
}

impl Approvals {
    /// Has somebody asked about a call; gives the text of the link. One that is still open stays as it is.
    ///
    /// # Errors
    /// [`Exhausted`], if the caller has had too much asked of late: whoever is asked all the time reads nothing any more.
    pub fn ask(
        &self,
        needed: &Needed,
        text: Secret<String>,
        now: Timestamp,
    ) -> Result<Secret<String>, Exhausted> {
        let mut table = self.table();
        table.held.retain(|_, held| held.span.has(now));
        if let Some(held) = table.held.get(&needed.digest) {
            return Ok(held.text.clone());
        }
        let wait = |retry_after| Exhausted {
            which: "approvals",
            retry_after,
        };
        if table.held.len() >= MAX_HELD {
            return Err(wait(needed.rule.lasts));
        }
        table.asked.retain(|_, (span, _)| span.has(now));
        if table.asked.len() >= MAX_HELD {
            return Err(wait(ASKED_WITHIN));
        }
        let (span, count) = table
            .asked
            .entry(Arc::clone(&needed.caller))
            .or_insert((Span::new(now, ASKED_WITHIN), 0));
        if *count >= MAX_ASKED {
            return Err(wait(ASKED_WITHIN.saturating_sub(now.since(span.made()))));
        }
        *count = count.saturating_add(1);
        let held = Held {
            needed: needed.clone(),
            mark: mark(text.expose()),
            text: text.clone(),
            stands: Stands::Open,
            span: Span::new(now, needed.rule.lasts),
        };
        table.held.insert(needed.digest, held);
        Ok(text)
    }

    /// What the link of this text asks, while it is open.
    pub fn asked(&self, text: &str, now: Timestamp) -> Option<Asked> {
        let table = self.table();
        let needed = table.open(text, now)?.needed.clone();
        Some(Asked { needed })
    }

    /// Approves what the link of this text asks; says whether it was open. From then on the call may be made once.
    pub fn approve(&self, text: &str, now: Timestamp) -> bool {
        let mut table = self.table();
        let Some(digest) = table.open(text, now).map(|held| held.needed.digest) else {
            return false;
        };
        if let Some(held) = table.held.get_mut(&digest) {
            held.stands = Stands::Approved;
            held.span = Span::new(now, held.needed.rule.lasts);
        }
        true
    }

    /// Refuses it; says whether it was open.
    pub fn refuse(&self, text: &str, now: Timestamp) -> bool {
        let mut table = self.table();
        let digest = table.open(text, now).map(|held| held.needed.digest);
        digest.is_some_and(|digest| table.held.remove(&digest).is_some())
    }

    /// Uses up the approval of a call. One for other arguments is void from then on: whoever said yes did not mean these.
    pub(super) fn take(&self, needed: Needed, now: Timestamp) -> Result<(), Forbidden> {
        let mut table = self.table();
        let known = table
            .held
            .get(&needed.digest)
            .filter(|held| held.span.has(now));
        match known.map(|held| held.stands) {
            Some(Stands::Approved) => {
                table.held.remove(&needed.digest);
                return Ok(());
            }
            Some(Stands::Open) => return Err(Forbidden::Approval(Box::new(needed))),
            None => {}
        }
        let before = table.held.len();
        table.held.retain(|_, held| {
            let is_approved = held.stands == Stands::Approved && held.span.has(now);
            !(is_approved && held.needed.is_like(&needed))
        });
        if table.held.len() < before {
            return Err(Forbidden::OtherCall {
                rule: rule_of(&needed.tool),
            });
        }
        Err(Forbidden::Approval(Box::new(needed)))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn open(&self, text: &str, now: Timestamp) -> Option<&Held> {
        let asked = mark(text);
        let mut open = self.held.values();
        open.find(|held| held.mark == asked && held.stands == Stands::Open && held.span.has(now))
    }
}

impl fmt::Debug for Approvals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Approvals(..)")
    }
}
