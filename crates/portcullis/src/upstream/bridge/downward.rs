//! A client with a session at a server that has none: the session is ours, and each request stands alone.

use super::{Bridged, Carried, Content, Reply, Upstream, mirror, stream, taken, whole};
use crate::random;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use portcullis_core::protocol::{Envelope, Id, Input, Kind, Method, Question};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::bridge::{self, Introduced};
use portcullis_core::route::{Dispatch, Ticket, remap};
use portcullis_core::session::Open;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Messages that may wait for a client that does not read.
const QUEUE: usize = 16;
/// How often one request may ask the client before it is answered.
const MAX_ROUNDS: usize = 32;
/// How long a client may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(10);
/// How long to wait before a subscription that ended is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// The most pages of tools that are read to learn of headers.
const MAX_PAGES: usize = 32;
/// The most resources that one session may watch.
const MAX_WATCHED: usize = 1024;
/// A mirrored header is missing or differs from the body (2026-07-28).
const HEADER_MISMATCH: i64 = -32020;
/// The client said no (2025-11-25 client/sampling).
const DECLINED: i64 = -1;

/// The sessions that clients have with us, by the id that stands for the server's own.
#[derive(Debug, Default)]
pub(super) struct Guests(Mutex<HashMap<Arc<str>, Arc<Guest>>>);

/// A client with a session.
#[derive(Debug)]
pub(super) struct Guest {
    owner: Arc<str>,
    introduced: Mutex<Introduced>,
    last_question: AtomicU64,
    questions: Mutex<HashMap<Id, oneshot::Sender<Option<Box<RawValue>>>>>,
    under_way: Mutex<HashMap<Id, CancellationToken>>,
    watched: watch::Sender<BTreeSet<String>>,
    over: CancellationToken,
}

impl Guests {
    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Arc<Guest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of that session, if the session is one of these.
    pub(super) fn of(&self, open: Option<&Open>, owner: &Arc<str>) -> Option<Arc<Guest>> {
        let guest = self.table().get(open?.upstream.as_ref()?).cloned()?;
        (guest.owner == *owner).then_some(guest)
    }

    fn admit(&self, guest: Guest) -> Result<Arc<str>, Unanswered> {
        let entropy: [u8; 32] = random::bytes().map_err(|_| Unanswered::NotRunning)?;
        let id: Arc<str> = format!("bridged:{}", URL_SAFE_NO_PAD.encode(entropy)).into();
        self.table().insert(Arc::clone(&id), Arc::new(guest));
        Ok(id)
    }

    /// Ends that session; `false` if it is none of these.
    pub(super) fn end(&self, session: &str) -> bool {
        let guest = self.table().remove(session);
        guest.as_ref().inspect(|guest| guest.over.cancel());
        guest.is_some()
    }
}

