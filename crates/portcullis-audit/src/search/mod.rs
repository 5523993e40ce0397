//! Reading records: oldest first, newest first, the end of the log and what comes after it.
//!
//! Nothing here proves that a record is what was written; [`crate::verify()`] does.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Lines, Read, Step, Walk, segment_name, segments};
use crate::line::{Line, Stamp};
use crate::record::{Effect, Record, Text};

mod backwards;

use backwards::Backwards;

/// The most bytes that one call of [`since`] gives, but for its last line.
pub const MAX_SINCE_BYTES: usize = 1024 * 1024;

/// The most lines that [`tail`] gives.
pub const MAX_TAIL_LINES: usize = 10_000;

/// Why a search ended early.
#[derive(Debug, thiserror::Error)]
pub enum Unsearchable {
    /// A line is no record.
    #[error("line at byte {offset} of {segment} is no record")]
    NotARecord {
        /// The file.
        segment: String,
        /// The byte at which the line begins.
        offset: u64,
    },
    /// A file cannot be read.
    #[error("a file of the log cannot be read")]
    Io(#[from] io::Error),
}

/// What to look for: a record must have all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// How the event begins.
    pub event: Option<String>,
    /// The principal's `sub`.
    pub sub: Option<String>,
    /// The upstream server.
    pub server: Option<String>,
    /// The tool, resource or prompt.
    pub target: Option<String>,
    /// The trace id.
    pub trace: Option<String>,
    /// What the policy said.
    pub effect: Option<Effect>,
    /// The first microsecond since 1970.
    pub from: Option<u64>,
    /// The microsecond after the last.
    pub until: Option<u64>,
}

impl Filter {
    /// Whether a record has all that is asked for.
    pub fn fits(&self, found: &Found) -> bool {
        let record = &found.record;
        let is = |asked: &Option<String>, field: Option<&Text>| {
            asked
                .as_deref()
                .is_none_or(|asked| field.map(Text::as_str) == Some(asked))
        };
        let time = found.stamp.time;
        self.event
            .as_deref()
            .is_none_or(|start| record.event.as_str().starts_with(start))
            && is(
                &self.sub,
                record.principal.as_ref().map(|principal| &principal.sub),
            )
            && is(&self.server, record.server.as_ref())
            && is(&self.target, record.target.as_ref())
            && is(&self.trace, record.trace.as_ref())
            && self.effect.is_none_or(|effect| {
                record.decision.as_ref().map(|made| made.effect) == Some(effect)
            })
            && self.from.is_none_or(|from| from <= time)
            && self.until.is_none_or(|until| time < until)
    }
}

/// A record and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub seq: u64,
    /// When it was made.
    pub stamp: Stamp,
    /// What it says.
    pub record: Record,
    /// Its line, without the line feed.
    pub line: String,
    /// The number in the name of its segment.
    pub segment: u64,
    /// The byte of the segment at which it begins.
    pub offset: u64,
}

/// Records that fit a filter, one by one. Ends after the first error.
#[derive(Debug)]
pub struct Search {
    source: Source,
    filter: Filter,
    scratch: Vec<u8>,
    has_failed: bool,
}

#[derive(Debug)]
enum Source {
    Oldest(Walk),
    Newest(Backwards),
}

/// Reads from the oldest record on.
///
/// # Errors
/// If the directory cannot be read.
pub fn oldest_first(dir: &Path, filter: Filter) -> io::Result<Search> {
    let first = segments(dir)?.firsts.first().copied().unwrap_or(0);
    Ok(Search::new(Source::Oldest(Walk::new(dir, first)), filter))
}

/// Reads from the newest record back.
///
/// # Errors
/// If the directory cannot be read.
pub fn newest_first(dir: &Path, filter: Filter) -> io::Result<Search> {
    newest_before(dir, u64::MAX, filter)
}

/// The same from record `before` back, perhaps with some of its segment that come after it; later segments are not read.
///
/// # Errors
/// If the directory cannot be read.
pub fn newest_before(dir: &Path, before: u64, filter: Filter) -> io::Result<Search> {
    let backwards = Backwards::before(dir, before)?;
    Ok(Search::new(Source::Newest(backwards), filter))
}

