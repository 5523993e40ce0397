//! A client without sessions at a server with them: we keep one session for each principal.

use super::outward::{Answering, UnderWay, Wish, tell};
use super::{Bridged, Carried, Content, Reply, Upstream, mirror, stream, taken, whole};
use crate::clock;
use crate::random;
use bytes::Bytes;
use portcullis_core::protocol::{Envelope, Id, Kind, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::Dispatch;
use portcullis_core::route::bridge::{self, Filter};
use portcullis_core::route::remap::{self, Outward};
use portcullis_core::session::{Open, SessionId};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, broadcast};
use tokio::time::sleep;

/// A session ends after so long without a request.
const IDLE: Duration = Duration::from_mins(5);
/// The most sessions with one server; one more ends the one that was not used for longest.
const MAX_KEPT: usize = 1024;
/// Notifications that a subscriber may be behind.
const FEED: usize = 64;
/// How long to wait before a stream that ended is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Our sessions with one server, by principal.
#[derive(Debug, Default)]
pub(super) struct Conversations(Mutex<HashMap<Arc<str>, Arc<Kept>>>);

#[derive(Debug)]
struct Kept {
    used_ms: AtomicU64,
    conversation: OnceCell<Arc<Conversation>>,
}

/// A session of ours with a server.
#[derive(Debug)]
struct Conversation {
    open: Open,
    /// The answer to `server/discover`.
    discovered: Box<RawValue>,
    numbers: AtomicU64,
    /// The clients' own ids of what is under way, by our number.
    under_way: Mutex<BTreeMap<u64, Id>>,
    feed: Mutex<Option<broadcast::Sender<Bytes>>>,
}

impl Conversations {
    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Arc<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The principal's place, and a session that has to go for it.
    fn keep(&self, owner: &Arc<str>) -> (Arc<Kept>, Option<Arc<str>>) {
        let now = clock::millis();
        let mut table = self.table();
        if let Some(kept) = table.get(owner) {
            kept.used_ms.store(now, Ordering::Relaxed);
            return (Arc::clone(kept), None);
        }
        let oldest = table
            .iter()
            .min_by_key(|(_, kept)| kept.used_ms.load(Ordering::Relaxed))
            .map(|(owner, _)| Arc::clone(owner))
            .filter(|_| table.len() >= MAX_KEPT);
        let gone = oldest.and_then(|oldest| table.remove(&oldest)?.theirs());
        let kept = Arc::new(Kept {
            used_ms: AtomicU64::new(now),
            conversation: OnceCell::new(),
        });
        table.insert(Arc::clone(owner), Arc::clone(&kept));
        (kept, gone)
    }

    /// Forgets a session that the server does not know any more.
    fn forget(&self, owner: &Arc<str>, lost: &Arc<Conversation>) {
        let mut table = self.table();
        let is_it = table
            .get(owner)
            .and_then(|kept| kept.conversation.get())
            .is_some_and(|known| Arc::ptr_eq(known, lost));
        if is_it {
            table.remove(owner);
        }
    }

    /// Takes out what nobody uses; gives the server's own ids.
    pub(super) fn reap(&self, now_ms: u64) -> Vec<Arc<str>> {
        let is_over = |kept: &Kept| {
            let used = kept.used_ms.load(Ordering::Relaxed);
            let is_idle = Duration::from_millis(now_ms.saturating_sub(used)) > IDLE;
            is_idle && !kept.conversation.get().is_some_and(|own| own.is_busy())
        };
        let mut table = self.table();
        let over = table.extract_if(|_, kept| is_over(kept));
        over.filter_map(|(_, kept)| kept.theirs()).collect()
    }

    /// Takes out everything; gives the server's own ids.
    pub(super) fn drain(&self) -> Vec<Arc<str>> {
        let mut table = self.table();
        table
            .drain()
            .filter_map(|(_, kept)| kept.theirs())
            .collect()
    }
}

impl Kept {
    fn theirs(&self) -> Option<Arc<str>> {
        self.conversation.get()?.open.upstream.clone()
    }
}

