//! Our own private keys: made on first use, readable by their owner only.

use anyhow::{Context as _, bail};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use portcullis_core::secret::Secret;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// A directory that only its owner can enter; made if it is missing.
pub(crate) fn private_directory(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!(
            "{} can be entered by others (mode {mode:o}); mend it with: chmod 700 {0}",
            path.display()
        );
    }
    Ok(())
}

/// Writes a file that only its owner can read, and that must not be there yet.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Writes such a file in one step, in place of the one that may be there.
pub(crate) fn replace_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    write_private(&new, content)?;
    std::fs::rename(&new, path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(directory)?.sync_all()
}

/// Reads a file that only its owner may be able to read; `None` if there is none.
///
/// # Errors
/// Others can read it, or it cannot be read.
pub(crate) fn read_private(path: &Path) -> anyhow::Result<Option<Secret<Vec<u8>>>> {
    match std::fs::read(path) {
        Ok(document) => {
            let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                bail!(
                    "{} can be read by others (mode {mode:o}); mend it with: chmod 600 {0}",
                    path.display()
                );
            }
            Ok(Some(Secret::new(document)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// A new Ed25519 key (PKCS #8), kept nowhere.
pub(crate) fn fresh() -> anyhow::Result<Secret<Vec<u8>>> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let document = made.map_err(|_| anyhow::anyhow!("no entropy for a new key"))?;
    Ok(Secret::new(document.as_ref().to_vec()))
}

/// The Ed25519 key in that file (PKCS #8), made if it is missing.
pub(crate) fn ed25519(path: &Path) -> anyhow::Result<Secret<Vec<u8>>> {
    kept(path, fresh)
}

/// The P-256 key in that file (PKCS #8), made if it is missing.
pub(crate) fn es256(path: &Path) -> anyhow::Result<Secret<Vec<u8>>> {
    kept(path, fresh_p256)
}

/// A new P-256 key (PKCS #8), kept nowhere.
pub(crate) fn fresh_p256() -> anyhow::Result<Secret<Vec<u8>>> {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let document = made.map_err(|_| anyhow::anyhow!("no entropy for a new key"))?;
    Ok(Secret::new(document.as_ref().to_vec()))
}

fn kept(
    path: &Path,
    make: impl FnOnce() -> anyhow::Result<Secret<Vec<u8>>>,
) -> anyhow::Result<Secret<Vec<u8>>> {
    if let Some(document) = read_private(path)? {
        return Ok(document);
    }
    let key = make()?;
    write_private(path, key.expose())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key)
}
