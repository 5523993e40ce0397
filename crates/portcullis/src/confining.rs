//! The walls around servers that are processes of ours: from what is configured to what the launcher builds.

use crate::config::{Checked, Sandbox, Upstream};
use anyhow::{Context as _, bail};
use portcullis_sandbox::{Confinement, Network, SYSTEM, Walls, rehearsal_command};
use std::path::Path;

/// How this very binary is started again.
const SELF: &str = "/proc/self/exe";

/// The walls of a profile. What is run is seen, wherever it is.
pub(crate) fn confinement(sandbox: &Sandbox, command: &Path) -> Confinement {
    let named = &sandbox.named;
    let mut read = named.ro.clone();
    let seen = SYSTEM
        .iter()
        .map(Path::new)
        .chain(read.iter().map(|path| &**path));
    let is_seen = seen.into_iter().any(|path| command.starts_with(path));
    if command.is_absolute() && !is_seen {
        read.push(command.to_owned());
    }
    Confinement {
        read,
        write: named.rw.clone(),
        network: if named.ports.is_empty() {
            Network::None
        } else {
            Network::Ports(named.ports.clone())
        },
        memory_bytes: sandbox.memory_bytes,
        processes: sandbox.processes,
        scratch_bytes: sandbox.scratch_bytes,
        walls: Walls::All,
    }
}

/// Builds the walls of each confined server once, with nothing behind them.
///
/// # Errors
/// What the kernel or this machine does not give: then nothing is served.
pub(crate) fn rehearse_all(checked: &Checked) -> anyhow::Result<()> {
    for (name, server) in &checked.servers {
        let Upstream::Stdio(stdio) = &server.upstream else {
            continue;
        };
        if let Some(sandbox) = &stdio.sandbox {
            rehearse(&confinement(sandbox, &stdio.command))
                .with_context(|| format!("server {name} cannot be confined"))?;
        }
    }
    Ok(())
}

/// Builds walls once, with nothing behind them.
///
/// # Errors
/// Says which step cannot be done, and why.
pub(crate) fn rehearse(confinement: &Confinement) -> anyhow::Result<()> {
    let done = rehearsal_command(Path::new(SELF), confinement).output();
    let done = done.context("cannot run the launcher")?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.trim().trim_start_matches("portcullis launch: ");
    bail!("{said} (`portcullis sandbox doctor` tells what this machine offers)")
}