impl Conversation {
    fn is_busy(&self) -> bool {
        let under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !under_way.is_empty() {
            return true;
        }
        drop(under_way);
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        feed.as_ref().is_some_and(|feed| feed.receiver_count() > 0)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn begins(&self, number: u64, id: &Id) {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, id.clone());
    }

    fn ends(&self, number: u64) {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
    }

    /// Our number of the request that the client calls so.
    fn number_of(&self, id: &Id) -> Option<u64> {
        let under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way
            .iter()
            .find(|(_, own)| *own == id)
            .map(|(number, _)| *number)
    }
}

/// Does for a stateless client what a server with sessions can do.
pub(super) async fn call(
    upstream: &Arc<Upstream>,
    asked: &Dispatch,
    carried: &Carried,
) -> Result<Reply, Unanswered> {
    let conversation = converse(upstream, asked, carried).await?;
    let Kind::Request(id) = asked.call().kind() else {
        cancel(upstream, &conversation, asked, carried);
        return Ok(taken());
    };
    match asked.call().method() {
        Method::Discover => {
            let answer = bridge::answered(asked, conversation.discovered.get());
            let answer = answer.ok_or(Unanswered::Foreign)?;
            let answer = bridge::stateless_answer(&Method::Discover, &answer);
            answer
                .map(|(answer, status)| whole(answer, status))
                .ok_or(Unanswered::Foreign)
        }
        Method::Listen => listen(upstream, &conversation, (asked, id), carried).await,
        // Tasks are an extension since 2026-07-28, and an experiment of another shape before.
        Method::TasksList
        | Method::TasksGet
        | Method::TasksResult
        | Method::TasksUpdate
        | Method::TasksCancel => bridge::failed(asked, -32601, "method not found")
            .map(|answer| whole(answer, 404))
            .ok_or(Unanswered::Foreign),
        _ => match ask(upstream, &conversation, (asked, id), carried).await? {
            Some(reply) => Ok(reply),
            None => {
                upstream.conversations.forget(asked.owner(), &conversation);
                let conversation = converse(upstream, asked, carried).await?;
                ask(upstream, &conversation, (asked, id), carried)
                    .await?
                    .ok_or(Unanswered::Foreign)
            }
        },
    }
}

/// The principal's session; the first to need one shakes hands.
async fn converse(
    upstream: &Arc<Upstream>,
    asked: &Dispatch,
    carried: &Carried,
) -> Result<Arc<Conversation>, Unanswered> {
    let (kept, gone) = upstream.conversations.keep(asked.owner());
    if let Some(gone) = gone {
        upstream.direct.end(&gone).await;
    }
    kept.conversation
        .get_or_try_init(|| shake_hands(upstream, asked, carried))
        .await
        .cloned()
}

async fn shake_hands(
    upstream: &Arc<Upstream>,
    asked: &Dispatch,
    carried: &Carried,
) -> Result<Arc<Conversation>, Unanswered> {
    let hello = bridge::initialize(asked).ok_or(Unanswered::Foreign)?;
    let beside = mirror::carried(&hello, carried);
    let reply = upstream.direct.call(&hello, &beside).await?;
    let answer = first(reply.content).await?;
    let (revision, discovered) = bridge::settled(&answer).ok_or(Unanswered::Foreign)?;
    let entropy = random::bytes().map_err(|_| Unanswered::NotRunning)?;
    let open = Open {
        id: SessionId::from_entropy(entropy),
        upstream: reply.session,
        revision,
        changed: false,
    };
    let ready = bridge::initialized(asked, &open).ok_or(Unanswered::Foreign)?;
    let beside = mirror::carried(&ready, carried);
    upstream.direct.call(&ready, &beside).await?;
    Ok(Arc::new(Conversation {
        open,
        discovered,
        numbers: AtomicU64::new(1),
        under_way: Mutex::default(),
        feed: Mutex::default(),
    }))
}

