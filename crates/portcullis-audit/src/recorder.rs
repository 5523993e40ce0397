//! A place in the log, taken before an exchange begins and filled when it ends.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, oneshot};

use crate::checkpoint::{SigningKey, VerifierKey};
use crate::record::Record;
use crate::shared::{Job, Pending, Shared};
use crate::writer::{Desk, Successor};

/// The event of an exchange whose [`Entry`] was dropped before it was settled.
pub const ABANDONED: &str = "exchange.abandoned";

/// The room that most records need.
const USUAL_BODY_BYTES: usize = 1024;

/// Tells the time in microseconds since 1970.
pub type Clock = fn() -> u64;

/// Why nothing can be recorded. No exchange may go on without its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Every place is taken at this moment.
    #[error("the audit queue is full")]
    Full,
    /// The log could not be written; it must be opened again.
    #[error("the audit log has failed")]
    Failed,
    /// The log is being closed.
    #[error("the audit log is closed")]
    Closed,
    /// Its key has signed no checkpoint for too long; it is tried on.
    #[error("the key of the audit log does not sign")]
    Unsigned,
}

/// Why another key does not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHandedOver {
    /// One of the two keys did not sign, or the new one is a key of before.
    #[error("one of the two keys did not sign, or the new one has signed this log before")]
    Unsigned,
    /// The log has ended, or did not answer in time: who signs is to be asked again.
    #[error("the audit log did not answer")]
    Unanswered,
}

/// Where a record stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Its number, from 0 and without gaps.
    pub seq: u64,
}

/// Gives places in the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    pub(crate) shared: Arc<Shared>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) clock: Clock,
}

impl Recorder {
    /// Takes a place, and waits for one if all are taken: the caller sets the deadline.
    ///
    /// # Errors
    /// Any [`Unavailable`] but [`Unavailable::Full`].
    pub async fn reserve(&self) -> Result<Entry, Unavailable> {
        self.shared.check_signed()?;
        let permit = Arc::clone(&self.shared.places).acquire_owned().await;
        permit
            .map(|permit| self.entry(permit))
            .map_err(|_| self.shared.ended())
    }

    /// Takes a place if there is one at once.
    ///
    /// # Errors
    /// Any [`Unavailable`].
    pub fn try_reserve(&self) -> Result<Entry, Unavailable> {
        self.shared.check_signed()?;
        match Arc::clone(&self.shared.places).try_acquire_owned() {
            Ok(permit) => Ok(self.entry(permit)),
            Err(TryAcquireError::NoPermits) => Err(Unavailable::Full),
            Err(TryAcquireError::Closed) => Err(self.shared.ended()),
        }
    }

    /// Whether records can still be written.
    pub fn is_healthy(&self) -> bool {
        !self.shared.has_failed.load(Ordering::Acquire)
            && !self.shared.places.is_closed()
            && self.shared.check_signed().is_ok()
    }

    /// Whether nothing is recorded because the key has signed no checkpoint for too long.
    pub fn is_unsigned(&self) -> bool {
        self.shared.check_signed().is_err()
    }

    /// The key that signs checkpoints now.
    pub fn signer(&self) -> VerifierKey {
        self.shared.signer().clone()
    }

    /// Has another key sign from here on: both sign a checkpoint that says so. Waits on the current thread, which must
    /// not be one of an async runtime, at most `patience`.
    ///
    /// # Errors
    /// [`NotHandedOver`].
    pub fn hand_over(&self, key: SigningKey, patience: Duration) -> Result<(), NotHandedOver> {
        let (done, answer) = sync_channel(1);
        self.desk.tell(Job::HandOver(Successor { key, done }));
        answer.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Disconnected => NotHandedOver::Unsigned,
            RecvTimeoutError::Timeout => NotHandedOver::Unanswered,
        })
    }

    /// How many records this run has written.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// How many records the last checkpoint covers.
    pub fn anchored(&self) -> u64 {
        self.shared.anchored.load(Ordering::Relaxed)
    }

    /// How often a witness could not be given a checkpoint. Such a failure does not stop the log.
    pub fn witness_failures(&self) -> u64 {
        self.shared.witness_failures.load(Ordering::Relaxed)
    }

    /// Refuses every further reservation; entries that are open can still be settled.
    pub fn close(&self) {
        self.shared.places.close();
    }

    fn entry(&self, permit: OwnedSemaphorePermit) -> Entry {
        Entry {
            record: Record::new(ABANDONED),
            place: Some(Place {
                recorder: self.clone(),
                permit,
            }),
        }
    }
}

