//! Reviews of who may do what: what is looked over, what was decided, and which grants are held back.

mod elevations;
mod events;
mod read;

use crate::durable::{Durable, Failed};
use crate::revocations::{MAX_NAME_BYTES, MAX_REASON_BYTES, Micros, begin, next_epoch};
pub use elevations::{Approval, Elevation, NewElevation};
pub use events::Event;
pub(crate) use events::tell;
use portcullis_core::time::Timestamp;
pub use read::Standing;
use rusqlite::{Connection, OptionalExtension as _, named_params};

/// Things that one review looks over, at most.
pub const MAX_ITEMS: usize = 10_000;
/// Reviews that are kept; the oldest go.
pub const MAX_REVIEWS: u64 = 100;

/// What stands in a review for the inventory of decision points. It is signed off, and never held back.
pub const INVENTORY: &str = "inventory";

/// Somebody, as an issuer names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
}

/// What is said of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It gives no access any more.
    Revoke,
    /// Nobody has decided in time: it gives no access any more.
    Lapse,
}

/// A verdict, when and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Which.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
    /// By whom; nobody, if it lapsed.
    pub by: Option<Person>,
    /// Why, in the words of whoever decided.
    pub reason: Option<String>,
}

/// Something that is looked over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// What audit records call it.
    pub rule: String,
    /// The last word about it.
    pub decided: Option<Decided>,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Its number.
    pub number: u64,
    /// When it began.
    pub started: Timestamp,
    /// Who began it.
    pub by: Person,
    /// What nobody has decided by then lapses.
    pub due: Timestamp,
    /// The hash of the policies of then.
    pub policy: String,
    /// When the last of it was decided.
    pub closed: Option<Timestamp>,
    /// What is looked over, by its id.
    pub items: Vec<Item>,
}

/// A review that is to begin.
#[derive(Debug, Clone)]
pub struct NewReview {
    /// By when it must be decided.
    pub due: Timestamp,
    /// The hash of the policies.
    pub policy: String,
    /// Ids and rules.
    pub items: Vec<(String, String)>,
}

/// Who acts, and the token that shows it, which counts once.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Who.
    pub person: Person,
    /// A digest of what is signed of the token.
    pub token: String,
    /// When the token is over.
    pub until: Timestamp,
}

/// A grant that gives no access from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldGrant {
    /// Its id.
    pub id: String,
    /// By which review.
    pub review: u64,
    /// From when on.
    pub from: Timestamp,
}

/// Why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// The token has acted before.
    #[error("this token was used for a review before: each counts once, take another")]
    Replayed,
    /// There is an open review.
    #[error("a review is open already")]
    Open,
    /// The review is not the newest, or there is none.
    #[error("there is a newer review")]
    Stale,
    /// Something is not in the review.
    #[error("the review has no such id")]
    NoItem,
}

impl Verdict {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Revoke => "revoke",
            Self::Lapse => "lapse",
        }
    }
}

