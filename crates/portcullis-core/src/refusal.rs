//! Every way of saying no, and what of it the client is told.

use crate::authenticate::{BadProof, Unauthenticated};
use crate::authorize::{Forbidden, StepUp};
use crate::catalog::Unapproved;
use crate::catalog::schemas::Unfit;
use crate::credentials::NoCredential;
pub use crate::elicit::Consent;
use crate::elicit::Purpose;
use crate::inspect::BadAnswer;
use crate::protocol::{Id, Malformed};
use crate::quota::Exhausted;
use crate::route::bridge::BadState;
use crate::session::{NoSession, NoTask};
use std::time::Duration;

/// What the listener does not accept, before anybody looks at who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// `Host` names no host of ours (DNS rebinding).
    #[error("host not allowed")]
    Host,
    /// `Origin` is there and not allowed (MCP transports, security warning).
    #[error("origin not allowed")]
    Origin,
    /// No such path.
    #[error("not found")]
    Path,
    /// An HTTP method that this path does not have.
    #[error("method not allowed")]
    Method,
    /// A body that is not `application/json`.
    #[error("media type not accepted")]
    MediaType,
    /// A body over the limit.
    #[error("body too large")]
    TooLarge,
    /// A body that stalled.
    #[error("body too slow")]
    Slow,
    /// A broken body, or a header that is no visible ASCII.
    #[error("broken request")]
    Broken,
    /// A `Last-Event-ID` that was not given to this caller for this stream.
    #[error("event id not accepted")]
    Resume,
    /// The stream is already being read (one consumer a stream).
    #[error("stream already open")]
    StreamTaken,
}

impl Unacceptable {
    const fn reason(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::Path => "path",
            Self::Method => "method",
            Self::MediaType => "media_type",
            Self::TooLarge => "too_large",
            Self::Slow => "slow",
            Self::Broken => "broken",
            Self::Resume => "resume",
            Self::StreamTaken => "stream_taken",
        }
    }

    const fn public(self) -> (u16, &'static str) {
        match self {
            Self::Host => (403, "host not allowed"),
            Self::Origin => (403, "origin not allowed"),
            Self::Path => (404, "not found"),
            Self::Method => (405, "method not allowed"),
            Self::MediaType => (415, "content-type must be application/json"),
            Self::TooLarge => (413, "message too large"),
            Self::Slow => (408, "message not received in time"),
            Self::Broken => (400, "broken request"),
            Self::Resume => (404, "event id not found"),
            Self::StreamTaken => (409, "stream is already open"),
        }
    }
}

/// Why the upstream gave no answer that could be passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No connection, or it broke.
    #[error("upstream unreachable")]
    Unreachable,
    /// Nothing came in time.
    #[error("upstream did not answer in time")]
    Timeout,
    /// A message over the limit.
    #[error("upstream answer too large")]
    TooLarge,
    /// Neither JSON nor an event stream, or an HTTP answer that MCP does not have.
    #[error("upstream answer is no mcp")]
    Foreign,
    /// The stream ended before the answer came.
    #[error("upstream ended without an answer")]
    Ended,
    /// The process is not running and cannot be started now.
    #[error("upstream process is not running")]
    NotRunning,
    /// The upstream refuses our own credentials.
    #[error("upstream refused our credentials")]
    Credentials,
    /// Whoever calls must agree first that we use the upstream in their name.
    #[error("upstream needs its user's consent")]
    Consent(Consent),
    /// There is no credential of ours to show it, so it was not asked.
    #[error(transparent)]
    NoCredential(#[from] NoCredential),
    /// A secret that it needs is kept elsewhere, and could not be read for too long.
    #[error("a secret for the upstream could not be read")]
    Secret,
    /// It was asked before and kept for the client's answers, but not for these.
    #[error(transparent)]
    State(#[from] BadState),
}

impl Unanswered {
    const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Foreign => "foreign",
            Self::Ended => "ended",
            Self::NotRunning => "not_running",
            Self::Credentials => "credentials",
            Self::Consent(consent) => consent.purpose.reason(),
            Self::NoCredential(why) => why.reason(),
            Self::Secret => "secret",
            Self::State(why) => why.reason(),
        }
    }
}

/// Why the gateway itself does nothing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The audit log takes no record, so no exchange begins.
    #[error("audit log unavailable")]
    Audit,
    /// The random source failed, so no id can be drawn.
    #[error("no entropy")]
    Entropy,
    /// What was revoked is not known, so nobody's token can be believed.
    #[error("revocations unavailable")]
    State,
    /// The issuer could not be asked about a token, so it cannot be believed.
    #[error("issuer cannot be asked")]
    Introspection,
    /// A secret that is kept elsewhere could not be read for too long.
    #[error("secret unavailable")]
    Secret,
    /// The issuer's security events could not be fetched for too long, so nobody knows who has access.
    #[error("security events unavailable")]
    Feed,
    /// A bug ended this exchange, and only this one.
    #[error("internal error")]
    Bug,
}

