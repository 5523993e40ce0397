//! The authorization server that MCP clients see: what it keeps, fetches and signs. `portcullis-authority` decides.

pub(crate) mod browser;
pub(crate) mod front;
mod once;
pub(crate) mod provider;
pub(crate) mod shown;

use crate::config::HttpUrl;
use crate::keys::Signer;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

pub(crate) use front::Front;
pub(crate) use provider::Relying;

/// The authorization server as it is configured.
pub(crate) struct Authority {
    /// Its name: the `iss` of its tokens.
    pub(crate) issuer: String,
    /// What it says of itself (RFC 8414).
    pub(crate) document: Bytes,
    /// What signs its tokens.
    pub(crate) signer: Arc<Signer>,
    /// Where browsers find us.
    pub(crate) public: HttpUrl,
    /// The identity provider at which users sign in, if there is one.
    pub(crate) relying: Option<Arc<Relying>>,
}

impl Authority {
    /// Where users sign in, as they are told.
    pub(crate) fn signs_in_at(&self) -> &str {
        let relying = self.relying.as_ref();
        relying.map_or("this computer", |relying| relying.written.host())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.issuer)
    }
}
