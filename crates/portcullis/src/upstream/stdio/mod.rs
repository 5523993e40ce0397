//! A server that is a process of ours: lines in, lines out, and an end that leaves nothing behind.
//!
//! [`Process::start`] runs the server under the launcher of `portcullis-sandbox` and gives two things: the handle to
//! [`Process::send`] lines with, and the [`Events`] that come back. What ends, hangs up its pipe, and the launcher
//! does the rest: [`Process::stop`] closes the server's stdin, dropping the handle closes all three.
//!
//! A server is trusted with nothing. Its lines have a greatest length and a bounded queue, what it does not read
//! makes a send fail and not wait for ever, and what it says on stderr is escaped and has a rate.

mod backoff;
mod line;
mod process;
mod stderr;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use portcullis_sandbox::{Spec, Unlaunchable};

pub(crate) use backoff::Backoff;
pub(crate) use line::single_line;
pub(crate) use process::{Events, Process};
#[cfg(test)]
pub(crate) use stderr::Heard;
pub(crate) use stderr::log;

/// What a server is started from, again after each of its ends.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// The absolute path of the launcher: `/proc/self/exe`, if this binary has the launcher's subcommand.
    pub(crate) launcher: PathBuf,
    /// The command and its whole environment.
    pub(crate) spec: Spec,
    /// What it may use.
    pub(crate) limits: Limits,
}

/// What a server may use of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The longest line in either direction, without its end; also the most that may wait to be written.
    pub(crate) line_bytes: u32,
    /// What is logged of stderr; the rest is counted and dropped.
    pub(crate) stderr_bytes_per_second: u32,
    /// How long it may take to end when its stdin is closed, and again when it gets SIGTERM.
    pub(crate) grace: Duration,
    /// How long a line may wait for the server to read.
    pub(crate) send: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: 16 * 1024 * 1024,
            stderr_bytes_per_second: 16 * 1024,
            grace: Duration::from_secs(2),
            send: Duration::from_secs(10),
        }
    }
}

/// What comes from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A line of UTF-8 that is not empty, without its end. Nothing else is known of it.
    Line(Bytes),
    /// The last event: no process of the server is left.
    Ended(Ended),
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Why.
    pub(crate) reason: ExitReason,
    /// How many lines of its stdout were dropped because no message can be in them.
    pub(crate) noise: u64,
}

/// Why a server's process is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExitReason {
    /// It was stopped, or its handle was dropped.
    #[error("stopped")]
    Stopped,
    /// It was killed, because a line on its stdout was longer than [`Limits::line_bytes`].
    #[error("killed for a line that is too long")]
    LineTooLong,
    /// It ended with this code: 128 and a signal's number if a signal ended it, 125 to 127 if it was not started
    /// (the `EXIT_*` of `portcullis_sandbox`).
    #[error("exited with code {0}")]
    Exited(i32),
    /// Its launcher was killed from outside, and the server with it.
    #[error("the launcher is gone")]
    Lost,
}

/// Why a server was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The launcher refuses what it is told to run.
    #[error(transparent)]
    Unlaunchable(#[from] Unlaunchable),
    /// The launcher could not be run; also if the working directory does not exist.
    #[error("cannot run the launcher")]
    Spawn(#[source] std::io::Error),
    /// The launcher has no pipes.
    #[error("the launcher has no pipes")]
    Pipes,
}

/// Why a line was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsent {
    /// It is empty or has a line break in it: [`single_line`] was not applied.
    #[error("not a single line")]
    NotALine,
    /// It is longer than [`Limits::line_bytes`].
    #[error("line too long")]
    TooLong,
    /// The server did not read for [`Limits::send`].
    #[error("the server does not read")]
    Stuck,
    /// The server has ended or was stopped.
    #[error("the server is gone")]
    Gone,
}
