//! The end of the log: takes what is queued, writes it with one call, and tells who waits.
//!
//! The thread does what an exchange must not: begin segments, ask the keeper, end the log.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::desk::{Desk, Waited};
use super::keeper::{Kept, Successor, Work};
use super::store::Store;
use super::{Durability, POLL, Settings};
use crate::checkpoint::Unsigned;
use crate::recorder::Clock;
use crate::shared::{Job, Pending, Shared};

const MAX_BATCH_RECORDS: usize = 512;
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// How much more goes into a segment whose successor could not be begun.
const ROTATE_AGAIN_BYTES: u64 = 64 * 1024;
/// How long after it did not sign the key is asked again.
const SIGN_AGAIN_MICROS: u64 = 1_000_000;
const IDLE: Duration = Duration::from_hours(1);

/// Serves until the log is closed or fails. Then every queued record is refused.
pub(super) fn run(desk: &Desk, keeper: JoinHandle<()>, lock: File) -> io::Result<()> {
    let served = serve(desk);
    if served.is_err() {
        desk.shared.fail();
    }
    desk.end();
    let kept = keeper.join().map_err(|_| io::ErrorKind::BrokenPipe.into());
    drop(lock);
    served.and(kept)
}

fn serve(desk: &Desk) -> io::Result<()> {
    let mut waited = Waited::Rung;
    loop {
        let mut held = desk.run()?;
        let run = held.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let Some(longest) = run.turn(desk, waited)? else {
            return run.end(desk);
        };
        drop(held);
        waited = desk.wait(longest);
    }
}

/// The log's end, and what is to be done with it.
#[derive(Debug)]
pub(super) struct Run {
    store: Store,
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
    /// Since when the key has not signed, if it did not when it was last asked.
    unsigned: Option<u64>,
    /// The key that is to sign from here on.
    successor: Option<Successor>,
    /// How many more polls a closing writer waits.
    closing: Option<u64>,
    /// Why nothing can be written any more.
    failed: Option<io::Error>,
}

