//! Which slow calls run? Each waits on a thread of its own, of which there are few.
//!
//! A call ends once: it is answered if its time is over, and not answered if it is cancelled first.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::notification;
use crate::wire::{Output, RequestId};

/// The number of calls that run at the same time.
pub(crate) const MAX_CALLS: usize = 8;
const TICK: Duration = Duration::from_secs(1);

/// [`MAX_CALLS`] run already, or no thread can be started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// A call that waits.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) id: RequestId,
    pub(crate) total: Duration,
    pub(crate) progress_token: Option<Value>,
    /// The message that ends the wait.
    pub(crate) response: Value,
}

/// The calls of one client.
pub(crate) struct Calls {
    output: Output,
    running: Running,
    threads: Vec<JoinHandle<()>>,
    last_serial: u64,
}

/// The calls whose threads have not ended, cancelled ones among them.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<Vec<Call>>>);

struct Call {
    serial: u64,
    id: RequestId,
    /// INVARIANT: dropped to cancel the call, and then never set again.
    stop: Option<SyncSender<()>>,
}

impl Calls {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            running: Running::default(),
            threads: Vec::new(),
            last_serial: 0,
        }
    }

    /// Starts a call.
    pub(crate) fn start(&mut self, wait: Wait) -> Result<(), Busy> {
        self.threads.retain(|thread| !thread.is_finished());
        self.last_serial = self.last_serial.saturating_add(1);
        let serial = self.last_serial;
        let (stop, stopped) = sync_channel(1);
        self.running.add(Call {
            serial,
            id: wait.id.clone(),
            stop: Some(stop),
        })?;
        let slot = Slot {
            running: self.running.clone(),
            serial,
        };
        let output = self.output.clone();
        // If no thread starts, the closure is dropped, and the slot with it.
        let thread = Builder::new()
            .name("slow".to_owned())
            .spawn(move || run(&wait, &stopped, &slot, &output))
            .map_err(|_| Busy)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Cancels a call; tells whether there was one.
    pub(crate) fn cancel(&mut self, id: &RequestId) -> bool {
        let mut running = self.running.lock();
        let call = running
            .iter_mut()
            .find(|call| call.id == *id && call.stop.is_some());
        call.is_some_and(|call| call.stop.take().is_some())
    }

    pub(crate) fn is_running(&self, id: &RequestId) -> bool {
        self.running
            .lock()
            .iter()
            .any(|call| call.id == *id && call.stop.is_some())
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        for call in self.running.lock().iter_mut() {
            call.stop = None;
        }
        for thread in self.threads.drain(..) {
            // A thread that failed has ended, too.
            drop(thread.join());
        }
    }
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, call: Call) -> Result<(), Busy> {
        let mut running = self.lock();
        if running.len() >= MAX_CALLS {
            return Err(Busy);
        }
        running.push(call);
        Ok(())
    }
}

/// The place of a thread among the [`MAX_CALLS`]; free again when it is dropped.
struct Slot {
    running: Running,
    serial: u64,
}

impl Slot {
    /// Ends the call, unless it has been cancelled.
    fn end(&self) -> Ended {
        let mut running = self.running.lock();
        let call = running.iter_mut().find(|call| call.serial == self.serial);
        match call.and_then(|call| call.stop.take()) {
            Some(_) => Ended::Answered,
            None => Ended::Cancelled,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.running
            .lock()
            .retain(|call| call.serial != self.serial);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Answered,
    Cancelled,
}

fn run(wait: &Wait, stopped: &Receiver<()>, slot: &Slot, output: &Output) {
    let mut elapsed = Duration::ZERO;
    while elapsed < wait.total {
        let step = TICK.min(wait.total.saturating_sub(elapsed));
        match stopped.recv_timeout(step) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        elapsed = elapsed.saturating_add(step);
        // A client that no longer reads is noticed by the thread that reads.
        if tell(wait, elapsed, output).is_err() {
            return;
        }
    }
    match slot.end() {
        // As above: a response that cannot be written is missed by nobody.
        Ended::Answered => drop(output.send(&wait.response)),
        Ended::Cancelled => {}
    }
}

fn tell(wait: &Wait, elapsed: Duration, output: &Output) -> io::Result<()> {
    let Some(token) = &wait.progress_token else {
        return Ok(());
    };
    let params = json!({
        "progressToken": token,
        "progress": elapsed.as_secs_f64(),
        "total": wait.total.as_secs_f64(),
        "message": "waiting",
    });
    output.send(&notification("notifications/progress", params))
}
