//! The headers that mirror the body since 2026-07-28 (SEP-2243): never believed, only compared.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// The protocol headers of a request, as they came.
#[derive(Debug, Clone, Default)]
pub struct Headers<'a> {
    /// `MCP-Protocol-Version`.
    pub version: Option<&'a str>,
    /// `Mcp-Method`.
    pub method: Option<&'a str>,
    /// `Mcp-Name`.
    pub name: Option<&'a str>,
    /// `Mcp-Param-*`, by their lower-case names.
    pub params: Vec<(&'a str, &'a [u8])>,
    /// Whether the transport has no headers at all (stdio): then the body alone counts.
    pub is_absent: bool,
    /// Whether one of them came twice or was no visible ASCII.
    pub is_ambiguous: bool,
}

impl Headers<'_> {
    /// Those of a message that came without any.
    pub fn absent() -> Self {
        Self {
            is_absent: true,
            ..Self::default()
        }
    }
}

/// A mirrored value without its `=?base64?…?=` sentinel; `None` if that is broken.
pub fn decode_mirrored(value: &str) -> Option<Cow<'_, str>> {
    let Some(encoded) = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    else {
        return Some(Cow::Borrowed(value));
    };
    let bytes = STANDARD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// A value as a mirrored header may hold it: in the sentinel where it is no plain visible ASCII (SEP-2243).
pub fn encode_mirrored(value: &str) -> Cow<'_, str> {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && !value.starts_with(' ')
        && !value.ends_with(' ')
        && !value.starts_with("=?base64?");
    if is_plain {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!("=?base64?{}?=", STANDARD.encode(value)))
    }
}
