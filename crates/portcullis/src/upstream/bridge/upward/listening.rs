//! A stateless client's subscription (2026-07-28 `subscriptions/listen`) at a server with sessions.

use super::super::{Bridged, Carried, Content, Reply, Upstream, mirror, stream, whole};
use super::answering::tell;
use super::kept::Conversation;
use bytes::Bytes;
use portcullis_core::protocol::{Envelope, Filter, Id, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::{Dispatch, bridge};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::sleep;

/// Notifications that a subscriber may be behind.
const FEED: usize = 64;
/// The longest notification that is news: of a list that changed, or of a resource with its URI.
const MAX_NEWS_BYTES: usize = 16 * 1024;
/// How long to wait before a stream that ended is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

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
    pub(in crate::upstream::bridge) async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.acknowledgement.take() {
            return Some(first);
        }
        while let Some(feed) = &mut self.feed {
            let news = match feed.recv().await {
                Ok(message) => self.filter.tagged(&message, &self.id),
                // Who is told that something changed looks it up: nothing is lost but time.
                Err(broadcast::error::RecvError::Lagged(_)) => None,
                Err(broadcast::error::RecvError::Closed) => break,
            };
            if news.is_some() {
                return news;
            }
        }
        self.feed = None;
        self.farewell.take()
    }
}

pub(super) async fn listen(
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
    upstream.around.tasks.clone().spawn(async move {
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
    let whose = (open, template.principal());
    let reply = upstream.direct.listen(whose, None, carried).await?;
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
            // No news that anybody subscribes to is so long: what waits for its readers is bounded in bytes too.
            (Some(_), None) if data.len() <= MAX_NEWS_BYTES => {
                feed.send(data.clone()).ok();
            }
            (Some(_) | None, _) => {}
        }
    }
    Ok(())
}
