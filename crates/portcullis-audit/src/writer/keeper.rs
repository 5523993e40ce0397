//! Makes records durable and anchors them, on a thread of its own so that writing need not wait for a disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use super::state::{self, End};
use super::{Desk, NotOpened};
use crate::checkpoint::{SigningKey, Unsigned};
use crate::files::{CHECKPOINTS, LEAVES, Sync, append, is_for_now, replace};
use crate::hash::Hash;
use crate::lineage::{self, Lineage};
use crate::merkle::Tree;
use crate::shared::{Job, Shared};

/// What became new since the keeper was last asked.
#[derive(Debug)]
pub(super) struct Work {
    /// The segment to make durable.
    pub(super) file: Arc<File>,
    /// The leaf hashes to add to the index.
    pub(super) leaves: Vec<Hash>,
    /// The end of the log to sign, if it is time for a checkpoint.
    pub(super) seal: Option<End>,
    /// The key that is to sign from here on.
    pub(super) successor: Option<Successor>,
}

/// A key to hand over to, and whoever waits for it.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) key: SigningKey,
    pub(crate) done: SyncSender<()>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Records are durable; there was nothing to sign.
    Durable,
    /// They are signed too.
    Signed,
    /// They are durable, and there is no checkpoint: the key did not sign.
    Unsigned,
}

/// The files beside the segments.
#[derive(Debug)]
pub(super) struct Keeper {
    dir: PathBuf,
    key: SigningKey,
    lineage: Lineage,
    witnesses: Vec<PathBuf>,
    checkpoints: File,
    leaves: File,
    shared: Arc<Shared>,
}

impl Keeper {
    /// Opens the files.
    pub(super) fn open(
        dir: &Path,
        (key, lineage): (SigningKey, Lineage),
        witnesses: Vec<PathBuf>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let (checkpoints, leaves) = (append(&dir.join(CHECKPOINTS))?, append(&dir.join(LEAVES))?);
        Ok(Self {
            dir: dir.to_owned(),
            key,
            lineage,
            witnesses,
            checkpoints,
            leaves,
            shared,
        })
    }

    /// Works until nobody asks any more.
    pub(super) fn run(mut self, work: &Receiver<Work>, desk: &Desk) {
        for work in work {
            desk.tell(Job::Kept(self.keep(work)));
        }
    }

    fn keep(&mut self, work: Work) -> io::Result<Kept> {
        work.file.sync_data()?;
        self.leaves.write_all(work.leaves.as_flattened())?;
        let Some(end) = &work.seal else {
            return Ok(Kept::Durable);
        };
        let tree = end.tree();
        let is_handed_over = match work.successor {
            Some(successor) => self.hand_over(&tree, successor)?.is_ok(),
            None => false,
        };
        if !is_handed_over && self.seal(&tree)?.is_err() {
            return Ok(Kept::Unsigned);
        }
        match state::save(&self.dir, end) {
            // It only saves time at the next start.
            Err(error) if is_for_now(&error) => Ok(Kept::Signed),
            saved => saved.map(|()| Kept::Signed),
        }
    }

    /// Makes the first checkpoint, in place of one that a crash may have left unfinished.
    pub(super) fn begin(&mut self) -> Result<(), NotOpened> {
        self.checkpoints.set_len(0)?;
        Ok(self.seal(&End::empty().tree())??)
    }

    /// Signs a tree of durable records and lays the note down.
    fn seal(&mut self, tree: &Tree) -> io::Result<Result<(), Unsigned>> {
        match self.key.sign(tree) {
            Ok(note) => self.lay_down(tree, &note).map(Ok),
            Err(unsigned) => Ok(Err(unsigned)),
        }
    }

    /// Signs a tree together with the key that signs from here on. Whoever waits for it hears nothing if one did not.
    fn hand_over(&mut self, tree: &Tree, successor: Successor) -> io::Result<Result<(), Unsigned>> {
        let note = match self.key.hand_over(tree, &successor.key) {
            Ok(note) => note,
            Err(unsigned) => return Ok(Err(unsigned)),
        };
        if self.lineage.follow(&note).is_err() {
            // It has signed this log before, and would not be believed.
            return Ok(Err(Unsigned));
        }
        self.lay_down(tree, &note)?;
        lineage::note(&self.dir, &note)?;
        self.key = successor.key;
        self.shared.signs(self.key.verifier().clone());
        // Whoever no longer waits finds out by asking who signs.
        successor.done.try_send(()).ok();
        Ok(Ok(()))
    }

    fn lay_down(&mut self, tree: &Tree, note: &str) -> io::Result<()> {
        self.checkpoints
            .write_all([note, "\n"].concat().as_bytes())?;
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
