//! Ways of getting tokens that a client has only if it says so, or if that is said of it.

use serde::{Deserialize, Serialize};

/// Such a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GrantType {
    /// A user allows it in a browser that may be on another machine (RFC 8628).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    Device,
    /// The client comes for itself (RFC 6749 section 4.4).
    #[serde(rename = "client_credentials")]
    Client,
    /// The enterprise has granted it at its provider, for the users there (RFC 7523, ID-JAG).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:jwt-bearer")]
    Assertion,
}

impl GrantType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Device, Self::Client, Self::Assertion];
    /// Those that a client may give itself: a user is asked all the same.
    pub const OF_DOCUMENTS: [Self; 1] = [Self::Device];

    /// As requests and metadata have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "urn:ietf:params:oauth:grant-type:device_code",
            Self::Client => "client_credentials",
            Self::Assertion => "urn:ietf:params:oauth:grant-type:jwt-bearer",
        }
    }

    /// The one of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }
}
