//! How a stdio server is started so that none of its processes outlives its use.
//!
//! The gateway never becomes a server by fork: it starts its own binary again as a *launcher*, and the launcher
//! starts the server through a third, short stage that becomes the server by `execve`:
//!
//! ```text
//! gateway ── launch supervise <gateway> <grace> -- command …   one single-threaded process for each server
//!               └─ launch exec <launcher> -- command …         dies with the launcher, then becomes the server
//!                    └─ whatever the server starts             comes to the launcher when its parent ends
//! ```
//!
//! There is no control channel, because the three pipes of the server already are one. No signal handler and no
//! unsafe code is needed, and nothing has to be sent for a stop to happen: what ends, hangs up.
//!
//! | the gateway | the launcher sees | and |
//! | --- | --- | --- |
//! | closes the server's stdin | `POLLHUP` on stdin | waits `grace`, SIGTERM to every process, waits `grace`, SIGKILL |
//! | closes the server's stderr | `POLLERR` on stderr | SIGKILL to every process at once |
//! | is killed | its process descriptor | SIGKILL to every process at once |
//!
//! In each case, and when the server ends by itself, the launcher kills and reaps until it has no descendant left,
//! and only then exits: its exit is the proof that the server's processes are gone. It is their "child subreaper",
//! so a daemon that left its session and its parent is still its descendant. If the launcher itself is killed, the
//! server dies with it (`PR_SET_PDEATHSIG`); what the server had started does so only where it is confined, and has a process
//! namespace of its own.
//!
//! Neither stage keeps a descriptor but the three streams. The gateway opens its own so that they close by
//! themselves, but whoever started the gateway may have left some open, which the server could read or write.
//!
//! Arguments are visible to every user of the machine (`/proc/<pid>/cmdline`), so secrets belong in [`Spec::env`]:
//! it is handed on as the environment of each stage and is in no argument list.
//!
//! With [`Spec::confinement`], the last stage builds walls around itself and becomes the server behind them; or it ends with an
//! error. What the kernel does not give is never left out.

mod confine;
mod order;
mod shed;
mod stage;
mod supervise;
mod sys;
mod tree;

use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

pub use confine::{Confinement, Network, RESOLVER, SANDBOX_UID, SYSTEM, Walls};
use order::{Argv, Order, Task};

/// The word that makes the gateway's binary a launcher; [`main`] takes the arguments after it.
pub const SUBCOMMAND: &str = "launch";

/// The launcher could not do its own work: bad arguments, no process descriptor, or a process that would not die.
pub const EXIT_LAUNCHER: u8 = 125;

/// The command was found but could not be run.
pub const EXIT_NOT_EXECUTABLE: u8 = 126;

/// The command was not found.
pub const EXIT_NOT_FOUND: u8 = 127;

/// The version of Landlock's interface that this kernel has, if it has any.
pub fn landlock_abi() -> Option<usize> {
    const VERSION: usize = 1;
    sys::call(libc::SYS_landlock_create_ruleset, [0, 0, VERSION, 0, 0, 0]).ok()
}

/// What to run. Its `Debug` shows the names of the variables, never their values.
#[derive(Clone, PartialEq, Eq)]
pub struct Spec {
    /// A path, or a name that is looked for in the `PATH` of [`Spec::env`].
    pub command: OsString,
    /// The arguments after the command.
    pub args: Vec<OsString>,
    /// The working directory; the gateway's own if there is none.
    pub cwd: Option<PathBuf>,
    /// The whole environment: nothing is added to it.
    pub env: Vec<(OsString, OsString)>,
    /// What it may do to the machine; anything that its user may, if there is none.
    pub confinement: Option<Box<Confinement>>,
}

impl fmt::Debug for Spec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            args,
            cwd,
            env,
            confinement,
        } = self;
        let names: Vec<&OsString> = env.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("Spec")
            .field("command", command)
            .field("args", args)
            .field("cwd", cwd)
            .field("env", &names)
            .field("confinement", confinement)
            .finish()
    }
}

/// Why a command cannot be handed to a launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unlaunchable {
    /// The command is empty.
    #[error("the command is empty")]
    Command,
    /// A variable's name is empty or contains `=`, so it would be read as another variable.
    #[error("the name of an environment variable is empty or contains '='")]
    Variable,
    /// The launcher's path is relative: it would mean another file in another working directory.
    #[error("the path of the launcher is not absolute")]
    Launcher,
}

