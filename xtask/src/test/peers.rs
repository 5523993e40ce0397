//! Other people's servers and clients, which the tests speak with.

use crate::shell;
use crate::workspace::{Workspace, make};

/// Installs them into the build directory; a moment, if they are there.
///
/// # Errors
/// If Node or Python are not there, or a package cannot be had.
pub(crate) fn install(workspace: &Workspace) -> anyhow::Result<()> {
    let peers = workspace.peers();
    make(&peers)?;
    shell::run(shell::program(workspace.peer_sources().join("install.sh")).arg(&peers))
}