impl Guest {
    fn introduced(&self) -> Introduced {
        self.introduced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, HashMap<Id, CancellationToken>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn questions(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<Id, oneshot::Sender<Option<Box<RawValue>>>>> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request of a client's under way; ends with it.
struct Asking {
    guest: Arc<Guest>,
    id: Id,
    cancelled: CancellationToken,
}

impl Asking {
    fn begin(guest: &Arc<Guest>, id: &Id) -> Self {
        let cancelled = guest.over.child_token();
        guest.under_way().insert(id.clone(), cancelled.clone());
        Self {
            guest: Arc::clone(guest),
            id: id.clone(),
            cancelled,
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.guest.under_way().remove(&self.id);
    }
}

/// Answers `initialize` for a server that has none.
pub(super) async fn welcome(
    upstream: &Arc<Upstream>,
    asked: &Dispatch,
    carried: &Carried,
) -> Result<Reply, Unanswered> {
    let introduced = Introduced::by(asked.call()).ok_or(Unanswered::Foreign)?;
    let discover = introduced
        .ask(asked, &Method::Discover, &json!({}))
        .ok_or(Unanswered::Foreign)?;
    let beside = mirror::carried(&discover, carried);
    let reply = upstream.direct.call(&discover, &beside).await?;
    let Content::Message(discovered) = reply.content else {
        return Err(Unanswered::Foreign);
    };
    let answer = bridge::welcome(asked, introduced.revision, &discovered);
    let answer = answer.ok_or(Unanswered::Foreign)?;
    let session = upstream.guests.admit(Guest {
        owner: Arc::clone(asked.owner()),
        introduced: Mutex::new(introduced),
        last_question: AtomicU64::new(0),
        questions: Mutex::default(),
        under_way: Mutex::default(),
        watched: watch::Sender::default(),
        over: CancellationToken::new(),
    })?;
    Ok(Reply {
        session: Some(session),
        ..whole(answer, 200)
    })
}

/// Does for a client with a session what a server without can do.
pub(super) async fn call(
    upstream: &Arc<Upstream>,
    guest: &Arc<Guest>,
    asked: Dispatch,
    carried: &Carried,
) -> Result<Reply, Unanswered> {
    let id = match asked.call().kind() {
        Kind::Request(id) => id.clone(),
        Kind::Notification => {
            // Of everything else that a client may notify of, a server without sessions knows nothing.
            if let Some((id, _)) = remap::cancelled(asked.call())
                && let Some(cancelled) = guest.under_way().get(&id)
            {
                cancelled.cancel();
            }
            return Ok(taken());
        }
        Kind::Response(id) => {
            if let Some(waiting) = guest.questions().remove(id) {
                waiting.send(bridge::response(asked.call())).ok();
            }
            return Ok(taken());
        }
    };
    let own = match asked.call().method() {
        Method::Ping => Some(bridge::answered(&asked, "{}")),
        Method::SetLevel => Some(match bridge::text_param(asked.call(), "level") {
            Some(level) => {
                let mut introduced = guest
                    .introduced
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                introduced.level = Some(level);
                bridge::answered(&asked, "{}")
            }
            None => bridge::failed(&asked, -32602, "`level` must be a text"),
        }),
        Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
            Some(watch_or_not(guest, &asked))
        }
        Method::Initialize => Some(bridge::failed(&asked, -32600, "already initialized")),
        // Tasks are an extension since 2026-07-28, and an experiment of another shape before.
        Method::TasksList
        | Method::TasksGet
        | Method::TasksResult
        | Method::TasksUpdate
        | Method::TasksCancel => Some(bridge::failed(&asked, -32601, "method not found")),
        _ => None,
    };
    if let Some(own) = own {
        return Ok(whole(own.ok_or(Unanswered::Foreign)?, 200));
    }
    let asking = Asking::begin(guest, &id);
    let cancelled = asking.cancelled.clone();
    let first = guest.introduced().stateless(&asked);
    let first = first.ok_or(Unanswered::Foreign)?;
    let reply = tokio::select! {
        biased;
        () = cancelled.cancelled() => return Err(Unanswered::Ended),
        reply = ask(upstream, guest, first, carried) => reply?,
    };
    match reply.content {
        Content::Message(answer) if Input::of(&answer).is_none() => Ok(whole(answer, 200)),
        Content::Empty => Err(Unanswered::Foreign),
        content @ (Content::Message(_) | Content::Events(_)) => {
            let (tell, told) = mpsc::channel(QUEUE);
            let carried = Carried {
                traceparent: carried.traceparent.clone(),
                ..Carried::default()
            };
            let talk = Talk {
                upstream: Arc::clone(upstream),
                asking,
                asked,
                carried,
                tell,
            };
            upstream.tasks.spawn(talk.run(content));
            Ok(stream(Bridged::Told(told)))
        }
    }
}

fn watch_or_not(guest: &Guest, asked: &Dispatch) -> Option<Bytes> {
    let Some(uri) = bridge::text_param(asked.call(), "uri") else {
        return bridge::failed(asked, -32602, "`uri` must be a text");
    };
    let is_more = *asked.call().method() == Method::ResourcesSubscribe;
    if is_more && guest.watched.borrow().len() >= MAX_WATCHED {
        return bridge::failed(asked, -32603, "too many subscriptions");
    }
    guest.watched.send_if_modified(|watched| {
        if is_more {
            watched.insert(uri)
        } else {
            watched.remove(&uri)
        }
    });
    bridge::answered(asked, "{}")
}

/// Asks the server, with the headers that it wants; if it wants others than are known, they are learnt.
async fn ask(
    upstream: &Upstream,
    guest: &Guest,
    message: Dispatch,
    carried: &Carried,
) -> Result<Reply, Unanswered> {
    let mut beside = mirror::carried(&message, carried);
    upstream.mirrors.add(&message, &mut beside);
    let reply = upstream.direct.call(&message, &beside).await?;
    let Content::Message(answer) = &reply.content else {
        return Ok(reply);
    };
    if *message.call().method() == Method::ToolsList {
        upstream.mirrors.learn(answer);
    }
    if bridge::error_code(answer) != Some(HEADER_MISMATCH) {
        return Ok(reply);
    }
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let params = cursor.map_or_else(|| json!({}), |cursor: String| json!({ "cursor": cursor }));
        let list = guest
            .introduced()
            .ask(&message, &Method::ToolsList, &params);
        let list = list.ok_or(Unanswered::Foreign)?;
        let listed = upstream
            .direct
            .call(&list, &mirror::carried(&list, carried))
            .await?;
        let Content::Message(page) = listed.content else {
            break;
        };
        cursor = upstream.mirrors.learn(&page);
        if cursor.is_none() {
            break;
        }
    }
    let mut beside = mirror::carried(&message, carried);
    upstream.mirrors.add(&message, &mut beside);
    upstream.direct.call(&message, &beside).await
}

/// An exchange in which the server says more than one thing, or asks the client.
struct Talk {
    upstream: Arc<Upstream>,
    asking: Asking,
    asked: Dispatch,
    carried: Carried,
    tell: mpsc::Sender<Result<Bytes, Unanswered>>,
}

impl Talk {
    async fn run(self, content: Content) {
        let (cancelled, tell) = (self.asking.cancelled.clone(), self.tell.clone());
        tokio::select! {
            () = cancelled.cancelled() => {}
            () = tell.closed() => {}
            ended = self.talk(content) => {
                if let Err(why) = ended {
                    tell.send(Err(why)).await.ok();
                }
            }
        }
    }

    async fn talk(&self, mut content: Content) -> Result<(), Unanswered> {
        for _ in 0..MAX_ROUNDS {
            let Some(answer) = self.until_answered(content).await? else {
                return Ok(());
            };
            let Some(input) = Input::of(&answer) else {
                return self.say(answer).await;
            };
            let Some(responses) = self.put(&input).await? else {
                let no = bridge::failed(&self.asked, DECLINED, "the client declined");
                return self.say(no.ok_or(Unanswered::Foreign)?).await;
            };
            let introduced = self.asking.guest.introduced();
            let again = introduced.again(&self.asked, &responses, input.state.as_deref());
            let again = again.ok_or(Unanswered::Foreign)?;
            content = ask(&self.upstream, &self.asking.guest, again, &self.carried)
                .await?
                .content;
        }
        Err(Unanswered::Foreign)
    }

    async fn say(&self, message: Bytes) -> Result<(), Unanswered> {
        let said = self.tell.send(Ok(message)).await;
        said.map_err(|_| Unanswered::Ended)
    }

    /// Passes on what comes before the answer; `None` if the server ended without one.
    async fn until_answered(&self, content: Content) -> Result<Option<Bytes>, Unanswered> {
        let mut events = match content {
            Content::Message(answer) => return Ok(Some(answer)),
            Content::Empty => return Err(Unanswered::Foreign),
            Content::Events(events) => events,
        };
        while let Some(frame) = Box::pin(events.next()).await? {
            let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
                continue;
            };
            let is_answer = Envelope::parse(&data).is_ok_and(|said| said.method.is_none());
            if is_answer {
                return Ok(Some(data));
            }
            self.say(data).await?;
        }
        Ok(None)
    }

    /// Puts the server's questions to the client; `None` if it gives no answer that could be passed on.
    async fn put(
        &self,
        input: &Input,
    ) -> Result<Option<BTreeMap<String, Box<RawValue>>>, Unanswered> {
        let guest = &self.asking.guest;
        let mut waiting = Vec::new();
        for (name, question) in &input.requests {
            let number = guest.last_question.fetch_add(1, Ordering::Relaxed);
            let id = format!("portcullis-{number}");
            let (answer, answered) = oneshot::channel();
            let key = Id::Text(id.as_str().into());
            guest.questions().insert(key.clone(), answer);
            waiting.push(Waiting {
                guest,
                key,
                name,
                question,
                answered,
            });
            self.say(question.request(&id)).await?;
        }
        let mut responses = BTreeMap::new();
        for mut waiting in waiting {
            let answered = timeout(ANSWER_TIMEOUT, &mut waiting.answered).await;
            let response = answered.map_err(|_| Unanswered::Timeout)?.ok().flatten();
            let Some(response) = response.or_else(|| waiting.dismissed()) else {
                return Ok(None);
            };
            responses.insert(waiting.name.clone(), response);
        }
        Ok(Some(responses))
    }
}

/// A question that the client was asked; forgotten when nobody waits any more.
struct Waiting<'a> {
    guest: &'a Guest,
    key: Id,
    name: &'a String,
    question: &'a Question,
    answered: oneshot::Receiver<Option<Box<RawValue>>>,
}

