//! What waits for a collector, and the two tasks that send it.

use super::collector::{Sender, Sent};
use super::series::Series;
use super::span::{Span, request};
use crate::clock;
use crate::telemetry::Exported;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

/// How often a batch is sent again, and how long is waited before the first time; doubling.
const RETRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Spans that wait to be sent: bounded.
#[derive(Debug)]
pub(super) struct Queue {
    spans: Mutex<Vec<Span>>,
    most: usize,
    batch: usize,
    /// There is a whole batch.
    full: Notify,
    counted: Exported,
}

impl Queue {
    pub(super) fn new(most: usize, batch: usize, counted: &Exported) -> Self {
        Self {
            spans: Mutex::default(),
            most,
            batch,
            full: Notify::new(),
            counted: counted.clone(),
        }
    }

    /// Takes spans; those that find no room are counted and dropped.
    pub(super) fn push(&self, mut spans: impl Iterator<Item = Span>) {
        let is_full = {
            let mut held = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
            let room = self.most.saturating_sub(held.len());
            held.extend(spans.by_ref().take(room));
            held.len() >= self.batch
        };
        let dropped = u64::try_from(spans.count()).unwrap_or(u64::MAX);
        if dropped > 0 {
            self.counted.spans("dropped", dropped);
        }
        if is_full {
            self.full.notify_one();
        }
    }

    /// The spans that have waited longest, and whether there is a whole batch more.
    fn take(&self) -> (Vec<Span>, bool) {
        let mut held = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.len().min(self.batch);
        let taken = held.drain(..count).collect();
        (taken, held.len() >= self.batch)
    }
}

/// Sends spans in batches until it is told to end, and then what is left.
pub(super) async fn send_spans(
    queue: Arc<Queue>,
    sender: Sender,
    resource: Arc<[(String, String)]>,
    (delay, ending): (Duration, CancellationToken),
) {
    loop {
        tokio::select! {
            () = sleep(delay) => {}
            () = queue.full.notified() => {}
            () = ending.cancelled() => {}
        }
        let is_last = ending.is_cancelled();
        loop {
            let (spans, is_more) = queue.take();
            let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
            if count == 0 {
                break;
            }
            let body = request(&resource, &spans);
            drop(spans);
            let is_taken = send(&sender, body, &ending).await;
            let outcome = if is_taken { "exported" } else { "failed" };
            queue.counted.spans(outcome, count);
            if !is_more && !is_last {
                break;
            }
        }
        if is_last {
            return;
        }
    }
}

/// Sends a batch, again if that may help and the gateway does not end.
async fn send(sender: &Sender, body: Vec<u8>, ending: &CancellationToken) -> bool {
    let body = body.into();
    let mut pause = PAUSE;
    for _ in 0..RETRIES {
        match sender.send(&body).await {
            Sent::Taken => return true,
            Sent::Refused => return false,
            Sent::NotNow if ending.is_cancelled() => return false,
            Sent::NotNow => {}
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = ending.cancelled() => {}
        }
        pause *= 2;
    }
    sender.send(&body).await == Sent::Taken
}

/// Sends the series at every interval, and once more when it is told to end.
pub(super) async fn send_series(
    series: Arc<Series>,
    sender: Sender,
    resource: Arc<[(String, String)]>,
    (every, ending): (Duration, CancellationToken),
) {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = ending.cancelled() => {}
        }
        let is_last = ending.is_cancelled();
        let body = series.request(&resource, clock::now());
        // They only grow: what was not taken is in the next ones.
        sender.send(&body.into()).await;
        if is_last {
            return;
        }
    }
}
