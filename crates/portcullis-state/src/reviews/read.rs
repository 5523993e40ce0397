//! Reviews as they stand in the database.

use super::elevations::{self, Elevation};
use super::{Decided, HeldGrant, INVENTORY, Item, Person, Review, Verdict};
use crate::durable::{Durable, Failed};
use crate::revocations::Micros;
use portcullis_core::time::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row};
use std::collections::BTreeMap;

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Grants that give no access, or will give none if nobody decides, by their ids.
    pub held: Vec<HeldGrant>,
    /// When the open review is due.
    pub due: Option<Timestamp>,
    /// When the newest review began.
    pub last: Option<Timestamp>,
    /// What was approved.
    pub elevations: Vec<Elevation>,
}

impl Durable {
    /// The review of that number, or the newest.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn review(&self, number: Option<u64>) -> Result<Option<Review>, Failed> {
        self.run(move |connection| {
            let look = connection.transaction()?; // one state for all that is read
            Ok(match number {
                Some(number) => one(&look, i64::try_from(number).unwrap_or(i64::MAX))?,
                None => newest(&look)?,
            })
        })
        .await
    }

    /// How things stand.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn standing(&self) -> Result<Standing, Failed> {
        self.run(move |connection| {
            let look = connection.transaction()?;
            let mut held = held(&look)?;
            let newest = newest(&look)?;
            let open = newest.as_ref().filter(|review| review.closed.is_none());
            for new in open.into_iter().flat_map(undecided) {
                held.entry(new.id.clone()).or_insert(new);
            }
            Ok(Standing {
                held: held.into_values().collect(),
                due: open.map(|review| review.due),
                last: newest.as_ref().map(|review| review.started),
                elevations: elevations::approved(&look)?,
            })
        })
        .await
    }
}

/// What is held back by now, by its id.
fn held(look: &Connection) -> rusqlite::Result<BTreeMap<String, HeldGrant>> {
    let mut rows = look.prepare("SELECT id, review, since FROM held_grants")?;
    let held = rows.query_map([], |row| {
        let id: String = row.get(0)?;
        let held = HeldGrant {
            id: id.clone(),
            review: number(row, 1)?,
            from: row.get::<_, Micros>(2)?.0,
        };
        Ok((id, held))
    });
    held?.collect()
}

/// The grants that will be held back if nobody decides.
fn undecided(review: &Review) -> impl Iterator<Item = HeldGrant> {
    let grants = review.items.iter().filter(|item| item.rule != INVENTORY);
    let undecided = grants.filter(|item| item.decided.is_none());
    undecided.map(|item| HeldGrant {
        id: item.id.clone(),
        review: review.number,
        from: review.due,
    })
}

pub(super) fn newest(look: &Connection) -> rusqlite::Result<Option<Review>> {
    let sql = "SELECT max(number) FROM reviews";
    let number: Option<i64> = look.query_row(sql, [], |row| row.get(0))?;
    number.map_or(Ok(None), |number| one(look, number))
}

fn one(look: &Connection, wanted: i64) -> rusqlite::Result<Option<Review>> {
    let sql = "SELECT started, issuer, subject, due, policy, closed FROM reviews WHERE number = ?";
    let review = look.query_row(sql, [wanted], |row| {
        Ok(Review {
            number: u64::try_from(wanted).unwrap_or_default(),
            started: row.get::<_, Micros>(0)?.0,
            by: Person {
                issuer: row.get(1)?,
                subject: row.get(2)?,
            },
            due: row.get::<_, Micros>(3)?.0,
            policy: row.get(4)?,
            closed: row.get::<_, Option<Micros>>(5)?.map(|time| time.0),
            items: Vec::new(),
        })
    });
    let Some(mut review) = review.optional()? else {
        return Ok(None);
    };
    let sql = "SELECT id, rule, verdict, decided, issuer, subject, reason FROM review_items
         WHERE review = ? ORDER BY rule, id";
    let mut rows = look.prepare(sql)?;
    let items = rows.query_map([wanted], item)?;
    review.items = items.collect::<Result<_, _>>()?;
    Ok(Some(review))
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let verdict: Option<Verdict> = row.get(2)?;
    let at: Option<Micros> = row.get(3)?;
    let issuer: Option<String> = row.get(4)?;
    let by = issuer.zip(row.get(5)?);
    let reason = row.get(6)?;
    Ok(Item {
        id: row.get(0)?,
        rule: row.get(1)?,
        decided: verdict.zip(at).map(|(verdict, at)| Decided {
            verdict,
            at: at.0,
            by: by.map(|(issuer, subject)| Person { issuer, subject }),
            reason,
        }),
    })
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    Ok(u64::try_from(number).unwrap_or_default())
}

impl FromSql for Verdict {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "keep" => Ok(Self::Keep),
            "revoke" => Ok(Self::Revoke),
            "lapse" => Ok(Self::Lapse),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}
