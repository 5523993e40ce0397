//! A question of a server with sessions, put to a stateless client in the answer to its own call
//! (2026-07-28 basic/patterns/mrtr).

use super::Offer;
use crate::protocol::{Call, Envelope, Members, Method, Question, Target};
use crate::route::Dispatch;
use crate::session::Open;
use crate::time::Timestamp;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A question of the server's that the client has not answered yet.
#[derive(Debug)]
pub struct Pending {
    name: String,
    id: Box<RawValue>,
    question: Question,
}

impl Pending {
    /// The question in a server's request, the number of which names it to the client.
    pub fn of(message: &[u8], number: u64) -> Option<Self> {
        let envelope = Envelope::parse(message).ok()?;
        Some(Self {
            name: format!("question-{number}"),
            id: envelope.id?.to_owned(),
            question: Question {
                method: envelope.method?.into_owned(),
                params: envelope.params.map(ToOwned::to_owned),
            },
        })
    }

    /// Whether a client that offers this may be asked.
    pub fn is_covered(&self, offer: Offer) -> bool {
        let method = Method::parse(&self.question.method);
        offer.covers(&method, self.question.params.as_deref())
    }

    /// The client's answer, for the server.
    pub fn response(&self, of: &Dispatch, open: &Open, response: &RawValue) -> Option<Dispatch> {
        self.tell(of, open, &format!(r#""result":{}"#, response.get()))
    }

    /// That no rule permits the question, for the server.
    pub fn refused(&self, of: &Dispatch, open: &Open) -> Option<Dispatch> {
        let error = r#""error":{"code":-32601,"message":"not permitted"}"#;
        self.tell(of, open, error)
    }

    /// That nobody answers it, for the server.
    pub fn unanswered(&self, of: &Dispatch, open: &Open) -> Option<Dispatch> {
        self.tell(of, open, r#""error":{"code":-1,"message":"not answered"}"#)
    }

    fn tell(&self, of: &Dispatch, open: &Open, said: &str) -> Option<Dispatch> {
        let id = self.id.get();
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},{said}}}"#);
        of.instead(body, Some(open.clone()))
    }
}

/// Whether the answer to this may ask (2026-07-28 basic/patterns/mrtr: these three, and no others).
pub const fn may_ask(method: &Method) -> bool {
    matches!(
        method,
        Method::ToolsCall | Method::ResourcesRead | Method::PromptsGet
    )
}

/// The answer to the request of that id which asks all this (`InputRequiredResult`).
pub fn input_required(id: &[u8], pending: &[Pending], state: &str) -> Option<Bytes> {
    let questions: BTreeMap<&str, &Question> = pending
        .iter()
        .map(|one| (one.name.as_str(), &one.question))
        .collect();
    let questions = serde_json::to_string(&questions).ok()?;
    let (id, state) = (std::str::from_utf8(id).ok()?, json!(state));
    let result = format!(
        r#"{{"resultType":"input_required","inputRequests":{questions},"requestState":{state}}}"#
    );
    Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into())
}

/// What a client brings when it asks once more, with its answers.
#[derive(Debug)]
pub struct Retry {
    /// `requestState`; empty if it brings none.
    pub state: String,
    responses: Members,
}

impl Retry {
    /// Reads a request; `None` if it is asked for the first time.
    pub fn of(call: &Call) -> Option<Self> {
        if !may_ask(call.method()) {
            return None;
        }
        let envelope = Envelope::parse(call.body()).ok()?;
        let mut params: Members = serde_json::from_str(envelope.params?.get()).ok()?;
        let state = params.remove("requestState");
        let responses = params.remove("inputResponses");
        if state.is_none() && responses.is_none() {
            return None;
        }
        Some(Self {
            state: state
                .and_then(|state| serde_json::from_str(state.get()).ok())
                .unwrap_or_default(),
            responses: responses
                .and_then(|responses| serde_json::from_str(responses.get()).ok())
                .unwrap_or_default(),
        })
    }

    /// The answer to a question, unless it is none that could be one.
    pub fn response(&self, to: &Pending) -> Option<&RawValue> {
        let response = self.responses.get(&to.name)?;
        response.get().starts_with('{').then_some(response)
    }
}

/// What a `requestState` of ours is sealed with: it fits one call of one principal, once and for a while.
#[derive(Debug, Clone)]
pub struct Bound {
    number: u64,
    until_ms: u64,
    owner: String,
    call: String,
}

/// Why a `requestState` is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadState {
    /// Not sealed here, or changed since.
    #[error("request state not sealed here")]
    Forged,
    /// Sealed for another principal or client.
    #[error("request state of another principal")]
    Principal,
    /// Sealed for another method, name or arguments.
    #[error("request state of another call")]
    Digest,
    /// Too old.
    #[error("request state expired")]
    Expired,
    /// Used before, or what it stood for is over.
    #[error("request state used")]
    Reused,
}

