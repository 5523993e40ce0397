//! A subscription to all servers: each that may be used is watched, and what it tells bears its name.

use super::member::{Asked, Part, QUEUE};
use crate::upstream::{Content, Events, Reply, Teller, queue, told, whole};
use futures_util::future::join_all;
use portcullis_core::pipeline::Trail;
use portcullis_core::protocol::{Envelope, Filter};
use portcullis_core::refusal::{Refusal, Unanswered};
use portcullis_core::route::{aggregate, bridge};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a server may take to begin; it is not watched then.
const PATIENCE: Duration = Duration::from_secs(10);
const INVALID_PARAMS: i64 = -32602;

impl Asked<'_> {
    /// Watches every server.
    pub(super) async fn watch(&self) -> Result<Reply, Unanswered> {
        let call = self.dispatch.call();
        let (Some(filter), Some(id)) = (Filter::of(call), call.id()) else {
            let answer = bridge::failed(self.dispatch, INVALID_PARAMS, "unreadable filter");
            return Ok(whole(answer.ok_or(Unanswered::Foreign)?, 400));
        };
        let members = self.members();
        let begun = members
            .iter()
            .map(|server| self.patient_watch(server, &filter));
        let watched: Vec<(Part, Events)> = join_all(begun).await.into_iter().flatten().collect();
        let (tell, said) = queue(QUEUE);
        tell.send(Ok(filter.acknowledgement(id))).await.ok();
        let last = bridge::ended(self.dispatch).ok_or(Unanswered::Foreign)?;
        self.gateway.tasks.spawn(async move {
            let passing = watched
                .into_iter()
                .map(|(part, events)| pass_all(part, events, tell.clone()));
            tokio::select! {
                () = tell.closed() => {}
                _ = join_all(passing) => {
                    tell.send(Ok(last)).await.ok();
                }
            }
        });
        Ok(told(said))
    }

    async fn patient_watch(&self, server: &Arc<str>, filter: &Filter) -> Option<(Part, Events)> {
        let begun = timeout(PATIENCE, self.watch_one(server, filter)).await;
        let why = match begun {
            Ok(Ok(begun)) => return Some(begun),
            Ok(Err(why)) => why,
            Err(_) => Unanswered::Timeout.into(),
        };
        self.left_out(server, &why);
        None
    }

    async fn watch_one(
        &self,
        server: &Arc<str>,
        filter: &Filter,
    ) -> Result<(Part, Events), Refusal> {
        let body = aggregate::subscription(self.dispatch.call(), filter, server);
        let body = body.ok_or(Unanswered::Foreign)?;
        let (dispatch, mut part) = self.admit(server, body, &mut Trail::default())?;
        let reply = self.ask(&mut part, dispatch).await?;
        match reply.content {
            Content::Events(events) => Ok((part, events)),
            Content::Message(_) | Content::Empty => Err(Unanswered::Foreign.into()),
        }
    }
}

/// Passes on what one server tells, until it ends or tells what may not be passed on.
async fn pass_all(mut part: Part, mut events: Events, tell: Teller) {
    while let Ok(Some(frame)) = events.next().await {
        let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
            continue;
        };
        let Ok(passed) = part.release(data, 200).await else {
            tracing::warn!(
                server = &**part.server(),
                "a subscription was ended: not released"
            );
            return;
        };
        if passed.is_answer {
            return;
        }
        if is_news(&passed.message) && tell.send(Ok(passed.message)).await.is_err() {
            return;
        }
    }
}

/// The one acknowledgement that the client gets is ours.
fn is_news(message: &[u8]) -> bool {
    Envelope::parse(message).is_ok_and(|said| {
        said.method
            .is_some_and(|method| method != "notifications/subscriptions/acknowledged")
    })
}
