//! An upstream that is a process: one for each session, and for stateless requests one for each principal.
//!
//! No two principals ever share a process. Ids, progress tokens and subscription ids are replaced by
//! numbers of ours on the way in and put back on the way out, so callers cannot meet in them.

mod child;
mod confined;
mod peer;
mod place;

use super::sse;
use super::stdio::{Backoff, Launch};
use super::{Begun, Carried, Content, Events, Line, Queue, Reply, Report};
use crate::clock;
use bytes::Bytes;
use child::{Child, Exchange};
use futures_util::future::join_all;
use portcullis_core::authenticate::Principal;
use portcullis_core::protocol::{Kind, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::Dispatch;
use portcullis_core::session::Open;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// A process for stateless requests ends after so long without one.
const IDLE: Duration = Duration::from_mins(5);

/// Principals whose processes fell that are remembered; one more forgets the one that may start again first.
const MAX_FALLEN: usize = 1024;

/// Names of processes: one count for all servers and reloads, so that no name ever means another process.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// What one such upstream is started from, and its bounds.
pub(crate) struct Plan {
    /// The server's name.
    pub(crate) server: Arc<str>,
    /// What is behind the pipes.
    pub(crate) source: Source,
    /// How long the first message of an answer may take.
    pub(crate) timeout: Duration,
    /// The most processes at once.
    pub(crate) most: usize,
}

/// What is behind the pipes.
pub(crate) enum Source {
    /// A process of ours.
    Process(Launch),
    /// A server over SSE, and the longest message of it.
    Link(Arc<sse::Target>, u32),
}

/// The processes of one server.
pub(crate) struct Pipes {
    plan: Plan,
    tasks: TaskTracker,
    report: Report,
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    children: HashMap<Arc<str>, Arc<Child>>,
    /// Whose processes fell: nobody waits for what another one's did.
    fallen: HashMap<Arc<str>, Fallen>,
    /// Nothing is started any more.
    is_stopped: bool,
}

/// A running process, and one that had to make room for it and is still to be stopped.
type Found = (Arc<Child>, Option<Arc<Child>>);

#[derive(Default)]
struct Fallen {
    backoff: Backoff,
    not_before_ms: u64,
}

impl fmt::Debug for Pipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipes({})", self.plan.server)
    }
}

/// Lines of one exchange, the first of which may already be here.
pub(crate) struct Lines {
    first: Option<Line>,
    queue: Queue,
    /// Ends what is under way at the server when the reader goes.
    _exchange: Option<Exchange>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines(..)")
    }
}

impl Lines {
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let line = match self.first.take() {
            Some(first) => Some(first),
            None => self.queue.recv().await,
        };
        line.map(|line| line.bytes)
    }
}

impl Pipes {
    pub(crate) fn new(plan: Plan, tasks: TaskTracker, report: Report) -> Self {
        Self {
            plan,
            tasks,
            report,
            table: Arc::default(),
        }
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.plan.timeout
    }

    pub(super) async fn call(
        &self,
        dispatch: &Dispatch,
        carried: &Carried,
    ) -> Result<Reply, Unanswered> {
        let shown = match &self.plan.source {
            Source::Process(_) => None,
            Source::Link(target, _) => target.http.shown(dispatch, carried).await?,
        };
        let is_first = *dispatch.call().method() == Method::Initialize;
        let Some((child, evicted)) = self.child(dispatch, is_first)? else {
            return Ok(lost());
        };
        // Whoever leaves before the session is open leaves no process behind.
        let session = is_first.then(|| self.begun(&child));
        if let Some(evicted) = evicted {
            evicted.stop().await;
        }
        if !matches!(dispatch.call().kind(), Kind::Request(_)) {
            let told = child.tell(dispatch.call(), shown).await;
            told.inspect_err(|_| self.give_up(&child))?;
            return Ok(Reply::new(202, None, Content::Empty));
        }
        let asked = child.ask(dispatch.call(), shown).await;
        let (exchange, mut queue) = asked.inspect_err(|_| self.give_up(&child))?;
        let first = match timeout(self.plan.timeout, queue.recv()).await {
            Ok(Some(first)) => first,
            Ok(None) => return Err(Unanswered::Ended),
            Err(_) => {
                exchange.cancel();
                child.timed_out();
                self.give_up(&child);
                return Err(Unanswered::Timeout);
            }
        };
        if first.is_last {
            return Ok(Reply::new(200, session, Content::Message(first.bytes)));
        }
        if is_first {
            return self.settle(session, first, queue).await;
        }
        let lines = Lines {
            first: Some(first),
            queue,
            _exchange: Some(exchange),
        };
        Ok(Reply::new(200, None, Content::Events(Events::Pipes(lines))))
    }

