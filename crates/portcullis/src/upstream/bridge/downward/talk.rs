//! An exchange in which a server without sessions says more than its answer, or asks the client.

use super::super::super::Teller;
use super::super::{Carried, Content, Upstream};
use super::ask;
use super::guests::{Asking, Guest};
use bytes::Bytes;
use portcullis_core::protocol::{Envelope, Id, Input, Method, Question};
use portcullis_core::refusal::Unanswered;
use portcullis_core::route::{Dispatch, bridge};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How often one request may ask the client before it is answered.
const MAX_ROUNDS: usize = 32;
/// How long a client may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(10);
/// The client said no (2025-11-25 client/sampling).
const DECLINED: i64 = -1;

/// An exchange in which the server says more than one thing, or asks the client.
pub(super) struct Talk {
    pub(super) upstream: Arc<Upstream>,
    pub(super) asking: Asking,
    pub(super) asked: Dispatch,
    pub(super) carried: Carried,
    pub(super) tell: Teller,
}

impl Talk {
    pub(super) async fn run(self, content: Content) {
        let (cancelled, tell) = (self.asking.cancelled.clone(), self.tell.clone());
        tokio::select! {
            () = cancelled.cancelled() => {}
            () = tell.closed() => {}
            ended = self.talk(content) => {
                if let Err(why) = ended {
                    tell.send(Err(why)).await.ok();
                }
            }
        }
    }

    async fn talk(&self, mut content: Content) -> Result<(), Unanswered> {
        for _ in 0..MAX_ROUNDS {
            let Some(answer) = self.until_answered(content).await? else {
                return Ok(());
            };
            let Some(input) = Input::of(&answer) else {
                return self.say(answer).await;
            };
            let Some(responses) = self.put(&input).await? else {
                let no = bridge::failed(&self.asked, DECLINED, "the client declined");
                return self.say(no.ok_or(Unanswered::Foreign)?).await;
            };
            let introduced = self.asking.guest.introduced();
            let again = introduced.again(&self.asked, &responses, input.state.as_deref());
            let again = again.ok_or(Unanswered::Foreign)?;
            content = ask(&self.upstream, &self.asking.guest, again, &self.carried)
                .await?
                .content;
        }
        Err(Unanswered::Foreign)
    }

    async fn say(&self, message: Bytes) -> Result<(), Unanswered> {
        let said = self.tell.send(Ok(message)).await;
        said.map_err(|_| Unanswered::Ended)
    }

    /// Passes on what comes before the answer; `None` if the server ended without one.
    async fn until_answered(&self, content: Content) -> Result<Option<Bytes>, Unanswered> {
        let mut events = match content {
            Content::Message(answer) => return Ok(Some(answer)),
            Content::Empty => return Err(Unanswered::Foreign),
            Content::Events(events) => events,
        };
        while let Some(frame) = Box::pin(events.next()).await? {
            let Some(data) = frame.data.filter(|data| !data.is_empty()) else {
                continue;
            };
            let is_answer = Envelope::parse(&data).is_ok_and(|said| said.method.is_none());
            if is_answer {
                return Ok(Some(data));
            }
            self.say(data).await?;
        }
        Ok(None)
    }

    /// Puts the server's questions to the client; `None` if it gives no answer that could be passed on.
    async fn put(
        &self,
        input: &Input,
    ) -> Result<Option<BTreeMap<String, Box<RawValue>>>, Unanswered> {
        let guest = &self.asking.guest;
        let mut waiting = Vec::new();
        for (name, question) in &input.requests {
            let number = guest.last_question.fetch_add(1, Ordering::Relaxed);
            let id = format!("portcullis-{number}");
            let (answer, answered) = oneshot::channel();
            let key = Id::Text(id.as_str().into());
            guest.questions().insert(key.clone(), answer);
            waiting.push(Waiting {
                guest,
                key,
                name,
                question,
                answered,
            });
            self.say(question.request(&id)).await?;
        }
        let mut responses = BTreeMap::new();
        for mut waiting in waiting {
            let answered = timeout(ANSWER_TIMEOUT, &mut waiting.answered).await;
            let response = answered.map_err(|_| Unanswered::Timeout)?.ok().flatten();
            let Some(response) = response.or_else(|| waiting.dismissed()) else {
                return Ok(None);
            };
            responses.insert(waiting.name.clone(), response);
        }
        Ok(Some(responses))
    }
}

/// A question that the client was asked; forgotten when nobody waits any more.
struct Waiting<'a> {
    guest: &'a Guest,
    key: Id,
    name: &'a String,
    question: &'a Question,
    answered: oneshot::Receiver<Option<Box<RawValue>>>,
}

impl Waiting<'_> {
    /// What a user who was not asked has done with a form.
    fn dismissed(&self) -> Option<Box<RawValue>> {
        let is_form = Method::parse(&self.question.method) == Method::Elicitation;
        is_form
            .then(|| serde_json::value::to_raw_value(&json!({"action": "cancel"})).ok())
            .flatten()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.guest.questions().remove(&self.key);
    }
}
