//! The order in which the walls are built, and the two processes that wait behind them.
//!
//! Both are what the launcher started, with one thread. The first lets go of what it is and leaves its namespaces; the second
//! is the first process of the new ones, builds the root, and takes in orphans; the third becomes the server.

use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, set_dumpable_behavior,
    set_parent_process_death_signal, wait, waitpid,
};
use rustix::stdio::{dup2_stdin, dup2_stdout};

use super::{At as _, Confinement, Unconfined, calls, identity, limits, paths, root};
use crate::sys::{self, Forked};
use crate::tree::exit_code;

/// The proof that this process is behind its walls. What becomes the server takes it.
#[derive(Debug)]
pub(crate) struct Confined(());

/// Who goes on after [`enter`].
#[derive(Debug)]
pub(crate) enum Entered {
    /// The process that is to become the server.
    Inside(Confined),
    /// One that has waited for it, and how it ended.
    Waited(ExitCode),
}

/// Builds the walls around this process, which `launcher` has started.
pub(crate) fn enter(confinement: &Confinement, launcher: Pid) -> Result<Entered, Unconfined> {
    identity::become_nobody(launcher)?;
    if !confinement.walls.has_namespaces() {
        return close(confinement).map(Entered::Inside);
    }
    identity::leave(&confinement.network)?;
    let null = null()?;
    let (alive, held) = pipe_with(PipeFlags::CLOEXEC).at("pipe")?;
    match sys::fork().at("process")? {
        Forked::Parent(first) => {
            sys::ignore_sigterm();
            give_up_streams(&null)?;
            let status = wait_for(first)?;
            drop(held);
            Ok(Entered::Waited(ExitCode::from(exit_code(status))))
        }
        Forked::Child => {
            drop(held);
            first(confinement, (&alive, &null))
        }
    }
}

/// The first process of the new namespaces.
fn first(
    confinement: &Confinement,
    (alive, null): (&OwnedFd, &OwnedFd),
) -> Result<Entered, Unconfined> {
    set_parent_process_death_signal(Some(Signal::KILL)).at("tie to the launcher")?;
    expect_parent(alive)?;
    root::build(confinement)?;
    identity::drop_capabilities()?;
    // The server must not look into it: it has seen the machine.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at("dumpable")?;
    match sys::fork().at("process")? {
        Forked::Parent(server) => {
            give_up_streams(null)?;
            let status = reap_until(server)?;
            // All others of its namespace end with it.
            Ok(Entered::Waited(ExitCode::from(exit_code(status))))
        }
        Forked::Child => close(confinement).map(Entered::Inside),
    }
}

/// The walls that a process builds around itself, the last of which forbids to build.
fn close(confinement: &Confinement) -> Result<Confined, Unconfined> {
    limits::set(confinement)?;
    if confinement.walls.has_landlock() {
        paths::restrict(confinement)?;
    }
    if confinement.walls.has_namespaces() {
        calls::filter()?;
    }
    Ok(Confined(()))
}

/// A parent that ended before the tie sends no signal any more; its number is not seen here, but its end of a pipe is.
fn expect_parent(alive: &OwnedFd) -> Result<(), Unconfined> {
    let mut descriptors = [PollFd::new(alive, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut descriptors, Some(&now)).at("pipe")? {
        0 => Ok(()),
        _ => Err(Unconfined::Orphaned),
    }
}

fn null() -> Result<OwnedFd, Unconfined> {
    open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).at("/dev/null")
}

/// The ends of stdin and stdout are the server's to give.
fn give_up_streams(null: &OwnedFd) -> Result<(), Unconfined> {
    dup2_stdin(null.as_fd()).at("stdin")?;
    dup2_stdout(null.as_fd()).at("stdout")
}

fn wait_for(child: Pid) -> Result<WaitStatus, Unconfined> {
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).at("wait"),
        }
    }
}

/// Takes in whatever ends until `server` has.
fn reap_until(server: Pid) -> Result<WaitStatus, Unconfined> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == server => return Ok(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).at("wait"),
        }
    }
}