    /// An answer to `initialize` that something else came before: only the answer counts.
    async fn settle(
        &self,
        session: Option<Begun>,
        first: Line,
        mut queue: Queue,
    ) -> Result<Reply, Unanswered> {
        let mut last = first;
        let rest = async {
            while let Some(next) = queue.recv().await {
                last = next;
            }
        };
        timeout(self.plan.timeout, rest)
            .await
            .map_err(|_| Unanswered::Timeout)?;
        Ok(Reply::new(200, session, Content::Message(last.bytes)))
    }

    pub(super) fn listen(&self, open: &Open, owner: &Arc<str>) -> Result<Reply, Unanswered> {
        let Some(child) = self.find_of(open, owner) else {
            return Ok(lost());
        };
        let queue = child.unasked().ok_or(Unanswered::Foreign)?;
        let lines = Lines {
            first: None,
            queue,
            _exchange: None,
        };
        Ok(Reply::new(200, None, Content::Events(Events::Pipes(lines))))
    }

    /// The session of a process that just started.
    fn begun(&self, child: &Arc<Child>) -> Begun {
        let (table, tasks) = (Arc::clone(&self.table), self.tasks.clone());
        let begun = Arc::clone(child);
        Begun::or_else(Arc::clone(child.name()), move || {
            discard(&table, begun, &tasks);
        })
    }

    /// Ends a process that hangs, so that the next request gets another one.
    fn give_up(&self, child: &Arc<Child>) {
        if !child.is_running() {
            discard(&self.table, Arc::clone(child), &self.tasks);
        }
    }

    /// Ends the process of that name.
    pub(super) async fn end(&self, name: &str) {
        let child = lock(&self.table).children.remove(name);
        if let Some(child) = child {
            child.stop().await;
        }
    }

    /// Ends processes for stateless requests that nobody used for a while.
    pub(super) async fn reap(&self, now_ms: u64) {
        self.link().inspect(|link| link.http.reap(clock::now()));
        self.end_where(|child| {
            !child.is_of_session()
                && !child.is_busy()
                && Duration::from_millis(now_ms.saturating_sub(child.used_ms())) > IDLE
        })
        .await;
    }

    /// What is reached over the network, if it is.
    fn link(&self) -> Option<&sse::Target> {
        match &self.plan.source {
            Source::Process(_) => None,
            Source::Link(target, _) => Some(target),
        }
    }

    pub(super) fn reloaded(&self) {
        self.link().inspect(|link| link.http.reloaded());
    }

    /// Ends the processes of these principals.
    pub(super) async fn dismiss(&self, owners: &[Arc<str>]) {
        self.link().inspect(|link| link.http.dismiss(owners));
        self.end_where(|child| owners.contains(child.owner())).await;
    }

    async fn end_where(&self, is_over: impl Fn(&Child) -> bool) {
        let over: Vec<Arc<Child>> = {
            let mut table = lock(&self.table);
            let over = table.children.extract_if(|_, child| is_over(child));
            over.map(|(_, child)| child).collect()
        };
        join_all(over.iter().map(|child| child.stop())).await;
    }

    pub(super) async fn stop(&self) {
        let all: Vec<Arc<Child>> = {
            let mut table = lock(&self.table);
            table.is_stopped = true;
            table.children.drain().map(|(_, child)| child).collect()
        };
        join_all(all.iter().map(|child| child.stop())).await;
    }

    /// The process of that session.
    fn find_of(&self, open: &Open, owner: &Arc<str>) -> Option<Arc<Child>> {
        lock(&self.table).find(open.upstream.as_deref()?, owner)
    }

    /// The process that this message is for, and one that had to go for it; `None` if its session has lost it.
    fn child(&self, dispatch: &Dispatch, is_first: bool) -> Result<Option<Found>, Unanswered> {
        let owner = dispatch.owner();
        if is_first {
            let name = format!("session:{}", NUMBERS.fetch_add(1, Ordering::Relaxed));
            return self.start(name.into(), dispatch.principal()).map(Some);
        }
        if let Some(open) = dispatch.session() {
            return Ok(self.find_of(open, owner).map(|child| (child, None)));
        }
        let name = format!("principal:{owner}");
        self.start(name.into(), dispatch.principal()).map(Some)
    }

