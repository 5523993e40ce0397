//! The files that a configuration is made of, and whether they have changed.

use crate::config::{Checked, Fetch, Problems, Wanted};
use crate::secrets::{Read, Sources};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What tells one state of a file from another: where it lies, when it was changed (also by `cp -p`), and its size.
/// None if there is none. A link is followed, so another target is another state.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

/// Files, each as it was before it was read, so that no change is missed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files(BTreeMap<PathBuf, Stamp>);

/// A configuration as it was read: its file, and each that it names.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) checked: Result<Checked, Problems>,
    pub(crate) files: Files,
    /// What was read elsewhere for it, or was not.
    pub(crate) reads: Vec<Read>,
}

/// What a configuration is read with: a file, and a secret that is elsewhere for the key of that path.
pub(crate) struct Reading<'a> {
    pub(crate) file: &'a dyn Fn(&Path) -> io::Result<String>,
    pub(crate) secret: &'a Fetch<'a>,
}

/// Reads `file` by `read`, which is given its text and what it must read everything else with. It may wait, so no thread
/// that serves may call it.
pub(crate) fn load(
    file: &Path,
    read: impl FnOnce(&str, &Reading<'_>) -> Result<Checked, Problems>,
) -> Loaded {
    let files = RefCell::new(Files::default());
    let read_file = |path: &Path| {
        let stamp = stamp(path);
        files.borrow_mut().0.insert(path.to_owned(), stamp);
        std::fs::read_to_string(path)
    };
    let text = read_file(file).unwrap_or_default();
    let sources = Sources::default();
    let fetch = |wanted: &Wanted, key: &str| {
        let found = sources.fetch(wanted, key);
        found.map_err(|lost| lost.to_string())
    };
    let reading = Reading {
        file: &read_file,
        secret: &fetch,
    };
    let checked = read(&text, &reading);
    Loaded {
        checked,
        files: files.into_inner(),
        reads: sources.finish(),
    }
}

impl Files {
    /// These, as they are now.
    pub(crate) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let found = paths.into_iter().map(|path| {
            let stamp = stamp(&path);
            (path, stamp)
        });
        Self(found.collect())
    }

    /// The same files as they are now.
    pub(super) fn now(&self) -> Self {
        let again = |path: &PathBuf| (path.clone(), stamp(path));
        Self(self.0.keys().map(again).collect())
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.ctime(),
        found.ctime_nsec(),
        found.size(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_removed_or_linked_anew_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("a"), "1").unwrap();
        std::fs::write(path("b"), "2").unwrap();
        std::os::unix::fs::symlink("a", path("link")).unwrap();
        let files = Files([(path("link"), stamp(&path("link")))].into());
        assert_eq!(files.now(), files);
        std::fs::remove_file(path("link")).unwrap();
        assert_ne!(files.now(), files);
        std::os::unix::fs::symlink("b", path("link")).unwrap();
        let linked = files.now();
        assert_ne!(linked, files);
        std::fs::write(path("c"), "3").unwrap();
        std::fs::rename(path("c"), path("b")).unwrap();
        assert_ne!(files.now(), linked);
    }
}
