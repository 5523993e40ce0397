//! The lines of a log from the last to the first, read block by block.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Cursor;
use crate::files::{segment_name, segments};
use crate::line::MAX_LINE_BYTES;

const BLOCK_BYTES: usize = 64 * 1024;

/// A reader of lines from the end of a log.
#[derive(Debug)]
pub(super) struct Backwards {
    dir: PathBuf,
    segments: Vec<u64>,
    current: Option<Tail>,
    end: Cursor,
}

/// The part of a segment that was not given yet.
#[derive(Debug)]
struct Tail {
    segment: u64,
    file: File,
    /// Where `block` begins in the file.
    start: u64,
    /// Bytes up to the end of the line that is next.
    block: Vec<u8>,
}

impl Backwards {
    /// Begins at the last whole line of the log.
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        Self::before(dir, u64::MAX)
    }

    /// Begins at the last line of the segments that begin before record `before`.
    pub(super) fn before(dir: &Path, before: u64) -> io::Result<Self> {
        let mut segments = segments(dir)?.firsts;
        segments.retain(|first| *first < before);
        let end = Cursor {
            segment: segments.last().copied().unwrap_or(0),
            offset: 0,
        };
        let mut found = Self {
            dir: dir.to_owned(),
            segments,
            current: None,
            end,
        };
        if found.advance()?
            && let Some(tail) = &found.current
        {
            found.end.offset = tail.end();
        }
        Ok(found)
    }

    /// Where the last whole line ends.
    pub(super) fn end(&self) -> Cursor {
        self.end
    }

    /// The line before: its segment, its offset and its bytes without the line feed.
    pub(super) fn read(&mut self) -> io::Result<Option<(u64, u64, Vec<u8>)>> {
        loop {
            let Some(tail) = &mut self.current else {
                return Ok(None);
            };
            if let Some((offset, line)) = tail.read()? {
                return Ok(Some((tail.segment, offset, line)));
            }
            if !self.advance()? {
                self.current = None;
            }
        }
    }

    fn advance(&mut self) -> io::Result<bool> {
        let Some(segment) = self.segments.pop() else {
            return Ok(false);
        };
        let file = File::open(self.dir.join(segment_name(segment)))?;
        let start = file.metadata()?.len();
        let mut tail = Tail {
            segment,
            file,
            start,
            block: Vec::new(),
        };
        tail.skip_torn()?;
        self.current = Some(tail);
        Ok(true)
    }
}

impl Tail {
    fn end(&self) -> u64 {
        self.start + u64::try_from(self.block.len()).unwrap_or(0)
    }

    /// Drops what stands behind the last line feed.
    fn skip_torn(&mut self) -> io::Result<()> {
        loop {
            if let Some(at) = self.block.iter().rposition(|byte| *byte == b'\n') {
                self.block.truncate(at + 1);
                return Ok(());
            }
            self.block.clear();
            if !self.grow()? {
                return Ok(());
            }
        }
    }

    fn read(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        loop {
            let before = self.block.strip_suffix(b"\n").unwrap_or(&self.block);
            let at = before
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map(|at| at + 1);
            let at = if self.start == 0 && !self.block.is_empty() {
                at.or(Some(0))
            } else {
                at
            };
            if let Some(at) = at {
                let mut line = self.block.split_off(at);
                line.pop();
                return Ok(Some((self.end(), line)));
            }
            if self.block.len() > MAX_LINE_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if !self.grow()? {
                return Ok(None);
            }
        }
    }

    /// Puts the block before this one in front of it; `false` at the beginning of the file.
    fn grow(&mut self) -> io::Result<bool> {
        let bytes = usize::try_from(self.start)
            .unwrap_or(usize::MAX)
            .min(BLOCK_BYTES);
        if bytes == 0 {
            return Ok(false);
        }
        let mut block = vec![0; bytes];
        let start = self.start - u64::try_from(bytes).unwrap_or(0);
        self.file.read_exact_at(&mut block, start)?;
        block.append(&mut self.block);
        (self.start, self.block) = (start, block);
        Ok(true)
    }
}
