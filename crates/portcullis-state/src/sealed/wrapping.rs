//! The keys that wrap data keys: files beside the database, which a backup of the database does not hold.

use super::{KEY_BYTES, NotSealed, aead, binding, open, seal};
use portcullis_core::secret::Secret;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What the file of a wrapping key is called, around its name.
const BEFORE: &str = "wrapping-";
const AFTER: &str = ".key";

/// The wrapping keys in one directory, each a file of 32 bytes that only its owner can read.
#[derive(Debug, Clone)]
pub struct WrappingKeys(PathBuf);

impl WrappingKeys {
    /// Those in this directory, which only its owner can enter.
    pub fn within(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Makes a new one; gives its name. It is on the disk when this returns.
    pub(super) fn make(&self) -> Result<String, NotSealed> {
        let mut name = [0; 8];
        aws_lc_rs::rand::fill(&mut name).map_err(|_| NotSealed::Entropy)?;
        let name = format!("{:016x}", u64::from_be_bytes(name));
        let key = random::<KEY_BYTES>()?;
        let file = self.file(&name);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .and_then(|mut open| {
                open.write_all(key.expose())?;
                open.sync_all()
            })
            .and_then(|()| File::open(&self.0)?.sync_all());
        written.map_err(|error| failed(&file, &error.to_string()))?;
        Ok(name)
    }

    /// Wraps the data key of a tenant.
    pub(super) fn wrap(
        &self,
        name: &str,
        tenant: &str,
        key: &Secret<Vec<u8>>,
    ) -> Result<Vec<u8>, NotSealed> {
        let wrapping = self.read(name)?;
        seal(
            &aead(wrapping.expose())?,
            &binding("data key", &[name, tenant]),
            key.expose(),
        )
    }

    /// The data key of a tenant.
    pub(super) fn unwrap(
        &self,
        name: &str,
        tenant: &str,
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, NotSealed> {
        let wrapping = self.read(name)?;
        open(
            &aead(wrapping.expose())?,
            &binding("data key", &[name, tenant]),
            wrapped,
        )
    }

    /// Whether it can be used.
    pub(super) fn check(&self, name: &str) -> Result<(), NotSealed> {
        self.read(name).map(drop)
    }

    /// Destroys all but one.
    pub(super) fn keep_only(&self, name: &str) -> Result<(), NotSealed> {
        let kept = self.file(name);
        let failed = |error: &std::io::Error| failed(&self.0, &error.to_string());
        for entry in std::fs::read_dir(&self.0).map_err(|error| failed(&error))? {
            let path = entry.map_err(|error| failed(&error))?.path();
            let is_ours = path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(BEFORE) && name.ends_with(AFTER));
            if is_ours && path != kept {
                remove(&path).map_err(|error| failed(&error))?;
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Secret<Vec<u8>>, NotSealed> {
        let file = self.file(name);
        let unread = |error: std::io::Error| failed(&file, &error.to_string());
        let open = File::open(&file).map_err(unread)?;
        let mode = open.metadata().map_err(unread)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(failed(&file, "others can read it; mend it with chmod 600"));
        }
        let mut key = Secret::new(Vec::with_capacity(KEY_BYTES + 1));
        let most = u64::try_from(KEY_BYTES).unwrap_or(u64::MAX) + 1;
        open.take(most)
            .read_to_end(key.expose_mut())
            .map_err(unread)?;
        if key.expose().len() != KEY_BYTES {
            return Err(failed(&file, "it is not 32 bytes long"));
        }
        Ok(key)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join([BEFORE, name, AFTER].concat())
    }
}

/// Fresh random bytes.
pub(super) fn random<const N: usize>() -> Result<Secret<Vec<u8>>, NotSealed> {
    let mut bytes = Secret::new(vec![0; N]);
    aws_lc_rs::rand::fill(bytes.expose_mut()).map_err(|_| NotSealed::Entropy)?;
    Ok(bytes)
}

/// Sees to it that there is no such file.
fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn failed(file: &Path, what: &str) -> NotSealed {
    NotSealed::Wrapping {
        file: file.to_owned(),
        what: what.to_owned(),
    }
}