impl Waiting<'_> {
    /// What a user who was not asked has done with a form.
    fn dismissed(&self) -> Option<Box<RawValue>> {
        let is_form = Method::parse(&self.question.method) == Method::Elicitation;
        is_form
            .then(|| serde_json::value::to_raw_value(&json!({"action": "cancel"})).ok())
            .flatten()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.guest.questions().remove(&self.key);
    }
}

/// Opens the stream on which a server without sessions speaks unasked: a subscription to all that it has.
pub(super) fn listen(
    upstream: &Arc<Upstream>,
    guest: Arc<Guest>,
    (ticket, open): (&Ticket, &Open),
    carried: &Carried,
) -> Result<Reply, Unanswered> {
    let template = bridge::listening(ticket, open).ok_or(Unanswered::Foreign)?;
    let (tell, told) = mpsc::channel(QUEUE);
    let carried = Carried {
        traceparent: carried.traceparent.clone(),
        ..Carried::default()
    };
    let listening = Arc::clone(upstream);
    upstream.tasks.spawn(async move {
        tokio::select! {
            () = guest.over.cancelled() => {}
            () = tell.closed() => {}
            () = subscribe(&listening, &guest, (&template, &carried), &tell) => {}
        }
    });
    Ok(stream(Bridged::Told(told)))
}

