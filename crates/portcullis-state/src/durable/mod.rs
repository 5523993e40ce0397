//! The database itself: opened once, checked, and used by one thread at a time, never by one that serves clients.

mod schema;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fmt;
use std::fs::{Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long another process that writes is waited for.
const BUSY: Duration = Duration::from_secs(2);

/// The database of an installation. Clones share it.
#[derive(Clone)]
pub struct Durable(Arc<Held>);

struct Held {
    file: PathBuf,
    open: Mutex<Option<Open>>,
}

struct Open {
    connection: Connection,
    /// Device and number of the file, to notice when another one took its place.
    identity: (u64, u64),
}

/// Why the database is not used.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// It was written by a later version of this program.
    #[error(
        "{} has version {found}, and this program knows versions up to {known}: start the newer program, or restore the file from a backup of before the upgrade",
        file.display()
    )]
    Newer {
        /// Which file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The last version that this program knows.
        known: i64,
    },
    /// It is damaged.
    #[error(
        "{} is damaged ({what}): restore it from a backup; if there is none, move it away and revoke again what was revoked",
        file.display()
    )]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It is a database of another program.
    #[error("{} is a database of another program: move it away", file.display())]
    Foreign {
        /// Which file.
        file: PathBuf,
    },
    /// Others can read or write it.
    #[error("{} can be read by others (mode {mode:o}); mend it with: chmod 600 {}", file.display(), file.display())]
    OpenToOthers {
        /// Which file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is none.
    #[error("there is no {}", file.display())]
    Missing {
        /// Which file.
        file: PathBuf,
    },
    /// It cannot be opened now.
    #[error("{} cannot be opened: {what}", file.display())]
    Unopenable {
        /// Which file.
        file: PathBuf,
        /// Why.
        what: String,
    },
}

impl NotOpened {
    fn of(file: &Path, error: &rusqlite::Error) -> Self {
        let (file, what) = (file.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { file, what }
            }
            Some(_) | None => Self::Unopenable { file, what },
        }
    }

    fn io(file: &Path, error: &std::io::Error) -> Self {
        let file = file.to_owned();
        if error.kind() == ErrorKind::NotFound {
            return Self::Missing { file };
        }
        let what = error.to_string();
        Self::Unopenable { file, what }
    }
}

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The file is not there any more, or is not what it was.
    #[error(transparent)]
    Lost(#[from] NotOpened),
    /// It could not be read or written.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// There are as many revocations as may be.
    #[error(
        "there are too many revocations already: they end by themselves, or with `portcullis reinstate`"
    )]
    Full,
    /// There are as many grants as may be.
    #[error("there are too many grants at servers already")]
    TooMany,
    /// There are as many open requests as may be.
    #[error("too many requests are open already: somebody must decide about them first")]
    ManyOpen,
    /// A name or a reason is empty or too long.
    #[error("a name or a reason is empty or too long")]
    Unfit,
    /// The gateway's own key does not sign.
    #[error("the gateway's own key for the catalogue does not sign")]
    Unsigned,
    /// The process is ending.
    #[error("interrupted")]
    Interrupted,
}

/// What a database looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examined {
    /// Its version.
    pub version: i64,
    /// The version that this program would bring it to.
    pub known: i64,
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable({})", self.0.file.display())
    }
}

impl Durable {
    /// Opens the database in that file: made if it is missing, checked, and brought to this program's version.
    ///
    /// # Errors
    /// [`NotOpened`], with what to do about it.
    pub async fn open(file: &Path) -> Result<Self, NotOpened> {
        let (path, named) = (file.to_owned(), file.to_owned());
        let opening = tokio::task::spawn_blocking(move || {
            make(&path)?;
            Open::at(&path)
        });
        let open = opening.await.map_err(|error| NotOpened::Unopenable {
            file: named.clone(),
            what: error.to_string(),
        })??;
        Ok(Self(Arc::new(Held {
            file: named,
            open: Mutex::new(Some(open)),
        })))
    }

    /// Does some work on a thread that may wait.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, Failed> {
        let held = Arc::clone(&self.0);
        let working = tokio::task::spawn_blocking(move || held.with(work));
        working.await.map_err(|_| Failed::Interrupted)?
    }
}

impl Held {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let mut held = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // What is not at its place is not what others write to, however well it could still be read.
        let there = identity(&look(&self.file)?);
        if held.as_ref().is_some_and(|open| open.identity != there) {
            *held = None;
        }
        let open = match held.as_mut() {
            Some(open) => open,
            None => held.insert(Open::at(&self.file)?),
        };
        work(&mut open.connection)
    }
}

impl Open {
    fn at(file: &Path) -> Result<Self, NotOpened> {
        let metadata = look(file)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(NotOpened::OpenToOthers {
                file: file.to_owned(),
                mode,
            });
        }
        let mut connection = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let failed = |error: rusqlite::Error| NotOpened::of(file, &error);
        if schema::version(&connection, file)? == 0 {
            wal(&connection).map_err(failed)?;
        } else {
            sound(&connection, "PRAGMA quick_check(1)", file)?;
        }
        connection
            .execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
            .map_err(failed)?;
        schema::migrate(&mut connection, file)?;
        Ok(Self {
            connection,
            identity: identity(&metadata),
        })
    }
}

/// Looks a database over without changing it.
///
/// # Errors
/// [`NotOpened`]: what would keep it from being opened.
pub fn examine(file: &Path) -> Result<Examined, NotOpened> {
    look(file)?;
    let connection = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let version = schema::version(&connection, file)?;
    sound(&connection, "PRAGMA integrity_check(1)", file)?;
    Ok(Examined {
        version,
        known: schema::known(),
    })
}

fn make(file: &Path) -> Result<(), NotOpened> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(NotOpened::io(file, &error)),
    }
}

fn look(file: &Path) -> Result<Metadata, NotOpened> {
    std::fs::metadata(file).map_err(|error| NotOpened::io(file, &error))
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn connect(file: &Path, access: OpenFlags) -> Result<Connection, NotOpened> {
    let failed = |error: rusqlite::Error| NotOpened::of(file, &error);
    // Our mutex is the lock.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection
        .pragma_update(None, "trusted_schema", false)
        .map_err(failed)?;
    Ok(connection)
}

/// Readers do not wait for a writer. Who comes first sets it, and whoever comes at the same moment finds it set.
fn wal(connection: &Connection) -> rusqlite::Result<()> {
    let set = || {
        let mode = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        mode.map(drop)
    };
    // The change of mode does not wait by itself as writers do.
    for _ in 0..40 {
        match set() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(BUSY / 40);
            }
            done => return done,
        }
    }
    set()
}

fn sound(connection: &Connection, check: &str, file: &Path) -> Result<(), NotOpened> {
    let said: String = connection
        .query_row(check, [], |row| row.get(0))
        .map_err(|error| NotOpened::of(file, &error))?;
    if said == "ok" {
        return Ok(());
    }
    Err(NotOpened::Damaged {
        file: file.to_owned(),
        what: said,
    })
}

#[cfg(test)]
mod tests;
