//! Data keys in the database, and which key wraps them.

use super::wrapping::random;
use super::{KEY_BYTES, MAX_TENANTS, NotSealed, Rewrapped, WrappingKeys};
use crate::durable::Failed;
use portcullis_core::secret::Secret;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

/// Sees to it that there is a key to wrap with, and that there is one only.
pub(super) fn prepare(
    connection: &mut Connection,
    wrapping: &WrappingKeys,
) -> Result<(), NotSealed> {
    // Whoever writes files of keys holds the database's lock: what it does not know of is left over.
    let step = begin(connection)?;
    let name = match current(&step)? {
        Some((_, name)) => name,
        None => insert(&step, wrapping.make()?)?.1,
    };
    wrapping.check(&name)?;
    wrapping.keep_only(&name)?;
    step.commit().map_err(Failed::from)?;
    Ok(())
}

/// The key of a tenant, if it has one.
pub(super) fn find(
    connection: &mut Connection,
    wrapping: &WrappingKeys,
    tenant: &str,
) -> Result<Secret<Vec<u8>>, NotSealed> {
    let found = wrapped(connection, tenant)?.ok_or(NotSealed::Broken)?;
    match wrapping.unwrap(&found.by, tenant, &found.key) {
        // Another process may just have wrapped it anew.
        Err(NotSealed::Wrapping { .. }) => {
            let found = wrapped(connection, tenant)?.ok_or(NotSealed::Broken)?;
            wrapping.unwrap(&found.by, tenant, &found.key)
        }
        done => done,
    }
}

/// The key of a tenant, made if it has none.
pub(super) fn find_or_make(
    connection: &mut Connection,
    wrapping: &WrappingKeys,
    tenant: &str,
) -> Result<Secret<Vec<u8>>, NotSealed> {
    if wrapped(connection, tenant)?.is_some() {
        return find(connection, wrapping, tenant);
    }
    let step = begin(connection)?;
    if let Some(found) = wrapped(&step, tenant)? {
        return wrapping.unwrap(&found.by, tenant, &found.key);
    }
    let count: i64 = step
        .query_row("SELECT count(*) FROM data_keys", [], |row| row.get(0))
        .map_err(Failed::from)?;
    if usize::try_from(count).is_ok_and(|count| count >= MAX_TENANTS) {
        return Err(NotSealed::Unfit);
    }
    let (number, name) = current(&step)?.ok_or(NotSealed::Broken)?;
    let key = random::<KEY_BYTES>()?;
    let wrapped = wrapping.wrap(&name, tenant, &key)?;
    step.execute(
        "INSERT INTO data_keys (tenant, wrapped_by, wrapped) VALUES (?1, ?2, ?3)",
        (tenant, number, wrapped),
    )
    .map_err(Failed::from)?;
    step.commit().map_err(Failed::from)?;
    Ok(key)
}

/// Wraps all data keys anew under a new key. If that fails, the new one is destroyed again.
pub(super) fn rewrap(
    connection: &mut Connection,
    wrapping: &WrappingKeys,
) -> Result<Rewrapped, NotSealed> {
    let done = wrapped_anew(connection, wrapping);
    if done.is_err() {
        // What cannot be cleared away now is at the next start.
        drop(clear(connection, wrapping));
    }
    done
}

fn clear(connection: &mut Connection, wrapping: &WrappingKeys) -> Result<(), NotSealed> {
    let step = begin(connection)?;
    match current(&step)? {
        Some((_, name)) => wrapping.keep_only(&name),
        None => Ok(()),
    }
}

fn wrapped_anew(
    connection: &mut Connection,
    wrapping: &WrappingKeys,
) -> Result<Rewrapped, NotSealed> {
    let step = begin(connection)?;
    let (number, name) = insert(&step, wrapping.make()?)?;
    let held = all(&step)?;
    for (tenant, found) in &held {
        let key = wrapping.unwrap(&found.by, tenant, &found.key)?;
        let wrapped = wrapping.wrap(&name, tenant, &key)?;
        step.execute(
            "UPDATE data_keys SET wrapped_by = ?2, wrapped = ?3 WHERE tenant = ?1",
            (tenant, number, wrapped),
        )
        .map_err(Failed::from)?;
    }
    step.execute("DELETE FROM wrapping_keys WHERE number <> ?1", [number])
        .map_err(Failed::from)?;
    step.commit().map_err(Failed::from)?;
    // The old one is needed by nothing now. If this is cut short, the next start does it.
    clear(connection, wrapping)?;
    Ok(Rewrapped {
        name,
        keys: held.len(),
    })
}

struct Wrapped {
    by: String,
    key: Vec<u8>,
}

const WRAPPED: &str =
    "SELECT tenant, name, wrapped FROM data_keys JOIN wrapping_keys ON number = wrapped_by";

fn wrapped(connection: &Connection, tenant: &str) -> Result<Option<Wrapped>, NotSealed> {
    let found = connection
        .query_row(&format!("{WRAPPED} WHERE tenant = ?1"), [tenant], read)
        .optional();
    Ok(found.map_err(Failed::from)?.map(|(_, wrapped)| wrapped))
}

fn all(connection: &Connection) -> Result<Vec<(String, Wrapped)>, NotSealed> {
    let read = || {
        let mut asked = connection.prepare(WRAPPED)?;
        let rows = asked.query_map([], read)?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    Ok(read().map_err(Failed::from)?)
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, Wrapped)> {
    let wrapped = Wrapped {
        by: row.get(1)?,
        key: row.get(2)?,
    };
    Ok((row.get(0)?, wrapped))
}

/// The key that wraps now.
fn current(connection: &Connection) -> Result<Option<(i64, String)>, NotSealed> {
    let found = connection
        .query_row(
            "SELECT number, name FROM wrapping_keys ORDER BY number DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional();
    Ok(found.map_err(Failed::from)?)
}

fn insert(step: &Transaction<'_>, name: String) -> Result<(i64, String), NotSealed> {
    step.execute("INSERT INTO wrapping_keys (name) VALUES (?1)", [&name])
        .map_err(Failed::from)?;
    Ok((step.last_insert_rowid(), name))
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, NotSealed> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    Ok(begun.map_err(Failed::from)?)
}