/// The command that starts `spec` under a launcher, its three streams piped; this process is its gateway.
///
/// `launcher` is the absolute path of a binary that calls [`main`] for [`SUBCOMMAND`]: the gateway's own, best as
/// `/proc/self/exe`, which stays the same program while its file is being replaced. `grace` is how long the server
/// may take to end after its stdin was closed, and again after SIGTERM; it is rounded to milliseconds.
///
/// The launcher is in a process group of its own, out of reach of the terminal's Ctrl-C, and the caller must reap
/// it. Exit code: that of the command, 128 and the signal's number if a signal ended it, or one of
/// [`EXIT_LAUNCHER`], [`EXIT_NOT_EXECUTABLE`], [`EXIT_NOT_FOUND`] with a line on stderr. A missing `cwd` shows when
/// the launcher is spawned.
///
/// # Errors
/// [`Unlaunchable`] for what the operating system would misread instead of refusing.
pub fn launch_command(
    launcher: &Path,
    spec: &Spec,
    grace: Duration,
) -> Result<Command, Unlaunchable> {
    if spec.command.is_empty() {
        return Err(Unlaunchable::Command);
    }
    if spec
        .env
        .iter()
        .any(|(name, _)| name.is_empty() || name.as_bytes().contains(&b'='))
    {
        return Err(Unlaunchable::Variable);
    }
    if !launcher.is_absolute() {
        return Err(Unlaunchable::Launcher);
    }
    let order = Order::supervise(rustix::process::getpid(), grace);
    let task = Task {
        confinement: spec.confinement.as_deref().cloned(),
        argv: Some(Argv {
            command: spec.command.clone(),
            args: spec.args.clone(),
        }),
    };
    let mut command = program(launcher, &order, &task);
    command
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .process_group(0);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    Ok(command)
}

/// The command that builds the walls, starts nothing behind them, and ends: with code 0 if they stand, else with a line on
/// stderr that says why not. This process is its parent, and must wait for it.
pub fn rehearsal_command(launcher: &Path, confinement: &Confinement) -> Command {
    let order = Order::Exec {
        launcher: rustix::process::getpid(),
    };
    let task = Task {
        confinement: Some(confinement.clone()),
        argv: None,
    };
    let mut command = program(launcher, &order, &task);
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// The body of the hidden subcommand, to be called before any thread is started: the arguments after
/// [`SUBCOMMAND`], as [`launch_command`] wrote them.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (order, task) = match order::parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return report(&error, EXIT_LAUNCHER),
    };
    if let Err(error) = shed::descriptors() {
        return report(&error, EXIT_LAUNCHER);
    }
    match order {
        Order::Supervise { gateway, grace } => match supervise::supervise(gateway, grace, &task) {
            Ok(code) => ExitCode::from(code),
            Err(error) => report(&error, EXIT_LAUNCHER),
        },
        Order::Exec { launcher } => match stage::become_server(launcher, &task) {
            Ok(code) => code,
            Err(error) => report(&error, error.exit_code()),
        },
    }
}

/// A stage of the launcher.
fn program(binary: &Path, order: &Order, task: &Task) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate is where children are started"
    )]
    let mut program = Command::new(binary);
    program
        .arg0("portcullis")
        .arg(SUBCOMMAND)
        .args(order.arguments())
        .args(task.arguments());
    program
}

/// Says on stderr, which the gateway logs, why the launcher ends with `code`.
fn report(error: &dyn std::error::Error, code: u8) -> ExitCode {
    let mut text = format!("portcullis {SUBCOMMAND}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    // Nobody is left to tell if the gateway has hung up; the exit code says it too.
    drop(writeln!(std::io::stderr(), "{text}"));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(command: &str, name: &str) -> Spec {
        Spec {
            command: command.into(),
            args: vec!["a".into()],
            cwd: None,
            env: vec![(name.into(), "hush".into())],
            confinement: None,
        }
    }

    fn check(launcher: &str, spec: &Spec, expected: Result<(), Unlaunchable>) {
        assert_eq!(
            launch_command(Path::new(launcher), spec, Duration::ZERO).map(drop),
            expected
        );
    }

    #[test]
    fn refuses_what_would_be_misread() {
        check("/x", &spec("sh", "A"), Ok(()));
        check("/x", &spec("", "A"), Err(Unlaunchable::Command));
        check("/x", &spec("sh", ""), Err(Unlaunchable::Variable));
        check("/x", &spec("sh", "A=B"), Err(Unlaunchable::Variable));
        check("x", &spec("sh", "A"), Err(Unlaunchable::Launcher));
    }

    #[test]
    fn values_of_variables_are_neither_shown_nor_arguments() {
        let spec = spec("sh", "TOKEN");
        assert!(!format!("{spec:?}").contains("hush"));
        let command = launch_command(Path::new("/x"), &spec, Duration::ZERO).unwrap();
        assert!(command.get_args().all(|argument| argument != "hush"));
    }
}
