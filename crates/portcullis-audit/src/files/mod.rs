//! What lies in the directory of a log, and how it is read with bounded memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

mod index;
mod lines;
mod notes;
mod walk;

pub(crate) use index::Index;
pub(crate) use lines::{Lines, Read};
pub(crate) use notes::{Note, Notes, last_note};
pub use walk::Place;
pub(crate) use walk::{Step, Walk};

/// The file of signed checkpoints, each followed by an empty line.
pub const CHECKPOINTS: &str = "checkpoints";

/// The file of the checkpoints that hand over to another key, which stand in the other file too.
pub(crate) const HANDOVERS: &str = "handovers";

/// The file of leaf hashes, 32 bytes each: an index that is believed only where a checkpoint confirms it.
pub(crate) const LEAVES: &str = "leaves";

/// The file of the tree's right edge: believed only if the last checkpoint confirms it.
pub(crate) const STATE: &str = "state";

/// The file that the one writer locks.
pub(crate) const LOCK: &str = "lock";

const SUFFIX: &str = ".jsonl";
const DIGITS: usize = 20;
const FILE_MODE: u32 = 0o600;

/// The name of the segment that begins with record `first`.
pub fn segment_name(first: u64) -> String {
    format!("{first:0DIGITS$}{SUFFIX}")
}

/// The segments in a directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Segments {
    /// The first records of those that are named as ours are, in order.
    pub(crate) firsts: Vec<u64>,
    /// A file that ends like a segment and is none.
    pub(crate) strange: Option<String>,
}

/// Lists the segments of a directory; memory is proportional to their number.
pub(crate) fn segments(dir: &Path) -> io::Result<Segments> {
    let mut found = Segments::default();
    for entry in dir.read_dir()? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(digits) = name.strip_suffix(SUFFIX) else {
            continue;
        };
        match digits.parse() {
            Ok(first) if segment_name(first) == name => found.firsts.push(first),
            _ => found.strange = Some(name),
        }
    }
    found.firsts.sort_unstable();
    Ok(found)
}

/// The number of the first record that is still there: those before it were removed.
pub(crate) fn first_kept(dir: &Path) -> io::Result<u64> {
    Ok(segments(dir)?.firsts.first().copied().unwrap_or(0))
}

/// Opens a file for appending, for its owner only; it is made if it is missing.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
}

/// Makes a file for appending, for its owner only.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
}

/// Whether a file could not be opened only because the process, or the system, has too many open at this moment
/// (Linux: `ENFILE`, `EMFILE`). Clients cause that, so it must not end a log.
pub(crate) fn is_for_now(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// Replaces a file as a whole: whoever reads it sees the old or the new content.
pub(crate) fn replace(path: &Path, content: &[u8], sync: Sync) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&new)?;
    io::Write::write_all(&mut file, content)?;
    match sync {
        Sync::Durable => file.sync_data()?,
        Sync::Cached => {}
    }
    std::fs::rename(&new, path)
}

/// Whether a file must survive a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// It must.
    Durable,
    /// It can be made again.
    Cached,
}

/// The content of a file; `None` if there is none.
pub(crate) fn read_bounded(path: &Path, bound: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    io::Read::read_to_end(
        &mut io::Read::take(file, bound.saturating_add(1)),
        &mut content,
    )?;
    if u64::try_from(content.len()).is_ok_and(|length| length > bound) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some(content))
}
