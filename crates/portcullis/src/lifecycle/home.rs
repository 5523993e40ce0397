//! The data directory: what is where, and what is made on the first start.

use crate::keys;
use std::path::PathBuf;

/// The data directory's parts.
#[derive(Debug, Clone)]
pub(crate) struct Home(pub(crate) PathBuf);

impl Home {
    /// Where keys are.
    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// The key that signs checkpoints.
    pub(crate) fn audit_key(&self) -> PathBuf {
        self.0.join("keys/audit.ed25519")
    }

    /// The public half of the key that began the log, for auditors (C2SP signed-note verifier key).
    pub(crate) fn verifier_key(&self) -> PathBuf {
        self.0.join("audit.vkey")
    }

    /// The database of what must outlive the process.
    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("state.db")
    }

    /// Where a running gateway says how it is reached.
    pub(crate) fn running(&self) -> PathBuf {
        self.0.join("running.json")
    }

    /// Makes the directory where it is missing.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        keys::private_directory(&self.0)?;
        keys::private_directory(&self.keys())
    }
}
