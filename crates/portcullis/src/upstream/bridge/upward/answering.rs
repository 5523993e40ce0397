//! The answer of a server with sessions, for a client that has none.

use super::super::super::{Carried, Content, Direct, Events, Frame, framed};
use super::super::{Upstream, mirror};
use super::kept::Conversation;
use bytes::Bytes;
use portcullis_core::protocol::{Envelope, Method};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::Dispatch;
use portcullis_core::route::bridge::{self, Bound, Offer, Pending, Retry};
use portcullis_core::route::remap::{self, Chosen, Outward};
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
/// How often one call may ask its client before it is answered.
const MAX_ROUNDS: u32 = 32;
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
    pub(super) conversation: Arc<Conversation>,
    pub(super) number: u64,
    pub(super) carried: Carried,
    /// What to send if it is given up.
    pub(super) cancel: Option<Dispatch>,
    /// What the server asks the client, and was not answered yet.
    pub(super) pending: Vec<Pending>,
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnderWay(..)")
    }
}

impl UnderWay {
    fn open(&self) -> &Open {
        &self.conversation.open
    }

    /// Tells the server the same no to everything that it asks.
    fn refuse(&mut self, no: impl Fn(&Pending, &Dispatch, &Open) -> Option<Dispatch>) {
        let Some(of) = &self.cancel else { return };
        for pending in self.pending.drain(..) {
            if let Some(no) = no(&pending, of, &self.conversation.open) {
                tell(&self.upstream, no, &self.carried);
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.conversation.ends(self.number);
        self.refuse(Pending::unanswered);
        if let Some(cancel) = self.cancel.take() {
            tell(&self.upstream, cancel, &self.carried);
        }
    }
}

/// Sends what no answer is expected to.
pub(super) fn tell(upstream: &Arc<Upstream>, message: Dispatch, carried: &Carried) {
    let carried = mirror::carried(&message, carried);
    let telling = Arc::clone(upstream);
    upstream.around.tasks.spawn(async move {
        if let Err(error) = telling.direct.call(&message, &carried).await {
            tracing::debug!(%error, "the server was not told");
        }
    });
}

/// What a stateless client said of the answer that it wants.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) method: Method,
    pub(super) chosen: Chosen,
    /// The least severe log message that it wants, if it wants any.
    pub(super) level: Option<String>,
    /// What it can be asked.
    pub(super) offer: Offer,
    /// Whom and what a question is bound to.
    pub(super) bound: Bound,
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

impl Wish {
    pub(super) fn of(asked: &Dispatch, offer: Offer) -> Self {
        let params = Envelope::parse(asked.call().body()).ok();
        let params =
            params.and_then(|envelope| serde_json::from_str::<Params>(envelope.params?.get()).ok());
        Self {
            method: asked.call().method().clone(),
            chosen: remap::chosen(asked.call()),
            level: params.and_then(|params| params.meta?.level),
            offer,
            bound: Bound::to(asked),
        }
    }
}

/// A stream that answers one request: with what the server answers, or with what it asks.
#[derive(Debug)]
pub(crate) struct Answering(Option<Box<Ongoing>>);

/// A request whose answer is still to come.
#[derive(Debug)]
pub(super) struct Ongoing {
    pub(super) incoming: Box<Events>,
    pub(super) wish: Wish,
    pub(super) under_way: UnderWay,
    last: Option<String>,
    resumed: u32,
    rounds: u32,
    /// Under which number it is to be kept, once the client was given the question.
    kept_as: Option<u64>,
}

#[derive(Deserialize)]
struct Logged {
    level: String,
}

impl Answering {
    pub(super) fn of(ongoing: Box<Ongoing>) -> Self {
        Self(Some(ongoing))
    }

    /// The next event; `None` at the end. If the future is dropped, nothing is lost.
    pub(in crate::upstream::bridge) async fn next(&mut self) -> Result<Option<Frame>, Unanswered> {
        match &mut self.0 {
            Some(ongoing) => ongoing.next().await,
            None => Ok(None),
        }
    }

    /// What was said last may go to the client: a call that ends in a question is kept for the answer.
    pub(in crate::upstream::bridge) fn permitted(&mut self) {
        let is_asking = |ongoing: &mut Box<Ongoing>| ongoing.kept_as.is_some();
        if let Some(ongoing) = self.0.take_if(is_asking) {
            ongoing.keep();
        }
    }

    /// What was said last may not go to the client: `true` if it was a question, to which the server has its no.
    pub(in crate::upstream::bridge) fn declined(&mut self) -> bool {
        let Some(ongoing) = &mut self.0 else {
            return false;
        };
        let is_asking = ongoing.kept_as.take().is_some();
        if is_asking {
            ongoing.under_way.refuse(Pending::refused);
        }
        is_asking
    }
}

impl Ongoing {
    pub(super) fn begin(incoming: Events, wish: Wish, under_way: UnderWay) -> Box<Self> {
        Box::new(Self {
            incoming: Box::new(incoming),
            wish,
            under_way,
            last: None,
            resumed: 0,
            rounds: 0,
            kept_as: None,
        })
    }

    /// Waits for the client, who holds the `requestState` by now.
    fn keep(mut self: Box<Self>) {
        let Some((number, cancel)) = self.kept_as.take().zip(self.under_way.cancel.as_ref()) else {
            return;
        };
        let owner = Arc::clone(cancel.owner());
        let upstream = Arc::clone(&self.under_way.upstream);
        self.under_way.conversation.waits(self.under_way.number);
        let tasks = &upstream.around.tasks;
        upstream.questions.keep((number, &owner), self, tasks);
    }

    /// The client is back: the server gets its answers. What it did not answer, it will be asked again.
    pub(super) async fn answer(
        &mut self,
        (asked, retry): (&Dispatch, &Retry),
        carried: &Carried,
    ) -> Result<(), Unanswered> {
        let common = self.wish.offer.common(Offer::of(asked.call()));
        self.wish = Wish::of(asked, common);
        let under_way = &mut self.under_way;
        if let Some(id) = asked.call().id() {
            under_way.conversation.begins(under_way.number, id);
        }
        let answered = under_way
            .pending
            .extract_if(.., |pending| retry.response(pending).is_some());
        let answers: Vec<Option<Dispatch>> = answered
            .map(|pending| {
                let response = retry.response(&pending)?;
                pending.response(asked, &under_way.conversation.open, response)
            })
            .collect();
        for answer in answers {
            let answer = answer.ok_or(Unanswered::Foreign)?;
            let beside = mirror::carried(&answer, carried);
            let reply = self
                .under_way
                .upstream
                .direct
                .call(&answer, &beside)
                .await?;
            if !(200..300).contains(&reply.status) {
                return Err(Unanswered::Ended);
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Frame>, Unanswered> {
        loop {
            // Nobody said that the client may be asked: then it is not.
            if self.kept_as.is_some() {
                return Ok(None);
            }
            if let Some(question) = self.question() {
                return Ok(Some(framed(question)));
            }
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

    /// The answer that puts to the client what the server asks; none if it asks nothing, or is told no.
    fn question(&mut self) -> Option<Bytes> {
        if self.under_way.pending.is_empty() {
            return None;
        }
        let is_bounded = self.rounds < MAX_ROUNDS;
        let questions = &self.under_way.upstream.questions;
        let state = is_bounded.then(|| questions.state(&self.wish.bound));
        let asks = state.flatten().and_then(|(number, state)| {
            let pending = &self.under_way.pending;
            let asks = bridge::input_required(&self.wish.chosen.id, pending, &state)?;
            Some((number, asks))
        });
        let Some((number, asks)) = asks else {
            self.under_way.refuse(Pending::unanswered);
            return None;
        };
        self.rounds += 1;
        self.kept_as = Some(number);
        Some(asks)
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
            version: Some(under_way.open().revision.name().to_owned()),
            traceparent: under_way.carried.traceparent.clone(),
            ledger: under_way.carried.ledger.clone(),
            ..Carried::default()
        };
        let direct: &Direct = &under_way.upstream.direct;
        let whose = (under_way.open(), asked.principal());
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
            Some(Outward::Answer(number, place)) if number == self.under_way.number => {
                self.under_way.cancel = None;
                let answer = remap::put_back(&data, place, &self.wish.chosen.id);
                let read = bridge::stateless_answer(&self.wish.method, &answer);
                Some(read.map_or(answer, |(answer, _)| answer))
            }
            Some(Outward::Progress(number, place)) if number == self.under_way.number => {
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
    fn pass_unasked(&mut self, data: Bytes) -> Option<Bytes> {
        let envelope = Envelope::parse(&data).ok()?;
        let method = Method::parse(envelope.method.as_deref()?);
        if let Some(id) = envelope.id {
            let under_way = &mut self.under_way;
            let number = under_way.upstream.questions.number();
            let pending = Pending::of(&data, number);
            let pending = pending.filter(|pending| pending.is_covered(self.wish.offer));
            if let Some(pending) = pending.filter(|_| bridge::may_ask(&self.wish.method)) {
                under_way.pending.push(pending);
                return None;
            }
            let asked = under_way.cancel.as_ref()?;
            let no = bridge::answer(asked, under_way.open(), &method, id)?;
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
