//! `notes.json`: `{"next": 4, "notes": [{"id", "title", "text", "created_ms"}]}`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{Error, MAX_NOTES, MAX_TEXT_BYTES, MAX_TITLE_BYTES, Note};

/// More than the notes need if every byte of them is escaped.
const MAX_FILE_BYTES: u64 = 128 * 1024 * 1024;

/// All that the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// The identifier of the next note; no identifier is used twice.
    next: u64,
    /// Oldest first.
    pub(super) notes: Vec<Note>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            next: 1,
            notes: Vec::new(),
        }
    }
}

impl Kept {
    pub(super) fn push(&mut self, title: &str, text: &str, created_ms: u64) -> u64 {
        let id = self.next;
        self.next = self.next.saturating_add(1);
        self.notes.push(Note {
            id,
            title: title.to_owned(),
            text: text.to_owned(),
            created_ms,
        });
        id
    }

    fn is_sound(&self) -> bool {
        let is_bounded =
            |note: &Note| note.title.len() <= MAX_TITLE_BYTES && note.text.len() <= MAX_TEXT_BYTES;
        self.next < u64::MAX
            && self.notes.len() <= MAX_NOTES
            && self.notes.iter().all(is_bounded)
            && self.notes.last().is_none_or(|note| note.id < self.next)
            && self.notes.is_sorted_by(|one, other| one.id < other.id)
    }
}

/// Where the notes are stored, and how the file looked when this process last saw it.
#[derive(Debug)]
pub(super) struct Store {
    file: PathBuf,
    seen: Option<(u64, SystemTime)>,
}

impl Store {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            file: folder.join("notes.json"),
            seen: None,
        }
    }

    pub(super) fn exists(&self) -> io::Result<bool> {
        self.file.try_exists()
    }

    /// Reads the file unless it is as this process read or wrote it.
    pub(super) fn read_if_changed(&mut self) -> Result<Option<Kept>, Error> {
        let stamp = self.stamp()?;
        if self.seen == Some(stamp) {
            return Ok(None);
        }
        let mut text = Vec::new();
        File::open(&self.file)?
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut text)?;
        let kept = serde_json::from_slice::<Kept>(&text).map_err(|_| Error::Damaged)?;
        if !kept.is_sound() {
            return Err(Error::Damaged);
        }
        self.seen = Some(stamp);
        Ok(Some(kept))
    }

    /// Replaces the file.
    pub(super) fn write(&mut self, kept: &Kept) -> Result<(), Error> {
        let text = serde_json::to_vec(kept).map_err(io::Error::from)?;
        let next = self
            .file
            .with_extension(format!("json.{}", std::process::id()));
        if let Err(error) = replace(&self.file, &next, &text) {
            if next.try_exists()? {
                fs::remove_file(&next)?;
            }
            return Err(error.into());
        }
        self.seen = Some(self.stamp()?);
        Ok(())
    }

    fn stamp(&self) -> io::Result<(u64, SystemTime)> {
        let metadata = self.file.metadata()?;
        Ok((metadata.len(), metadata.modified()?))
    }
}

fn replace(file: &Path, next: &Path, text: &[u8]) -> io::Result<()> {
    // A new file, so that no link that waits under this name is followed.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(next)?
        .write_all(text)?;
    fs::rename(next, file)
}
