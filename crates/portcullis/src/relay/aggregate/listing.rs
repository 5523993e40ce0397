//! The lists of all servers as one list; what a server that is down had, is not in it.

use super::member::Asked;
use crate::record::note;
use crate::upstream::{Content, Reply, whole};
use bytes::Bytes;
use futures_util::future::join_all;
use portcullis_audit::Record;
use portcullis_core::pipeline::Trail;
use portcullis_core::refusal::{Refusal, Unanswered};
use portcullis_core::route::aggregate;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a server may take for its whole list; it is left out then.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most pages of one server.
const MAX_PAGES: usize = 64;
/// The most entries of one server, and the most bytes of them; one with more is left out, not the others.
const MAX_ENTRIES: usize = 5_000;
const MAX_BYTES: usize = 16 * 1024 * 1024;

impl Asked<'_> {
    /// Asks every server for its list.
    pub(super) async fn list(&self) -> Result<Reply, Unanswered> {
        let members = self.members();
        let lists = members.iter().map(|server| self.patient(server));
        let all = join_all(lists).await.concat();
        let answer = aggregate::listed(self.dispatch, &all).ok_or(Unanswered::Foreign)?;
        Ok(whole(answer, 200))
    }

    async fn patient(&self, server: &Arc<str>) -> Vec<String> {
        let listed = timeout(PATIENCE, self.list_of(server)).await;
        let why = match listed {
            Ok(Ok(entries)) => return entries,
            Ok(Err(why)) => why,
            Err(_) => Unanswered::Timeout.into(),
        };
        self.left_out(server, &why);
        Vec::new()
    }

    /// Records that a server's part is missing; one that refuses this caller anything is nobody's loss.
    pub(super) fn left_out(&self, server: &Arc<str>, why: &Refusal) {
        if matches!(why, Refusal::Forbidden(_)) {
            return;
        }
        let (event, reason) = why.event();
        let mut record = Record::new(event);
        record.reason = Some(reason.into());
        record.server = Some((&**server).into());
        record.method = Some(self.dispatch.call().method().name().into());
        record.trace = Some(self.trace().into());
        note(&self.gateway.recorder, record);
    }

    async fn list_of(&self, server: &Arc<str>) -> Result<Vec<String>, Refusal> {
        let method = self.dispatch.call().method();
        let (mut all, mut bytes, mut cursor) = (Vec::new(), 0_usize, None::<String>);
        for _ in 0..MAX_PAGES {
            let body = aggregate::page(self.dispatch.call(), cursor.as_deref());
            let answer = self.page(server, body.ok_or(Unanswered::Foreign)?).await?;
            let page = aggregate::entries(method, server, &answer);
            let Some((entries, next)) = page else { break };
            bytes += entries.iter().map(String::len).sum::<usize>();
            all.extend(entries);
            if all.len() > MAX_ENTRIES || bytes > MAX_BYTES {
                return Err(Unanswered::TooLarge.into());
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(all)
    }

    async fn page(&self, server: &Arc<str>, body: Bytes) -> Result<Bytes, Refusal> {
        let (dispatch, mut part) = self.admit(server, body, &mut Trail::default())?;
        let reply = self.ask(&mut part, dispatch).await?;
        let mut events = match reply.content {
            Content::Message(message) => return Ok(part.release(message, 200).await?.0),
            Content::Empty => return Err(Unanswered::Foreign.into()),
            Content::Events(events) => events,
        };
        while let Some(frame) = events.next().await? {
            let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
                continue;
            };
            if let (answer, true) = part.release(data, 200).await? {
                return Ok(answer);
            }
        }
        Err(Unanswered::Ended.into())
    }
}
