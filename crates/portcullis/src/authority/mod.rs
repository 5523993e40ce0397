//! The authorization server that MCP clients see: what it keeps, fetches and signs. `portcullis-authority` decides.

use crate::keys::Signer;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// The authorization server as it is configured.
pub(crate) struct Authority {
    /// Its name: the `iss` of its tokens.
    pub(crate) issuer: String,
    /// What it says of itself (RFC 8414).
    pub(crate) document: Bytes,
    /// What signs its tokens.
    pub(crate) signer: Arc<Signer>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.issuer)
    }
}
