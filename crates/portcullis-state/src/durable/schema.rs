//! Which versions of the database there were, and how one becomes the next: forward only.

use super::NotOpened;
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

/// Each brings the database from its place in this list to the next version. What was released is never changed.
const STEPS: &[&str] = &[
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
    include_str!("0005.sql"),
    include_str!("0006.sql"),
    include_str!("0007.sql"),
    include_str!("0008.sql"),
    include_str!("0009.sql"),
    include_str!("0010.sql"),
    include_str!("0011.sql"),
    include_str!("0012.sql"),
    include_str!("0013.sql"),
    include_str!("0014.sql"),
    include_str!("0015.sql"),
];

/// `PRAGMA application_id` of our databases: "PORT".
const OURS: i64 = 0x504f_5254;

/// The version that this program reads and writes.
pub(super) fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// The version of a database; 0 if it is empty.
pub(super) fn version(connection: &Connection, file: &Path) -> Result<i64, NotOpened> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        Ok((
            number("PRAGMA application_id")?,
            number("PRAGMA user_version")?,
            number("SELECT count(*) FROM sqlite_schema")?,
        ))
    };
    match read().map_err(|error| NotOpened::of(file, &error))? {
        (0, 0, 0) => Ok(0),
        (OURS, found, _) if found > known() => Err(NotOpened::Newer {
            file: file.to_owned(),
            found,
            known: known(),
        }),
        (OURS, found, _) => Ok(found),
        _ => Err(NotOpened::Foreign {
            file: file.to_owned(),
        }),
    }
}

/// Brings a database to the version of this program. Processes that start together wait for each other.
pub(super) fn migrate(connection: &mut Connection, file: &Path) -> Result<(), NotOpened> {
    if version(connection, file)? == known() {
        return Ok(());
    }
    let failed = |error: rusqlite::Error| NotOpened::of(file, &error);
    let step = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let found = usize::try_from(version(&step, file)?).unwrap_or_default(); // again: another process may have done it
    for sql in STEPS.iter().skip(found) {
        step.execute_batch(sql).map_err(failed)?;
    }
    step.pragma_update(None, "application_id", OURS)
        .map_err(failed)?;
    step.pragma_update(None, "user_version", known())
        .map_err(failed)?;
    step.commit().map_err(failed)
}