impl Durable {
    /// Begins a review; gives its number.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn start_review(
        &self,
        new: NewReview,
        by: Actor,
        now: Timestamp,
    ) -> Result<Result<u64, Undone>, Failed> {
        let is_fit = (1..=MAX_ITEMS).contains(&new.items.len())
            && new.items.iter().all(|(id, rule)| {
                (1..=MAX_NAME_BYTES).contains(&id.len()) && rule.len() <= MAX_NAME_BYTES
            });
        if !is_fit {
            return Err(Failed::Unfit);
        }
        self.run(move |connection| {
            let change = begin(connection)?;
            lapse_in(&change, now)?;
            if read::newest(&change)?.is_some_and(|review| review.closed.is_none()) {
                return Ok(Err(Undone::Open));
            }
            if !use_up(&change, &by, now)? {
                return Ok(Err(Undone::Replayed));
            }
            let number = insert(&change, &new, &by.person, now)?;
            let mut event = Event::new("access.review_started", None, Some(by.person));
            event.fact("review", &number.to_string());
            event.fact("due", &new.due.micros().to_string());
            event.fact("items", &new.items.len().to_string());
            event.fact("policy", &new.policy);
            tell(&change, &event)?;
            next_epoch(&change)?;
            change.commit()?;
            Ok(Ok(number))
        })
        .await
    }

    /// Decides about some of what the newest review looks over.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn decide_review(
        &self,
        number: u64,
        verdicts: Vec<(String, Verdict)>,
        (by, reason): (Actor, Option<String>),
        now: Timestamp,
    ) -> Result<Result<Review, Undone>, Failed> {
        let count = verdicts.len();
        let is_long = |reason: &String| reason.len() > MAX_REASON_BYTES;
        if verdicts.is_empty() || reason.as_ref().is_some_and(is_long) {
            return Err(Failed::Unfit);
        }
        self.run(move |connection| {
            let change = begin(connection)?;
            lapse_in(&change, now)?;
            let review = read::newest(&change)?.filter(|review| review.number == number);
            let Some(review) = review else {
                return Ok(Err(Undone::Stale));
            };
            if !use_up(&change, &by, now)? {
                return Ok(Err(Undone::Replayed));
            }
            let mut found = Vec::new();
            for (id, verdict) in verdicts {
                let item = review.items.iter().find(|item| item.id == id);
                found.extend(item.map(|item| (item, verdict)));
            }
            if found.len() < count {
                return Ok(Err(Undone::NoItem));
            }
            for (item, verdict) in found {
                let decided = Decided {
                    verdict,
                    at: now,
                    by: Some(by.person.clone()),
                    reason: reason.clone(),
                };
                decide(&change, number, (item, &decided))?;
            }
            close_if_decided(&change, number, now)?;
            next_epoch(&change)?;
            let review = read::newest(&change)?.ok_or(Failed::Unfit)?;
            change.commit()?;
            Ok(Ok(review))
        })
        .await
    }

    /// Holds back what nobody has decided about in time; gives whether there was any.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn lapse(&self, now: Timestamp) -> Result<bool, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let has_lapsed = lapse_in(&change, now)?;
            if has_lapsed {
                next_epoch(&change)?;
                change.commit()?;
            }
            Ok(has_lapsed)
        })
        .await
    }
}

fn insert(
    change: &Connection,
    new: &NewReview,
    by: &Person,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let sql = "INSERT INTO reviews (started, issuer, subject, due, policy)
         VALUES (:now, :issuer, :subject, :due, :policy) RETURNING number";
    let parameters = named_params! {
        ":now": Micros(now),
        ":issuer": by.issuer,
        ":subject": by.subject,
        ":due": Micros(new.due),
        ":policy": new.policy,
    };
    let number: i64 = change.query_row(sql, parameters, |row| row.get(0))?;
    let mut add =
        change.prepare("INSERT OR IGNORE INTO review_items (review, id, rule) VALUES (?, ?, ?)")?;
    for (id, rule) in &new.items {
        add.execute((number, id, rule))?;
    }
    // What is held back stays so, also when the review that said it is forgotten.
    let kept = i64::try_from(MAX_REVIEWS).unwrap_or(i64::MAX);
    let oldest = number.saturating_sub(kept);
    for sql in [
        "DELETE FROM review_items WHERE review <= ?1
             AND review NOT IN (SELECT review FROM held_grants)",
        "DELETE FROM reviews WHERE number <= ?1 AND number NOT IN (SELECT review FROM held_grants)",
    ] {
        change.execute(sql, [oldest])?;
    }
    Ok(u64::try_from(number).unwrap_or_default())
}

/// Whether the token had not acted before; it has now.
fn use_up(change: &Connection, by: &Actor, now: Timestamp) -> rusqlite::Result<bool> {
    let over = "DELETE FROM review_tokens WHERE until <= :now";
    change.execute(over, named_params! { ":now": Micros(now) })?;
    let sql = "INSERT OR IGNORE INTO review_tokens (digest, until) VALUES (:digest, :until)";
    let parameters = named_params! { ":digest": by.token, ":until": Micros(by.until) };
    Ok(change.execute(sql, parameters)? == 1)
}

