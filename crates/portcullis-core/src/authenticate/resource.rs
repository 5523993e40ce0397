//! A protected resource: what a server of ours asks of tokens.

use super::{Confirmation, Identity, Unauthenticated};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// One protected resource (RFC 9728): a server of ours as its clients know it. The default trusts nobody.
#[derive(Debug, Clone, Default)]
pub struct Resource {
    /// The server's name in the configuration, or [`crate::route::aggregate::AGGREGATE`].
    pub server: Arc<str>,
    /// The only accepted `aud`: its canonical URI (RFC 8707).
    pub audience: String,
    /// Where its metadata document stands.
    pub metadata_url: String,
    /// The issuers it trusts, by their `iss`.
    pub issuers: Vec<String>,
    /// The longest accepted `exp - iat`, where that of a token's issuer is not enough.
    pub max_lifetime: Option<Duration>,
    /// What every request to it needs.
    pub scopes: Vec<String>,
    /// All scopes it knows, for the metadata.
    pub scopes_supported: Vec<String>,
    /// Every scope with which something more can be done here: these, those that policies ask for, and what implies them.
    pub scopes_of_use: BTreeSet<String>,
    /// The URL of its endpoint as clients know it, which proofs are made for.
    pub url: String,
    /// Whether tokens are bound to a key of the client (RFC 9449).
    pub dpop: Binding,
    /// Whether tokens are bound to a certificate of the client (RFC 8705).
    pub mtls: Binding,
    /// Whether a proof needs a nonce of ours (RFC 9449 section 9).
    pub needs_nonce: bool,
    /// The `aud` of what its server is shown of callers, where it is shown a token.
    pub upstream_audience: Option<String>,
    /// Whether a caller's token is exchanged for another, so that it has to be at hand.
    pub exchanges: bool,
}

/// Whether tokens are bound to their client, in one of two ways. A token that is bound is never taken without its proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Binding {
    /// Bound tokens are refused.
    #[default]
    Off,
    /// Bound ones are taken beside others.
    Accepted,
    /// Others are refused.
    Required,
}

impl Resource {
    /// Whether a caller who was identified elsewhere has a token of an issuer that is trusted here, bound if it must be,
    /// and no longer than it may be.
    pub(crate) fn would_know(&self, caller: &Identity) -> bool {
        let (by_key, by_certificate) = match caller.bound {
            None => (false, false),
            Some(Confirmation::Key(_)) => (true, false),
            Some(Confirmation::Certificate(_)) => (false, true),
        };
        let is_enough = |binding: Binding, is_bound: bool| match binding {
            Binding::Off | Binding::Accepted => true,
            Binding::Required => is_bound,
        };
        let is_bound = is_enough(self.dpop, by_key) && is_enough(self.mtls, by_certificate);
        let is_short = self.expect_lifetime(caller).is_ok();
        is_bound && is_short && self.issuers.contains(&caller.issuer)
    }

    /// Whether a token may live as long as the caller's does.
    pub(super) fn expect_lifetime(&self, caller: &Identity) -> Result<(), Unauthenticated> {
        match self.max_lifetime {
            Some(longest) if caller.lifetime > longest => Err(Unauthenticated::Lifetime),
            Some(_) | None => Ok(()),
        }
    }
}
