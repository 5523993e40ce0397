//! Where records wait, and who writes them: mostly one of those who wait, and else the writer's thread.
//!
//! An exchange that finds nobody writing writes for all. To wake a thread and to be woken by it costs
//! several times what the writing does. The thread is there for what may take long or must be in time.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::run::Run;
use crate::shared::{Job, Pending, Shared};

/// The queue, the log's end, and the thread's bell.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) shared: Arc<Shared>,
    waiting: Mutex<Waiting>,
    bell: Condvar,
    /// None once the log has ended.
    run: Mutex<Option<Run>>,
}

/// INVARIANT: there is at most one record for each place, and one job of the keeper's and of the closer's.
#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    is_rung: bool,
    is_shut: bool,
}

/// Why the thread waits no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// Its time had passed.
    Long,
    /// There is something to do.
    Rung,
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, run: Run) -> Self {
        Self {
            shared,
            waiting: Mutex::default(),
            bell: Condvar::new(),
            run: Mutex::new(Some(run)),
        }
    }

    /// Puts a record into the queue and tells nobody: whoever does must [`Desk::lead`] or [`Desk::ring`].
    ///
    /// Gives it back if the log has ended.
    pub(crate) fn put(&self, pending: Pending) -> Result<(), Pending> {
        let mut waiting = self.waiting();
        if waiting.is_shut {
            return Err(pending);
        }
        waiting.jobs.push_back(Job::Record(pending));
        Ok(())
    }

    /// Tells the thread something.
    pub(crate) fn tell(&self, job: Job) {
        self.waiting().jobs.push_back(job);
        self.ring();
    }

    /// Wakes the thread.
    pub(crate) fn ring(&self) {
        self.waiting().is_rung = true;
        self.bell.notify_one();
    }

    /// Writes what is queued, unless somebody does or only the thread may.
    ///
    /// INVARIANT: who holds `run` looks at the queue after letting go, so that nothing put there
    /// meanwhile is left lying.
    pub(crate) fn lead(&self) {
        let is_done = match self.run.try_lock() {
            Ok(mut held) => match held.as_mut() {
                Some(run) => run.lead(self),
                None => return,
            },
            Err(TryLockError::WouldBlock) => return,
            Err(TryLockError::Poisoned(_)) => false,
        };
        if !is_done || self.has_jobs() {
            self.ring();
        }
    }

    /// The next job, if there is one.
    pub(super) fn next(&self) -> Option<Job> {
        self.waiting().jobs.pop_front()
    }

    /// Whether anything is queued.
    pub(super) fn has_jobs(&self) -> bool {
        !self.waiting().jobs.is_empty()
    }

    /// Refuses further records.
    pub(super) fn shut(&self) {
        self.waiting().is_shut = true;
    }

    /// Waits for the bell or for something in the queue.
    pub(super) fn wait(&self, longest: Duration) -> Waited {
        let has_nothing = |waiting: &mut Waiting| !waiting.is_rung && waiting.jobs.is_empty();
        let woken = self
            .bell
            .wait_timeout_while(self.waiting(), longest, has_nothing);
        let (mut waiting, outcome) = woken.unwrap_or_else(PoisonError::into_inner);
        waiting.is_rung = false;
        if outcome.timed_out() {
            Waited::Long
        } else {
            Waited::Rung
        }
    }

    /// The log's end, for the thread; an error if whoever held it fell.
    pub(super) fn run(&self) -> io::Result<MutexGuard<'_, Option<Run>>> {
        self.run
            .lock()
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Ends the log: what is still queued is refused.
    pub(super) fn end(&self) {
        self.shut();
        let left = std::mem::take(&mut self.waiting().jobs);
        drop(left);
        let run = self
            .run
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(run);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
