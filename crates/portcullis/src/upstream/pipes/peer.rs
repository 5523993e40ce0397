//! What is at the other end of the pipes: a process of ours, or a server over SSE.

use super::{Plan, Source};
use crate::upstream::sse::{Link, Showing};
use crate::upstream::stdio::{self, Event, Process, Unsent, log};
use bytes::Bytes;
use portcullis_core::authenticate::Principal;
use portcullis_core::refusal::Unanswered;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// The other end of the pipes.
pub(super) enum Peer {
    Process(Process),
    Link(Link),
}

/// What comes out of them.
pub(super) enum Said {
    Process(stdio::Events),
    Link(mpsc::Receiver<Bytes>),
}

impl Peer {
    /// Starts or reaches the server; gives what it says, and how long a message of it may be.
    pub(super) fn start(
        plan: &Plan,
        whose: Principal,
        tasks: &TaskTracker,
    ) -> Result<(Self, Said, u32), Unanswered> {
        let launch = match &plan.source {
            Source::Process(launch) => launch,
            Source::Link(target, longest) => {
                let (link, told) = Link::open(target, whose, tasks);
                return Ok((Self::Link(link), Said::Link(told), *longest));
            }
        };
        let started = Process::start(launch, log(plan.server.to_string()), tasks);
        let (process, events) = started.map_err(|error| {
            tracing::error!(server = &*plan.server, %error, "cannot start the server");
            Unanswered::NotRunning
        })?;
        let longest = launch.limits.line_bytes;
        Ok((Self::Process(process), Said::Process(events), longest))
    }

    /// Sends a message; a process is shown nothing of who calls.
    pub(super) async fn send(&self, message: Bytes, showing: Showing) -> Result<(), Unsent> {
        match self {
            Self::Process(process) => process.send(message).await,
            Self::Link(link) => link.send(message, showing).await,
        }
    }

    pub(super) async fn stop(&self) {
        match self {
            Self::Process(process) => process.stop().await,
            Self::Link(link) => link.close(),
        }
    }
}

impl Said {
    pub(super) async fn next(&mut self) -> Option<Event> {
        match self {
            Self::Process(events) => events.next().await,
            Self::Link(told) => told.recv().await.map(Event::Line),
        }
    }
}

impl super::Pipes {
    /// How many processes, or links, there are.
    pub(in crate::upstream) fn count(&self) -> usize {
        let table = self.table.lock();
        let table = table.unwrap_or_else(std::sync::PoisonError::into_inner);
        table.children.len()
    }
}
