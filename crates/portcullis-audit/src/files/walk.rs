//! All lines of a log, from segment to segment.

use std::io;
use std::path::{Path, PathBuf};

use super::{Lines, Read, segment_name};

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number in the name of the segment.
    pub segment: u64,
    /// The line in the segment, from 1.
    pub line: u64,
    /// The byte of the segment at which the line begins.
    pub offset: u64,
    /// How many bytes it has with its line feed.
    pub bytes: u64,
}

/// A reader of a whole log. The next segment is the one whose name says the next record.
#[derive(Debug)]
pub(crate) struct Walk {
    dir: PathBuf,
    lines: Option<Lines>,
    place: Place,
    next: u64,
}

/// What a [`Walk`] comes upon.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A line, without its line feed.
    Line(Place, &'a [u8]),
    /// An unfinished line at the end of a segment.
    Torn(Place, &'a [u8]),
    /// More bytes than a line can have.
    TooLong(Place),
    /// No further segment.
    End(Place),
}

impl Walk {
    /// Reads from the segment that begins with record `segment` on.
    pub(crate) fn new(dir: &Path, segment: u64) -> Self {
        Self::at(
            dir,
            Place {
                segment,
                line: 0,
                offset: 0,
                bytes: 0,
            },
            segment,
        )
    }

    /// Reads on after `last`, the place of the record before `next`.
    pub(crate) fn at(dir: &Path, last: Place, next: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            lines: None,
            place: last,
            next,
        }
    }

    /// Goes on by one line.
    pub(crate) fn step(&mut self) -> io::Result<Step<'_>> {
        if !self.advance()? {
            let Place {
                segment,
                line,
                offset,
                bytes,
            } = self.place;
            return Ok(Step::End(Place {
                segment,
                line: line + 1,
                offset: offset + bytes,
                bytes: 0,
            }));
        }
        let Some(lines) = self.lines.as_mut() else {
            return Ok(Step::End(self.place));
        };
        let offset = lines.offset();
        let read = lines.read()?;
        let bytes = match &read {
            Read::Line(line) => line.len() + 1,
            Read::Torn(line) => line.len(),
            Read::TooLong | Read::End => 0,
        };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.place = Place {
            offset,
            bytes,
            line: self.place.line + 1,
            ..self.place
        };
        self.next += 1;
        Ok(match read {
            Read::Line(line) => Step::Line(self.place, line),
            Read::Torn(line) => Step::Torn(self.place, line),
            Read::TooLong => Step::TooLong(self.place),
            Read::End => Step::End(self.place),
        })
    }

    /// Finds the segment that holds the next line; `false` at the end of the log.
    fn advance(&mut self) -> io::Result<bool> {
        loop {
            let lines = match &mut self.lines {
                Some(lines) => lines,
                None => {
                    match self.open(self.place.segment, self.place.offset + self.place.bytes)? {
                        Some(lines) => self.lines.insert(lines),
                        None => return Ok(false),
                    }
                }
            };
            if !lines.at_end()? {
                return Ok(true);
            }
            if self.next == self.place.segment {
                return Ok(false);
            }
            let Some(lines) = self.open(self.next, 0)? else {
                return Ok(false);
            };
            self.lines = Some(lines);
            self.place = Place {
                segment: self.next,
                line: 0,
                offset: 0,
                bytes: 0,
            };
        }
    }

    fn open(&self, segment: u64, offset: u64) -> io::Result<Option<Lines>> {
        match Lines::open(&self.dir.join(segment_name(segment)), offset) {
            Ok(lines) => Ok(Some(lines)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
