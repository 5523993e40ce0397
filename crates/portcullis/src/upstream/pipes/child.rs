//! One process and the exchanges under way with it.

use super::Plan;
use super::confined::tell_unconfined;
use super::peer::{Peer, Said};
use crate::credentials::Shown;
use crate::upstream::sse::Showing;
use crate::upstream::stdio::{Ended, Event, Unsent, single_line};
use crate::upstream::{Line, Queue, Report};
use bytes::Bytes;
use portcullis_core::authenticate::Principal;
use portcullis_core::protocol::{Call, Id, Kind};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::remap::{self, Chosen, Outward};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

/// Messages that may wait for one reader.
const QUEUE: usize = 256;
/// Messages for nobody in particular that are kept until somebody listens.
const BACKLOG: usize = 64;
/// Requests in a row that were given up while the server said nothing at all: then it hangs.
const MAX_TIMEOUTS: u32 = 3;
/// What may wait for readers in all, in bytes, unless one line may be longer. Answers do not count: there is one for
/// each request under way, and the quota bounds those.
const UNREAD_BYTES: u32 = 16 * 1024 * 1024;
/// How long an answer may wait for its reader.
const HAND_OVER: Duration = Duration::from_secs(5);

/// A running server.
pub(super) struct Child {
    name: Arc<str>,
    owner: Arc<str>,
    server: Arc<str>,
    process: Peer,
    started_ms: u64,
    used_ms: AtomicU64,
    running: AtomicBool,
    is_confined: bool,
    timeouts: AtomicU32,
    tasks: TaskTracker,
    /// A permit for each byte that may wait for readers.
    room: Arc<Semaphore>,
    has_dropped: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    last: u64,
    waiting: BTreeMap<u64, Waiting>,
    unasked: Option<mpsc::Sender<Line>>,
    backlog: VecDeque<Line>,
}

struct Waiting {
    id: Option<Id>,
    chosen: Chosen,
    answered: Arc<AtomicBool>,
    lines: mpsc::Sender<Line>,
}

/// A request under way; dropped before its answer came, it is over for the server too where the
/// protocol says so (2026-07-28: closing the stream cancels).
pub(super) struct Exchange {
    child: Arc<Child>,
    number: u64,
    answered: Arc<AtomicBool>,
    cancels: bool,
}

impl Exchange {
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// Gives up on the answer, whatever the revision.
    pub(super) fn cancel(mut self) {
        self.cancels = true;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.child.held().waiting.remove(&self.number);
        if !self.cancels || self.is_answered() {
            return;
        }
        let (child, line) = (Arc::clone(&self.child), remap::cancellation(self.number));
        self.child
            .tasks
            .spawn(async move { child.process.send(line, Showing::Opener).await.ok() });
    }
}

impl Child {
    pub(super) fn start(
        plan: &Plan,
        (name, whose): (Arc<str>, Principal),
        tasks: &TaskTracker,
    ) -> Result<(Self, Said), Unanswered> {
        let owner = Arc::clone(&whose.key);
        let (process, events, line_bytes) = Peer::start(plan, whose, tasks)?;
        let now = crate::clock::millis();
        let room = UNREAD_BYTES.max(line_bytes);
        let child = Self {
            name,
            owner,
            is_confined: plan.confinement().is_some(),
            server: Arc::clone(&plan.server),
            process,
            started_ms: now,
            used_ms: AtomicU64::new(now),
            running: AtomicBool::new(true),
            timeouts: AtomicU32::new(0),
            tasks: tasks.clone(),
            room: Arc::new(Semaphore::new(usize::try_from(room).unwrap_or_default())),
            has_dropped: AtomicBool::new(false),
            held: Mutex::default(),
        };
        Ok((child, events))
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) const fn owner(&self) -> &Arc<str> {
        &self.owner
    }

    pub(super) fn is_of_session(&self) -> bool {
        self.name.starts_with("session:")
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.held().waiting.is_empty()
    }

