//! What issuers say of device, risk and assurance: the newest of each, until it is too old.

use super::{MAX_NAME_BYTES, Micros};
use crate::durable::Failed;
use portcullis_core::authenticate::Topic;
use portcullis_core::time::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, named_params};
use std::time::Duration;

/// How long one counts, if nothing newer is said.
pub const SAID_FOR: Duration = Duration::from_hours(24 * 365);
/// The most that are kept; one more is refused.
pub const MAX_SAYINGS: u64 = 50_000;

/// One thing that an issuer says of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// Who says it.
    pub issuer: String,
    /// Of whom, by `sub`.
    pub name: String,
    /// Of what.
    pub topic: Topic,
    /// What it is.
    pub value: String,
    /// Since when.
    pub since: Timestamp,
}

struct Word(Topic);

impl ToSql for Word {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.name().into())
    }
}

impl FromSql for Word {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word = value.as_str()?;
        let mut topics = Topic::ALL.into_iter();
        let found = topics.find(|(name, _)| *name == word);
        found
            .map(|(_, topic)| Self(topic))
            .ok_or(FromSqlError::InvalidType)
    }
}

impl Saying {
    pub(super) fn is_fit(&self) -> bool {
        let texts = [&self.issuer, &self.name, &self.value];
        let is_fit = |text: &String| !text.is_empty() && text.len() <= MAX_NAME_BYTES;
        texts.into_iter().all(is_fit)
    }

    /// Keeps it, unless something newer is kept already.
    pub(super) fn write(&self, change: &Connection, now: Timestamp) -> Result<(), Failed> {
        change.execute(
            "INSERT INTO sayings (issuer, name, topic, value, since, heard, expires)
             VALUES (:issuer, :name, :topic, :value, :since, :heard, :expires)
             ON CONFLICT (issuer, name, topic) DO UPDATE SET
                 value = excluded.value, since = excluded.since, heard = excluded.heard, expires = excluded.expires
             WHERE excluded.since >= since",
            named_params! {
                ":issuer": self.issuer,
                ":name": self.name,
                ":topic": Word(self.topic),
                ":value": self.value,
                ":since": Micros(self.since),
                ":heard": Micros(now),
                ":expires": Micros(self.since.plus(SAID_FOR)),
            },
        )?;
        if super::heard::count(change, "sayings")? > MAX_SAYINGS {
            return Err(Failed::Full);
        }
        Ok(())
    }
}

pub(super) fn all(connection: &Connection) -> Result<Vec<Saying>, Failed> {
    let mut statement = connection
        .prepare("SELECT issuer, name, topic, value, since FROM sayings ORDER BY issuer, name")?;
    let rows = statement.query_map([], |row| {
        Ok(Saying {
            issuer: row.get("issuer")?,
            name: row.get("name")?,
            topic: row.get::<_, Word>("topic")?.0,
            value: row.get("value")?,
            since: row.get::<_, Micros>("since")?.0,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes what is too old; gives how many.
pub(super) fn prune(change: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM sayings WHERE expires <= :now";
    change.execute(sql, named_params! { ":now": Micros(now) })
}