    /// The process of that name; if none runs, one is started.
    fn start(&self, name: Arc<str>, whose: &Principal) -> Result<Found, Unanswered> {
        let owner = &whose.key;
        // INVARIANT: looked up, counted, started and put in under one lock, so that there are never too many and
        // never two of a name. Nothing waits in between; a start takes about a millisecond.
        let mut table = lock(&self.table);
        if let Some(running) = table.find(&name, owner) {
            return Ok((running, None));
        }
        let oldest = table.make_room(owner, self.plan.most)?;
        let names = (Arc::clone(&name), whose.clone());
        let (child, events) = Child::start(&self.plan, names, &self.tasks)?;
        let evicted = oldest.and_then(|oldest| table.children.remove(&oldest));
        self.plan.tell_confined(owner, &self.report);
        let child = Arc::new(child);
        table.children.insert(name, Arc::clone(&child));
        drop(table);
        let (table, report) = (Arc::clone(&self.table), self.report.clone());
        let running = Arc::clone(&child);
        self.tasks.spawn(async move {
            let ran_for = running.read(events, &report).await;
            let mut table = lock(&table);
            if table.forget(&running) {
                table.fell(running.owner(), ran_for);
            }
        });
        Ok((child, evicted))
    }
}

fn discard(table: &Mutex<Table>, child: Arc<Child>, tasks: &TaskTracker) {
    lock(table).forget(&child);
    tasks.spawn(async move { child.stop().await });
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    /// The running process of that name, if it is this owner's.
    fn find(&self, name: &str, owner: &Arc<str>) -> Option<Arc<Child>> {
        let child = self.children.get(name);
        child
            .filter(|child| child.is_running() && child.owner() == owner)
            .cloned()
    }

    /// Room for one more process: where there is none, or the owner has its share, the name of its own least
    /// recently used one, which has to go.
    fn make_room(&self, owner: &Arc<str>, most: usize) -> Result<Option<Arc<str>>, Unanswered> {
        let fallen = self.fallen.get(owner);
        let is_soon = fallen.is_some_and(|fallen| clock::millis() < fallen.not_before_ms);
        if self.is_stopped || is_soon {
            return Err(Unanswered::NotRunning);
        }
        let own = || self.children.values().filter(|own| own.owner() == owner);
        // Half is enough for one: whoever comes next finds room, whatever the first one does.
        if self.children.len() < most && own().count() < most.div_ceil(2) {
            return Ok(None);
        }
        let idle = own().filter(|own| !own.is_busy());
        let oldest = idle.min_by_key(|own| own.used_ms());
        let oldest = oldest.ok_or(Unanswered::NotRunning)?;
        Ok(Some(Arc::clone(oldest.name())))
    }

    /// Takes that process out; `false` if it is not in any more.
    fn forget(&mut self, child: &Arc<Child>) -> bool {
        let held = self.children.get(child.name());
        let is_in = held.is_some_and(|held| Arc::ptr_eq(held, child));
        is_in && self.children.remove(child.name()).is_some()
    }

    /// A process ended that nobody had stopped: its owner's next start may have to wait.
    fn fell(&mut self, owner: &Arc<str>, ran_for: Duration) {
        if self.fallen.len() >= MAX_FALLEN && !self.fallen.contains_key(owner) {
            let all = self.fallen.iter();
            let first = all.min_by_key(|(_, fallen)| fallen.not_before_ms);
            if let Some(first) = first.map(|(owner, _)| Arc::clone(owner)) {
                self.fallen.remove(&first);
            }
        }
        let fallen = self.fallen.entry(Arc::clone(owner)).or_default();
        let jitter = crate::random::bytes::<2>().map_or(u16::MAX, u16::from_le_bytes);
        let wait = fallen.backoff.next(ran_for, jitter);
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        fallen.not_before_ms = clock::millis().saturating_add(wait);
    }
}

/// What an HTTP server answers for a session that it does not know.
const fn lost() -> Reply {
    Reply::new(404, None, Content::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tok_01_remembers_a_bounded_number_of_those_whose_processes_fell() {
        let mut table = Table::default();
        let names = || (0..=MAX_FALLEN).map(|number| Arc::from(format!("user-{number}")));
        for name in names() {
            table.fell(&name, Duration::ZERO);
        }
        assert_eq!(table.fallen.len(), MAX_FALLEN);
        let last = names().next_back().unwrap();
        let first = table.fallen[&last].not_before_ms;
        table.fell(&last, Duration::ZERO);
        assert_eq!(table.fallen.len(), MAX_FALLEN);
        assert!(table.fallen[&last].not_before_ms >= first);
    }
}