/// Keeps a subscription, a new one each time that the client watches something else.
async fn subscribe(
    upstream: &Upstream,
    guest: &Guest,
    (template, carried): (&Dispatch, &Carried),
    tell: &mpsc::Sender<Result<Bytes, Unanswered>>,
) {
    let mut watched = guest.watched.subscribe();
    loop {
        let uris: Vec<String> = watched.borrow_and_update().iter().cloned().collect();
        let wanted = json!({
            "toolsListChanged": true,
            "promptsListChanged": true,
            "resourcesListChanged": true,
            "resourceSubscriptions": uris,
        });
        let params = json!({ "notifications": wanted });
        let message = guest.introduced().ask(template, &Method::Listen, &params);
        let Some(message) = message else { return };
        tokio::select! {
            heard = hear(upstream, &message, carried, tell) => {
                if let Err(error) = heard {
                    tracing::debug!(%error, "the server is not heard any more");
                }
                sleep(LISTEN_AGAIN).await;
            }
            Ok(()) = watched.changed() => {}
        }
    }
}

async fn hear(
    upstream: &Upstream,
    message: &Dispatch,
    carried: &Carried,
    tell: &mpsc::Sender<Result<Bytes, Unanswered>>,
) -> Result<(), Unanswered> {
    let beside = mirror::carried(message, carried);
    let reply = upstream.direct.call(message, &beside).await?;
    let Content::Events(mut events) = reply.content else {
        return Err(Unanswered::Foreign);
    };
    while let Some(frame) = Box::pin(events.next()).await? {
        let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
            continue;
        };
        if is_news(&data) {
            tell.send(Ok(data)).await.map_err(|_| Unanswered::Ended)?;
        }
    }
    Ok(())
}

/// Whether a message of a subscription means something to a client with a session.
fn is_news(message: &[u8]) -> bool {
    Envelope::parse(message).is_ok_and(|said| {
        said.id.is_none()
            && said
                .method
                .is_some_and(|method| method != "notifications/subscriptions/acknowledged")
    })
}
