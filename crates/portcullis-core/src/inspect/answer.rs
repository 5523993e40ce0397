//! One message of the upstream's: well-formed, of this exchange, and without what the caller may not see.

use super::{list, task};
use crate::authorize::{self, Circumstances, Forbidden, Gate, policy::Policy};
use crate::catalog::{Pinned, schemas::Unfit};
use crate::protocol::{Envelope, Id, Input, Malformed, Method};
use crate::route::Ticket;
use bytes::Bytes;
use serde::Deserialize;

/// Proof that a message may go to the client. Only this room makes one.
#[derive(Debug)]
#[must_use]
pub struct Released {
    pub(super) bytes: Bytes,
    pub(super) said: Said,
}

impl Released {
    /// What the message is.
    pub const fn said(&self) -> &Said {
        &self.said
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    /// The message, for the client's door.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// What an upstream's message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The answer to this exchange's request, with its error code if it is an error.
    Answer {
        /// The JSON-RPC error code.
        code: Option<i64>,
        /// What `initialize` settled, as the upstream wrote it.
        revision: Option<String>,
    },
    /// A request to the client.
    Request {
        /// What it asks for.
        method: Method,
        /// Under which id.
        id: Id,
    },
    /// A notification.
    Notification {
        /// Of what.
        method: Method,
    },
}

/// Why an upstream's message is not passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It is no message.
    #[error("malformed answer: {0}")]
    Malformed(Malformed),
    /// It answers what was not asked here.
    #[error("answer to another request")]
    NotAsked,
    /// It asks the client for what no rule permits.
    #[error("request to the client refused: {why}")]
    Reverse {
        /// Under which id, so that the server can be told.
        id: Id,
        /// Why not.
        why: Forbidden,
    },
    /// Its answer asks the client for what no rule permits (2026-07-28, `input_required`).
    #[error("question to the client refused: {why}")]
    Question {
        /// Why not.
        why: Forbidden,
    },
    /// Its list cannot be read, so it cannot be narrowed to what the caller may see.
    #[error("unreadable list")]
    List,
    /// Its structured content does not fit the schema that was approved.
    #[error("result that does not fit: {0}")]
    Unfit(Unfit),
    /// Its contents give orders to the model, and the configuration says that such messages are withheld.
    #[error("instructions to the model")]
    Instructions {
        /// Under which id it asks, if it is a request, so that the server can be told.
        asks: Option<Id>,
        /// Whether it is the answer to what was asked here.
        is_answer: bool,
    },
    /// It tells of a task that was not made for this principal.
    #[error("task of somebody else")]
    Task,
}

impl BadAnswer {
    /// What the client is told.
    pub(crate) const fn told(&self) -> &'static str {
        if let Self::Instructions { .. } = self {
            "upstream answer withheld: it gives instructions to the model"
        } else {
            "upstream answer refused"
        }
    }

    /// The audit record's word for it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_answer",
            Self::NotAsked => "answer_not_asked",
            Self::Reverse { .. } | Self::Question { .. } => "reverse_request",
            Self::List => "unreadable_list",
            Self::Unfit(_) => "unfit_result",
            Self::Instructions { .. } => "instructions",
            Self::Task => "foreign_task",
        }
    }
}

/// Inspects one message of the upstream's on its way down.
///
/// # Errors
/// [`BadAnswer`]; the message then goes nowhere.
pub fn answer(
    message: Bytes,
    ticket: &Ticket,
    (policy, pinned): (&Policy, &Pinned),
    gate: &Gate,
    circumstances: Circumstances<'_>,
) -> Result<Released, BadAnswer> {
    let (narrowed, said) = judge(&message, ticket, (policy, pinned), gate, circumstances)?;
    Ok(Released {
        bytes: narrowed.unwrap_or(message),
        said,
    })
}

