//! What issuers say by themselves: each security event counts once, together with what it changes.

use super::{
    Lifted, MAX_NAME_BYTES, Micros, Revocation, Saying, Source, Whom, all, begin, next_epoch,
    prune_in, write,
};
use crate::durable::{Durable, Failed};
use portcullis_core::time::Timestamp;
use rusqlite::{Connection, named_params};

/// The most revocations by issuers: what operators revoke always finds room beside them.
pub const MAX_TOLD: u64 = 50_000;
/// The most security events that are remembered.
pub const MAX_HEARD: u64 = 200_000;

/// A security event that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Who says it.
    pub issuer: String,
    /// Its id (`jti`), which its issuer uses once.
    pub id: String,
    /// How long it has to be remembered.
    pub until: Timestamp,
    /// What it changes.
    pub changes: Vec<Change>,
}

/// One thing that an event changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Something is revoked.
    Revoke(Revocation),
    /// What that source had disabled before that moment is enabled.
    Enable(Whom, Source, Lifted),
    /// Something is said, for policies to judge.
    Say(Saying),
}

/// Whether it is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It was never heard before, and is in effect.
    News,
    /// It was heard before, and changes nothing.
    Before,
}

impl Durable {
    /// Takes an event, unless it was taken before: remembers it and does what it says, both or neither.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn hear(&self, told: Told, now: Timestamp) -> Result<Heard, Failed> {
        if !told.is_fit() {
            return Err(Failed::Unfit);
        }
        self.run(move |connection| {
            let change = begin(connection)?;
            prune(&change, now)?;
            let is_new = change.execute(
                "INSERT INTO heard (issuer, id, until) VALUES (:issuer, :id, :until) ON CONFLICT DO NOTHING",
                named_params! { ":issuer": told.issuer, ":id": told.id, ":until": Micros(told.until) },
            )? > 0;
            if !is_new {
                return Ok(Heard::Before);
            }
            if count(&change, "heard")? > MAX_HEARD {
                return Err(Failed::Full);
            }
            carry_out(&told.changes, &change, now)?;
            change.commit()?;
            Ok(Heard::News)
        })
        .await
    }
}

impl Told {
    fn is_fit(&self) -> bool {
        let is_whole = is_named(&self.issuer) && is_named(&self.id);
        is_whole && self.changes.iter().all(Change::is_fit)
    }
}

/// Makes the changes: all of them, or the caller must not commit.
pub(super) fn carry_out(
    changes: &[Change],
    change: &Connection,
    now: Timestamp,
) -> Result<(), Failed> {
    if changes.is_empty() {
        return Ok(());
    }
    prune_in(change, now)?;
    let epoch = next_epoch(change)?;
    for one in changes {
        one.make(change, (epoch, now))?;
    }
    if count(change, "revocations WHERE source != 'operator'")? > MAX_TOLD {
        return Err(Failed::Full);
    }
    Ok(())
}

fn is_named(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_BYTES
}

impl Change {
    pub(super) fn is_fit(&self) -> bool {
        match self {
            Self::Revoke(revocation) => revocation.is_fit(),
            Self::Say(saying) => saying.is_fit(),
            Self::Enable(whom, _, lifted) => is_named(&whom.name) && is_named(&lifted.by),
        }
    }

    fn make(&self, change: &Connection, (epoch, now): (i64, Timestamp)) -> Result<(), Failed> {
        match self {
            Self::Revoke(revocation) => write(change, revocation, epoch).map(drop),
            Self::Say(saying) => saying.write(change, now),
            Self::Enable(whom, source, lifted) => {
                let sql = format!(
                    "UPDATE revocations SET lifted = :at, lifted_by = :by, changed = :epoch, noted = 0
                     WHERE kind = :kind AND issuer = :issuer AND name = :name AND source = :source
                         AND lifted IS NULL AND made <= :at RETURNING {}",
                    super::COLUMNS
                );
                let parameters = named_params! {
                    ":at": Micros(lifted.at),
                    ":by": lifted.by,
                    ":epoch": epoch,
                    ":kind": whom.kind,
                    ":issuer": whom.issuer,
                    ":name": whom.name,
                    ":source": source,
                };
                all(change, &sql, parameters).map(drop)
            }
        }
    }
}

/// Forgets what is too old to be taken anyway.
pub(super) fn prune(change: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM heard WHERE until <= :now";
    change.execute(sql, named_params! { ":now": Micros(now) })
}

pub(super) fn count(change: &Connection, rows: &str) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM {rows}");
    let held: i64 = change.query_row(&sql, [], |row| row.get(0))?;
    Ok(u64::try_from(held).unwrap_or(u64::MAX))
}