fn decide(
    change: &Connection,
    number: u64,
    (item, decided): (&Item, &Decided),
) -> rusqlite::Result<()> {
    let review = i64::try_from(number).unwrap_or(i64::MAX);
    let person = decided.by.as_ref();
    let sql = "UPDATE review_items SET verdict = :verdict, decided = :at, issuer = :issuer, subject = :subject,
         reason = :reason WHERE review = :review AND id = :id";
    let parameters = named_params! {
        ":verdict": decided.verdict.word(),
        ":at": Micros(decided.at),
        ":issuer": person.map(|person| &person.issuer),
        ":subject": person.map(|person| &person.subject),
        ":reason": decided.reason,
        ":review": review,
        ":id": item.id,
    };
    change.execute(sql, parameters)?;
    let held = match decided.verdict {
        _ if item.rule == INVENTORY => None,
        Verdict::Keep => {
            change.execute("DELETE FROM held_grants WHERE id = ?", [&item.id])?;
            None
        }
        Verdict::Revoke => {
            Some("INSERT OR REPLACE INTO held_grants (id, review, since) VALUES (?, ?, ?)")
        }
        // What was held back before is so since then.
        Verdict::Lapse => {
            Some("INSERT OR IGNORE INTO held_grants (id, review, since) VALUES (?, ?, ?)")
        }
    };
    if let Some(sql) = held {
        change.execute(sql, (&item.id, review, Micros(decided.at)))?;
    }
    let (name, reason) = match decided.verdict {
        Verdict::Lapse => ("access.lapsed", None),
        Verdict::Keep | Verdict::Revoke => ("access.reviewed", Some(decided.verdict.word())),
    };
    let mut event = Event::new(name, reason, person.cloned());
    event.fact("review", &number.to_string());
    event.fact("grant", &item.id);
    event.fact("rule", &item.rule);
    event.fact("at", &decided.at.micros().to_string());
    if let Some(why) = &decided.reason {
        event.fact("why", why);
    }
    tell(change, &event)
}

/// What is open and due lapses.
fn lapse_in(change: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let open = read::newest(change)?.filter(|review| review.closed.is_none());
    let Some(review) = open.filter(|review| review.due <= now) else {
        return Ok(false);
    };
    for item in review.items.iter().filter(|item| item.decided.is_none()) {
        let decided = Decided {
            verdict: Verdict::Lapse,
            at: review.due,
            by: None,
            reason: None,
        };
        decide(change, review.number, (item, &decided))?;
    }
    close_if_decided(change, review.number, now)?;
    Ok(true)
}

/// A review is over when all of it is decided.
fn close_if_decided(change: &Connection, number: u64, now: Timestamp) -> rusqlite::Result<()> {
    let review = i64::try_from(number).unwrap_or(i64::MAX);
    let sql =
        "UPDATE reviews SET closed = :now WHERE number = :review AND closed IS NULL AND NOT EXISTS
         (SELECT 1 FROM review_items WHERE review = :review AND verdict IS NULL) RETURNING number";
    let parameters = named_params! { ":now": Micros(now), ":review": review };
    let closed = change.query_row(sql, parameters, |row| row.get::<_, i64>(0));
    if closed.optional()?.is_none() {
        return Ok(());
    }
    let mut event = Event::new("access.review_closed", None, None);
    event.fact("review", &number.to_string());
    for verdict in [Verdict::Keep, Verdict::Revoke, Verdict::Lapse] {
        let sql = "SELECT count(*) FROM review_items WHERE review = ? AND verdict = ?";
        let count: i64 = change.query_row(sql, (review, verdict.word()), |row| row.get(0))?;
        event.fact(verdict.word(), &count.to_string());
    }
    tell(change, &event)
}

#[cfg(test)]
mod tests;
