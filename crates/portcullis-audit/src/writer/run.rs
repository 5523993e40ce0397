//! The thread that appends: it takes what is queued, writes it with one call, and tells who waits.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::keeper::Work;
use super::store::Store;
use super::{Durability, POLL, Settings};
use crate::recorder::{Clock, Job, Pending, Shared};

const MAX_BATCH_RECORDS: usize = 512;
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// How much more goes into a segment whose successor could not be begun.
const ROTATE_AGAIN_BYTES: u64 = 64 * 1024;
const IDLE: Duration = Duration::from_hours(1);

/// The state of the thread.
#[derive(Debug)]
pub(super) struct Run {
    store: Store,
    jobs: Receiver<Job>,
    ask: SyncSender<Work>,
    shared: Arc<Shared>,
    clock: Clock,
    limits: Limits,
    written: Vec<Written>,
    /// The length of the segment at which the next is begun.
    rotate_at: u64,
    /// Since when there is something that is not durable.
    dirty: Option<u64>,
    /// How many records the last checkpoint covers, and when it was asked for.
    sealed: u64,
    sealed_at: u64,
    /// Whether a segment was begun since.
    is_seal_wanted: bool,
    /// Whether the keeper has not answered yet.
    is_keeping: bool,
    /// How many more polls a closing writer waits.
    closing: Option<u64>,
}

#[derive(Debug)]
struct Limits {
    places: usize,
    segment_bytes: u64,
    checkpoint_records: u64,
    checkpoint_micros: u64,
    /// `None` to make every batch durable at once.
    group_micros: Option<u64>,
}

#[derive(Debug)]
struct Written {
    seq: u64,
    ack: Option<oneshot::Sender<u64>>,
    permit: OwnedSemaphorePermit,
}

impl Run {
    pub(super) fn new(
        settings: &Settings,
        clock: Clock,
        shared: Arc<Shared>,
        store: Store,
        (jobs, ask): (Receiver<Job>, SyncSender<Work>),
    ) -> Self {
        let limits = Limits {
            places: settings.places,
            segment_bytes: settings.segment_bytes,
            checkpoint_records: settings.checkpoint_records,
            checkpoint_micros: micros(settings.checkpoint_interval),
            group_micros: match settings.durability {
                Durability::Grouped(interval) => Some(micros(interval)),
                Durability::Always => None,
            },
        };
        let sealed = shared.anchored.load(Ordering::Relaxed);
        Self {
            store,
            jobs,
            ask,
            shared,
            clock,
            limits,
            written: Vec::new(),
            rotate_at: settings.segment_bytes,
            dirty: None,
            sealed,
            sealed_at: 0,
            is_seal_wanted: false,
            is_keeping: false,
            closing: None,
        }
    }

