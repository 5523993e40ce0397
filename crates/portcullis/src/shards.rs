//! The threads that serve: one single-threaded runtime for each processor.
//!
//! A connection stays on the thread that it was given to, and so do the upstream connections that its
//! exchanges make: no other thread is woken for them. That costs less than work that moves about.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// How often a thread wakes for nothing. Whoever sets a timer that is due before all others has to wake
/// the thread, its own too, with a call of the kernel; a waiting client's timer is later than this.
const TICK: Duration = Duration::from_secs(4);

/// Threads, one for each processor; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Shards {
    runtimes: Vec<Handle>,
    next: AtomicUsize,
    ended: CancellationToken,
}

impl Shards {
    /// Starts the threads.
    pub(crate) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut shards = Self {
            runtimes: Vec::with_capacity(count),
            next: AtomicUsize::new(0),
            ended: CancellationToken::new(),
        };
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let ended = shards.ended.clone();
            shards.runtimes.push(runtime.handle().clone());
            thread::Builder::new()
                .name(format!("serve-{number}"))
                .spawn(move || runtime.block_on(ticking(&ended)))?;
        }
        Ok(shards)
    }

    /// The runtimes by turns, so that each gets as many connections as the others.
    pub(crate) fn next(&self) -> Handle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = turn % self.runtimes.len().max(1);
        let runtime = self.runtimes.get(turn).cloned();
        runtime.unwrap_or_else(Handle::current)
    }
}

async fn ticking(ended: &CancellationToken) {
    while tokio::time::timeout(TICK, ended.cancelled()).await.is_err() {}
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}
