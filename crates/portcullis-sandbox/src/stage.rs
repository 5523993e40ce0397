//! The last stage: what is settled inside the server's own process before it becomes the server.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};

use crate::confine::{self, Confined, Confinement, Entered, Unconfined};
use crate::order::{Argv, Task};
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
    /// A wall around it could not be built.
    #[error(transparent)]
    Unconfined(#[from] Unconfined),
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
            Self::Orphaned | Self::Unprepared(_) | Self::Unconfined(_) => EXIT_LAUNCHER,
            Self::NotFound(_) => EXIT_NOT_FOUND,
            Self::NotExecutable { .. } => EXIT_NOT_EXECUTABLE,
        }
    }
}

/// What the server stands behind when it starts.
enum Behind {
    /// What it was configured to have.
    Walls(Confined),
    /// Nothing, as it was configured.
    Nothing,
}

/// Turns this process into the server; returns if it cannot, and where another process did and has ended.
pub(crate) fn become_server(launcher: Pid, task: &Task) -> Result<ExitCode, Unstarted> {
    tie_to(launcher)?;
    let behind = match task
        .confinement
        .as_ref()
        .map(|walls| enter(walls, launcher))
    {
        None => Behind::Nothing,
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(Entered::Waited(code))) => return Ok(code),
        Some(Ok(Entered::Inside(confined))) => Behind::Walls(confined),
    };
    match &task.argv {
        None => Ok(ExitCode::SUCCESS),
        Some(argv) => Err(run(argv, behind)),
    }
}

fn enter(walls: &Confinement, launcher: Pid) -> Result<Entered, Unconfined> {
    confine::enter(walls, launcher)
}

/// Becomes the command; returns only if it cannot.
fn run(argv: &Argv, (Behind::Walls(Confined { .. }) | Behind::Nothing): Behind) -> Unstarted {
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