impl BadState {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Forged => "mac",
            Self::Principal => "principal",
            Self::Digest => "digest",
            Self::Expired => "expired",
            Self::Reused => "reuse",
        }
    }
}

impl Bound {
    /// Binds to a call and whom it is for.
    pub fn to(asked: &Dispatch) -> Self {
        Self {
            number: 0,
            until_ms: 0,
            owner: owner(asked),
            call: call(asked.call()),
        }
    }

    /// The same under another number and until another time.
    #[must_use]
    pub fn anew(&self, number: u64, until: Timestamp) -> Self {
        Self {
            number,
            until_ms: until.micros() / 1000,
            ..self.clone()
        }
    }

    /// The text that is to be sealed.
    pub fn text(&self) -> String {
        let Self {
            number,
            until_ms,
            owner,
            call,
        } = self;
        json!([number, until_ms, owner, call]).to_string()
    }

    /// Reads what was sealed; gives the number, if all of it fits the call that brings it.
    ///
    /// # Errors
    /// [`BadState`].
    pub fn check(text: &str, asked: &Dispatch, now: Timestamp) -> Result<u64, BadState> {
        let (number, until_ms, bound_to, bound): (u64, u64, String, String) =
            serde_json::from_str(text).map_err(|_| BadState::Forged)?;
        if bound_to != owner(asked) {
            return Err(BadState::Principal);
        }
        if bound != call(asked.call()) {
            return Err(BadState::Digest);
        }
        if now.micros() / 1000 >= until_ms {
            return Err(BadState::Expired);
        }
        Ok(number)
    }
}

fn owner(asked: &Dispatch) -> String {
    let client = asked.principal().client.as_deref();
    hash(&json!([asked.server(), asked.owner(), client]))
}

/// Method, name and arguments: the same value written in another way is the same call.
fn call(call: &Call) -> String {
    let kind = match call.target() {
        Target::Tool(_) => "tool",
        Target::Resource(_) => "resource",
        Target::Prompt(_) => "prompt",
        Target::Task(_) => "task",
        Target::Server => "server",
    };
    let mut arguments: Value = call
        .arguments()
        .and_then(|arguments| serde_json::from_str(arguments.get()).ok())
        .unwrap_or_default();
    arguments.sort_all_objects();
    hash(&json!([
        call.method().name(),
        kind,
        call.target().name(),
        arguments
    ]))
}

fn hash(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, value.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Headers;

    fn parsed(params: &str) -> Call {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        Call::parse(body.into(), &Headers::absent(), None).unwrap()
    }

    #[test]
    fn sta_05_binds_to_what_is_called_however_it_is_written() {
        let first = call(&parsed(r#"{"name":"echo","arguments":{"a":1,"b":[2]}}"#));
        let same = [
            r#"{"arguments":{"b":[ 2],"a":1},"name":"e\u0063ho"}"#,
            r#"{"name":"echo","arguments":{"a":1,"b":[2]},"inputResponses":{},"requestState":"x"}"#,
        ];
        for params in same {
            assert_eq!(call(&parsed(params)), first, "{params}");
        }
        let others = [
            r#"{"name":"echo"}"#,
            r#"{"name":"echo","arguments":{}}"#,
            r#"{"name":"echo","arguments":{"a":1,"b":["2"]}}"#,
            r#"{"name":"other","arguments":{"a":1,"b":[2]}}"#,
        ];
        for params in others {
            assert_ne!(call(&parsed(params)), first, "{params}");
        }
    }

    #[test]
    fn sta_05_reads_a_retry_and_takes_no_answer_that_cannot_be_one() {
        assert!(Retry::of(&parsed(r#"{"name":"echo"}"#)).is_none());
        let text =
            r#"{"name":"x","inputResponses":{"question-1":{"action":"accept"},"question-2":1}}"#;
        let retry = Retry::of(&parsed(text)).unwrap();
        assert_eq!(retry.state, "");
        let pending = |number| {
            let message = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}"#;
            Pending::of(message.as_bytes(), number).unwrap()
        };
        let first = pending(1);
        assert_eq!(
            retry.response(&first).unwrap().get(),
            r#"{"action":"accept"}"#
        );
        assert!(retry.response(&pending(2)).is_none());
        assert!(retry.response(&pending(3)).is_none());
        let asks = input_required(b"7", &[first], "s").unwrap();
        assert_eq!(
            asks,
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"question-1":{"method":"elicitation/create","params":{}}},"requestState":"s"}}"#
        );
    }
}
