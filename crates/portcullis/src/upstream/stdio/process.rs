//! A running server: its handle, its events, and the one task that keeps both true.

use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use portcullis_sandbox::launch_command;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::line::{self, Finished};
use super::stderr::{self, Heard};
use super::{Ended, Event, ExitReason, Launch, Limits, StartError, Unsent};

/// Lines that may wait to be written; [`Limits::line_bytes`] bounds them too.
const QUEUE_LINES: usize = 8;
/// Lines that may wait to be handed on, each of which may be as long as is allowed.
const FOUND_LINES: usize = 1;

/// What the launcher may take beyond what it was given, to kill and to reap; it gives up sooner itself.
const MARGIN: Duration = Duration::from_secs(7);

/// The handle of a running server. If it is dropped, the server is killed.
#[derive(Debug)]
pub(crate) struct Process {
    lines: mpsc::Sender<Queued>,
    /// A permit for each byte that may wait to be written.
    room: Arc<Semaphore>,
    limits: Limits,
    signals: Signals,
    tally: Arc<Tally>,
}

/// What comes from a running server, in order. Once it has ended, what its pipe still holds must be taken within
/// [`Limits::grace`].
#[derive(Debug)]
pub(crate) struct Events {
    lines: mpsc::Receiver<Bytes>,
    ended: Option<oneshot::Receiver<Ended>>,
}

/// What the handle and the tasks tell each other.
#[derive(Debug, Clone)]
struct Signals {
    /// Close stdin. It follows from `kill`.
    stop: CancellationToken,
    /// Close everything.
    kill: CancellationToken,
    /// No process is left.
    gone: CancellationToken,
}

#[derive(Debug, Default)]
struct Tally {
    noise: AtomicU64,
    is_stopped: AtomicBool,
    is_overlong: AtomicBool,
}

/// A line that waits, and the room it takes.
#[derive(Debug)]
struct Queued {
    line: Bytes,
    _room: OwnedSemaphorePermit,
}

/// The running server, as its task owns it.
#[derive(Debug)]
struct Running {
    child: Child,
    limits: Limits,
    signals: Signals,
    tally: Arc<Tally>,
}

impl Process {
    /// Starts a server on the current Tokio runtime, its tasks on `tasks`; `hear` gets what it says on stderr.
    ///
    /// That the command does not exist shows later, as [`ExitReason::Exited`].
    ///
    /// # Errors
    /// [`StartError`] if there is no launcher that could run it.
    pub(crate) fn start(
        launch: &Launch,
        hear: impl FnMut(Heard<'_>) + Send + 'static,
        tasks: &TaskTracker,
    ) -> Result<(Self, Events), StartError> {
        let limits = launch.limits;
        let command = launch_command(&launch.launcher, &launch.spec, limits.grace)?;
        let mut child = Command::from(command).spawn().map_err(StartError::Spawn)?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(StartError::Pipes);
        };

        let (lines, queue) = mpsc::channel(QUEUE_LINES);
        let (found, received) = mpsc::channel(FOUND_LINES);
        let (end, last) = oneshot::channel();
        let (signals, tally) = (Signals::new(), Arc::new(Tally::default()));
        let stop = signals.stop.clone();
        tasks.spawn(async move {
            // What cannot be written any more is told by the end of the server.
            drop(stop.run_until_cancelled(line::write(stdin, queue)).await);
        });
        let running = Running {
            child,
            limits,
            signals: signals.clone(),
            tally: Arc::clone(&tally),
        };
        tasks.spawn(async move {
            let ended = running.run(stdout, found, stderr, hear).await;
            // Nobody may be left who wants to know.
            end.send(ended).ok();
        });
        let room = Arc::new(Semaphore::new(
            usize::try_from(limits.line_bytes).unwrap_or(Semaphore::MAX_PERMITS),
        ));
        Ok((
            Self {
                lines,
                room,
                limits,
                signals,
                tally,
            },
            Events {
                lines: received,
                ended: Some(last),
            },
        ))
    }

    /// Puts a line in the queue to the server, without its end. That it was read is not said.
    ///
    /// If the future is dropped, the line is not sent.
    ///
    /// # Errors
    /// [`Unsent::Stuck`] after [`Limits::send`]; the others at once.
    pub(crate) async fn send(&self, line: Bytes) -> Result<(), Unsent> {
        if line.is_empty() || line::has_break(&line) {
            return Err(Unsent::NotALine);
        }
        let size = u32::try_from(line.len()).map_err(|_| Unsent::TooLong)?;
        if size > self.limits.line_bytes {
            return Err(Unsent::TooLong);
        }
        let queued = async {
            let room = Arc::clone(&self.room)
                .acquire_many_owned(size)
                .await
                .map_err(|_| Unsent::Gone)?;
            self.lines
                .send(Queued { line, _room: room })
                .await
                .map_err(|_| Unsent::Gone)
        };
        tokio::select! {
            biased;
            () = self.signals.stop.cancelled() => Err(Unsent::Gone),
            sent = timeout(self.limits.send, queued) => sent.map_err(|_| Unsent::Stuck)?,
        }
    }