/// The answer to `initialize`, as one message or on a stream.
async fn first(content: Content) -> Result<Bytes, Unanswered> {
    let mut events = match content {
        Content::Message(answer) => return Ok(answer),
        Content::Empty => return Err(Unanswered::Foreign),
        Content::Events(events) => events,
    };
    while let Some(frame) = Box::pin(events.next()).await? {
        let Some(data) = frame.data else { continue };
        if matches!(remap::outward(&data), Some(Outward::Answer(0, _))) {
            return Ok(data);
        }
    }
    Err(Unanswered::Ended)
}

fn cancel(
    upstream: &Arc<Upstream>,
    conversation: &Conversation,
    asked: &Dispatch,
    carried: &Carried,
) {
    let number = remap::cancelled(asked.call()).and_then(|(id, _)| conversation.number_of(&id));
    let message = number.and_then(|number| bridge::cancel(asked, &conversation.open, number));
    if let Some(message) = message {
        tell(upstream, message, carried);
    }
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol/logLevel")]
    level: Option<String>,
}

/// Asks in our session; `None` if the server does not know it any more.
async fn ask(
    upstream: &Arc<Upstream>,
    conversation: &Arc<Conversation>,
    (asked, id): (&Dispatch, &Id),
    carried: &Carried,
) -> Result<Option<Reply>, Unanswered> {
    let (number, open) = (conversation.number(), &conversation.open);
    let message = bridge::in_session(asked, open, number);
    let (message, chosen) = message.ok_or(Unanswered::Foreign)?;
    let ended = Arc::clone(conversation);
    conversation.begins(number, id);
    let mut under_way = UnderWay {
        upstream: Arc::clone(upstream),
        open: open.clone(),
        carried: Carried {
            traceparent: carried.traceparent.clone(),
            ..Carried::default()
        },
        cancel: bridge::cancel(asked, open, number),
        over: Box::new(move || ended.ends(number)),
    };
    let beside = mirror::carried(&message, carried);
    let reply = upstream.direct.call(&message, &beside).await?;
    let method = asked.call().method().clone();
    match reply.content {
        Content::Events(events) => {
            let params = Envelope::parse(asked.call().body()).ok();
            let params = params
                .and_then(|envelope| serde_json::from_str::<Params>(envelope.params?.get()).ok());
            let answering = Answering {
                incoming: Box::new(events),
                wish: Wish {
                    method,
                    number,
                    chosen,
                    level: params.and_then(|params| params.meta?.level),
                },
                under_way,
                last: None,
                resumed: 0,
            };
            Ok(Some(stream(Bridged::Answering(Box::new(answering)))))
        }
        Content::Message(answer) => {
            under_way.cancel = None;
            let place = match remap::outward(&answer) {
                Some(Outward::Answer(answered, place)) if answered == number => place,
                _ if reply.status == 404 => return Ok(None),
                _ => return Err(Unanswered::Foreign),
            };
            let answer = remap::put_back(&answer, place, &chosen.id);
            let (answer, status) =
                bridge::stateless_answer(&method, &answer).ok_or(Unanswered::Foreign)?;
            Ok(Some(whole(answer, status)))
        }
        Content::Empty => {
            under_way.cancel = None;
            if reply.status == 404 {
                return Ok(None);
            }
            Err(Unanswered::Foreign)
        }
    }
}

/// A stateless client's subscription to what our session hears.
#[derive(Debug)]
pub(crate) struct Listening {
    acknowledgement: Option<Bytes>,
    feed: Option<broadcast::Receiver<Bytes>>,
    filter: Filter,
    id: Id,
    farewell: Option<Bytes>,
}

impl Listening {
    /// The next message; `None` at the end. If the future is dropped, nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.acknowledgement.take() {
            return Some(first);
        }
        while let Some(feed) = &mut self.feed {
            match feed.recv().await {
                Ok(message) => {
                    if let Some(tagged) = self.filter.tagged(&message, &self.id) {
                        return Some(tagged);
                    }
                }
                // Who is told that something changed looks it up: nothing is lost but time.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => self.feed = None,
            }
        }
        self.farewell.take()
    }
}