    /// Serves until the log is closed or fails. Then every queued record is refused.
    pub(super) fn run(mut self, keeper: JoinHandle<()>, lock: File) -> io::Result<()> {
        let served = self.serve().and_then(|()| self.end());
        if served.is_err() {
            self.shared.fail();
        }
        drop(self);
        let kept = keeper.join().map_err(|_| io::ErrorKind::BrokenPipe.into());
        drop(lock);
        served.and(kept)
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            match self.jobs.recv_timeout(self.wait()) {
                Ok(job) => self.take(job)?,
                Err(RecvTimeoutError::Timeout) => {
                    self.closing = self.closing.map(|polls| polls.saturating_sub(1));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.keep()?;
            let are_all_back = self.shared.places.available_permits() == self.limits.places;
            if self.closing.is_some_and(|polls| polls == 0 || are_all_back) {
                return self.drain();
            }
        }
    }

    /// Takes a job and all that are queued behind it, up to a bound, and writes them.
    fn take(&mut self, first: Job) -> io::Result<()> {
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Record(pending) => self.push(pending),
                Job::Kept(result) => {
                    self.is_keeping = false;
                    result?;
                }
                Job::Close(polls) => self.closing = Some(polls),
            }
            let is_full = self.written.len() >= MAX_BATCH_RECORDS
                || self.store.pending_bytes() >= MAX_BATCH_BYTES;
            next = if is_full {
                None
            } else {
                self.jobs.try_recv().ok()
            };
        }
        self.flush()
    }

    fn push(&mut self, pending: Pending) {
        let Pending {
            clock,
            body,
            ack,
            permit,
        } = pending;
        let seq = self.store.push(clock, &body);
        self.written.push(Written { seq, ack, permit });
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.written.is_empty() {
            return Ok(());
        }
        self.store.flush()?;
        if self.limits.group_micros.is_none() {
            self.store.file().sync_data()?;
        }
        self.shared.written.fetch_add(
            u64::try_from(self.written.len()).unwrap_or(0),
            Ordering::Relaxed,
        );
        for Written { seq, ack, permit } in self.written.drain(..) {
            // Whoever no longer waits has no need to know.
            ack.and_then(|ack| ack.send(seq).err());
            drop(permit);
        }
        if self.dirty.is_none() {
            self.dirty = Some((self.clock)());
        }
        Ok(())
    }

    /// Begins a segment, or asks the keeper, if it is time to.
    fn keep(&mut self) -> io::Result<()> {
        if self.store.length() >= self.rotate_at {
            let is_new = self.store.rotate()?;
            self.rotate_at = if is_new {
                self.limits.segment_bytes
            } else {
                self.store.length().saturating_add(ROTATE_AGAIN_BYTES)
            };
            (self.dirty, self.is_seal_wanted) = (None, is_new);
        }
        let is_new = self.dirty.is_some() || self.sealed < self.store.end().frontier.size();
        if self.is_keeping || !is_new {
            return Ok(());
        }
        let now = (self.clock)();
        let is_seal_due = self.is_seal_wanted || self.seal_in(now) == Some(0);
        if is_seal_due || self.sync_in(now) == Some(0) {
            self.ask(is_seal_due.then_some(now))?;
        }
        Ok(())
    }

    fn ask(&mut self, seal: Option<u64>) -> io::Result<()> {
        let end = seal.map(|now| {
            self.sealed = self.store.end().frontier.size();
            self.sealed_at = now;
            self.is_seal_wanted = false;
            self.store.end().clone()
        });
        let work = Work {
            file: self.store.file(),
            leaves: self.store.take_leaves(),
            seal: end,
        };
        self.ask.send(work).map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.is_keeping = true;
        self.dirty = None;
        Ok(())
    }

    /// In how many microseconds a checkpoint is due, if anything is new.
    fn seal_in(&self, now: u64) -> Option<u64> {
        let new = self.store.end().frontier.size() - self.sealed;
        let left = left(now, self.sealed_at, self.limits.checkpoint_micros);
        (new > 0).then_some(if new >= self.limits.checkpoint_records {
            0
        } else {
            left
        })
    }

    /// In how many microseconds what is dirty must be made durable.
    fn sync_in(&self, now: u64) -> Option<u64> {
        Some(left(now, self.dirty?, self.limits.group_micros?))
    }

    fn wait(&self) -> Duration {
        if self.closing.is_some() {
            return POLL;
        }
        if self.is_keeping {
            return IDLE;
        }
        let now = (self.clock)();
        let due = self.seal_in(now).into_iter().chain(self.sync_in(now)).min();
        due.map_or(IDLE, Duration::from_micros)
    }

    /// Writes what is still queued.
    fn drain(&mut self) -> io::Result<()> {
        while let Ok(job) = self.jobs.try_recv() {
            self.take(job)?;
        }
        Ok(())
    }

    /// Anchors the end of the log.
    fn end(&mut self) -> io::Result<()> {
        self.settle()?;
        if self.sealed < self.store.end().frontier.size() {
            self.ask(Some((self.clock)()))?;
            self.settle()?;
        }
        Ok(())
    }

    /// Waits for the keeper's answer; what is queued meanwhile is refused.
    fn settle(&mut self) -> io::Result<()> {
        while self.is_keeping {
            match self.jobs.recv() {
                Ok(Job::Kept(result)) => {
                    self.is_keeping = false;
                    result?;
                }
                Ok(Job::Record(_) | Job::Close(_)) => {}
                Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        Ok(())
    }
}

/// How much of `interval` is left; none if the clock has gone back.
fn left(now: u64, since: u64, interval: u64) -> u64 {
    now.checked_sub(since)
        .map_or(0, |passed| interval.saturating_sub(passed))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
