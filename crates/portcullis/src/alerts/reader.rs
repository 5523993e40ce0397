//! Reads the audit log as it grows, and finds what is to be told.

use super::finding::{Due, about, due};
use super::place::{Mark, Reached};
use memchr::memmem;
use portcullis_audit::{
    Cursor, Filter, Record, Stamp, oldest_first, read_line, segment_name, since, tail,
};
use portcullis_core::alert::{Occurrence, Told, Verdict, Wanted, is_event};
use portcullis_core::time::Timestamp;
use std::hash::RandomState;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How often a place is written down at which nothing was told.
const WRITE_DOWN: Duration = Duration::from_secs(5);
const EVENT: &[u8] = b"\"event\":\"";

/// Reads for one destination.
pub(super) struct Reader {
    log: PathBuf,
    mark: Mark,
    wanted: Wanted,
    told: Told,
    hasher: RandomState,
    /// Where the lines begin that were read last.
    reached: Reached,
    /// Where those end.
    next: Cursor,
    written: Instant,
}

/// What was found in some lines.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) due: Vec<Due>,
    /// Alerts beyond what is wanted in a minute.
    pub(super) too_many: u64,
    /// Whether records were removed before they were read.
    pub(super) has_gap: bool,
    /// Whether there was nothing to read.
    pub(super) is_end: bool,
}

impl Reader {
    /// Begins where the last one ended, or at the end of the log.
    pub(super) fn open(log: PathBuf, mark: Mark, wanted: Wanted) -> anyhow::Result<Self> {
        let reached = match mark.read()? {
            Some(reached) => reached,
            None => Reached::new(tail(&log, NO_LINES)?.1, TOLD_NOTHING),
        };
        mark.write(reached)?;
        Ok(Self {
            log,
            mark,
            wanted,
            told: Told::default(),
            hasher: RandomState::new(),
            next: reached.cursor(),
            reached,
            written: Instant::now(),
        })
    }

    /// The lines before were told: reads those that come next.
    pub(super) fn read(&mut self) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        let before = Reached::new(self.next, self.reached.told);
        if before != self.reached {
            self.reached = before;
            if self.written.elapsed() >= WRITE_DOWN {
                self.write()?;
            }
        }
        if !is_there(&self.log, self.next)? {
            batch.has_gap = true;
            self.next = first(&self.log)?;
            self.reached = Reached::new(self.next, self.reached.told);
        }
        let lines = since(&self.log, &mut self.next)?;
        batch.is_end = lines.is_empty();
        for line in lines {
            self.judge(line.as_bytes(), &mut batch);
        }
        Ok(batch)
    }

    /// This record was told, or given up.
    pub(super) fn told(&mut self, seq: u64) -> anyhow::Result<()> {
        self.reached.told = Some(seq);
        self.write()
    }

    /// The lines before were told, and nobody reads on.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        self.reached = Reached::new(self.next, self.reached.told);
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.written = Instant::now();
        self.mark.write(self.reached)
    }

    fn judge(&mut self, line: &[u8], batch: &mut Batch) {
        if !self.is_worth_reading(line) {
            return;
        }
        let Some((seq, stamp, record)) = read_line(line) else {
            return tracing::warn!("a line of the audit log is no record: run `audit verify`");
        };
        match self.verdict(&record, stamp) {
            Verdict::Alert(alert) if self.reached.told.is_none_or(|told| told < seq) => {
                batch.due.push(due(line, (seq, stamp), &record, &alert));
            }
            Verdict::TooMany => batch.too_many += 1,
            Verdict::Alert(_) | Verdict::Usual | Verdict::Repeated => {}
        }
    }

    fn verdict(&mut self, record: &Record, stamp: Stamp) -> Verdict {
        let seen = Occurrence {
            event: record.event.as_str(),
            reason: record.reason.as_ref().map(|reason| reason.as_str()),
            by: record.detail.get("by"),
            about: about(&self.hasher, record),
            time: Timestamp::from_micros(stamp.time),
        };
        self.told.judge(&seen, &self.wanted)
    }

    /// Cost for the usual line: a search for its event, and a look at two short lists.
    fn is_worth_reading(&self, line: &[u8]) -> bool {
        // No text of a client stands before the event.
        let Some(at) = memmem::find(line, EVENT) else {
            return false;
        };
        let rest = line.get(at + EVENT.len()..).unwrap_or_default();
        let end = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        let event = rest.get(..end).unwrap_or_default();
        let event = std::str::from_utf8(event).unwrap_or_default();
        let is_named = |name: &String| name.split('/').next() == Some(event);
        is_event(event) || self.wanted.events.iter().any(is_named)
    }
}

const NO_LINES: usize = 0;
const TOLD_NOTHING: Option<u64> = None;

/// Whether the log still has what comes after `cursor`.
fn is_there(log: &Path, cursor: Cursor) -> std::io::Result<bool> {
    match std::fs::metadata(log.join(segment_name(cursor.segment))) {
        Ok(found) => Ok(found.len() >= cursor.offset),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where the log begins now.
fn first(log: &Path) -> anyhow::Result<Cursor> {
    let found = oldest_first(log, Filter::default())?.next().transpose()?;
    Ok(found.map_or(
        Cursor {
            segment: 0,
            offset: 0,
        },
        |found| Cursor {
            segment: found.segment,
            offset: found.offset,
        },
    ))
}
