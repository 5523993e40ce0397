//! The answer of a server with sessions, for a client that has none.

use super::super::{Carried, Content, Direct, Events, Frame, Upstream, framed, mirror};
use bytes::Bytes;
use portcullis_core::protocol::{Envelope, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::remap::{self, Chosen, Outward};
use portcullis_core::route::{Dispatch, bridge};
use portcullis_core::session::Open;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often a stream is taken up again that the server closed before it answered (SEP-1699).
const MAX_RESUMED: u32 = 1000;
/// How long to wait before that.
const RETRY: Duration = Duration::from_millis(500);
/// The severities of log messages, in order (RFC 5424 section 6.2.1).
const LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];

/// A request under way at a server with sessions; dropped before its answer came, it is cancelled there.
pub(super) struct UnderWay {
    pub(super) upstream: Arc<Upstream>,
    pub(super) open: Open,
    pub(super) carried: Carried,
    /// What to send if it is given up.
    pub(super) cancel: Option<Dispatch>,
    /// What else is to be done at its end.
    pub(super) over: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnderWay(..)")
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        (self.over)();
        if let Some(cancel) = self.cancel.take() {
            tell(&self.upstream, cancel, &self.carried);
        }
    }
}

/// Sends what no answer is expected to.
pub(super) fn tell(upstream: &Arc<Upstream>, message: Dispatch, carried: &Carried) {
    let carried = mirror::carried(&message, carried);
    let telling = Arc::clone(upstream);
    upstream.tasks.spawn(async move {
        if let Err(error) = telling.direct.call(&message, &carried).await {
            tracing::debug!(%error, "the server was not told");
        }
    });
}

/// What a stateless client said of the answer that it wants.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) method: Method,
    pub(super) number: u64,
    pub(super) chosen: Chosen,
    /// The least severe log message that it wants, if it wants any.
    pub(super) level: Option<String>,
}

/// A stream that answers one request.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(super) incoming: Box<Events>,
    pub(super) wish: Wish,
    pub(super) under_way: UnderWay,
    pub(super) last: Option<String>,
    pub(super) resumed: u32,
}

#[derive(Deserialize)]
struct Logged {
    level: String,
}

impl Answering {
    /// The next event; `None` at the end. If the future is dropped, nothing is lost.
    pub(in crate::upstream::bridge) async fn next(&mut self) -> Result<Option<Frame>, Unanswered> {
        loop {
            let Some(frame) = self.next_frame().await? else {
                return Ok(None);
            };
            if let Some(id) = frame.id.filter(|id| !id.is_empty()) {
                self.last = Some(id);
            }
            let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
                continue;
            };
            if let Some(message) = self.pass(data) {
                return Ok(Some(framed(message)));
            }
        }
    }

    /// The next of the server's own frames, on this stream or on one that it is continued on.
    async fn next_frame(&mut self) -> Result<Option<Frame>, Unanswered> {
        loop {
            let next = Box::pin(self.incoming.next()).await?;
            let is_over = next.is_some() || self.under_way.cancel.is_none();
            if is_over || !self.resume().await? {
                return Ok(next);
            }
        }
    }

    /// Reads on where the server closed its stream before it answered.
    async fn resume(&mut self) -> Result<bool, Unanswered> {
        let last = self.last.as_deref().filter(|_| self.resumed < MAX_RESUMED);
        let Some((last, asked)) = last.zip(self.under_way.cancel.as_ref()) else {
            return Ok(false);
        };
        sleep(RETRY).await;
        let under_way = &self.under_way;
        let carried = Carried {
            version: Some(under_way.open.revision.name().to_owned()),
            traceparent: under_way.carried.traceparent.clone(),
            ..Carried::default()
        };
        let direct: &Direct = &under_way.upstream.direct;
        let whose = (&under_way.open, asked.owner());
        let reply = direct.listen(whose, Some(last), &carried).await?;
        let Content::Events(events) = reply.content else {
            return Ok(false);
        };
        *self.incoming = events;
        self.resumed += 1;
        Ok(true)
    }

    /// One message as the client is to read it; none if it is not for the client.
    fn pass(&mut self, data: Bytes) -> Option<Bytes> {
        match remap::outward(&data) {
            Some(Outward::Answer(number, place)) if number == self.wish.number => {
                self.under_way.cancel = None;
                let answer = remap::put_back(&data, place, &self.wish.chosen.id);
                let read = bridge::stateless_answer(&self.wish.method, &answer);
                Some(read.map_or(answer, |(answer, _)| answer))
            }
            Some(Outward::Progress(number, place)) if number == self.wish.number => {
                let token = self.wish.chosen.token.as_ref()?;
                Some(remap::put_back(&data, place, token))
            }
            Some(Outward::Progress(..) | Outward::Subscribed(..)) => None,
            Some(Outward::Unasked) => self.pass_unasked(data),
            // What is no message, and what answers something else, is refused where every answer is.
            Some(Outward::Answer(..)) | None => Some(data),
        }
    }

    /// On this stream a stateless client is told of its own request, and of the log if it wants that.
    fn pass_unasked(&self, data: Bytes) -> Option<Bytes> {
        let envelope = Envelope::parse(&data).ok()?;
        let method = Method::parse(envelope.method.as_deref()?);
        if let Some(id) = envelope.id {
            let under_way = &self.under_way;
            let asked = under_way.cancel.as_ref()?;
            let no = bridge::answer(asked, &under_way.open, &method, id)?;
            tell(&under_way.upstream, no, &under_way.carried);
            return None;
        }
        if method.name() != "notifications/message" {
            return None;
        }
        let logged: Logged = serde_json::from_str(envelope.params?.get()).ok()?;
        let rank = |level: &str| LEVELS.iter().position(|known| *known == level);
        let is_wanted = rank(&logged.level)? >= rank(self.wish.level.as_deref()?)?;
        is_wanted.then_some(data)
    }
}