impl Search {
    fn new(source: Source, filter: Filter) -> Self {
        Self {
            source,
            filter,
            scratch: Vec::new(),
            has_failed: false,
        }
    }

    fn read(&mut self) -> Result<Option<Found>, Unsearchable> {
        let (segment, offset, line) = match &mut self.source {
            Source::Oldest(walk) => match walk.step()? {
                Step::Line(place, line) => (place.segment, place.offset, line.to_vec()),
                Step::Torn(..) | Step::End(_) => return Ok(None),
                Step::TooLong(place) => return Err(not_a_record(place.segment, place.offset)),
            },
            Source::Newest(backwards) => match backwards.read()? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        parse(segment, offset, line, &mut self.scratch).map(Some)
    }
}

impl Iterator for Search {
    type Item = Result<Found, Unsearchable>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.has_failed {
            match self.read().transpose()? {
                Ok(found) if !self.filter.fits(&found) => {}
                Ok(found) => return Some(Ok(found)),
                Err(error) => {
                    self.has_failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn parse(
    segment: u64,
    offset: u64,
    line: Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<Found, Unsearchable> {
    let parsed =
        Line::parse(&line).and_then(|line| Some((line.seq, line.stamp, line.record(scratch)?)));
    let (seq, stamp, record) = parsed.ok_or_else(|| not_a_record(segment, offset))?;
    let line = String::from_utf8(line).map_err(|_| not_a_record(segment, offset))?;
    Ok(Found {
        seq,
        stamp,
        record,
        line,
        segment,
        offset,
    })
}

/// What a line says: its number, when it was written, and the record; none if it is no record.
pub fn read_line(line: &[u8]) -> Option<(u64, Stamp, Record)> {
    let mut scratch = Vec::new();
    let line = Line::parse(line)?;
    Some((line.seq, line.stamp, line.record(&mut scratch)?))
}

fn not_a_record(segment: u64, offset: u64) -> Unsearchable {
    Unsearchable::NotARecord {
        segment: segment_name(segment),
        offset,
    }
}

/// A position in a log from which to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The number in the name of the segment.
    pub segment: u64,
    /// The byte of it at which the next line begins.
    pub offset: u64,
}

/// The last lines of a log, the oldest first, at most [`MAX_TAIL_LINES`]; and where to go on with [`since`].
///
/// # Errors
/// If a file cannot be read.
pub fn tail(dir: &Path, lines: usize) -> io::Result<(Vec<String>, Cursor)> {
    let mut backwards = Backwards::new(dir)?;
    let cursor = backwards.end();
    let mut found = Vec::new();
    while found.len() < lines.min(MAX_TAIL_LINES) {
        let Some((_, _, line)) = backwards.read()? else {
            break;
        };
        found.push(String::from_utf8_lossy(&line).into_owned());
    }
    found.reverse();
    Ok((found, cursor))
}

/// The lines after `cursor`, which is moved; none if there is nothing new yet.
///
/// # Errors
/// If a file cannot be read.
pub fn since(dir: &Path, cursor: &mut Cursor) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut bytes = 0;
    loop {
        let path: PathBuf = dir.join(segment_name(cursor.segment));
        let next = segments(dir)?
            .firsts
            .into_iter()
            .find(|first| *first > cursor.segment);
        let mut lines = match Lines::open(&path, cursor.offset) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        while bytes < MAX_SINCE_BYTES {
            let Read::Line(line) = lines.read()? else {
                break;
            };
            bytes += line.len();
            found.push(String::from_utf8_lossy(line).into_owned());
            cursor.offset = lines.offset();
        }
        // INVARIANT: a segment that has a successor is whole, so its end was seen after it was written.
        match next {
            Some(segment) if bytes < MAX_SINCE_BYTES => *cursor = Cursor { segment, offset: 0 },
            Some(_) | None => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests;
