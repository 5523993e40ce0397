//! The signed notes of an audit log, as they were written.

use anyhow::{Context as _, bail};
use portcullis_audit::{CHECKPOINTS, MAX_NOTE_BYTES};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

/// The last one, if there is one.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn newest(log: &Path) -> anyhow::Result<Option<String>> {
    last(log, |_| true)
}

/// The last one of which that is so.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn last(log: &Path, is_meant: impl Fn(&str) -> bool) -> anyhow::Result<Option<String>> {
    let path = log.join(CHECKPOINTS);
    let unread = || format!("cannot read {}", path.display());
    let mut notes = BufReader::new(File::open(&path).with_context(unread)?);
    let mut found = None;
    while let Some(note) = next_note(&mut notes).with_context(unread)? {
        if is_meant(&note) {
            found = Some(note);
        }
    }
    Ok(found)
}

/// A text, an empty line and signatures, which an empty line ends; an unfinished note is none.
fn next_note(notes: &mut BufReader<File>) -> anyhow::Result<Option<String>> {
    let (mut note, mut blanks) = (String::new(), 0);
    while blanks < 2 {
        let start = note.len();
        notes
            .by_ref()
            .take(u64::try_from(MAX_NOTE_BYTES)?)
            .read_line(&mut note)?;
        if note.len() > MAX_NOTE_BYTES {
            bail!("there is something that is no checkpoint");
        }
        if !note.ends_with('\n') {
            return Ok(None);
        }
        blanks += usize::from(note.get(start..) == Some("\n"));
    }
    note.pop();
    Ok(Some(note))
}
