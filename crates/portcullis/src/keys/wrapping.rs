//! The keys that wrap others, by their names: what is in them is looked at where they are used.

use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};

/// What their files are called, around their names.
const AROUND: (&str, &str) = ("wrapping-", ".key");

/// Each with its file, in the order of their names. There is one, or two while it is replaced.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn wrapping(directory: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name();
        let name = file.to_str().and_then(|name| name.strip_prefix(AROUND.0));
        let name = name.and_then(|name| name.strip_suffix(AROUND.1));
        all.extend(name.map(|name| (name.to_owned(), entry.path())));
    }
    all.sort();
    Ok(all)
}

/// The name of the only one.
pub(super) fn only(directory: &Path) -> Option<String> {
    let mut all = wrapping(directory).ok()?.into_iter();
    let (name, _) = all.next()?;
    all.next().is_none().then_some(name)
}
