//! The files of the checkout, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Folders that hold nothing of ours: what is built, installed or fetched.
const FOREIGN: &[&str] = &[
    ".git",
    ".tools",
    "__pycache__",
    "corpus",
    "node_modules",
    "target",
];
/// Folders below which nobody looks.
const MAX_DEPTH: usize = 32;

/// The text files, by path from the root with `/` between.
#[derive(Debug, Default)]
pub(super) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// Reads all files below `root` that are text.
    ///
    /// # Errors
    /// If a folder or file cannot be read.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.add(root, "", 0)?;
        Ok(tree)
    }

    fn add(&mut self, folder: &Path, prefix: &str, depth: usize) -> anyhow::Result<()> {
        anyhow::ensure!(depth < MAX_DEPTH, "{prefix}: too deep");
        let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() && !FOREIGN.contains(&name.as_str()) {
                self.add(&entry.path(), &format!("{path}/"), depth + 1)?;
            } else if kind.is_file()
                && name != ".git"
                && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
            {
                self.0.insert(path, text);
            }
        }
        Ok(())
    }

    /// All files, by path.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The files of Rust.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| is_kind(path, "rs"))
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Whether there is such a file, or a folder with files.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.0.contains_key(path)
            || self
                .0
                .range(folder.clone()..)
                .next()
                .is_some_and(|(found, _)| found.starts_with(&folder))
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whether a path ends with this extension.
pub(super) fn is_kind(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Tree {
    fn from(files: [(&str, &str); N]) -> Self {
        Self(
            files
                .into_iter()
                .map(|(path, text)| (path.to_owned(), text.to_owned()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn folders_and_files_are_there() {
        let tree = Tree::from([("a/b.rs", ""), ("ab/c.rs", "")]);
        for (path, is_there) in [
            ("a", true),
            ("a/b.rs", true),
            ("ab", true),
            ("a/b", false),
            ("b", false),
            ("", false),
        ] {
            assert_eq!(tree.has(path), is_there, "{path}");
        }
    }
}