async fn listen(
    upstream: &Arc<Upstream>,
    conversation: &Arc<Conversation>,
    (asked, id): (&Dispatch, &Id),
    carried: &Carried,
) -> Result<Reply, Unanswered> {
    let Some(mut filter) = Filter::of(asked.call()) else {
        return bridge::failed(asked, -32602, "`notifications` must be an object")
            .map(|answer| whole(answer, 400))
            .ok_or(Unanswered::Foreign);
    };
    // Heard before it is subscribed to, so that nothing falls between.
    let feed = feed(upstream, conversation, asked, carried)?;
    let mut watched = Vec::new();
    for uri in std::mem::take(&mut filter.resource_subscriptions) {
        let number = conversation.number();
        let message = bridge::subscribe(asked, &conversation.open, &uri, number);
        let message = message.ok_or(Unanswered::Foreign)?;
        let beside = mirror::carried(&message, carried);
        let reply = upstream.direct.call(&message, &beside).await?;
        let is_watched = match reply.content {
            Content::Message(answer) => bridge::error_code(&answer).is_none(),
            Content::Events(_) => reply.status == 200,
            Content::Empty => false,
        };
        watched.extend(is_watched.then_some(uri));
    }
    filter.resource_subscriptions = watched;
    let listening = Listening {
        acknowledgement: Some(filter.acknowledgement(id)),
        feed: Some(feed),
        filter,
        id: id.clone(),
        farewell: bridge::ended(asked),
    };
    Ok(stream(Bridged::Listening(Box::new(listening))))
}

/// What our session hears unasked; the first who wants to know opens the stream.
fn feed(
    upstream: &Arc<Upstream>,
    conversation: &Arc<Conversation>,
    asked: &Dispatch,
    carried: &Carried,
) -> Result<broadcast::Receiver<Bytes>, Unanswered> {
    let mut held = conversation
        .feed
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(feed) = &*held {
        return Ok(feed.subscribe());
    }
    let template = bridge::initialized(asked, &conversation.open).ok_or(Unanswered::Foreign)?;
    let (feed, first) = broadcast::channel(FEED);
    *held = Some(feed.clone());
    drop(held);
    let (upstream, conversation) = (Arc::clone(upstream), Arc::clone(conversation));
    let beside = mirror::carried(&template, carried);
    upstream.tasks.clone().spawn(async move {
        while feed.receiver_count() > 0 {
            let heard = hear(&upstream, &conversation, (&template, &beside), &feed);
            tokio::select! {
                heard = heard => match heard {
                    Ok(()) => sleep(LISTEN_AGAIN).await,
                    Err(error) => {
                        tracing::debug!(%error, "the server is not heard any more");
                        break;
                    }
                },
                () = abandoned(&feed) => break,
            }
        }
        let mut held = conversation
            .feed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *held = None;
    });
    Ok(first)
}

/// Returns when nobody listens any more.
async fn abandoned(feed: &broadcast::Sender<Bytes>) {
    while feed.receiver_count() > 0 {
        sleep(LISTEN_AGAIN).await;
    }
}

/// Reads the stream on which the server speaks unasked, until it ends.
async fn hear(
    upstream: &Arc<Upstream>,
    conversation: &Conversation,
    (template, carried): (&Dispatch, &Carried),
    feed: &broadcast::Sender<Bytes>,
) -> Result<(), Unanswered> {
    let open = &conversation.open;
    let reply = upstream.direct.listen(open, None, carried).await?;
    let Content::Events(mut events) = reply.content else {
        return Err(Unanswered::Foreign);
    };
    while let Some(frame) = Box::pin(events.next()).await? {
        let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
            continue;
        };
        let Ok(envelope) = Envelope::parse(&data) else {
            return Err(Unanswered::Foreign);
        };
        let method = envelope.method.as_deref().map(Method::parse);
        match (method, envelope.id) {
            (Some(method), Some(id)) => {
                if let Some(no) = bridge::answer(template, open, &method, id) {
                    tell(upstream, no, carried);
                }
            }
            (Some(_), None) => {
                feed.send(data.clone()).ok();
            }
            (None, _) => {}
        }
    }
    Ok(())
}
