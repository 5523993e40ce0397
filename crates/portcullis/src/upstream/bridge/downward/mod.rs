//! A client with a session at a server that has none: the session is ours, and each request stands alone.

mod guests;
mod news;
mod talk;

use super::super::{Begun, queue};
use super::{Bridged, Carried, Content, Reply, Upstream, mirror, stream, taken, whole};
pub(super) use guests::Guests;
use guests::{Asking, Guest, answer_here};
pub(super) use news::listen;
use portcullis_core::protocol::{Input, Kind, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::bridge::{self, Introduced};
use portcullis_core::route::{Dispatch, remap};
use serde_json::json;
use std::sync::Arc;
use talk::Talk;

/// Messages that may wait for a client that does not read.
const QUEUE: usize = 16;
/// The most pages of tools that are read to learn of headers.
const MAX_PAGES: usize = 32;
/// A mirrored header is missing or differs from the body (2026-07-28).
const HEADER_MISMATCH: i64 = -32020;

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
    let session = upstream
        .guests
        .admit(Guest::new(asked.owner(), introduced))?;
    let (id, host) = (Arc::clone(&session), Arc::clone(upstream));
    let begun = Begun::or_else(session, move || {
        host.guests.end(&id);
    });
    Ok(Reply {
        session: Some(begun),
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
    let own = answer_here(guest, &asked);
    if let Some(own) = own {
        return Ok(whole(own?, 200));
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
    // What HTTP says of a refusal, a client with a session needs as well.
    let status = reply.refused.as_ref().map_or(200, |_| reply.status);
    match reply.content {
        Content::Message(answer) if Input::of(&answer).is_none() => Ok(Reply {
            refused: reply.refused,
            ..whole(answer, status)
        }),
        Content::Empty => Err(Unanswered::Foreign),
        content @ (Content::Message(_) | Content::Events(_)) => {
            let (tell, told) = queue(QUEUE);
            let carried = Carried {
                traceparent: carried.traceparent.clone(),
                network: carried.network.clone(),
                opens_urls: carried.opens_urls,
                ledger: carried.ledger.clone(),
                ..Carried::default()
            };
            let talk = Talk {
                upstream: Arc::clone(upstream),
                asking,
                asked,
                carried,
                tell,
            };
            upstream.around.tasks.spawn(talk.run(content));
            Ok(stream(Bridged::Told(told)))
        }
    }
}

/// Asks the server, with the headers that it wants; if it wants others than are known, they are learnt.
async fn ask(
    upstream: &Upstream,
    guest: &Guest,
    message: Dispatch,
    carried: &Carried,
) -> Result<Reply, Unanswered> {
    let mut beside = mirror::carried(&message, carried);
    mirror::add(&upstream.mirrors, &message, &mut beside);
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
    mirror::add(&upstream.mirrors, &message, &mut beside);
    upstream.direct.call(&message, &beside).await
}
