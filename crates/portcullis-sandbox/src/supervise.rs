//! The launcher's life: start the server, wait for the first that ends or hangs up, and leave nothing behind.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, set_child_subreaper,
    set_dumpable_behavior,
};
use rustix::stdio::{dup2_stdout, stderr, stdin};

use crate::order::{Order, Task};
use crate::program;
use crate::tree::{Survivors, Tree};

/// The longest sleep: orphans that ended are taken in at least this often.
const TICK: Duration = Duration::from_secs(1);

/// Why a launcher could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsupervised {
    /// The gateway ended before the launcher could watch it.
    #[error("the gateway is gone")]
    Orphaned,
    /// The kernel refused what supervision needs.
    #[error("cannot supervise")]
    Refused(#[from] Errno),
    /// The last stage could not be started.
    #[error("cannot start the server's process")]
    Unstarted(#[source] std::io::Error),
    /// Processes are left.
    #[error(transparent)]
    Survivors(#[from] Survivors),
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Serving,
    /// Stdin was closed; SIGTERM follows.
    Asked(Instant),
    /// SIGTERM was sent; SIGKILL follows.
    Told(Instant),
}

/// What ended a sleep.
#[derive(Debug)]
enum Wake {
    /// The server ended, the gateway ended, or nobody reads stderr any more.
    Over,
    /// The gateway closed the server's stdin.
    Asked,
    /// Nothing: time passed.
    Tick,
}

/// What the launcher watches beside its own stdin and stderr.
#[derive(Debug)]
struct Watch {
    gateway: OwnedFd,
    server: OwnedFd,
}

/// Runs `task` until it ends or `gateway` no longer wants it; the exit code is the server's.
pub(crate) fn supervise(gateway: Pid, grace: Duration, task: &Task) -> Result<u8, Unsupervised> {
    let gateway = attach(gateway)?;
    let server = start(task)?;
    let mut tree = Tree::of(server);
    let watched = keep_watch(gateway, server, grace, &mut tree);
    let code = tree.end()?;
    watched?;
    Ok(code)
}

/// The one clock of the launcher, which is a process of its own and has no other.
#[expect(
    clippy::disallowed_methods,
    reason = "deadlines of a process that takes no time as argument"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn attach(gateway: Pid) -> Result<OwnedFd, Unsupervised> {
    set_child_subreaper(Some(getpid()))?;
    let descriptor = pidfd_open(gateway, PidfdFlags::empty())?;
    // The descriptor is the gateway's only if the gateway is still the parent: else its number was given away.
    if getppid() != Some(gateway) {
        return Err(Unsupervised::Orphaned);
    }
    // The server runs as the same user and must not look into the launcher.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(descriptor)
}

fn start(task: &Task) -> Result<Pid, Unsupervised> {
    let order = Order::Exec { launcher: getpid() };
    let child = program(Path::new("/proc/self/exe"), &order, task)
        .spawn()
        .map_err(Unsupervised::Unstarted)?;
    Ok(Pid::from_child(&child))
}

/// Returns when the server has ended or has to.
fn keep_watch(
    gateway: OwnedFd,
    server: Pid,
    grace: Duration,
    tree: &mut Tree,
) -> Result<(), Errno> {
    let null = File::options().write(true).open("/dev/null");
    // The end of stdout is the server's to give.
    dup2_stdout(null.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?)?;
    let watch = Watch {
        gateway,
        server: pidfd_open(server, PidfdFlags::empty())?,
    };
    let mut phase = Phase::Serving;
    loop {
        match watch.wait(phase)? {
            Wake::Over => return Ok(()),
            Wake::Asked => phase = Phase::Asked(now() + grace),
            Wake::Tick => tree.reap(),
        }
        match phase {
            Phase::Asked(until) if until <= now() => {
                Tree::signal(Signal::TERM);
                phase = Phase::Told(now() + grace);
            }
            Phase::Told(until) if until <= now() => return Ok(()),
            Phase::Serving | Phase::Asked(_) | Phase::Told(_) => {}
        }
    }
}

impl Watch {
    fn wait(&self, phase: Phase) -> Result<Wake, Errno> {
        let (stdin, stderr) = (stdin(), stderr());
        let asked = match phase {
            Phase::Serving => vec![PollFd::new(&stdin, PollFlags::empty())],
            // It stays hung up.
            Phase::Asked(_) | Phase::Told(_) => Vec::new(),
        };
        let mut descriptors = vec![
            PollFd::new(&self.gateway, PollFlags::IN),
            PollFd::new(&self.server, PollFlags::IN),
            PollFd::new(&stderr, PollFlags::empty()),
        ];
        descriptors.extend(asked);
        match poll(&mut descriptors, Some(&phase.sleep())) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Wake::Tick),
            Err(error) => return Err(error),
        }
        let first = descriptors
            .iter()
            .position(|descriptor| !descriptor.revents().is_empty());
        Ok(match first {
            Some(0..=2) => Wake::Over,
            Some(_) => Wake::Asked,
            None => Wake::Tick,
        })
    }
}

impl Phase {
    fn sleep(self) -> Timespec {
        let left = match self {
            Self::Serving => TICK,
            Self::Asked(until) | Self::Told(until) => {
                until.saturating_duration_since(now()).min(TICK)
            }
        };
        Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
            tv_nsec: left.subsec_nanos().into(),
        }
    }
}
