//! Tokens that are worth nothing any more although they verify: by token, by subject, by client.

mod heard;
mod sayings;
mod columns;
mod whom;
mod users;

use crate::authority;
use crate::durable::{Durable, Failed};
pub(crate) use columns::Micros;
use portcullis_core::time::Timestamp;
use rusqlite::types::ToSql;
use rusqlite::{
    Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, named_params,
};
use std::time::Duration;

pub use heard::{Change, Heard, MAX_HEARD, MAX_TOLD, Told};
pub use sayings::{MAX_SAYINGS, SAID_FOR, Saying};
pub use users::{MAX_USERS, Page, Provision, Sought};
pub use whom::{Kind, Source, Whom};

/// A revocation is kept for so long after the last moment that it speaks of: more than any accepted token lives.
pub const KEPT: Duration = Duration::from_hours(24 * 30);
/// The most that are kept; one more is refused.
pub const MAX_REVOCATIONS: u64 = 100_000;
/// The longest issuer, subject, client or token id, in bytes.
pub const MAX_NAME_BYTES: usize = 2048;
/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 512;

const COLUMNS: &str = "kind, issuer, name, source, issued_until, made, made_by, reason, cause, expires, lifted, lifted_by";

/// A revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose tokens, or which one.
    pub whom: Whom,
    /// Where it comes from.
    pub source: Source,
    /// Tokens that were issued up to then are refused. A single token is, whenever it was issued.
    pub issued_until: Timestamp,
    /// When it was made.
    pub made: Timestamp,
    /// By whom.
    pub by: String,
    /// Why, in the words of whoever made it.
    pub reason: Option<String>,
    /// The trace of the exchange that it follows from.
    pub cause: Option<String>,
    /// When it can matter no more.
    pub expires: Timestamp,
    /// Whether it was taken back.
    pub lifted: Option<Lifted>,
}

/// When and by whom a revocation was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifted {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// What has changed since somebody last looked.
#[derive(Debug)]
pub struct News {
    /// The state that this describes.
    pub epoch: u64,
    /// All that is revoked now.
    pub in_force: Vec<Revocation>,
    /// All that issuers say of whom is not revoked.
    pub said: Vec<Saying>,
    /// What was made or taken back since; at the first look, what no gateway has recorded yet.
    pub changed: Vec<Revocation>,
}

impl Revocation {
    /// One that an operator makes now; [`KEPT`] says how long it stays.
    pub fn new(whom: Whom, issued_until: Timestamp, (now, by): (Timestamp, String)) -> Self {
        Self {
            whom,
            source: Source::Operator,
            issued_until,
            made: now,
            by,
            reason: None,
            cause: None,
            expires: issued_until.max(now).plus(KEPT),
            lifted: None,
        }
    }

    fn is_fit(&self) -> bool {
        let names = [&self.whom.issuer, &self.whom.name, &self.by];
        let names = names.into_iter().chain(&self.cause);
        let is_named = |name: &String| !name.is_empty() && name.len() <= MAX_NAME_BYTES;
        let reason = self.reason.as_ref();
        let is_whole = self.whom.kind != Kind::Claim || self.whom.claim().is_some();
        is_whole
            && names.into_iter().all(is_named)
            && reason.is_none_or(|reason| reason.len() <= MAX_REASON_BYTES)
    }
}

