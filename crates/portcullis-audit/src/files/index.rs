//! The file of leaf hashes, read from its beginning. It is no evidence: a signed tree must confirm it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::LEAVES;
use crate::hash::{HASH_BYTES, Hash};

/// Leaf hashes, one after the other.
#[derive(Debug)]
pub(crate) struct Index(BufReader<File>);

impl Index {
    /// Opens that of the log in `dir`.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        File::open(dir.join(LEAVES)).map(BufReader::new).map(Self)
    }

    /// The next hash; `None` at the end.
    pub(crate) fn read(&mut self) -> io::Result<Option<Hash>> {
        let mut hash = [0; HASH_BYTES];
        match self.0.read_exact(&mut hash) {
            Ok(()) => Ok(Some(hash)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}
