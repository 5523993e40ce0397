//! Our own private keys: made on first use, readable by their owner only, and replaced without a stop.
//!
//! `ring` is what is on the disk, `signer` what a process has of it, `watch` keeps the one up with the other.

mod purpose;
mod public;
mod standing;
mod ring;
mod another;
mod token;
mod hardware;
mod signer;
mod log;
mod envelope;
mod wrapping;
mod schedule;
mod watch;
mod listed;
mod replaced;

use crate::config::{Checked, Issuer};
use anyhow::{Context as _, bail};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use clap::builder::PossibleValue;
use portcullis_core::credentials::MAX_LIFETIME;
use portcullis_core::secret::Secret;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

pub(crate) use hardware::{Hardware, Unready};
pub(crate) use listed::{Listed, listed};
pub(crate) use log::LogKey;
pub(crate) use public::Public;
pub(crate) use purpose::Purpose;
pub(crate) use replaced::{replace, ring};
pub(crate) use ring::{Ring, of_servers};
pub(crate) use schedule::{Overdue, Turns};
pub(crate) use signer::{Signer, Signers, Unsigned};
pub(crate) use standing::{Rotation, Standing};
pub(crate) use watch::keep_up;
pub(crate) use wrapping::{within, wrapping};

/// For so long others may go by the keys that they have once fetched.
pub(crate) const PUBLISHED: Duration = Duration::from_mins(5);
/// By then a running gateway has seen a new key.
const TAKEN_UP: Duration = Duration::from_secs(5);
/// So long approvals that a key has signed count after it, if no gateway runs that signs them anew.
const SIGNED_ANEW: Duration = Duration::from_hours(24 * 365);
/// By so much the clocks of others may differ from ours.
const SKEW: Duration = Duration::from_mins(1);

impl clap::ValueEnum for Purpose {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.word()).help(self.signs()))
    }
}

impl Purpose {
    /// What it signs, in words.
    pub(crate) const fn signs(self) -> &'static str {
        match self {
            Self::Issuer => "tokens of the embedded issuer",
            Self::Assertion => "what servers are shown of callers",
            Self::Client => "what authorization servers are told of the gateway",
            Self::Audit => "checkpoints of the audit log",
            Self::Catalog => "what is approved of what servers define",
        }
    }

    /// The file of the key.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Issuer => "issuer.ed25519",
            Self::Assertion => "assertion.es256",
            Self::Client => "client.es256",
            Self::Audit => "audit.ed25519",
            Self::Catalog => "catalog.ed25519",
        }
    }

    /// How long a new key is published before it signs; of some keys nobody needs to know but ourselves.
    pub(crate) const fn lead(self) -> Duration {
        match self {
            Self::Issuer | Self::Audit | Self::Catalog => TAKEN_UP,
            Self::Assertion | Self::Client => PUBLISHED,
        }
    }

    /// How long what it has signed may still be shown to others; tokens of our issuer live as long as is configured.
    /// What the log's key has signed counts for ever, and by nothing that we keep.
    pub(crate) fn overlap(self, checked: &Checked) -> Duration {
        let life = match self {
            Self::Audit => return Duration::ZERO,
            // Meanwhile a running gateway signs anew what it has signed.
            Self::Catalog => return SIGNED_ANEW,
            Self::Issuer => {
                let issuers = checked.issuers.values();
                let lives = issuers.filter_map(|issuer| match issuer {
                    Issuer::Embedded { max_lifetime } => Some(*max_lifetime),
                    Issuer::External(_) => None,
                });
                lives.max().unwrap_or_default()
            }
            Self::Assertion | Self::Client => MAX_LIFETIME,
        };
        life.saturating_add(SKEW)
    }

    /// Whether a new key signs as soon as its time has come; the log's has to be handed over to.
    const fn is_promoted_by_time(self) -> bool {
        match self {
            Self::Issuer | Self::Assertion | Self::Client | Self::Catalog => true,
            Self::Audit => false,
        }
    }

    fn fresh(self) -> anyhow::Result<Secret<Vec<u8>>> {
        match self {
            Self::Issuer | Self::Audit | Self::Catalog => fresh(),
            Self::Assertion | Self::Client => fresh_p256(),
        }
    }
}

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

/// A new Ed25519 key (PKCS #8), kept nowhere.
fn fresh() -> anyhow::Result<Secret<Vec<u8>>> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let document = made.map_err(|_| anyhow::anyhow!("no entropy for a new key"))?;
    Ok(Secret::new(document.as_ref().to_vec()))
}

/// A new P-256 key (PKCS #8), kept nowhere.
fn fresh_p256() -> anyhow::Result<Secret<Vec<u8>>> {
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

/// Reads a file that only its owner may be able to read; `None` if there is none.
///
/// # Errors
/// Others can read it, or it cannot be read.
pub(crate) fn read_private(path: &Path) -> anyhow::Result<Option<Secret<Vec<u8>>>> {
    match std::fs::read(path) {
        Ok(document) => {
            let document = Secret::new(document);
            let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                bail!(
                    "{} can be read by others (mode {mode:o}); mend it with: chmod 600 {0}",
                    path.display()
                );
            }
            Ok(Some(document))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
