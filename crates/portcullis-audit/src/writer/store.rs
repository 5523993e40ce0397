//! The segment that is appended to.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::state::End;
use crate::files::{Place, append, create, is_for_now, segment_name};
use crate::hash::{Hash, sha256};
use crate::line::{self, Stamp};

/// A batch was written in part, and its part could not be cut back.
#[derive(Debug, thiserror::Error)]
#[error("a part of a line stands at the end of the segment")]
struct Uncut {
    #[source]
    error: io::Error,
}

/// The end of a log and the file that holds it.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    file: Arc<File>,
    segment: u64,
    /// How many bytes of the segment are written.
    length: u64,
    end: End,
    /// Lines that are not written yet.
    batch: Vec<u8>,
    /// A zero byte and the last line: what a leaf is the hash of.
    leaf: Vec<u8>,
    /// The leaf hashes that the keeper does not have yet.
    leaves: Vec<Hash>,
}

impl Store {
    /// Goes on after `end`.
    pub(super) fn open(dir: &Path, end: End) -> io::Result<Self> {
        let Place {
            segment,
            line: _,
            offset,
            bytes,
        } = end.last;
        let file = Arc::new(append(&dir.join(segment_name(segment)))?);
        let length = offset + bytes;
        let (batch, leaf) = (Vec::new(), vec![0]);
        Ok(Self {
            dir: dir.to_owned(),
            file,
            segment,
            length,
            end,
            batch,
            leaf,
            leaves: Vec::new(),
        })
    }

    /// Adds a record to the batch and gives its number.
    pub(super) fn push(&mut self, clock: u64, body: &[u8]) -> u64 {
        let seq = self.end.frontier.size();
        let stamp = Stamp::new(clock, self.end.newest);
        self.leaf.truncate(1);
        line::write(seq, stamp, body, &self.end.head, &mut self.leaf);
        let leaf = sha256(&self.leaf);
        let line = self.leaf.split_first().map_or(&[][..], |(_, line)| line);
        self.end.push(line, leaf, stamp.time);
        let bytes = u64::try_from(line.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let offset = self.end.last.offset + self.end.last.bytes;
        let (line_number, offset) = if self.end.last.segment == self.segment {
            (self.end.last.line + 1, offset)
        } else {
            (1, 0)
        };
        self.end.last = Place {
            segment: self.segment,
            line: line_number,
            offset,
            bytes,
        };
        self.batch.extend_from_slice(line);
        self.batch.push(b'\n');
        self.leaves.push(leaf);
        seq
    }

    /// How many bytes wait to be written.
    pub(super) fn pending_bytes(&self) -> usize {
        self.batch.len()
    }

    /// Writes the batch with one call. After an error the file is as it was before, if it can be.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Err(error) = (&*self.file).write_all(&self.batch) {
            // What cannot be cut back now is cut off when the log is opened again.
            let kept = self.file.set_len(self.length);
            return Err(if kept.is_ok() {
                error
            } else {
                io::Error::other(Uncut { error })
            });
        }
        self.length += u64::try_from(self.batch.len()).unwrap_or(0);
        self.batch.clear();
        Ok(())
    }

    /// Begins the next segment, before which all of this one is made durable; says whether there is one. Without
    /// descriptors this one goes on for now.
    pub(super) fn rotate(&mut self) -> io::Result<bool> {
        self.file.sync_data()?;
        let segment = self.end.frontier.size();
        let opened = File::open(&self.dir)
            .and_then(|folder| Ok((folder, create(&self.dir.join(segment_name(segment)))?)));
        let (folder, file) = match opened {
            Err(error) if is_for_now(&error) => return Ok(false),
            opened => opened?,
        };
        folder.sync_all()?;
        self.file = Arc::new(file);
        self.segment = segment;
        self.length = 0;
        Ok(true)
    }

    /// How long the segment is.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The end of the log.
    pub(super) fn end(&self) -> &End {
        &self.end
    }

    /// The file that is written to.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Hands over the leaf hashes since the last call.
    pub(super) fn take_leaves(&mut self) -> Vec<Hash> {
        std::mem::take(&mut self.leaves)
    }

    /// The same log with another file to write to.
    #[cfg(test)]
    pub(super) fn into_file(self, file: File) -> Self {
        Self {
            file: Arc::new(file),
            ..self
        }
    }
}
