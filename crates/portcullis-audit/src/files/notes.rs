//! The checkpoints file: signed notes, each followed by an empty line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::checkpoint::MAX_NOTE_BYTES;

const SIGNATURE_START: &[u8] = "\u{2014} ".as_bytes();
const BLANK: &[u8] = b"\n\n";

/// Reads the notes one after the other.
#[derive(Debug)]
pub(crate) struct Notes {
    reader: BufReader<File>,
    offset: u64,
    line: u64,
}

/// A note and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Its text and signatures, or as many bytes as a note can have.
    pub(crate) bytes: Vec<u8>,
    /// Whether the empty line after it is there.
    pub(crate) is_whole: bool,
    /// Where it begins.
    pub(crate) offset: u64,
    /// The line at which it begins, from 1.
    pub(crate) line: u64,
}

impl Notes {
    /// Reads the file at `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            reader: BufReader::new(File::open(path)?),
            offset: 0,
            line: 1,
        })
    }

    /// The next note; `None` at the end.
    pub(crate) fn read(&mut self) -> io::Result<Option<Note>> {
        let mut note = Note {
            bytes: Vec::new(),
            is_whole: false,
            offset: self.offset,
            line: self.line,
        };
        let mut blanks = 0;
        while blanks < 2 && note.bytes.len() <= MAX_NOTE_BYTES {
            let start = note.bytes.len();
            let bound = u64::try_from(MAX_NOTE_BYTES).unwrap_or(u64::MAX);
            let read = self
                .reader
                .by_ref()
                .take(bound)
                .read_until(b'\n', &mut note.bytes)?;
            if read == 0 {
                break;
            }
            self.offset += u64::try_from(read).unwrap_or(0);
            self.line += 1;
            if note.bytes.get(start..) == Some(b"\n") {
                blanks += 1;
            }
        }
        note.is_whole = blanks == 2;
        if note.is_whole {
            note.bytes.pop();
        }
        Ok((!note.bytes.is_empty()).then_some(note))
    }
}

/// The last whole note of the file and the number of bytes up to its end; reads only the file's end.
pub(crate) fn last_note(path: &Path) -> io::Result<Option<(Vec<u8>, u64)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.seek(SeekFrom::End(0))?;
    let window = u64::try_from(3 * MAX_NOTE_BYTES).unwrap_or(u64::MAX);
    let start = file.seek(SeekFrom::Start(length.saturating_sub(window)))?;
    let mut tail = Vec::new();
    file.take(window).read_to_end(&mut tail)?;
    Ok(last_in(&tail).map(|(note, end)| (note, start + u64::try_from(end).unwrap_or(0))))
}

fn last_in(tail: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut rest = tail;
    loop {
        let (before, _) = rest.split_at_checked(last_blank(rest)?)?;
        let (text, signatures) = before.split_at_checked(last_blank(before)? + BLANK.len())?;
        if signatures.starts_with(SIGNATURE_START) {
            let text = text.strip_suffix(b"\n")?;
            let (_, text) =
                text.split_at_checked(last_blank(text).map_or(0, |at| at + BLANK.len()))?;
            return Some((
                [text, b"\n", signatures, b"\n"].concat(),
                before.len() + BLANK.len(),
            ));
        }
        rest = before;
    }
}

fn last_blank(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(BLANK.len())
        .rposition(|window| window == BLANK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "o\n1\nr\n\n— k s\n";
    const SECOND: &str = "o\n2\nr\n\n— k s\n— w t\n";

    #[test]
    fn notes_are_read_one_by_one_and_from_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints");
        assert_eq!(last_note(&path).unwrap(), None);
        let rows = [
            ("", 2, true),
            ("o\n3\nr\n", 3, false),
            ("o\n3\nr\n\n— k", 3, false),
            ("o\n3\nr\n\n— k s\n", 3, false),
        ];
        for (torn, count, is_whole) in rows {
            let whole = format!("{FIRST}\n{SECOND}\n");
            std::fs::write(&path, format!("{whole}{torn}")).unwrap();
            let mut notes = Notes::open(&path).unwrap();
            let found: Vec<Note> = std::iter::from_fn(|| notes.read().unwrap()).collect();
            assert_eq!(found.len(), count);
            assert_eq!(found[0].bytes, FIRST.as_bytes());
            assert_eq!(found[1].bytes, SECOND.as_bytes());
            assert_eq!(
                (found[1].line, found[1].offset),
                (7, FIRST.len() as u64 + 1)
            );
            assert_eq!(found.last().unwrap().is_whole, is_whole);
            let (last, end) = last_note(&path).unwrap().unwrap();
            assert_eq!(
                (last, end),
                (SECOND.as_bytes().to_vec(), whole.len() as u64),
                "{torn:?}"
            );
        }
    }
}
