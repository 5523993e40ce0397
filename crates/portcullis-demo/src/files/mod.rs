//! Is this file in the folder? Nothing outside of one folder is read, by whatever path or link.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// The largest file that is read.
pub(crate) const MAX_FILE_BYTES: u64 = 256 * 1024;
/// The number of entries of a folder that are listed.
pub(crate) const MAX_ENTRIES: usize = 500;

/// Why a file is not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The path is absolute or goes up.
    #[error("the path must be relative and must not leave the folder")]
    Outside,
    /// Nothing is there, or only a link that leaves the folder; which of them is not told.
    #[error("there is no such file in the folder; files_list shows what is there")]
    Missing,
    /// It is a folder where a file is wanted, or the reverse, or neither.
    #[error("this is not of the wanted kind: a file to read, a folder to list")]
    Kind,
    /// It is larger than [`MAX_FILE_BYTES`].
    #[error("the file is larger than 256 KiB")]
    TooLarge,
    /// It is not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotText,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
}

/// An entry of a folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) size_bytes: u64,
}

/// The one folder that files are read from.
#[derive(Debug)]
pub(crate) struct Files {
    /// INVARIANT: canonical, so that a canonical path is in the folder if and only if it starts with it.
    root: PathBuf,
}

impl Files {
    /// Opens `files` in a folder; makes it with two files if it is not there yet.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let root = folder.join("files");
        if !root.try_exists()? {
            fs::create_dir_all(&root)?;
            for (name, text) in SAMPLES {
                fs::write(root.join(name), text)?;
            }
        }
        Ok(Self {
            root: root.canonicalize()?,
        })
    }

    /// The text of a file.
    pub(crate) fn read(&self, path: &str) -> Result<String, Error> {
        let path = self.inside(path)?;
        // Before opening, as a pipe would wait for its writer.
        if !fs::metadata(&path).map_err(|_| Error::Missing)?.is_file() {
            return Err(Error::Kind);
        }
        let file = File::open(&path).map_err(|_| Error::Missing)?;
        let mut text = Vec::new();
        file.take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut text)
            .map_err(|_| Error::Missing)?;
        if u64::try_from(text.len()).map_or(true, |bytes| bytes > MAX_FILE_BYTES) {
            return Err(Error::TooLarge);
        }
        String::from_utf8(text).map_err(|_| Error::NotText)
    }

    /// The entries of a folder by name, at most [`MAX_ENTRIES`].
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        let folder = self.inside(path)?;
        if !fs::metadata(&folder).map_err(|_| Error::Missing)?.is_dir() {
            return Err(Error::Kind);
        }
        let mut entries: Vec<Entry> = fs::read_dir(&folder)
            .map_err(|_| Error::Missing)?
            .filter_map(|entry| self.entry(&entry.ok()?.path()))
            .take(MAX_ENTRIES)
            .collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn entry(&self, path: &Path) -> Option<Entry> {
        let name = path.file_name()?.to_str()?.to_owned();
        let target = path
            .canonicalize()
            .ok()
            .filter(|target| target.starts_with(&self.root))?;
        let metadata = fs::metadata(target).ok()?;
        let kind = match (metadata.is_file(), metadata.is_dir()) {
            (true, _) => Kind::File,
            (false, true) => Kind::Folder,
            (false, false) => return None,
        };
        Some(Entry {
            name,
            kind,
            size_bytes: metadata.len(),
        })
    }

    /// The canonical path of what is in the folder under this one.
    fn inside(&self, path: &str) -> Result<PathBuf, Error> {
        let path = Path::new(path);
        let is_below = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !path.components().all(is_below) {
            return Err(Error::Outside);
        }
        let path = self
            .root
            .join(path)
            .canonicalize()
            .map_err(|_| Error::Missing)?;
        if path.starts_with(&self.root) {
            Ok(path)
        } else {
            Err(Error::Missing)
        }
    }
}

const SAMPLES: [(&str, &str); 2] = [
    (
        "readme.txt",
        "These files may be read by the demo server, and nothing outside of this folder.\n",
    ),
    (
        "project.md",
        "# Project\n\n- Owner: Ada\n- Status: green\n- Next review: when the tests are done\n",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_to_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        fs::write(folder.path().join("secret"), "s").unwrap();
        fs::create_dir(folder.path().join("files-of-another")).unwrap();
        fs::write(folder.path().join("files-of-another/x"), "s").unwrap();
        let outside = |path: &str| assert_eq!(files.read(path), Err(Error::Outside), "{path}");
        outside("../secret");
        outside("a/../../secret");
        outside("readme.txt/../../secret");
        outside("../files-of-another/x");
        outside("/etc/passwd");
        outside(folder.path().join("files/readme.txt").to_str().unwrap());
        assert_eq!(files.list(".."), Err(Error::Outside));
        assert_eq!(files.list("/"), Err(Error::Outside));
        for path in ["nul\0byte", "..%2fsecret", "missing", "..\\secret", "~"] {
            assert_eq!(files.read(path), Err(Error::Missing), "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn refuses_links_out_of_the_folder() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        fs::write(folder.path().join("secret"), "s").unwrap();
        let link = |target: &Path, name| symlink(target, files.root.join(name)).unwrap();
        link(&folder.path().join("secret"), "link");
        link(Path::new("../secret"), "relative");
        link(folder.path(), "up");
        link(Path::new("/"), "top");
        link(Path::new("link"), "chain");
        link(Path::new("readme.txt"), "inside");
        for path in ["link", "relative", "up/secret", "top/etc/passwd", "chain"] {
            assert_eq!(files.read(path), Err(Error::Missing), "{path}");
        }
        assert_eq!(files.list("up"), Err(Error::Missing));
        assert_eq!(files.read("inside"), files.read("readme.txt"));
        let names: Vec<String> = files
            .list("")
            .unwrap()
            .into_iter()
            .map(|e| e.name)
            .collect();
        assert_eq!(names, ["inside", "project.md", "readme.txt"]);
    }

    #[test]
    fn reads_text_up_to_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let longest = vec![b'x'; usize::try_from(MAX_FILE_BYTES).unwrap()];
        fs::create_dir(files.root.join("sub")).unwrap();
        fs::write(files.root.join("sub/longest"), &longest).unwrap();
        fs::write(files.root.join("over"), [longest.as_slice(), b"x"].concat()).unwrap();
        fs::write(files.root.join("bytes"), [0xff]).unwrap();
        assert_eq!(
            files.read("sub/longest").map(|text| text.len()),
            Ok(longest.len())
        );
        assert_eq!(files.read("over"), Err(Error::TooLarge));
        assert_eq!(files.read("bytes"), Err(Error::NotText));
        assert_eq!(files.read("sub"), Err(Error::Kind));
        assert_eq!(files.list("over"), Err(Error::Kind));
        assert_eq!(files.list("sub").unwrap().len(), 1);
    }
}
