//! The stream on which a server without sessions speaks unasked, for a client with one: a subscription to everything.

use super::super::super::{Teller, queue};
use super::super::{Bridged, Carried, Content, Reply, Upstream, mirror, stream};
use super::QUEUE;
use super::guests::Guest;
use portcullis_core::protocol::{Envelope, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::{Dispatch, Ticket, bridge};
use portcullis_core::session::Open;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How long to wait before a subscription that ended is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Opens the stream on which a server without sessions speaks unasked: a subscription to all that it has.
pub(in crate::upstream::bridge) fn listen(
    upstream: &Arc<Upstream>,
    guest: Arc<Guest>,
    (ticket, open): (&Ticket, &Open),
    carried: &Carried,
) -> Result<Reply, Unanswered> {
    let template = bridge::listening(ticket, open).ok_or(Unanswered::Foreign)?;
    let (tell, told) = queue(QUEUE);
    let carried = Carried {
        traceparent: carried.traceparent.clone(),
        network: carried.network.clone(),
        ..Carried::default()
    };
    let listening = Arc::clone(upstream);
    upstream.around.tasks.spawn(async move {
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
    tell: &Teller,
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
    tell: &Teller,
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
