//! Which headers a configuration may send.

/// Headers that the gateway writes itself, or that belong to one connection (RFC 9110 section 7.6.1).
const OWN: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept",
    "accept-encoding",
    "origin",
    "last-event-id",
];

/// Whether only the gateway may write a header; `name` is in lower case.
pub(crate) fn is_own(name: &str) -> bool {
    OWN.contains(&name) || name.starts_with("mcp-")
}
