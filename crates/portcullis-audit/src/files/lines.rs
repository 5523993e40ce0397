//! The lines of one segment.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek, SeekFrom};
use std::path::Path;

use crate::line::MAX_LINE_BYTES;

const BUFFER_BYTES: usize = 128 * 1024;

/// A segment that is read line by line.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    offset: u64,
}

/// What stands at a position of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read<'a> {
    /// A line, without its line feed.
    Line(&'a [u8]),
    /// The file ends before the line does.
    Torn(&'a [u8]),
    /// More bytes than a line can have.
    TooLong,
    /// The file ends.
    End,
}

impl Lines {
    /// Reads from byte `offset` on, which must be where a line begins.
    pub(crate) fn open(path: &Path, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, file),
            line: Vec::new(),
            offset,
        })
    }

    /// Where the next line begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the file ends here.
    pub(crate) fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.reader.fill_buf()?.is_empty())
    }

    /// Reads the next line. Nothing can be read after a torn line or one that is too long.
    pub(crate) fn read(&mut self) -> io::Result<Read<'_>> {
        self.line.clear();
        let bound = u64::try_from(MAX_LINE_BYTES)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let read = self
            .reader
            .by_ref()
            .take(bound)
            .read_until(b'\n', &mut self.line)?;
        self.offset += u64::try_from(read).unwrap_or(0);
        Ok(match self.line.strip_suffix(b"\n") {
            Some(line) => Read::Line(line),
            None if self.line.is_empty() => Read::End,
            None if self.line.len() > MAX_LINE_BYTES => Read::TooLong,
            None => Read::Torn(&self.line),
        })
    }
}
