//! Where the sources stand and where what is built goes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::shell;

/// The checkout and its build directory.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo builds: `target` unless it is told otherwise.
    pub(crate) target: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// If it cannot say.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let (code, json) = shell::output(&mut command)?;
        ensure!(code == 0, "cargo metadata failed");
        let metadata: Metadata = serde_json::from_str(&json).context("cargo metadata")?;
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
        })
    }

    /// `cargo SUBCOMMAND`, in the root.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = cargo();
        command.current_dir(&self.root).arg(subcommand);
        command
    }

    /// A program of ours, built for development.
    pub(crate) fn built(&self, program: &str) -> PathBuf {
        self.target.join("debug").join(program)
    }

    /// Where the peers are installed: out of the way of `cargo clean -p`, gone with `cargo clean`.
    pub(crate) fn peers(&self) -> PathBuf {
        self.target.join("peers")
    }

    /// The sources of the peers.
    pub(crate) fn peer_sources(&self) -> PathBuf {
        self.root.join("tests/peers")
    }

    /// A fresh folder of this name in the build directory.
    ///
    /// # Errors
    /// If the old one cannot be removed or the new one not be made.
    pub(crate) fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.target.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("remove {}", folder.display()))?;
        }
        make(&folder)?;
        Ok(folder)
    }
}

/// Makes a folder that only its owner can enter, and those above it.
///
/// # Errors
/// If that is not possible.
pub(crate) fn make(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("make {}", folder.display()))
}

fn cargo() -> Command {
    shell::program(shell::variable("CARGO").unwrap_or_else(|| "cargo".to_owned()))
}