/// When it is worth asking an issuer again that could not be asked.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// A no, by the room that said it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "each variant is one room's error, documented there"
)]
pub enum Refusal {
    #[error(transparent)]
    Unacceptable(#[from] Unacceptable),
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    #[error(transparent)]
    NoSession(#[from] NoSession),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error(transparent)]
    Unapproved(#[from] Unapproved),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    NoTask(#[from] NoTask),
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error(transparent)]
    BadAnswer(#[from] BadAnswer),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// All that a client learns of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Public {
    /// The HTTP status.
    pub status: u16,
    /// The JSON-RPC error code: the protocol's where it has one, else the HTTP status.
    pub code: i32,
    /// A fixed text.
    pub message: &'static str,
    /// For `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// The audit record's event and reason.
    pub const fn event(&self) -> (&'static str, &'static str) {
        match self {
            Self::Unacceptable(why @ (Unacceptable::Host | Unacceptable::Origin)) => {
                ("http.origin_rejected", why.reason())
            }
            Self::Unacceptable(why @ Unacceptable::StreamTaken) => {
                ("session.duplicate_stream", why.reason())
            }
            Self::Unacceptable(why @ Unacceptable::Resume) => {
                ("stream.resume_rejected", why.reason())
            }
            Self::Unacceptable(why) => ("http.rejected", why.reason()),
            Self::Unauthenticated(why) => ("authn.reject", why.reason()),
            Self::NoSession(why @ NoSession::NotYours) => {
                ("session.principal_mismatch", why.reason())
            }
            Self::NoSession(why) => ("session.reject", why.reason()),
            Self::Malformed(why @ Malformed::HeaderMismatch { .. }) => {
                ("request.header_mismatch", why.reason())
            }
            Self::Malformed(why) => ("request.malformed", why.reason()),
            Self::Exhausted(why) => ("ratelimit.triggered", why.which),
            Self::Forbidden(why @ Forbidden::StepUp { .. }) => {
                ("authn.step_up_required", why.reason())
            }
            Self::Forbidden(why @ Forbidden::Approval(_)) => ("approval.required", why.reason()),
            Self::Forbidden(why @ Forbidden::OtherCall { .. }) => {
                ("approval.digest_mismatch", why.reason())
            }
            Self::Forbidden(why) => ("authz.deny", why.reason()),
            Self::Unapproved(why) => (why.event(), "called"),
            Self::Unfit(why) => ("tool.arguments_refused", why.reason()),
            Self::NoTask(why @ NoTask::NotYours) => ("handle.principal_mismatch", why.reason()),
            Self::NoTask(why @ NoTask::Unknown) => ("handle.reject", why.reason()),
            Self::Unanswered(why @ Unanswered::Consent(consent)) => (consent.event(), why.reason()),
            Self::Unanswered(why @ Unanswered::State(_)) => ("state.rejected", why.reason()),
            Self::Unanswered(Unanswered::NoCredential(why)) => ("token.not_issued", why.reason()),
            Self::Unanswered(why) => ("upstream.failed", why.reason()),
            Self::BadAnswer(why) => ("upstream.refused", why.reason()),
            Self::Unavailable(Unavailable::Audit) => ("gateway.unavailable", "audit"),
            Self::Unavailable(Unavailable::Entropy) => ("gateway.unavailable", "entropy"),
            Self::Unavailable(Unavailable::State) => ("gateway.unavailable", "state"),
            Self::Unavailable(Unavailable::Introspection) => {
                ("gateway.unavailable", "introspection")
            }
            Self::Unavailable(Unavailable::Secret) => ("gateway.unavailable", "secret"),
            Self::Unavailable(Unavailable::Feed) => ("gateway.unavailable", "feed"),
            Self::Unavailable(Unavailable::Bug) => ("gateway.panic", "panic"),
        }
    }

    /// What was seen of the login and is needed, where it is not good enough.
    pub fn step_up(&self) -> Option<&StepUp> {
        if let Self::Forbidden(Forbidden::StepUp { detail, .. }) = self {
            return Some(detail);
        }
        let Self::Unanswered(Unanswered::Consent(consent)) = self else {
            return None;
        };
        match &consent.purpose {
            Purpose::StepUp { detail, .. } => Some(detail),
            Purpose::SignIn
            | Purpose::Approval { .. }
            | Purpose::SecondPerson { .. }
            | Purpose::Definition { .. } => None,
        }
    }

    /// The trace of the exchange that it follows from, where there is one.
    pub fn cause(&self) -> Option<&str> {
        let Self::Unauthenticated(Unauthenticated::Revoked { cause }) = self else {
            return None;
        };
        cause.as_deref()
    }

    /// What the client is told. `is_stateless` is the era of the request, where it is known.
    pub const fn public(&self, is_stateless: bool) -> Public {
        let (status, code, message) = match self {
            Self::Unacceptable(why) => {
                let (status, message) = why.public();
                (status, -32600, message)
            }
            Self::Unauthenticated(Unauthenticated::Proof(BadProof::Full)) => {
                (503, 503, "too many proofs")
            }
            Self::Unauthenticated(_) => (401, 401, "authentication required"),
            Self::NoSession(NoSession::Unknown | NoSession::NotYours | NoSession::Outgrown) => {
                (404, 404, "session not found")
            }
            Self::NoSession(NoSession::Missing) => (400, -32600, "mcp-session-id required"),
            Self::NoSession(NoSession::Full) => (503, 503, "too many sessions"),
            Self::Malformed(why) => malformed(why),
            Self::Exhausted(_) => (429, 429, "quota exceeded"),
            Self::Forbidden(why) => forbidden(why, is_stateless),
            Self::Unapproved(why) => (200, -32602, why.public()),
            Self::Unfit(why) => (200, -32602, why.public()),
            Self::NoTask(_) => (200, -32602, "task not found"),
            Self::Unanswered(Unanswered::Timeout) => {
                (504, -32603, "upstream did not answer in time")
            }
            Self::Unanswered(Unanswered::State(_)) => (400, -32602, "request state not accepted"),
            Self::Unanswered(Unanswered::Consent(consent)) => {
                let (code, message) = consent.public();
                (200, code, message)
            }
            Self::Unanswered(Unanswered::NoCredential(why)) => {
                let status = if why.is_answer() { 502 } else { 503 };
                (status, -32603, "no credential for the upstream")
            }
            Self::Unanswered(Unanswered::Secret) => (503, -32603, "temporarily unavailable"),
            Self::Unanswered(_) => (502, -32603, "upstream did not answer"),
            Self::BadAnswer(why) => (502, -32603, why.told()),
            Self::Unavailable(Unavailable::Bug) => (500, -32603, "internal error"),
            Self::Unavailable(_) => (503, -32603, "temporarily unavailable"),
        };
        let retry_after = if let Self::Exhausted(why) = self {
            Some(why.retry_after)
        } else if let Self::Unavailable(Unavailable::Introspection | Unavailable::Feed) = self {
            Some(ASK_AGAIN)
        } else {
            None
        };
        Public {
            status,
            code,
            message,
            retry_after,
        }
    }

    /// The id to answer with, where the refused message had a usable one and nobody else knows it.
    pub const fn id(&self) -> Option<&Id> {
        if let Self::Malformed(why) = self {
            why.id()
        } else {
            None
        }
    }
}

const fn forbidden(why: &Forbidden, is_stateless: bool) -> (u16, i32, &'static str) {
    match why {
        Forbidden::Scope { .. } => (403, 403, "insufficient scope"),
        Forbidden::Elevation { .. } => {
            let message =
                "elevation needed: ask for one through the admin API, for somebody else to approve";
            (403, 403, message)
        }
        Forbidden::Approval(_) => (403, 403, "approval needed"),
        Forbidden::OtherCall { .. } => {
            let message =
                "another call was approved: that approval is void, ask again for this one";
            (403, 403, message)
        }
        Forbidden::TooLong { .. } => (403, 403, "arguments too long to be approved"),
        Forbidden::StepUp { .. } => (401, 401, "stronger login needed"),
        Forbidden::Method if is_stateless => (404, -32601, "method not found"),
        Forbidden::Method => (200, -32601, "method not found"),
        Forbidden::Tenant { .. }
        | Forbidden::NoRule
        | Forbidden::Expired { .. }
        | Forbidden::Held { .. }
        | Forbidden::Beyond { .. }
        | Forbidden::Rule { .. }
        | Forbidden::UnknownGroups { .. }
        | Forbidden::Indeterminate => (403, 403, "not permitted"),
    }
}

const fn malformed(why: &Malformed) -> (u16, i32, &'static str) {
    match why {
        Malformed::Encoding | Malformed::Json | Malformed::Duplicate | Malformed::Case => {
            (400, -32700, "parse error")
        }
        Malformed::Batch => (400, -32600, "batches are not accepted"),
        Malformed::Envelope | Malformed::Id => (400, -32600, "invalid request"),
        Malformed::NotAllowed { .. } => (400, -32600, "message not allowed here"),
        Malformed::Params { .. } => (400, -32602, "invalid params"),
        Malformed::Meta { .. } => (400, -32602, "missing required _meta"),
        Malformed::HeaderMismatch { .. } => (400, -32020, "header and body disagree"),
        Malformed::Version { .. } => (400, -32022, "unsupported protocol version"),
    }
}
