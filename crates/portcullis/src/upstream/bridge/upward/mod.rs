//! A client without sessions at a server with them: we keep one session for each principal.

mod answering;
mod kept;
mod listening;

use super::super::Begun;
use super::{Bridged, Carried, Content, Reply, Upstream, mirror, stream, taken, whole};
use crate::random;
pub(super) use answering::Answering;
use answering::{UnderWay, Wish, tell};
use bytes::Bytes;
use kept::Conversation;
pub(super) use kept::Conversations;
pub(super) use listening::Listening;
use portcullis_core::protocol::{Envelope, Id, Kind, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::Dispatch;
use portcullis_core::route::bridge;
use portcullis_core::route::remap::{self, Outward};
use portcullis_core::session::{Open, SessionId};
use serde::Deserialize;
use std::sync::Arc;
use tokio::time::timeout;

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
    let method = asked.call().method();
    if *method == Method::Discover {
        let answer = bridge::answered(asked, conversation.discovered.get());
        let answer = answer.ok_or(Unanswered::Foreign)?;
        let answer = bridge::stateless_answer(method, &answer);
        return answer
            .map(|(answer, status)| whole(answer, status))
            .ok_or(Unanswered::Foreign);
    }
    if *method == Method::Listen {
        return listening::listen(upstream, &conversation, (asked, id), carried).await;
    }
    if method.is_of_tasks() {
        return bridge::failed(asked, -32601, "method not found")
            .map(|answer| whole(answer, 404))
            .ok_or(Unanswered::Foreign);
    }
    if let Some(reply) = ask(upstream, &conversation, (asked, id), carried).await? {
        return Ok(reply);
    }
    upstream.conversations.forget(asked.owner(), &conversation);
    let conversation = converse(upstream, asked, carried).await?;
    ask(upstream, &conversation, (asked, id), carried)
        .await?
        .ok_or(Unanswered::Foreign)
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
    let begun = reply.session;
    let answer = timeout(upstream.timeout(), first(reply.content)).await;
    let answer = answer.map_err(|_| Unanswered::Timeout)??;
    let (revision, discovered) = bridge::settled(&answer).ok_or(Unanswered::Foreign)?;
    let entropy = random::bytes().map_err(|_| Unanswered::NotRunning)?;
    let open = Open {
        id: SessionId::from_entropy(entropy),
        upstream: begun.as_ref().map(|begun| Arc::clone(begun.id())),
        revision,
        changed: false,
    };
    let ready = bridge::initialized(asked, &open).ok_or(Unanswered::Foreign)?;
    let beside = mirror::carried(&ready, carried);
    upstream.direct.call(&ready, &beside).await?;
    begun.into_iter().for_each(Begun::keep);
    Ok(Arc::new(Conversation::new(open, discovered)))
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
            network: carried.network.clone(),
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