    /// Closes the server's stdin and waits until none of its processes is left: the launcher gives it
    /// [`Limits::grace`] to end, then SIGTERM and as long again, then SIGKILL. What waits to be written is dropped.
    ///
    /// If the future is dropped, the stop goes on.
    pub(crate) async fn stop(&self) {
        self.tally.is_stopped.store(true, Ordering::Relaxed);
        self.signals.stop.cancel();
        self.signals.gone.cancelled().await;
    }

    /// How many lines of its stdout were dropped until now because no message can be in them.
    #[cfg(test)]
    pub(crate) fn noise(&self) -> u64 {
        self.tally.noise.load(Ordering::Relaxed)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.tally.is_stopped.store(true, Ordering::Relaxed);
        self.signals.kill.cancel();
    }
}

impl Events {
    /// The next event, and nothing after [`Event::Ended`]. If the future is dropped, nothing is lost.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        if let Some(line) = self.lines.recv().await {
            return Some(Event::Line(line));
        }
        let ended = self.ended.as_mut()?.await;
        self.ended = None;
        // A task that was dropped with its runtime told nothing.
        Some(Event::Ended(ended.unwrap_or(Ended {
            reason: ExitReason::Lost,
            noise: 0,
        })))
    }
}

impl AsRef<[u8]> for Queued {
    fn as_ref(&self) -> &[u8] {
        &self.line
    }
}

impl Signals {
    fn new() -> Self {
        let kill = CancellationToken::new();
        Self {
            stop: kill.child_token(),
            kill,
            gone: CancellationToken::new(),
        }
    }
}

impl Running {
    /// Reads the server's streams until no process of it is left.
    async fn run(
        self,
        stdout: ChildStdout,
        lines: mpsc::Sender<Bytes>,
        stderr: ChildStderr,
        hear: impl FnMut(Heard<'_>),
    ) -> Ended {
        let Self {
            child,
            limits,
            signals,
            tally,
        } = self;
        let read = async {
            let noise = || {
                tally.noise.fetch_add(1, Ordering::Relaxed);
            };
            match line::read(stdout, limits.line_bytes, lines, noise).await {
                // A server that nobody can hear has no use.
                Finished::Closed => signals.stop.cancel(),
                Finished::Overlong => {
                    tally.is_overlong.store(true, Ordering::Relaxed);
                    signals.kill.cancel();
                }
            }
        };
        let listen = stderr::listen(stderr, limits.stderr_bytes_per_second, hear);
        let drained = CancellationToken::new();
        let streams = async {
            // To be cancelled drops both streams, and that is what the launcher notices.
            signals
                .kill
                .run_until_cancelled(async { tokio::join!(read, listen) })
                .await;
            drained.cancel();
        };
        let life = async {
            let status = reap(child, &signals, limits.grace).await;
            signals.gone.cancel();
            // What the pipes still hold is read; a reader that does not take it is not waited for.
            drop(timeout(limits.grace, drained.cancelled()).await);
            signals.kill.cancel();
            status
        };
        let ((), status) = tokio::join!(streams, life);
        Ended {
            reason: tally.reason(status),
            noise: tally.noise.load(Ordering::Relaxed),
        }
    }
}

impl Tally {
    fn reason(&self, status: Option<ExitStatus>) -> ExitReason {
        if self.is_overlong.load(Ordering::Relaxed) {
            return ExitReason::LineTooLong;
        }
        if self.is_stopped.load(Ordering::Relaxed) {
            return ExitReason::Stopped;
        }
        status
            .and_then(|status| status.code())
            .map_or(ExitReason::Lost, ExitReason::Exited)
    }
}

/// Waits for the launcher, which ends when nothing of the server is left, and sees to it that it does.
async fn reap(mut child: Child, signals: &Signals, grace: Duration) -> Option<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status.ok(),
        () = signals.stop.cancelled() => {}
    }
    // The launcher was asked; it is now its task to tell and to kill.
    tokio::select! {
        status = child.wait() => return status.ok(),
        () = signals.kill.cancelled() => {}
        () = tokio::time::sleep(grace.saturating_mul(2).saturating_add(MARGIN)) => signals.kill.cancel(),
    }
    // All pipes are closed: it kills at once.
    if let Ok(status) = timeout(MARGIN, child.wait()).await {
        return status.ok();
    }
    // A launcher that hangs is no help any more; the server dies with it.
    child.start_kill().ok();
    child.wait().await.ok()
}