#[derive(Debug)]
struct Limits {
    places: usize,
    segment_bytes: u64,
    checkpoint_records: u64,
    checkpoint_micros: u64,
    sign_micros: u64,
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
        ask: SyncSender<Work>,
    ) -> Self {
        let limits = Limits {
            places: settings.places,
            segment_bytes: settings.segment_bytes,
            checkpoint_records: settings.checkpoint_records,
            checkpoint_micros: micros(settings.checkpoint_interval),
            sign_micros: micros(settings.sign_within),
            group_micros: match settings.durability {
                Durability::Grouped(interval) => Some(micros(interval)),
                Durability::Always => None,
            },
        };
        let sealed = shared.anchored.load(Ordering::Relaxed);
        Self {
            store,
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
            unsigned: None,
            successor: None,
            closing: None,
            failed: None,
        }
    }

    /// Writes what is queued in the place of the thread. Says whether that was all there was to do.
    pub(super) fn lead(&mut self, desk: &Desk) -> bool {
        let is_for_thread =
            self.limits.group_micros.is_none() || self.failed.is_some() || self.is_full();
        if is_for_thread {
            return false;
        }
        let was_dirty = self.dirty.is_some();
        if let Err(error) = self.take(desk) {
            self.fail(desk, error);
            return false;
        }
        let is_seal_due = self.new_records() >= self.limits.checkpoint_records
            && !self.is_keeping
            && self.unsigned.is_none();
        let is_awaited = self.closing.is_some() || self.successor.is_some();
        was_dirty && !is_seal_due && !self.is_full() && !is_awaited
    }

    /// Nothing is recorded any more; the thread will say why.
    fn fail(&mut self, desk: &Desk, error: io::Error) {
        self.shared.fail();
        desk.shut();
        self.written.clear();
        self.failed = Some(error);
    }

    /// Does what there is to do; says how long there will be nothing, or that this was the end.
    fn turn(&mut self, desk: &Desk, waited: Waited) -> io::Result<Option<Duration>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if waited == Waited::Long {
            self.closing = self.closing.map(|polls| polls.saturating_sub(1));
        }
        self.rotate_if_full()?;
        self.take(desk)?;
        self.keep()?;
        let are_all_back = self.shared.places.available_permits() == self.limits.places;
        if self.closing.is_some_and(|polls| polls == 0 || are_all_back) {
            desk.shut();
            self.drain(desk)?;
            return Ok(None);
        }
        Ok(Some(self.wait()))
    }

    /// Takes all that is queued, up to a bound, and writes it.
    fn take(&mut self, desk: &Desk) -> io::Result<()> {
        while let Some(job) = desk.next() {
            match job {
                Job::Record(pending) => self.push(pending),
                Job::Kept(result) => {
                    self.is_keeping = false;
                    self.kept(result?);
                }
                Job::HandOver(successor) => self.successor = Some(successor),
                Job::Close(polls) => self.closing = Some(polls),
            }
            let is_full = self.written.len() >= MAX_BATCH_RECORDS
                || self.store.pending_bytes() >= MAX_BATCH_BYTES;
            if is_full {
                break;
            }
        }
        self.flush()
    }

    /// A checkpoint that was not signed is tried again; if that goes on for too long, nothing is recorded any more.
    fn kept(&mut self, kept: Kept) {
        let now = (self.clock)();
        match kept {
            Kept::Durable => {}
            Kept::Signed => {
                self.unsigned = None;
                self.shared.resume();
            }
            Kept::Unsigned => {
                self.sealed = self.shared.anchored.load(Ordering::Relaxed);
                let since = *self.unsigned.get_or_insert(now);
                if left(now, since, self.limits.sign_micros) == 0 {
                    self.shared.suspend();
                }
            }
        }
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

    fn is_full(&self) -> bool {
        self.store.length() >= self.rotate_at
    }

    fn rotate_if_full(&mut self) -> io::Result<()> {
        if self.is_full() {
            let is_new = self.store.rotate()?;
            self.rotate_at = if is_new {
                self.limits.segment_bytes
            } else {
                self.store.length().saturating_add(ROTATE_AGAIN_BYTES)
            };
            (self.dirty, self.is_seal_wanted) = (None, is_new);
        }
        Ok(())
    }

    /// How many records no checkpoint covers yet.
    fn new_records(&self) -> u64 {
        self.store.end().frontier.size() - self.sealed
    }

    /// Begins a segment, or asks the keeper, if it is time to.
    fn keep(&mut self) -> io::Result<()> {
        self.rotate_if_full()?;
        let is_new = self.dirty.is_some() || self.sealed < self.store.end().frontier.size();
        if self.is_keeping || !(is_new || self.successor.is_some()) {
            return Ok(());
        }
        let now = (self.clock)();
        let is_seal_due =
            self.is_seal_wanted || self.successor.is_some() || self.seal_in(now) == Some(0);
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
            successor: end.as_ref().and_then(|_| self.successor.take()),
            seal: end,
        };
        self.ask.send(work).map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.is_keeping = true;
        self.dirty = None;
        Ok(())
    }

    /// In how many microseconds a checkpoint is due, if anything is new.
    fn seal_in(&self, now: u64) -> Option<u64> {
        let new = self.new_records();
        if self.unsigned.is_some() {
            return (new > 0).then(|| left(now, self.sealed_at, SIGN_AGAIN_MICROS));
        }
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
    fn drain(&mut self, desk: &Desk) -> io::Result<()> {
        while desk.has_jobs() {
            self.take(desk)?;
        }
        Ok(())
    }

    /// Anchors the end of the log.
    fn end(&mut self, desk: &Desk) -> io::Result<()> {
        self.settle(desk)?;
        if self.new_records() > 0 {
            self.ask(Some((self.clock)()))?;
            self.settle(desk)?;
        }
        match self.unsigned {
            Some(_) => Err(io::Error::other(Unsigned)),
            None => Ok(()),
        }
    }

    /// Waits for the keeper's answer; no record is taken any more.
    fn settle(&mut self, desk: &Desk) -> io::Result<()> {
        while self.is_keeping {
            desk.wait(IDLE);
            self.take(desk)?;
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
