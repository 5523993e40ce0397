//! Who asks, and in which revision of the protocol?
//!
//! A handshake revision says so once, in `initialize`; the stateless one with every request.

mod level;

use serde_json::Value;

use crate::wire::Object;

pub(crate) use level::Level;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// A revision of the protocol that this server speaks; a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Revision {
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
    V2026_07_28,
}

impl Revision {
    /// The newest revision with a handshake.
    pub(crate) const NEWEST_HANDSHAKE: Self = Self::V2025_11_25;

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    pub(crate) const fn is_stateless(self) -> bool {
        match self {
            Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => false,
            Self::V2026_07_28 => true,
        }
    }

    /// The revision that answers an `initialize` for `requested`.
    pub(crate) fn of_handshake(requested: &str) -> Self {
        [Self::V2025_03_26, Self::V2025_06_18]
            .into_iter()
            .find(|revision| revision.as_str() == requested)
            .unwrap_or(Self::NEWEST_HANDSHAKE)
    }
}

/// Whether the client can ask its user to fill in a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Questions {
    Asked,
    Unsupported,
}

impl Questions {
    fn of(capabilities: &Object) -> Self {
        let elicitation = capabilities.get("elicitation").and_then(Value::as_object);
        // An empty object means forms only (2025-11-25 elicitation, "Capabilities").
        let has_forms =
            elicitation.is_some_and(|modes| modes.is_empty() || modes.contains_key("form"));
        if has_forms {
            Self::Asked
        } else {
            Self::Unsupported
        }
    }
}

/// What is known about the sender of one request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Caller {
    pub(crate) revision: Revision,
    pub(crate) questions: Questions,
    /// The least severe log message to send; none are sent without.
    pub(crate) log_level: Option<Level>,
    pub(crate) progress_token: Option<Value>,
}

/// Why the sender of a request is not known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// There is neither a handshake nor a complete `_meta`.
    Incomplete,
    /// The revision is not spoken here, or only with a handshake.
    Revision { requested: String },
}

impl Caller {
    /// A client that has not said anything about itself.
    pub(crate) const fn stranger() -> Self {
        Self {
            revision: Revision::NEWEST_HANDSHAKE,
            questions: Questions::Unsupported,
            log_level: None,
            progress_token: None,
        }
    }

    /// The client that opens a session with these parameters of `initialize`.
    pub(crate) fn initialize(params: &Object) -> Result<Self, Unknown> {
        let version = params.get("protocolVersion").and_then(Value::as_str);
        let capabilities = params.get("capabilities").and_then(Value::as_object);
        let (Some(version), Some(capabilities)) = (version, capabilities) else {
            return Err(Unknown::Incomplete);
        };
        let revision = Revision::of_handshake(version);
        let questions = match revision {
            Revision::V2025_03_26 => Questions::Unsupported,
            Revision::V2025_06_18 | Revision::V2025_11_25 | Revision::V2026_07_28 => {
                Questions::of(capabilities)
            }
        };
        Ok(Self {
            revision,
            questions,
            log_level: None,
            progress_token: None,
        })
    }

    /// The sender of a request: as its `_meta` says, or the one of the session.
    pub(crate) fn of(params: &Object, session: Option<&Self>) -> Result<Self, Unknown> {
        let meta = params.get("_meta").and_then(Value::as_object);
        let is_stateless =
            meta.is_some_and(|meta| meta.contains_key(VERSION) || meta.contains_key(CAPABILITIES));
        match (session, meta) {
            (_, Some(meta)) if is_stateless => Self::stateless(meta),
            (Some(session), Some(meta)) => Ok(Self {
                progress_token: progress_token(meta),
                ..session.clone()
            }),
            (Some(session), None) => Ok(session.clone()),
            (None, _) => Err(Unknown::Incomplete),
        }
    }

    fn stateless(meta: &Object) -> Result<Self, Unknown> {
        let version = meta
            .get(VERSION)
            .and_then(Value::as_str)
            .ok_or(Unknown::Incomplete)?;
        if version != Revision::V2026_07_28.as_str() {
            return Err(Unknown::Revision {
                requested: version.to_owned(),
            });
        }
        let capabilities = meta
            .get(CAPABILITIES)
            .and_then(Value::as_object)
            .ok_or(Unknown::Incomplete)?;
        let log_level = match meta.get(LOG_LEVEL) {
            None => None,
            Some(level) => Some(
                level
                    .as_str()
                    .and_then(Level::parse)
                    .ok_or(Unknown::Incomplete)?,
            ),
        };
        Ok(Self {
            revision: Revision::V2026_07_28,
            questions: Questions::of(capabilities),
            log_level,
            progress_token: progress_token(meta),
        })
    }
}

fn progress_token(meta: &Object) -> Option<Value> {
    let token = meta.get("progressToken")?;
    (token.is_string() || token.is_i64() || token.is_u64()).then(|| token.clone())
}
