//! Where on earth is an address? A database of the operator's (MMDB) answers; it is read whole.

use crate::config::Checked;
use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};
use portcullis_core::misuse::Position;
use std::fmt;
use std::fs::{metadata, read};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The largest file, in bytes: those of all cities have a tenth of it.
const MAX_BYTES: u64 = 1 << 30;
/// Networks that are looked at for one that has a place.
const LOOKED_AT: usize = 1000;

/// A database of places.
pub(crate) struct Atlas(Reader<Vec<u8>>);

impl fmt::Debug for Atlas {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Atlas({})", self.0.metadata().database_type)
    }
}

/// Why a file says where nothing is.
#[derive(Debug, thiserror::Error)]
#[error("misuse.places_file: {}: {why}; put a whole database of cities (MMDB) there, or remove the key", file.display())]
pub(crate) struct BadAtlas {
    file: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("cannot be read: {0}")]
    Unread(#[from] io::Error),
    #[error("larger than {MAX_BYTES} bytes")]
    Large,
    #[error("no such database, or not the whole of it")]
    Broken(#[from] MaxMindDbError),
    #[error("it has no places")]
    Empty,
}

impl Atlas {
    /// The one that a configuration names.
    ///
    /// # Errors
    /// [`BadAtlas`].
    pub(crate) fn of(checked: &Checked) -> Result<Option<Self>, BadAtlas> {
        let file = checked.places.as_deref();
        let opened = file.map(|file| {
            Self::open(file).map_err(|why| BadAtlas {
                file: file.to_owned(),
                why,
            })
        });
        opened.transpose()
    }

    fn open(file: &Path) -> Result<Self, Why> {
        if metadata(file)?.len() > MAX_BYTES {
            return Err(Why::Large);
        }
        let reader = Reader::from_source(read(file)?)?;
        let mut has_places = false;
        for found in reader.networks(WithinOptions::default())?.take(LOOKED_AT) {
            if position(&found?)?.is_some() {
                has_places = true;
                break;
            }
        }
        has_places.then_some(Self(reader)).ok_or(Why::Empty)
    }

    /// Where it is, if the database says so.
    pub(crate) fn find(&self, address: IpAddr) -> Option<Position> {
        let found = self.0.lookup(address.to_canonical()).ok()?;
        position(&found).ok()?
    }
}

/// The place of a record.
fn position(
    found: &maxminddb::LookupResult<'_, Vec<u8>>,
) -> Result<Option<Position>, MaxMindDbError> {
    let degrees =
        |name| found.decode_path::<f64>(&[PathElement::Key("location"), PathElement::Key(name)]);
    let (north, east) = (degrees("latitude")?, degrees("longitude")?);
    Ok(north
        .zip(east)
        .and_then(|(north, east)| Position::of_degrees(north, east).ok()))
}
