//! How far a destination was told, on the disk.

use crate::keys::{private_directory, replace_private};
use anyhow::Context as _;
use portcullis_audit::Cursor;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Longer than any that was written.
const MAX_BYTES: u64 = 1024;

/// The file that says so.
#[derive(Debug)]
pub(super) struct Mark(PathBuf);

/// From where the log is read, and what of it was told already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    segment: u64,
    offset: u64,
    /// The number of the last record that was told, or given up; what comes before it was too.
    pub(super) told: Option<u64>,
}

impl Reached {
    pub(super) const fn new(cursor: Cursor, told: Option<u64>) -> Self {
        Self {
            segment: cursor.segment,
            offset: cursor.offset,
            told,
        }
    }

    pub(super) const fn cursor(self) -> Cursor {
        Cursor {
            segment: self.segment,
            offset: self.offset,
        }
    }
}

impl Mark {
    pub(super) fn at(directory: &Path, name: &str) -> Self {
        Self(directory.join(format!("{name}.json")))
    }

    /// What it says; none if there is none yet.
    ///
    /// # Errors
    /// If it cannot be read: nobody knows what was told then.
    pub(super) fn read(&self) -> anyhow::Result<Option<Reached>> {
        let wrong = || {
            format!(
                "{} does not say how far alerts were told; remove it to begin at the end of the log",
                self.0.display()
            )
        };
        match std::fs::metadata(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Ok(found) if found.len() > MAX_BYTES => anyhow::bail!(wrong()),
            Ok(_) | Err(_) => {}
        }
        let text = std::fs::read(&self.0).with_context(wrong)?;
        serde_json::from_slice(&text).map(Some).with_context(wrong)
    }

    pub(super) fn write(&self, reached: Reached) -> anyhow::Result<()> {
        if let Some(directory) = self.0.parent() {
            private_directory(directory)?;
        }
        replace_private(&self.0, &serde_json::to_vec(&reached)?)?;
        Ok(())
    }
}