impl Durable {
    /// Revokes. What is revoked already stays so at least as long as it was.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn revoke(&self, revocation: Revocation) -> Result<Revocation, Failed> {
        if !revocation.is_fit() {
            return Err(Failed::Unfit);
        }
        self.run(move |connection| {
            let change = begin(connection)?;
            prune_in(&change, revocation.made)?;
            let held: i64 = change.query_row(
                "SELECT count(*) FROM revocations
                 WHERE (kind, issuer, name, source) != (:kind, :issuer, :name, :source)",
                named_params! {
                    ":kind": revocation.whom.kind,
                    ":issuer": revocation.whom.issuer,
                    ":name": revocation.whom.name,
                    ":source": revocation.source,
                },
                |row| row.get(0),
            )?;
            if u64::try_from(held).unwrap_or(u64::MAX) >= MAX_REVOCATIONS {
                return Err(Failed::Full);
            }
            let epoch = next_epoch(&change)?;
            let written = write(&change, &revocation, epoch)?.ok_or(Failed::Unfit)?;
            change.commit()?;
            Ok(written)
        })
        .await
    }

    /// Takes back what is revoked, whoever has revoked it; `None` if nothing is.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn reinstate(
        &self,
        whom: Whom,
        lifted: Lifted,
    ) -> Result<Option<Revocation>, Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            let epoch = next_epoch(&change)?;
            let sql = format!(
                "UPDATE revocations SET lifted = :at, lifted_by = :by, changed = :epoch, noted = 0
                 WHERE kind = :kind AND issuer = :issuer AND name = :name AND lifted IS NULL RETURNING {COLUMNS}"
            );
            let parameters = named_params! {
                ":at": Micros(lifted.at),
                ":by": lifted.by,
                ":epoch": epoch,
                ":kind": whom.kind,
                ":issuer": whom.issuer,
                ":name": whom.name,
            };
            let taken = all(&change, &sql, parameters)?.pop();
            if taken.is_some() {
                change.commit()?;
            }
            Ok(taken)
        })
        .await
    }

    /// All that is in force.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn revocations(&self, now: Timestamp) -> Result<Vec<Revocation>, Failed> {
        self.run(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM revocations WHERE lifted IS NULL AND expires > :now ORDER BY made, issuer, name"
            );
            all(connection, &sql, named_params! { ":now": Micros(now) })
        })
        .await
    }

    /// What has changed since the state `seen`; `None` if nothing has. Cost, if nothing has: one row is read.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn news(&self, seen: Option<u64>) -> Result<Option<News>, Failed> {
        self.run(move |connection| {
            let look = connection.transaction()?; // one state for all that is read
            let epoch: i64 = look.query_row("SELECT epoch FROM changes", [], |row| row.get(0))?;
            let epoch = u64::try_from(epoch).unwrap_or_default();
            if seen == Some(epoch) {
                return Ok(None);
            }
            let select =
                |condition: &str| format!("SELECT {COLUMNS} FROM revocations WHERE {condition}");
            let in_force = all(&look, &select("lifted IS NULL"), named_params! {})?;
            let changed = match seen {
                None => all(
                    &look,
                    &select("noted = 0 ORDER BY changed"),
                    named_params! {},
                )?,
                Some(seen) => {
                    let seen = i64::try_from(seen).unwrap_or(i64::MAX);
                    let sql = select("changed > :seen ORDER BY changed");
                    all(&look, &sql, named_params! { ":seen": seen })?
                }
            };
            Ok(Some(News {
                epoch,
                in_force,
                said: sayings::all(&look)?,
                changed,
            }))
        })
        .await
    }

    /// What has changed up to that state is recorded: nobody has to at their first look.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn noted(&self, epoch: u64) -> Result<(), Failed> {
        self.run(move |connection| {
            connection.execute(
                "UPDATE revocations SET noted = 1 WHERE noted = 0 AND changed <= :epoch",
                named_params! { ":epoch": i64::try_from(epoch).unwrap_or(i64::MAX) },
            )?;
            Ok(())
        })
        .await
    }

    /// Removes what can matter no more.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn prune(&self, now: Timestamp) -> Result<(), Failed> {
        self.run(move |connection| {
            let change = begin(connection)?;
            heard::prune(&change, now)?;
            authority::prune(&change, now)?;
            if prune_in(&change, now)? + sayings::prune(&change, now)? > 0 {
                next_epoch(&change)?;
            }
            change.commit()?;
            Ok(())
        })
        .await
    }
}

pub(crate) fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

pub(crate) fn next_epoch(change: &Connection) -> rusqlite::Result<i64> {
    let sql = "UPDATE changes SET epoch = epoch + 1 RETURNING epoch";
    change.query_row(sql, [], |row| row.get(0))
}

fn prune_in(change: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM revocations WHERE expires <= :now";
    change.execute(sql, named_params! { ":now": Micros(now) })
}

/// Gives what is in force then; `None` if this was taken back before it came.
pub(crate) fn write(
    change: &Connection,
    new: &Revocation,
    epoch: i64,
) -> Result<Option<Revocation>, Failed> {
    // What was taken back counts no more; what is in force is only ever widened.
    let sql = format!(
        "INSERT INTO revocations
             (kind, issuer, name, source, issued_until, made, made_by, reason, cause, expires, changed)
         VALUES (:kind, :issuer, :name, :source, :until, :made, :by, :reason, :cause, :expires, :epoch)
         ON CONFLICT (kind, issuer, name, source) DO UPDATE SET
             issued_until = iif(lifted IS NULL, max(issued_until, excluded.issued_until), excluded.issued_until),
             expires = iif(lifted IS NULL, max(expires, excluded.expires), excluded.expires),
             made = excluded.made, made_by = excluded.made_by, reason = excluded.reason,
             cause = excluded.cause, lifted = NULL, lifted_by = NULL, changed = excluded.changed, noted = 0
         WHERE source != 'disabled' OR lifted IS NULL OR lifted < excluded.made
         RETURNING {COLUMNS}"
    );
    let parameters = named_params! {
        ":kind": new.whom.kind,
        ":issuer": new.whom.issuer,
        ":name": new.whom.name,
        ":source": new.source,
        ":until": Micros(new.issued_until),
        ":made": Micros(new.made),
        ":by": new.by,
        ":reason": new.reason,
        ":cause": new.cause,
        ":expires": Micros(new.expires),
        ":epoch": epoch,
    };
    Ok(change.query_row(&sql, parameters, read).optional()?)
}

fn all(
    connection: &Connection,
    sql: &str,
    parameters: &[(&str, &dyn ToSql)],
) -> Result<Vec<Revocation>, Failed> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(parameters, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Revocation> {
    let time = |column: &str| row.get::<_, Micros>(column).map(|time| time.0);
    let lifted_at = row.get::<_, Option<Micros>>("lifted")?;
    let lifted_by = row.get::<_, Option<String>>("lifted_by")?;
    Ok(Revocation {
        whom: Whom {
            kind: row.get("kind")?,
            issuer: row.get("issuer")?,
            name: row.get("name")?,
        },
        source: row.get("source")?,
        issued_until: time("issued_until")?,
        made: time("made")?,
        by: row.get("made_by")?,
        reason: row.get("reason")?,
        cause: row.get("cause")?,
        expires: time("expires")?,
        lifted: lifted_at
            .zip(lifted_by)
            .map(|(at, by)| Lifted { at: at.0, by }),
    })
}

#[cfg(test)]
mod tests;
