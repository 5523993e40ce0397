//! Which notes are there? Kept in memory and, whole, in `notes.json`.
//!
//! The file is replaced by renaming, so that a reader sees the old notes or the new ones. If another
//! process replaced it, it is read again before the next use; of two changes at the same moment the
//! later one stays.

mod file;
mod search;

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use search::Match;

/// The number of notes that are kept.
pub(crate) const MAX_NOTES: usize = 1000;
/// The longest text of a note.
pub(crate) const MAX_TEXT_BYTES: usize = 16 * 1024;
/// The longest title of a note.
pub(crate) const MAX_TITLE_BYTES: usize = 200;

/// One note, as it stands in `notes.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) id: u64,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) created_ms: u64,
}

/// Why notes cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No note has the identifier.
    #[error("there is no note with this id; notes_list shows the ids")]
    Missing,
    /// [`MAX_NOTES`] are kept already.
    #[error("there are 1000 notes already; delete one first")]
    Full,
    /// The file is not what this server wrote.
    #[error("notes.json is damaged")]
    Damaged,
    /// The file cannot be read or written.
    #[error("notes.json cannot be read or written")]
    Storage(#[from] io::Error),
}

/// The notes of one folder.
#[derive(Debug)]
pub(crate) struct Notes {
    file: file::Store,
    kept: file::Kept,
}

impl Notes {
    /// Reads the notes of a folder; makes a few if there is no file yet.
    pub(crate) fn open(folder: &Path, now_ms: u64) -> Result<Self, Error> {
        let mut notes = Self {
            file: file::Store::new(folder),
            kept: file::Kept::default(),
        };
        if notes.file.exists()? {
            notes.refresh()?;
            return Ok(notes);
        }
        for (title, text) in SAMPLES {
            notes.kept.push(title, text, now_ms);
        }
        notes.file.write(&notes.kept)?;
        Ok(notes)
    }

    /// All notes, oldest first.
    pub(crate) fn all(&mut self) -> Result<&[Note], Error> {
        self.refresh()?;
        Ok(&self.kept.notes)
    }

    /// One note.
    pub(crate) fn find(&mut self, id: u64) -> Result<&Note, Error> {
        self.all()?
            .iter()
            .find(|note| note.id == id)
            .ok_or(Error::Missing)
    }

    /// The notes that hold a word of `query`, best first.
    pub(crate) fn search(&mut self, query: &str, limit: usize) -> Result<Vec<Match>, Error> {
        Ok(search::search(self.all()?, query, limit))
    }

    /// Stores a note and returns its identifier; the caller has checked the lengths.
    pub(crate) fn add(&mut self, title: &str, text: &str, now_ms: u64) -> Result<u64, Error> {
        self.refresh()?;
        if self.kept.notes.len() >= MAX_NOTES {
            return Err(Error::Full);
        }
        let id = self.kept.push(title, text, now_ms);
        self.file.write(&self.kept).inspect_err(|_| {
            self.kept.notes.pop();
        })?;
        Ok(id)
    }

    /// Removes a note and returns it.
    pub(crate) fn delete(&mut self, id: u64) -> Result<Note, Error> {
        self.refresh()?;
        let place = self
            .kept
            .notes
            .iter()
            .position(|note| note.id == id)
            .ok_or(Error::Missing)?;
        let note = self.kept.notes.remove(place);
        if let Err(error) = self.file.write(&self.kept) {
            self.kept.notes.insert(place, note);
            return Err(error);
        }
        Ok(note)
    }

    fn refresh(&mut self) -> Result<(), Error> {
        if let Some(kept) = self.file.read_if_changed()? {
            self.kept = kept;
        }
        Ok(())
    }
}

const SAMPLES: [(&str, &str); 3] = [
    (
        "Welcome",
        "This server keeps notes and reads files of one folder.\n\
         Add a note with notes_add, find it with notes_search.",
    ),
    (
        "Release checklist",
        "1. Run the tests.\n2. Update the changelog.\n3. Ask for an approval before the release.",
    ),
    (
        "Lunch on Thursday",
        "Meet at noon. The invoice for the last lunch is still open: 42 euros.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_notes_over_a_restart_and_never_reuses_an_id() {
        let folder = tempfile::tempdir().unwrap();
        let mut notes = Notes::open(folder.path(), 5).unwrap();
        assert_eq!(notes.all().unwrap().len(), SAMPLES.len());
        let id = notes.add("t", "x", 6).unwrap();
        notes.delete(id).unwrap();
        let mut again = Notes::open(folder.path(), 7).unwrap();
        assert_eq!(again.all().unwrap(), notes.all().unwrap());
        assert_eq!(again.add("t", "x", 6).unwrap(), id + 1);
        assert_eq!(notes.find(id + 1).unwrap().text, "x");
        assert!(matches!(notes.delete(id), Err(Error::Missing)));
    }

    #[test]
    fn keeps_at_most_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let mut notes = Notes::open(folder.path(), 0).unwrap();
        while notes.kept.notes.len() < MAX_NOTES - 1 {
            notes.kept.push("t", "x", 0);
        }
        notes.add("last", "x", 0).unwrap();
        assert!(matches!(notes.add("over", "x", 0), Err(Error::Full)));
        assert_eq!(
            Notes::open(folder.path(), 0).unwrap().all().unwrap().len(),
            MAX_NOTES
        );
    }

    #[test]
    fn refuses_a_damaged_file_and_leaves_it() {
        let wrong = [
            "",
            "[]",
            r#"{"next": 1, "notes": [{"id": 1, "title": "", "text": "", "created_ms": 0}]}"#,
        ];
        for text in wrong {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("notes.json");
            std::fs::write(&file, text).unwrap();
            assert!(
                matches!(Notes::open(folder.path(), 0), Err(Error::Damaged)),
                "{text}"
            );
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
    }
}