/// A place in the log for one record.
///
/// Dropped without being settled, it writes [`ABANDONED`] with what is known so far.
#[derive(Debug)]
#[must_use]
pub struct Entry {
    /// What will be written.
    pub record: Record,
    place: Option<Place>,
}

impl Entry {
    /// Writes the record and waits until the kernel has it (until it is durable, if so set).
    ///
    /// Whoever finds nobody writing writes for all who wait, on its own thread: one call of `write(2)`.
    /// If records must be durable first, that is left to the writer's thread.
    ///
    /// # Errors
    /// [`Unavailable`] if it is not certain that the record was written.
    pub async fn settle(self) -> Result<Position, Unavailable> {
        let (mut receipt, promise) = self.hand_over()?;
        // Exchanges that end at the same time are written together.
        let mut has_waited = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        if let Ok(seq) = receipt.ack.try_recv() {
            promise.forget();
            return Ok(Position { seq });
        }
        promise.lead();
        receipt.written().await
    }

    /// Hands the record over and does not wait. Its time is now.
    ///
    /// # Errors
    /// [`Unavailable`] if the log has ended.
    pub fn submit(self) -> Result<Receipt, Unavailable> {
        let (receipt, promise) = self.hand_over()?;
        drop(promise);
        Ok(receipt)
    }

    /// Gives the place back without a record: for what is counted instead, and recorded in a sum.
    pub fn withdraw(mut self) {
        drop(self.place.take());
    }

    fn hand_over(mut self) -> Result<(Receipt, Promise), Unavailable> {
        let place = self.place.take().ok_or(Unavailable::Closed)?;
        let shared = Arc::clone(&place.recorder.shared);
        let (ack, receipt) = oneshot::channel();
        let promise = place.send(&self.record, Some(ack))?;
        let receipt = Receipt {
            ack: receipt,
            shared,
        };
        Ok((receipt, promise))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.record.event = ABANDONED.into();
            // A log that has ended refuses: there is nobody left to tell.
            drop(place.send(&self.record, None));
        }
    }
}

/// The promise that a record will be written.
#[derive(Debug)]
#[must_use]
pub struct Receipt {
    ack: oneshot::Receiver<u64>,
    shared: Arc<Shared>,
}

impl Receipt {
    /// Waits until the record is written.
    ///
    /// # Errors
    /// [`Unavailable`] if it is not certain that it was.
    pub async fn written(self) -> Result<Position, Unavailable> {
        self.ack
            .await
            .map(|seq| Position { seq })
            .map_err(|_| self.shared.ended())
    }

    /// Waits on the current thread, which must not be one of an async runtime.
    ///
    /// # Errors
    /// As [`Receipt::written`].
    pub fn written_blocking(self) -> Result<Position, Unavailable> {
        self.ack
            .blocking_recv()
            .map(|seq| Position { seq })
            .map_err(|_| self.shared.ended())
    }
}

/// A permit and the way to the writer.
#[derive(Debug)]
struct Place {
    recorder: Recorder,
    permit: OwnedSemaphorePermit,
}

impl Place {
    fn send(
        self,
        record: &Record,
        ack: Option<oneshot::Sender<u64>>,
    ) -> Result<Promise, Unavailable> {
        let Self { recorder, permit } = self;
        let mut body = Vec::with_capacity(USUAL_BODY_BYTES);
        serde_json::to_writer(&mut body, record).map_err(|_| Unavailable::Failed)?;
        let pending = Pending {
            clock: (recorder.clock)(),
            body,
            ack,
            permit,
        };
        recorder
            .desk
            .put(pending)
            .map_err(|_| recorder.shared.ended())?;
        Ok(Promise(Some(recorder.desk)))
    }
}

/// A record was queued and nobody told yet. Dropped, it tells the writer's thread.
#[derive(Debug)]
struct Promise(Option<Arc<Desk>>);

impl Promise {
    /// Writes it here and now, if nobody else does.
    fn lead(mut self) {
        if let Some(desk) = self.0.take() {
            desk.lead();
        }
    }

    /// Somebody has written it.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(desk) = self.0.take() {
            desk.ring();
        }
    }
}
