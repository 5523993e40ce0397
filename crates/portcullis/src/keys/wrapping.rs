//! The keys that wrap others, by their names: what is in them is looked at where they are used.

use super::envelope::token;
use crate::config::Pkcs11;
use portcullis_state::WrappingKeys;
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};

/// What their files are called, around their names.
const AROUND: (&str, &str) = ("wrapping-", ".key");

/// The keys of this installation, as the configuration says, if it is known.
///
/// # Errors
/// There can be no more threads.
pub(crate) fn within(directory: &Path, place: Option<&Pkcs11>) -> Result<WrappingKeys> {
    let own = WrappingKeys::within(directory);
    let Some(place) = place else { return Ok(own) };
    Ok(own.with_token(token(place)?, place.wrapping.clone()))
}

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
