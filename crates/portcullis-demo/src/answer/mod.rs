//! What is said back? Results, errors and notifications, as the caller's revision writes them.

use serde_json::{Value, json};

use crate::caller::{Revision, Unknown};
use crate::wire::{Object, RequestId};

/// How long and by whom a result may be kept (2026-07-28 caching); other revisions do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    /// Not cacheable by its method.
    Never,
    /// The same for everybody, until the next release.
    Public,
    /// For this user only, and stale at once.
    Private,
}

const PUBLIC_TTL_MS: u64 = 60_000;

/// A result.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    body: Object,
    cache: Cache,
}

impl Reply {
    /// `body` is a JSON object; anything else counts as an empty one.
    pub(crate) fn new(body: Value, cache: Cache) -> Self {
        let body = if let Value::Object(body) = body {
            body
        } else {
            Object::new()
        };
        Self { body, cache }
    }

    /// A result that says no more than that it is one.
    pub(crate) fn empty() -> Self {
        Self {
            body: Object::new(),
            cache: Cache::Never,
        }
    }

    /// The message that carries this result.
    pub(crate) fn into_message(self, id: &RequestId, revision: Revision) -> Value {
        let mut body = self.body;
        if revision.is_stateless() {
            body.entry("resultType")
                .or_insert_with(|| json!("complete"));
            let meta = body.entry("_meta").or_insert_with(|| json!({}));
            if let Some(meta) = meta.as_object_mut() {
                meta.insert("io.modelcontextprotocol/serverInfo".to_owned(), server());
            }
            let hints = match self.cache {
                Cache::Never => None,
                Cache::Public => Some((PUBLIC_TTL_MS, "public")),
                Cache::Private => Some((0, "private")),
            };
            if let Some((ttl_ms, scope)) = hints {
                body.insert("ttlMs".to_owned(), json!(ttl_ms));
                body.insert("cacheScope".to_owned(), json!(scope));
            }
        }
        json!({"jsonrpc": "2.0", "id": id.to_value(), "result": body})
    }
}

/// Why a request gets no result.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The line is no JSON in UTF-8.
    #[error("the line is not JSON")]
    NotJson,
    /// The line is longer than a line may be.
    #[error("the line is longer than 1 MiB")]
    TooLong,
    /// The JSON is no message, or not one that may come now.
    #[error("{0}")]
    Invalid(&'static str),
    /// The method is not one of this revision.
    #[error("unknown method")]
    Method,
    /// The parameters are not those of the method.
    #[error("{0}")]
    Params(&'static str),
    /// No resource has this URI.
    #[error("there is no such resource")]
    Resource,
    /// The revision is not spoken here.
    #[error("unsupported protocol version")]
    Version {
        /// What the client asked for.
        requested: String,
    },
    /// Too much is going on.
    #[error("busy: too many calls at the same time")]
    Busy,
    /// The server's own storage failed.
    #[error("the server cannot read its notes")]
    Storage,
}

impl Refusal {
    const fn code(&self, revision: Revision) -> i32 {
        match self {
            Self::NotJson | Self::TooLong => -32700,
            Self::Invalid(_) => -32600,
            Self::Method => -32601,
            Self::Params(_) => -32602,
            Self::Resource if revision.is_stateless() => -32602,
            Self::Resource => -32002,
            Self::Version { .. } => -32022,
            Self::Busy => -32000,
            Self::Storage => -32603,
        }
    }

    /// The message that refuses the request `id`, or a line without a readable one.
    pub(crate) fn to_message(&self, id: Option<&RequestId>, revision: Revision) -> Value {
        let mut error = json!({"code": self.code(revision), "message": self.to_string()});
        if let (Self::Version { requested }, Some(error)) = (self, error.as_object_mut()) {
            let supported = [Revision::V2026_07_28.as_str()];
            error.insert(
                "data".to_owned(),
                json!({"supported": supported, "requested": requested}),
            );
        }
        let mut message = json!({"jsonrpc": "2.0", "error": error});
        if let (Some(id), Some(message)) = (id, message.as_object_mut()) {
            message.insert("id".to_owned(), id.to_value());
        }
        message
    }
}

impl From<Unknown> for Refusal {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Incomplete => Self::Params(
                "_meta needs io.modelcontextprotocol/protocolVersion and \
                 io.modelcontextprotocol/clientCapabilities, unless initialize came first",
            ),
            Unknown::Revision { requested } => Self::Version { requested },
        }
    }
}

/// A message that wants no answer.
pub(crate) fn notification(method: &str, params: impl Into<Value>) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params.into()})
}

/// The name of this server.
pub(crate) fn server() -> Value {
    json!({
        "name": "portcullis-demo",
        "title": "Portcullis demo server",
        "version": env!("CARGO_PKG_VERSION"),
    })
}