    pub(super) fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }

    /// A request was given up; a server that has not said anything for some of them is no use any more.
    pub(super) fn timed_out(&self) {
        if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_TIMEOUTS {
            self.running.store(false, Ordering::Release);
        }
    }

    pub(super) async fn stop(&self) {
        self.running.store(false, Ordering::Release);
        self.process.stop().await;
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, message: &[u8], shown: Option<Shown>) -> Result<(), Unanswered> {
        self.used_ms
            .store(crate::clock::millis(), Ordering::Relaxed);
        let line = Bytes::from(single_line(message).into_owned());
        let sent = self.process.send(line, Showing::Own(shown)).await;
        sent.map_err(|unsent| {
            if matches!(unsent, Unsent::Stuck | Unsent::Gone) {
                self.running.store(false, Ordering::Release);
            }
            Unanswered::NotRunning
        })
    }

    /// Sends what wants no answer.
    pub(super) async fn tell(&self, call: &Call, shown: Option<Shown>) -> Result<(), Unanswered> {
        let Some((id, range)) = remap::cancelled(call) else {
            return self.send(call.body(), shown).await;
        };
        let number = {
            let held = self.held();
            held.waiting
                .iter()
                .find(|(_, waiting)| waiting.id.as_ref() == Some(&id))
                .map(|(number, _)| *number)
        };
        // What is not under way cannot be cancelled.
        let Some(number) = number else { return Ok(()) };
        let number = number.to_string();
        let message = remap::put_back(call.body(), range, number.as_bytes());
        self.send(&message, shown).await
    }

    /// Sends a request; its answer, and what comes before it, arrive in the queue.
    pub(super) async fn ask(
        self: &Arc<Self>,
        call: &Call,
        shown: Option<Shown>,
    ) -> Result<(Exchange, Queue), Unanswered> {
        let (lines, queue) = mpsc::channel(QUEUE);
        let answered = Arc::new(AtomicBool::new(false));
        let (number, line) = {
            let mut held = self.held();
            held.last += 1;
            let number = held.last;
            let (line, chosen) = remap::inward(call, number);
            let id = match call.kind() {
                Kind::Request(id) => Some(id.clone()),
                Kind::Notification | Kind::Response(_) => None,
            };
            held.waiting.insert(
                number,
                Waiting {
                    id,
                    chosen,
                    lines,
                    answered: Arc::clone(&answered),
                },
            );
            (number, line)
        };
        let exchange = Exchange {
            child: Arc::clone(self),
            number,
            answered,
            cancels: call.revision().is_stateless(),
        };
        self.send(&line, shown).await?;
        Ok((exchange, queue))
    }

    /// The queue of what nobody asked for; whoever listened before is cut off.
    pub(super) fn unasked(&self) -> Option<Queue> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let mut held = self.held();
        for message in held.backlog.drain(..) {
            sender.try_send(message).ok()?;
        }
        held.unasked = Some(sender);
        Some(queue)
    }

    /// Hands out what the server says until it ends; says how long it ran.
    pub(super) async fn read(&self, mut events: Said, report: &Report) -> Duration {
        while let Some(event) = events.next().await {
            match event {
                Event::Line(line) => self.hand_out(line, report).await,
                Event::Ended(ended) => self.tell_end(&ended, report),
            }
        }
        self.running.store(false, Ordering::Release);
        let mut held = self.held();
        held.waiting.clear();
        held.unasked = None;
        Duration::from_millis(crate::clock::millis().saturating_sub(self.started_ms))
    }

    fn tell_end(&self, ended: &Ended, report: &Report) {
        let server = &*self.name;
        tracing::info!(process = server, reason = %ended.reason, noise = ended.noise, "server ended");
        if self.is_confined {
            tell_unconfined(ended, (&self.server, &self.owner), report);
        }
    }

    async fn hand_out(&self, line: Bytes, report: &Report) {
        self.timeouts.store(0, Ordering::Relaxed);
        let Some(outward) = remap::outward(&line) else {
            return report.refused(&self.server, "malformed_line");
        };
        match outward {
            Outward::Answer(number, range) => {
                let Some(waiting) = self.held().waiting.remove(&number) else {
                    return report.refused(&self.server, "answer_not_asked");
                };
                waiting.answered.store(true, Ordering::Release);
                let line = remap::put_back(&line, range, &waiting.chosen.id);
                if waiting
                    .lines
                    .send_timeout(
                        Line {
                            bytes: line,
                            is_last: true,
                            _room: None,
                        },
                        HAND_OVER,
                    )
                    .await
                    .is_err()
                {
                    tracing::debug!(process = &*self.name, "nobody took the answer");
                }
            }
            Outward::Progress(number, range) => self.pass(report, number, |chosen| {
                chosen
                    .token
                    .as_ref()
                    .map(|token| remap::put_back(&line, range, token))
            }),
            Outward::Subscribed(number, range) => {
                self.pass(report, number, |chosen| {
                    Some(remap::put_back(&line, range, &chosen.id))
                });
            }
            Outward::Unasked => self.pass_unasked(&line, report),
        }
    }

    /// Passes a message to the exchange of that number; a reader who does not keep up misses it.
    fn pass(&self, report: &Report, number: u64, restored: impl FnOnce(&Chosen) -> Option<Bytes>) {
        let held = self.held();
        let Some(waiting) = held.waiting.get(&number) else {
            return;
        };
        let Some(line) = restored(&waiting.chosen) else {
            return tracing::debug!(process = &*self.name, "message for nobody");
        };
        let Some(line) = self.passing(&line) else {
            return self.dropped(report);
        };
        if waiting.lines.try_send(line).is_err() {
            tracing::debug!(process = &*self.name, "message dropped");
        }
    }

    /// Passes a message to the newest exchange under way, else to whoever listens, else keeps it a while.
    fn pass_unasked(&self, line: &Bytes, report: &Report) {
        let mut held = self.held();
        let line = loop {
            if let Some(line) = self.passing(line) {
                break line;
            }
            self.dropped(report);
            // What was kept for nobody in particular makes room first.
            if held.backlog.pop_front().is_none() {
                return;
            }
        };
        let newest = held
            .waiting
            .last_key_value()
            .map(|(_, waiting)| &waiting.lines);
        let unsent = match newest.or(held.unasked.as_ref()) {
            None => line,
            Some(reader) => match reader.try_send(line) {
                Ok(()) => return,
                Err(unsent) => unsent.into_inner(),
            },
        };
        if held.backlog.len() >= BACKLOG {
            held.backlog.pop_front();
        }
        held.backlog.push_back(unsent);
    }

    /// A message that ends nothing, if there is room for it.
    fn passing(&self, bytes: &Bytes) -> Option<Line> {
        let size = u32::try_from(bytes.len()).ok()?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(size).ok()?;
        Some(Line {
            bytes: bytes.clone(),
            is_last: false,
            _room: Some(room),
        })
    }

    /// A message was dropped for want of room; the first of each process is recorded.
    fn dropped(&self, report: &Report) {
        tracing::debug!(process = &*self.name, "message dropped: too much is unread");
        if !self.has_dropped.swap(true, Ordering::Relaxed) {
            report.refused(&self.server, "unread");
        }
    }
}
