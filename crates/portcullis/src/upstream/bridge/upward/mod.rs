//! A client without sessions at a server with them: we keep sessions for each principal.

mod answering;
mod kept;
mod listening;
mod questions;

use super::super::Begun;
use super::{
    Bridged, Carried, Content, Reply, STATELESS_CODES, Upstream, mirror, stream, taken, whole,
};
use crate::random;
pub(super) use answering::Answering;
use answering::{Ongoing, UnderWay, Wish, tell};
use bytes::Bytes;
use kept::Conversation;
pub(super) use kept::Conversations;
pub(super) use listening::Listening;
use portcullis_core::protocol::{Id, Kind, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::Dispatch;
use portcullis_core::route::bridge::{self, Offer, Retry};
use portcullis_core::route::remap::{self, Outward};
use portcullis_core::session::{Open, SessionId};
pub(super) use questions::Questions;
use std::sync::Arc;
use tokio::time::timeout;

/// Does for a stateless client what a server with sessions can do.
pub(super) async fn call(
    upstream: &Arc<Upstream>,
    asked: &Dispatch,
    carried: &Carried,
) -> Result<Reply, Unanswered> {
    let Kind::Request(id) = asked.call().kind() else {
        cancel(upstream, asked, carried);
        return Ok(taken());
    };
    if let Some(retry) = Retry::of(asked.call()) {
        return answer(upstream, (asked, &retry), carried).await;
    }
    let conversation = converse(upstream, asked, carried).await?;
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
    upstream.conversations.forget(&conversation);
    let conversation = converse(upstream, asked, carried).await?;
    ask(upstream, &conversation, (asked, id), carried)
        .await?
        .ok_or(Unanswered::Foreign)
}

/// Reads on in a call that was kept for these answers.
async fn answer(
    upstream: &Arc<Upstream>,
    (asked, retry): (&Dispatch, &Retry),
    carried: &Carried,
) -> Result<Reply, Unanswered> {
    let mut ongoing = upstream.questions.take(&retry.state, asked)?;
    ongoing.answer((asked, retry), carried).await?;
    let answering = Answering::of(ongoing);
    Ok(stream(Bridged::Answering(Box::new(answering))))
}

/// The principal's session; the first to need one shakes hands.
async fn converse(
    upstream: &Arc<Upstream>,
    asked: &Dispatch,
    carried: &Carried,
) -> Result<Arc<Conversation>, Unanswered> {
    // A server that is told what it may not ask anyway would only wait for our no.
    let inside = &upstream.around.inside;
    let offer = Offer::of(asked.call()).only(|method| inside.may_be_asked(asked, method));
    let (kept, gone) = upstream.conversations.keep(asked.owner(), offer)?;
    if let Some((gone, whose)) = gone {
        upstream.direct.end(&gone, Some(&whose)).await;
    }
    kept.conversation
        .get_or_try_init(|| shake_hands(upstream, (asked, offer), carried))
        .await
        .cloned()
}

async fn shake_hands(
    upstream: &Arc<Upstream>,
    (asked, offer): (&Dispatch, Offer),
    carried: &Carried,
) -> Result<Arc<Conversation>, Unanswered> {
    let hello = bridge::initialize(asked, offer).ok_or(Unanswered::Foreign)?;
    let beside = mirror::carried(&hello, carried);
    let reply = upstream.direct.call(&hello, &beside).await?;
    let begun = reply
        .session
        .map(|begun| upstream.answer_for(begun, asked.principal()));
    let answer = timeout(upstream.timeout(), first(reply.content)).await;
    let answer = answer.map_err(|_| Unanswered::Timeout)??;
    let Some((revision, discovered)) = bridge::settled(&answer) else {
        if bridge::error_code(&answer).is_some_and(|code| STATELESS_CODES.contains(&code)) {
            upstream.stateless.is(true);
        }
        return Err(Unanswered::Foreign);
    };
    let entropy = random::bytes().map_err(|_| Unanswered::NotRunning)?;
    let open = Open {
        id: SessionId::from_entropy(entropy),
        upstream: begun.as_ref().map(|begun| Arc::clone(begun.id())),
        revision,
        opens_urls: false,
        changed: false,
    };
    let ready = bridge::initialized(asked, &open).ok_or(Unanswered::Foreign)?;
    let beside = mirror::carried(&ready, carried);
    upstream.direct.call(&ready, &beside).await?;
    begun.into_iter().for_each(Begun::keep);
    let conversation = Conversation::new(open, asked.principal().clone(), discovered);
    Ok(Arc::new(conversation))
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

fn cancel(upstream: &Arc<Upstream>, asked: &Dispatch, carried: &Carried) {
    let Some((id, _)) = remap::cancelled(asked.call()) else {
        return;
    };
    for conversation in upstream.conversations.of(asked.owner()) {
        let number = conversation.number_of(&id);
        let message = number.and_then(|number| bridge::cancel(asked, &conversation.open, number));
        if let Some(message) = message {
            tell(upstream, message, carried);
        }
    }
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
    conversation.begins(number, id);
    let mut under_way = UnderWay {
        upstream: Arc::clone(upstream),
        conversation: Arc::clone(conversation),
        number,
        carried: Carried {
            traceparent: carried.traceparent.clone(),
            network: carried.network.clone(),
            ledger: carried.ledger.clone(),
            ..Carried::default()
        },
        cancel: bridge::cancel(asked, open, number),
        pending: Vec::new(),
    };
    let beside = mirror::carried(&message, carried);
    let reply = upstream.direct.call(&message, &beside).await?;
    match reply.content {
        Content::Events(events) => {
            let wish = Wish::of(asked, Offer::of(asked.call()));
            let answering = Answering::of(Ongoing::begin(events, wish, under_way));
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
            let (answer, status) = bridge::stateless_answer(asked.call().method(), &answer)
                .ok_or(Unanswered::Foreign)?;
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
