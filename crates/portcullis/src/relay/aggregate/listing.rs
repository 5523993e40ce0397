//! The lists of all servers as one list; what a server that is down had, is not in it.

use super::super::intake::length;
use super::super::walk;
use super::member::{Asked, Part, Passed};
use crate::clock;
use crate::record::{Caller, Exchange, note};
use crate::upstream::{Content, Events, Reply, whole};
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

/// What a server that was asked has listed.
enum Listed {
    /// Everything.
    Whole(Vec<String>),
    /// Nothing: it answered with this JSON-RPC error.
    Failed(i64),
}

impl Asked<'_> {
    /// Asks every server for its list.
    pub(super) async fn list(&self) -> Result<Reply, Unanswered> {
        let members = self.members();
        let lists = members.iter().map(|server| self.patient(server));
        let all = join_all(lists).await.concat();
        let answer = aggregate::listed(self.dispatch, &all).ok_or(Unanswered::Foreign)?;
        Ok(whole(answer, 200))
    }

    /// A server's whole list, or none of it; each server that is asked leaves a record of its own.
    async fn patient(&self, server: &Arc<str>) -> Vec<String> {
        let mut exchange = None;
        let listed = timeout(PATIENCE, self.list_of(server, &mut exchange)).await;
        let listed = listed.unwrap_or_else(|_| Err(Unanswered::Timeout.into()));
        let (listed, Some(mut exchange)) = (listed, exchange) else {
            return Vec::new();
        };
        let (recorded, entries) = match listed {
            Ok(Listed::Whole(entries)) => {
                let came = walk::completed(200, None);
                (exchange.settle(came).await, entries)
            }
            Ok(Listed::Failed(code)) => {
                let came = walk::completed(200, Some(code));
                (exchange.settle(came).await, Vec::new())
            }
            Err(why) => {
                self.gateway.counters.refused(&why);
                (exchange.refuse(&why, true).await, Vec::new())
            }
        };
        // What cannot be recorded is not passed on.
        recorded.map_or_else(|_| Vec::new(), |()| entries)
    }

    /// Records that a server was not asked; one that refuses this caller anything is nobody's loss.
    pub(super) fn left_out(&self, server: &Arc<str>, why: &Refusal) {
        if matches!(why, Refusal::Forbidden(_)) {
            return;
        }
        self.gateway.counters.refused(why);
        let (event, reason) = why.event();
        let mut record = Record::new(event);
        record.reason = Some(reason.into());
        record.server = Some((&**server).into());
        record.method = Some(self.dispatch.call().method().name().into());
        record.trace = Some(self.trace().into());
        note(&self.gateway.recorder, record);
    }

    async fn list_of(
        &self,
        server: &Arc<str>,
        exchange: &mut Option<Exchange>,
    ) -> Result<Listed, Refusal> {
        let method = self.dispatch.call().method();
        let (mut all, mut bytes, mut cursor) = (Vec::new(), 0_usize, None::<String>);
        for _ in 0..MAX_PAGES {
            let body = aggregate::page(self.dispatch.call(), cursor.as_deref());
            let body = body.ok_or(Unanswered::Foreign)?;
            let passed = self.page(server, body, exchange).await?;
            if let Some(code) = passed.code {
                return Ok(Listed::Failed(code));
            }
            let page = aggregate::entries(method, server, &passed.message);
            let (entries, next) = page.ok_or(Unanswered::Foreign)?;
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
        Ok(Listed::Whole(all))
    }

    /// Asks for one page; the first one begins the record of this server.
    async fn page(
        &self,
        server: &Arc<str>,
        body: Bytes,
        record: &mut Option<Exchange>,
    ) -> Result<Passed, Refusal> {
        let asked = length(&body);
        let mut trail = Trail::default();
        let admitted = self.admit(server, body, &mut trail);
        let (dispatch, mut part) = match (admitted, &record) {
            (Err(why), None) => {
                self.left_out(server, &why);
                return Err(why);
            }
            (admitted, _) => admitted?,
        };
        let exchange = match record {
            Some(exchange) => exchange,
            None => record.insert(self.begin(server, trail).await?),
        };
        exchange.bytes_in += asked;
        part.traceparent = exchange.traceparent();
        let upstream = self.live.upstreams.get(server);
        exchange.goes_up(upstream.and_then(|upstream| upstream.transport()));
        let reply = self.ask(&mut part, dispatch).await;
        exchange.answered = Some(clock::now());
        let passed = match reply?.content {
            Content::Message(message) => part.release(message, 200).await?,
            Content::Empty => return Err(Unanswered::Foreign.into()),
            Content::Events(events) => answer_of(&mut part, events).await?,
        };
        exchange.bytes_out += length(&passed.message);
        Ok(passed)
    }

    async fn begin(&self, server: &Arc<str>, trail: Trail) -> Result<Exchange, Refusal> {
        let policy = Arc::clone(&self.live.policy);
        let mut exchange = Exchange::begin(&self.gateway.recorder, Caller::Within, policy).await?;
        self.belongs(&mut exchange, server);
        exchange.trail = trail;
        Ok(exchange)
    }
}

/// The answer on a stream that may say other things first.
async fn answer_of(part: &mut Part, mut events: Events) -> Result<Passed, Refusal> {
    while let Some(frame) = events.next().await? {
        let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
            continue;
        };
        let passed = part.release(data, 200).await?;
        if passed.is_answer {
            return Ok(passed);
        }
    }
    Err(Unanswered::Ended.into())
}
