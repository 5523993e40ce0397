//! What is being asked? One strict JSON-RPC message, read once, kept as the bytes that came.
//!
//! The grammar has one reading only: UTF-8, one object, no duplicate member at any level, no
//! batches, ids that are texts or integers. What passes is forwarded as it is, so that the
//! upstream cannot read it differently.

mod call;
mod change;
mod reading;
mod envelope;
mod filter;
mod headers;
mod input;
mod method;
mod mirrored;
mod revision;
mod splice;
mod sse;
mod strict;

pub use call::{Call, Kind, Places, Target};
pub(crate) use change::{Members, with_meta, with_params};
pub use envelope::{Envelope, Id, read_strict};
pub use filter::Filter;
pub(crate) use filter::META_SUBSCRIPTION;
pub use headers::{Headers, decode_mirrored, encode_mirrored};
pub use input::{Input, Question};
pub use method::Method;
pub use mirrored::{Designated, PARAM, ServerHeaders, ToolHeaders};
pub use revision::Revision;
pub use splice::{field_range, replace, splice};
pub use sse::{BadStream, Frame, Frames};
pub use strict::check_strict;

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 100;

/// Why a message is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not UTF-8.
    #[error("not utf-8")]
    Encoding,
    /// Not JSON, nested too deep, or with trailing bytes.
    #[error("not one json value")]
    Json,
    /// A member occurs twice, perhaps written with escapes.
    #[error("duplicate member")]
    Duplicate,
    /// A member that differs from a known one only by case.
    #[error("member name in another case")]
    Case,
    /// An array of messages (removed from the protocol with 2025-06-18).
    #[error("batches are not accepted")]
    Batch,
    /// Not a JSON-RPC 2.0 request, notification or response.
    #[error("not a json-rpc 2.0 message")]
    Envelope,
    /// `null`, fractional, too large or too long an id.
    #[error("unacceptable id")]
    Id,
    /// `params` do not fit the method.
    #[error("params do not fit the method")]
    Params {
        /// The request's id, to answer with.
        id: Option<Id>,
    },
    /// 2026-07-28: a required `_meta` field is missing.
    #[error("missing required _meta")]
    Meta {
        /// The request's id, to answer with.
        id: Option<Id>,
    },
    /// 2026-07-28: a mirrored header is missing or disagrees with the body.
    #[error("header and body disagree")]
    HeaderMismatch {
        /// The request's id, to answer with.
        id: Option<Id>,
    },
    /// A protocol revision that is not spoken here.
    #[error("unsupported protocol version")]
    Version {
        /// The request's id, to answer with.
        id: Option<Id>,
        /// What was asked for.
        requested: String,
        /// Whether it was asked for in the way of stateless revisions, in `_meta`.
        is_stateless: bool,
    },
    /// A kind of message that this revision or stream does not have.
    #[error("message not allowed here")]
    NotAllowed {
        /// The request's id, to answer with.
        id: Option<Id>,
    },
}

impl Malformed {
    /// The audit record's word for it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Encoding => "encoding",
            Self::Json => "json",
            Self::Duplicate => "duplicate",
            Self::Case => "case",
            Self::Batch => "batch",
            Self::Envelope => "envelope",
            Self::Id => "id",
            Self::Params { .. } => "params",
            Self::Meta { .. } => "meta",
            Self::HeaderMismatch { .. } => "header_mismatch",
            Self::Version { .. } => "version",
            Self::NotAllowed { .. } => "not_allowed",
        }
    }

    /// The id to answer with, where the message had a usable one.
    pub const fn id(&self) -> Option<&Id> {
        match self {
            Self::Params { id }
            | Self::Meta { id }
            | Self::HeaderMismatch { id }
            | Self::Version { id, .. }
            | Self::NotAllowed { id } => id.as_ref(),
            Self::Encoding
            | Self::Json
            | Self::Duplicate
            | Self::Case
            | Self::Batch
            | Self::Envelope
            | Self::Id => None,
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walker;
