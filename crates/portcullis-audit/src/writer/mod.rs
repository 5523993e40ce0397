//! The one writer of a log: opening, the thread that appends, closing.

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::checkpoint::{BadNote, SigningKey, Unsigned, VerifierKey};
use crate::files::{LOCK, append};
use crate::lineage::Lineage;
use crate::recorder::{Clock, Recorder};
use crate::shared::{Job, Shared};

mod recover;
mod state;
mod store;
mod keeper;
mod run;
mod desk;

pub(crate) use desk::Desk;
pub(crate) use keeper::{Kept, Successor};
pub use recover::{Recovery, Torn, signer};

use keeper::Keeper;
use run::Run;
use store::Store;

/// How often a closing writer looks whether all places are back.
pub(crate) const POLL: Duration = Duration::from_millis(5);

const DIR_MODE: u32 = 0o700;

/// How a log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many exchanges may be under way or waiting to be written.
    pub places: usize,
    /// The size at which a segment is followed by the next.
    pub segment_bytes: u64,
    /// When records reach the disk itself.
    pub durability: Durability,
    /// After how many records at most a checkpoint is made.
    pub checkpoint_records: u64,
    /// After how long at most a checkpoint is made of what is new.
    pub checkpoint_interval: Duration,
    /// Files outside the directory, best on other machines, that get a copy of the newest checkpoint.
    pub witnesses: Vec<PathBuf>,
    /// Keys of which one began this log. If there are none, the present one did.
    pub first_keys: Vec<VerifierKey>,
    /// How long a checkpoint that is due may stay unsigned before nothing is recorded any more, until one is signed.
    pub sign_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            places: 4096,
            segment_bytes: 64 * 1024 * 1024,
            durability: Durability::Grouped(Duration::from_millis(50)),
            checkpoint_records: 1024,
            checkpoint_interval: Duration::from_secs(5),
            witnesses: Vec::new(),
            first_keys: Vec::new(),
            sign_within: Duration::from_secs(30),
        }
    }
}

/// When records reach the disk itself. What the kernel has survives the end of the process in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// At most this long after they were written.
    Grouped(Duration),
    /// Before they are acknowledged.
    Always,
}

/// Why a log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// Another writer has it.
    #[error("another writer has the log")]
    Locked,
    /// A number in the settings is zero.
    #[error("places and segment_bytes must not be zero")]
    Settings,
    /// A file is named almost like a segment.
    #[error("{name} is no segment of this log")]
    Strange {
        /// Its name.
        name: String,
    },
    /// There are records and no checkpoint at all, though each log begins with one.
    #[error("the log has records but no checkpoint: it was touched")]
    NoCheckpoint,
    /// The last checkpoint, or that of a witness, cannot be believed.
    #[error("a checkpoint cannot be believed")]
    Note(#[source] BadNote),
    /// A checkpoint, a witness or a segment's name tells of more records than there are.
    #[error("the log has {records} records where {stated} are stated: it was cut")]
    Missing {
        /// How many there are.
        records: u64,
        /// How many there should be at least.
        stated: u64,
    },
    /// The records up to a checkpoint are not those that were signed.
    #[error("the first {size} records are not those that were signed: the log was touched")]
    Root {
        /// How many records the checkpoint covers.
        size: u64,
    },
    /// A line does not follow from the one before.
    #[error("line {line} of {segment} (record {seq}) or the line before it was touched")]
    Touched {
        /// The file.
        segment: String,
        /// The line in it, from 1.
        line: u64,
        /// The number of the record that should stand there.
        seq: u64,
    },
    /// The log has been handed over to another key, or began with it.
    #[error("it is the turn of the key {due} to sign, and not that of {given}")]
    OtherKey {
        /// The id of the key that signs next.
        due: String,
        /// The id of the one that is given.
        given: String,
    },
    /// The first checkpoint could not be signed.
    #[error("the log cannot be begun")]
    Unsigned(#[from] Unsigned),
    /// A file cannot be read or written.
    #[error("a file of the log cannot be used")]
    Io(#[from] io::Error),
}

/// A log that is open.
#[derive(Debug)]
pub struct Opened {
    /// Gives places in it.
    pub recorder: Recorder,
    /// Ends it.
    pub writer: Writer,
    /// How it was found.
    pub recovery: Recovery,
}

/// Opens the log in `dir`, which is made if it is missing, and starts the threads that write it.
///
/// Cost: reads what the last saved state does not cover, which is all of the log if that does not
/// fit the last checkpoint.
///
/// # Errors
/// [`NotOpened`]; a log that a crash left behind is mended, one that was touched is not.
pub fn open(
    dir: &Path,
    key: SigningKey,
    clock: Clock,
    settings: &Settings,
) -> Result<Opened, NotOpened> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIR_MODE)
        .create(dir)?;
    std::fs::set_permissions(dir, Permissions::from_mode(DIR_MODE))?;
    let lock = lock(dir)?;
    let own = std::slice::from_ref(key.verifier());
    let first = Some(&settings.first_keys[..]).filter(|first| !first.is_empty());
    let (last, lineage) = recover::last_checkpoint(dir, first.unwrap_or(own))?;
    check_turn(&lineage, key.verifier())?;
    recover::check_shape(dir, settings, last.as_ref())?;
    let mut stated: Vec<_> = last.iter().map(|last| last.tree()).collect();
    stated.extend(recover::witnessed(&settings.witnesses, &lineage)?);
    let (end, recovery) = recover::recover(dir, &stated)?;

    let anchored = recovery.records - recovery.unanchored;
    let shared = Shared::new(settings.places, anchored, key.verifier().clone());
    let shared = Arc::new(shared);
    let mut keeper = Keeper::open(
        dir,
        (key, lineage),
        settings.witnesses.clone(),
        Arc::clone(&shared),
    )?;
    if last.is_none() {
        keeper.begin()?;
    }
    let store = Store::open(dir, end)?;
    File::open(dir)?.sync_all()?;
    let (recorder, writer) = launch(settings, clock, store, (keeper, shared), lock)?;
    Ok(Opened {
        recorder,
        writer,
        recovery,
    })
}

