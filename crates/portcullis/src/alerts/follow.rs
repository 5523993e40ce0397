//! Tells one destination until it is configured no more or the gateway drains: in the order of the log, each until it
//! has arrived or is too old.

use super::finding::Due;
use super::reader::{Batch, Reader};
use super::{Destination, Undelivered};
use crate::record::note;
use crate::relay::Gateway;
use crate::{clock, random};
use portcullis_audit::Record;
use portcullis_core::alert::is_about_alerts;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// How often it is recorded that alerts were left out.
const TELL: Duration = Duration::from_secs(10);

pub(super) async fn follow(
    gateway: Arc<Gateway>,
    destination: Destination,
    mut reader: Reader,
    stop: CancellationToken,
) {
    let mut course = Course {
        gateway,
        destination,
        stop,
        failures: 0,
        too_many: 0,
        told: None,
    };
    loop {
        let Some((next, batch)) = course.read(reader).await else {
            return;
        };
        reader = next;
        course.leave_out(&batch);
        for due in &batch.due {
            if course.deliver(due).await == Came::Stopped {
                return;
            }
            let Some(next) = course.keep(reader, due.seq).await else {
                return;
            };
            reader = next;
        }
        if batch.is_end && course.rests(LOOK).await == Came::Stopped {
            return close(reader).await;
        }
    }
}

/// Writes down how far it came; without that, the next one reads a little again.
async fn close(reader: Reader) {
    match spawn_blocking(move || reader.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "it is not remembered how far alerts were sent"),
        Err(error) => tracing::error!(%error, "it is not remembered how far alerts were sent"),
    }
}

/// Whether it goes on.
#[derive(PartialEq, Eq)]
enum Came {
    Done,
    Stopped,
}

struct Course {
    gateway: Arc<Gateway>,
    destination: Destination,
    stop: CancellationToken,
    /// In a row.
    failures: u32,
    /// Left out and not recorded yet.
    too_many: u64,
    /// When that was recorded last.
    told: Option<Instant>,
}

impl Course {
    async fn rests(&self, pause: Duration) -> Came {
        tokio::select! {
            () = self.stop.cancelled() => Came::Stopped,
            () = sleep(pause) => Came::Done,
        }
    }

    /// Reads on, until it can be read.
    async fn read(&self, mut reader: Reader) -> Option<(Reader, Batch)> {
        loop {
            let reading = spawn_blocking(move || {
                let batch = reader.read();
                (reader, batch)
            });
            let (next, batch) = reading.await.ok()?;
            reader = next;
            match batch {
                Ok(batch) => return Some((reader, batch)),
                Err(error) => tracing::error!(%error, "the audit log cannot be read for alerts"),
            }
            if self.rests(MAX_PAUSE).await == Came::Stopped {
                return None;
            }
        }
    }

    /// Writes down that a record was told. If that fails, it is told again by the next process.
    async fn keep(&self, mut reader: Reader, seq: u64) -> Option<Reader> {
        let keeping = spawn_blocking(move || {
            let kept = reader.told(seq);
            (reader, kept)
        });
        let (reader, kept) = keeping.await.ok()?;
        if let Err(error) = kept {
            tracing::error!(%error, "it is not remembered which alerts were sent");
        }
        Some(reader)
    }

    async fn deliver(&mut self, due: &Due) -> Came {
        loop {
            let destination = &self.destination;
            if clock::now().since(due.at) > destination.give_up_after {
                self.too_old(due);
                return Came::Done;
            }
            let sent = tokio::select! {
                () = self.stop.cancelled() => return Came::Stopped,
                sent = destination.send(due) => sent,
            };
            match sent {
                Ok(()) => {
                    self.arrived();
                    return Came::Done;
                }
                Err(why) => self.failed(why),
            }
            if self.rests(self.pause()).await == Came::Stopped {
                return Came::Stopped;
            }
        }
    }

    fn arrived(&mut self) {
        let name = &self.destination.name;
        self.gateway.counters.alerted(name, "sent", 1);
        if self.failures > 0 {
            self.note("alert.recovered", None, None);
        }
        self.failures = 0;
    }

    fn failed(&mut self, why: Undelivered) {
        let name = &self.destination.name;
        self.gateway.counters.alerted(name, "failed", 1);
        if self.failures == 0 {
            tracing::warn!(destination = %name, %why, "an alert could not be sent; it is tried again");
            self.note("alert.failed", Some(why.word()), None);
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Twice as long each time, and never all at once with others.
    fn pause(&self) -> Duration {
        let times = self.failures.saturating_sub(1).min(5);
        let pause = (FIRST_PAUSE * 2_u32.pow(times)).min(MAX_PAUSE);
        let [random] = random::bytes().unwrap_or([u8::MAX]);
        pause / 2 + pause.mul_f64(f64::from(random) / 510.0)
    }

    /// Counts what is not told, and records it from time to time.
    fn leave_out(&mut self, batch: &Batch) {
        if batch.has_gap {
            self.note("alert.dropped", Some("log_removed"), None);
        }
        self.too_many += batch.too_many;
        let is_due = self.told.is_none_or(|told| told.elapsed() >= TELL);
        if self.too_many > 0 && is_due {
            self.dropped("too_many", self.too_many);
            self.too_many = 0;
            self.told = Some(Instant::now());
        }
    }

    fn too_old(&self, due: &Due) {
        if is_about_alerts(&due.rule) {
            let name = &self.destination.name;
            self.gateway.counters.alerted(name, "dropped", 1);
        } else {
            self.dropped("too_old", 1);
        }
    }

    fn dropped(&self, reason: &'static str, count: u64) {
        let name = &self.destination.name;
        self.gateway.counters.alerted(name, "dropped", count);
        self.note("alert.dropped", Some(reason), Some(count));
    }

    fn note(&self, event: &'static str, reason: Option<&'static str>, count: Option<u64>) {
        let mut record = Record::new(event);
        record.reason = reason.map(Into::into);
        record
            .detail
            .set("destination", self.destination.name.as_str());
        if let Some(count) = count {
            record.detail.set("count", count.to_string().as_str());
        }
        note(&self.gateway.recorder, record);
    }
}