/// What the message says, and what is left of it if that is not all.
fn judge(
    message: &[u8],
    ticket: &Ticket,
    (policy, pinned): (&Policy, &Pinned),
    gate: &Gate,
    circumstances: Circumstances<'_>,
) -> Result<(Option<Bytes>, Said), BadAnswer> {
    let envelope = Envelope::parse(message).map_err(BadAnswer::Malformed)?;
    let id = envelope.id.map(Id::read).transpose();
    match (&envelope.method, envelope.result, envelope.error) {
        (Some(name), None, None) => {
            let method = Method::parse(name);
            let Some(id) = id.map_err(BadAnswer::Malformed)? else {
                return Ok((None, Said::Notification { method }));
            };
            let asked = (&method, ticket.revision().name());
            match authorize::decide_reverse(policy, gate, ticket.principal(), asked, circumstances)
            {
                Ok(_rule) => Ok((None, Said::Request { method, id })),
                Err(why) => Err(BadAnswer::Reverse { id, why }),
            }
        }
        (None, Some(result), None) => {
            expect_asked(id, ticket)?;
            if let Some(schemas) = ticket.schemas()
                && let Some(outcome) = task::outcome(ticket, result)?
            {
                schemas.expect_result(outcome).map_err(BadAnswer::Unfit)?;
            }
            permit_questions(result.get(), ticket, (policy, gate), circumstances)?;
            let eye = (policy, pinned);
            let whose = (gate, circumstances.now);
            let narrowed = list::narrow(message, result, ticket, eye, whose)?;
            let revision = match ticket.method() {
                Some(Method::Initialize) => Some(settled(result.get())?),
                Some(_) | None => None,
            };
            let code = None;
            Ok((narrowed, Said::Answer { code, revision }))
        }
        (None, None, Some(error)) => {
            // An error about a message that could not be read has no id, or null (JSON-RPC 2.0 section 5).
            if envelope.id.is_some_and(|id| id.get() != "null") {
                expect_asked(id, ticket)?;
            }
            let error: ErrorObject = serde_json::from_str(error.get())
                .map_err(|_| BadAnswer::Malformed(Malformed::Envelope))?;
            let (code, revision) = (Some(error.code), None);
            Ok((None, Said::Answer { code, revision }))
        }
        (None | Some(_), _, _) => Err(BadAnswer::Malformed(Malformed::Envelope)),
    }
}

/// A server without sessions asks in its answers; what it asks for needs the same rules as a request would.
fn permit_questions(
    result: &str,
    ticket: &Ticket,
    (policy, gate): (&Policy, &Gate),
    circumstances: Circumstances<'_>,
) -> Result<(), BadAnswer> {
    // A name that is written with escapes is no reason to look away.
    let may_ask = || result.contains("input") || result.contains("\\u");
    if !ticket.revision().is_stateless() || !may_ask() {
        return Ok(());
    }
    let input =
        Input::read(result).map_err(|_| BadAnswer::Malformed(Malformed::Params { id: None }))?;
    for question in input.iter().flat_map(|input| input.requests.values()) {
        let asked = (&Method::parse(&question.method), ticket.revision().name());
        authorize::decide_reverse(policy, gate, ticket.principal(), asked, circumstances)
            .map_err(|why| BadAnswer::Question { why })?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
}

#[derive(Deserialize)]
struct Settled {
    #[serde(rename = "protocolVersion")]
    revision: String,
}

fn settled(result: &str) -> Result<String, BadAnswer> {
    let settled: Settled =
        serde_json::from_str(result).map_err(|_| BadAnswer::Malformed(Malformed::Envelope))?;
    Ok(settled.revision)
}

fn expect_asked(id: Result<Option<Id>, Malformed>, ticket: &Ticket) -> Result<(), BadAnswer> {
    let id = id.map_err(BadAnswer::Malformed)?;
    if id.is_some() && id.as_ref() == ticket.id() {
        Ok(())
    } else {
        Err(BadAnswer::NotAsked)
    }
}
