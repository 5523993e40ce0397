//! Makes records durable and anchors them, on a thread of its own so that writing need not wait for a disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use super::Desk;
use super::state::{self, End};
use crate::checkpoint::SigningKey;
use crate::files::{CHECKPOINTS, LEAVES, Sync, append, is_for_now, replace};
use crate::hash::Hash;
use crate::merkle::Tree;
use crate::recorder::{Job, Shared};

/// What became new since the keeper was last asked.
#[derive(Debug)]
pub(super) struct Work {
    /// The segment to make durable.
    pub(super) file: Arc<File>,
    /// The leaf hashes to add to the index.
    pub(super) leaves: Vec<Hash>,
    /// The end of the log to sign, if it is time for a checkpoint.
    pub(super) seal: Option<End>,
}

/// The files beside the segments.
#[derive(Debug)]
pub(super) struct Keeper {
    dir: PathBuf,
    key: SigningKey,
    witnesses: Vec<PathBuf>,
    checkpoints: File,
    leaves: File,
    shared: Arc<Shared>,
}

impl Keeper {
    /// Opens the files.
    pub(super) fn open(
        dir: &Path,
        key: SigningKey,
        witnesses: Vec<PathBuf>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let (checkpoints, leaves) = (append(&dir.join(CHECKPOINTS))?, append(&dir.join(LEAVES))?);
        Ok(Self {
            dir: dir.to_owned(),
            key,
            witnesses,
            checkpoints,
            leaves,
            shared,
        })
    }

    /// Works until nobody asks any more.
    pub(super) fn run(mut self, work: &Receiver<Work>, desk: &Desk) {
        for work in work {
            desk.tell(Job::Kept(self.keep(&work)));
        }
    }

    fn keep(&mut self, work: &Work) -> io::Result<()> {
        work.file.sync_data()?;
        self.leaves.write_all(work.leaves.as_flattened())?;
        let Some(end) = &work.seal else { return Ok(()) };
        self.seal(&end.tree())?;
        match state::save(&self.dir, end) {
            // It only saves time at the next start.
            Err(error) if is_for_now(&error) => Ok(()),
            saved => saved,
        }
    }

    /// Makes the first checkpoint, in place of one that a crash may have left unfinished.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.checkpoints.set_len(0)?;
        self.seal(&End::empty().tree())
    }

    /// Signs a tree of durable records and lays the note down.
    fn seal(&mut self, tree: &Tree) -> io::Result<()> {
        let note = self.key.sign(tree);
        self.checkpoints
            .write_all([note.as_str(), "\n"].concat().as_bytes())?;
        self.checkpoints.sync_data()?;
        for witness in &self.witnesses {
            if replace(witness, note.as_bytes(), Sync::Durable).is_err() {
                self.shared.witness_failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.shared.anchored.store(tree.size, Ordering::Relaxed);
        Ok(())
    }
}
