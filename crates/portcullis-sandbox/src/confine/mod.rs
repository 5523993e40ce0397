//! What may a server do to the machine it runs on? Two walls, each of which holds alone.
//!
//! The first is made of namespaces (a root, processes, a network of its own) and of a filter of system calls; the second is
//! Landlock. [`Confined`] is the proof that both stand, and what becomes the server takes it.

mod calls;
mod identity;
mod init;
mod limits;
mod paths;
mod root;
mod wire;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use init::{Confined, Entered, enter};
pub(crate) use wire::{arguments, parse};

/// Whom a server is on the machine, where the gateway is root: nobody else. Files that it is to read or write must let it.
pub const SANDBOX_UID: u32 = 200_000;

/// Where everything is that programs need to run, of which a server may read all. Those that do not exist are left out.
pub const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];

/// What names are looked up with, where there is a network.
pub const RESOLVER: &[&str] = &[
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/services",
];

/// What a server may see, write, reach and use up. Nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// Absolute paths that it may read, and run programs from, besides [`SYSTEM`].
    pub read: Vec<PathBuf>,
    /// Absolute paths that it may read and write; nothing there can be run.
    pub write: Vec<PathBuf>,
    /// What it may connect to.
    pub network: Network,
    /// The most data of one process, in bytes.
    pub memory_bytes: u64,
    /// The most processes and threads at once.
    pub processes: u32,
    /// The size of `/tmp`, in bytes, which is in memory and ends with the server.
    pub scratch_bytes: u64,
    /// Which walls stand. Anything but [`Walls::All`] is for measuring what the other one stops.
    pub walls: Walls,
}

/// What a server may connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Nothing: it has a network of its own with nobody in it.
    None,
    /// These TCP ports of any host, over the machine's own network. Names are looked up by UDP, which is not confined.
    Ports(Vec<u16>),
}

/// Which walls stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walls {
    /// Both.
    All,
    /// Landlock alone.
    Landlock,
    /// Namespaces and the filter of system calls alone.
    Namespaces,
}

impl Walls {
    fn has_landlock(self) -> bool {
        match self {
            Self::All | Self::Landlock => true,
            Self::Namespaces => false,
        }
    }

    fn has_namespaces(self) -> bool {
        match self {
            Self::All | Self::Namespaces => true,
            Self::Landlock => false,
        }
    }
}

/// Why a server is not started: a wall could not be built. It is never started without.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unconfined {
    /// The kernel, or a rule of this machine, refuses a step.
    #[error("the sandbox cannot be built: {0}")]
    Step(&'static str, #[source] io::Error),
    /// A path cannot be put into the root.
    #[error("the sandbox cannot be built: {what} {}", path.display())]
    Path {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The filter of system calls.
    #[error("the sandbox cannot be built: the filter of system calls")]
    Calls(#[source] seccompiler::Error),
    /// Landlock.
    #[error(
        "the sandbox cannot be built: Landlock (it needs Linux 5.13, and 6.12 where ports are named)"
    )]
    Landlock(#[source] landlock::RulesetError),
    /// Landlock is switched off.
    #[error("the sandbox cannot be built: Landlock is off; it must be in the kernel's `lsm=` list")]
    NoLandlock,
    /// Whoever started it is gone.
    #[error("the launcher is gone")]
    Orphaned,
}

impl Unconfined {
    fn path(what: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Path {
            what,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// Names the step that failed.
trait At<T> {
    fn at(self, step: &'static str) -> Result<T, Unconfined>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &'static str) -> Result<T, Unconfined> {
        self.map_err(|error| Unconfined::Step(step, error.into()))
    }
}
