//! What recorders and the writer have in common.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::checkpoint::VerifierKey;
use crate::recorder::Unavailable;
use crate::writer::{Kept, Successor};

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Write a record.
    Record(Pending),
    /// Take note that the keeper is done.
    Kept(std::io::Result<Kept>),
    /// Let another key sign.
    HandOver(Successor),
    /// End; wait as many [`crate::writer::POLL`]s for the places that are taken.
    Close(u64),
}

/// A record that waits to be written.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) clock: u64,
    pub(crate) body: Vec<u8>,
    pub(crate) ack: Option<oneshot::Sender<u64>>,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// What recorders and the writer both know.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) places: Arc<Semaphore>,
    pub(crate) has_failed: AtomicBool,
    /// Whether checkpoints have gone unsigned for too long.
    is_unsigned: AtomicBool,
    signer: Mutex<VerifierKey>,
    pub(crate) written: AtomicU64,
    pub(crate) anchored: AtomicU64,
    pub(crate) witness_failures: AtomicU64,
}

impl Shared {
    pub(crate) fn new(places: usize, anchored: u64, signer: VerifierKey) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            has_failed: AtomicBool::new(false),
            is_unsigned: AtomicBool::new(false),
            signer: Mutex::new(signer),
            written: AtomicU64::new(0),
            anchored: AtomicU64::new(anchored),
            witness_failures: AtomicU64::new(0),
        }
    }

    /// Refuses reservations until a checkpoint is signed.
    pub(crate) fn suspend(&self) {
        self.is_unsigned.store(true, Ordering::Release);
    }

    /// One was.
    pub(crate) fn resume(&self) {
        self.is_unsigned.store(false, Ordering::Release);
    }

    pub(crate) fn check_signed(&self) -> Result<(), Unavailable> {
        if self.is_unsigned.load(Ordering::Acquire) {
            return Err(Unavailable::Unsigned);
        }
        Ok(())
    }

    /// Another key signs.
    pub(crate) fn signs(&self, key: VerifierKey) {
        *self.signer() = key;
    }

    pub(crate) fn signer(&self) -> MutexGuard<'_, VerifierKey> {
        self.signer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every pending and later reservation fail.
    pub(crate) fn fail(&self) {
        self.has_failed.store(true, Ordering::Release);
        self.places.close();
    }

    /// Why the log has ended.
    pub(crate) fn ended(&self) -> Unavailable {
        if self.has_failed.load(Ordering::Acquire) {
            Unavailable::Failed
        } else {
            Unavailable::Closed
        }
    }
}
