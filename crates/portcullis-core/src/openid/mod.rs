//! Who has signed in at our identity provider? OpenID Connect, the relying party's part.
//!
//! The gateway is a confidential client here, and wants nothing of the provider but to know who somebody is. What the
//! provider issues is read once and shown to nobody.

mod provider;
mod token;
mod assertion;
mod logout;
#[cfg(test)]
mod tests;

use crate::authenticate::Unauthenticated;
use crate::sign_in::Disbelieved;

pub use assertion::{Assertion, Enterprise, read_assertion};
pub use logout::{Ended, LogoutToken, read_logout};
pub use provider::{Asking, Provider, authorization_url, metadata_urls, redeem};
pub use token::{Answer, Expected, SignedIn, read_id_token};

/// Why nobody has signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSignedIn {
    /// A document or an answer that is not believed.
    #[error(transparent)]
    Disbelieved(#[from] Disbelieved),
    /// Not a token that the provider has signed for us.
    #[error(transparent)]
    Token(#[from] Unauthenticated),
    /// The answer of the token endpoint has no ID token.
    #[error("no ID token")]
    NoToken,
    /// The ID token is not of this transaction.
    #[error("an ID token of another transaction")]
    Nonce,
    /// The user belongs to another organization at the provider, or to none.
    #[error("an ID token of somebody of another hosted domain")]
    Domain,
    /// It was issued to another client, or to several and does not say to which.
    #[error("an ID token of another client")]
    Party,
    /// It does not belong to the code or the access token that came with it.
    #[error("an ID token of another answer")]
    Hash,
    /// It does not say when it was issued, or that was long ago.
    #[error("an ID token of another time")]
    Time,
    /// An assertion without an id.
    #[error("an assertion without an id")]
    Id,
    /// A logout token that ends nobody's session, or that could be an ID token.
    #[error("not a logout token")]
    Logout,
}

impl NotSignedIn {
    /// For the audit record.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Disbelieved(why) => why.reason(),
            Self::Token(why) => why.reason(),
            Self::NoToken => "no_id_token",
            Self::Nonce => "nonce",
            Self::Domain => "domain",
            Self::Party => "azp",
            Self::Hash => "hash",
            Self::Time => "iat",
            Self::Id => "jti",
            Self::Logout => "logout",
        }
    }
}