/// A key signs when it is its turn, and at no other time.
fn check_turn(lineage: &Lineage, key: &VerifierKey) -> Result<(), NotOpened> {
    match lineage.now() {
        Some(due) if due != key => Err(NotOpened::OtherKey {
            due: due.id(),
            given: key.id(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Starts the threads.
fn launch(
    settings: &Settings,
    clock: Clock,
    store: Store,
    (keeper, shared): (Keeper, Arc<Shared>),
    lock: File,
) -> io::Result<(Recorder, Writer)> {
    let (ask, asked) = sync_channel(1);
    let run = Run::new(settings, clock, Arc::clone(&shared), store, ask);
    let desk = Arc::new(Desk::new(Arc::clone(&shared), run));
    let told = Arc::clone(&desk);
    let keeper = Builder::new()
        .name("audit-keeper".into())
        .spawn(move || keeper.run(&asked, &told))?;
    let served = Arc::clone(&desk);
    let thread = Builder::new()
        .name("audit-writer".into())
        .spawn(move || run::run(&served, keeper, lock))?;
    let recorder = Recorder {
        shared,
        desk: Arc::clone(&desk),
        clock,
    };
    Ok((
        recorder,
        Writer {
            thread: Some(thread),
            desk,
        },
    ))
}

fn lock(dir: &Path) -> Result<File, NotOpened> {
    let file = append(&dir.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(NotOpened::Locked),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// The thread that writes a log. Dropped, it ends the log without waiting.
#[derive(Debug)]
pub struct Writer {
    thread: Option<JoinHandle<io::Result<()>>>,
    desk: Arc<Desk>,
}

impl Writer {
    /// Refuses further reservations, waits at most `patience` for open entries, writes what is
    /// queued, makes a last checkpoint and ends. Waits on the current thread.
    ///
    /// # Errors
    /// What the file system answered when the log failed, be it now or before.
    pub fn finish(mut self, patience: Duration) -> io::Result<()> {
        self.end(patience);
        self.join()
    }

    fn end(&self, patience: Duration) {
        self.desk.shared.places.close();
        let polls = patience.as_millis() / POLL.as_millis();
        self.desk
            .tell(Job::Close(u64::try_from(polls).unwrap_or(u64::MAX)));
    }

    fn join(&mut self) -> io::Result<()> {
        let thread = self.thread.take().ok_or(io::ErrorKind::BrokenPipe)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end(Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests;
