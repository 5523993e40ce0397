//! May we use a server in somebody's name? What it and its authorization server say of themselves, and what is said back.
//!
//! The gateway is the OAuth client here (MCP authorization, the client's part). Everything that comes in is another
//! party's word: it is read once, strictly, and believed only about that party itself.

mod challenge;
mod document;
mod request;
mod answer;
#[cfg(test)]
mod tests;

use crate::egress::Denied;

pub use answer::{Callback, Fault, Tokens, fault};
pub use challenge::{Challenge, challenge};
pub use document::{Authority, ProtectedResource, Way, authority_urls, resource_urls};
pub use request::{
    Asked, Client, Registration, Request, authorization_url, challenge_of, client_document,
};

/// Why what was said is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disbelieved {
    /// Not the JSON that the specification asks for, or too much of it.
    #[error("a document that cannot be read")]
    Malformed,
    /// The metadata is for another resource than the server (RFC 9728 section 3.3).
    #[error("metadata of another resource")]
    Resource,
    /// No authorization server is named.
    #[error("no authorization server")]
    NoAuthority,
    /// The metadata is of another issuer than it was fetched for (RFC 8414 section 3.3).
    #[error("metadata of another issuer")]
    Issuer,
    /// A URL in it is not acceptable.
    #[error("a URL that is not acceptable: {0}")]
    Url(Denied),
    /// PKCE with S256 is not offered (MCP authorization: then a client must refuse).
    #[error("no PKCE with S256")]
    Pkce,
    /// No way of being a client there: none is configured, and none that it offers is allowed.
    #[error("no way to be its client")]
    NoClient,
    /// The client that is configured belongs to another authorization server.
    #[error("the configured client belongs to another authorization server")]
    OtherAuthority,
    /// The answer came from another issuer, or did not say from which (RFC 9207).
    #[error("an answer of another issuer")]
    Mixed,
    /// The authorization server said no.
    #[error("refused by the authorization server")]
    Refused,
    /// A token that we cannot show: no bearer token, or with characters that none has.
    #[error("a token of a kind that cannot be used")]
    Token,
}

impl Disbelieved {
    /// For the audit record.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Resource => "resource",
            Self::NoAuthority => "no_authority",
            Self::Issuer => "issuer",
            Self::Url(_) => "url",
            Self::Pkce => "pkce",
            Self::NoClient => "no_client",
            Self::OtherAuthority => "other_authority",
            Self::Mixed => "iss",
            Self::Refused => "refused",
            Self::Token => "token",
        }
    }
}
