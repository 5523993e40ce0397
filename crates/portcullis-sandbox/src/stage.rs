//! The last stage: what is settled inside the server's own process before it becomes the server.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};

use crate::order::Argv;
use crate::{EXIT_LAUNCHER, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND};

/// Why the server was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unstarted {
    /// The launcher ended first.
    #[error("the launcher is gone")]
    Orphaned,
    /// The process could not be tied to its launcher.
    #[error("cannot prepare the server's process")]
    Unprepared(#[from] Errno),
    /// The command is nowhere.
    #[error("command not found: {0}")]
    NotFound(String),
    /// The command is there and cannot be run.
    #[error("cannot run {command}")]
    NotExecutable {
        /// Its name.
        command: String,
        /// What the kernel says.
        source: std::io::Error,
    },
}

impl Unstarted {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Orphaned | Self::Unprepared(_) => EXIT_LAUNCHER,
            Self::NotFound(_) => EXIT_NOT_FOUND,
            Self::NotExecutable { .. } => EXIT_NOT_EXECUTABLE,
        }
    }
}

/// Turns this process into the server; returns only if it cannot.
pub(crate) fn become_server(launcher: Pid, argv: &Argv) -> Unstarted {
    if let Err(error) = tie_to(launcher) {
        return error;
    }
    // Confinement of the server belongs here: after this process is tied to its launcher, before the server's
    // first instruction, and with a failure that ends the process as the others do.
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate is where children are started"
    )]
    let error = Command::new(&argv.command).args(&argv.args).exec();
    let command = argv.command.to_string_lossy().into_owned();
    if error.kind() == ErrorKind::NotFound {
        return Unstarted::NotFound(command);
    }
    Unstarted::NotExecutable {
        command,
        source: error,
    }
}

fn tie_to(launcher: Pid) -> Result<(), Unstarted> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A launcher that ended before the line above sends no signal any more.
    if getppid() != Some(launcher) {
        return Err(Unstarted::Orphaned);
    }
    // A set-user-ID program would drop the tie and could not be killed by the launcher.
    rustix::thread::set_no_new_privs(true)?;
    // No controlling terminal to read from or to type into.
    setsid()?;
    Ok(())
}
