//! Tokens that are refused although they verify.

use super::{Identity, MAX_SKEW, Trust, Unauthenticated, key_of};
use crate::time::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// What was revoked: single tokens, and all that were issued to a subject or a client up to a moment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// By issuer: refused `jti`s.
    tokens: HashMap<String, HashSet<String>>,
    /// By [`Identity::key`].
    subjects: HashMap<Arc<str>, Timestamp>,
    /// By issuer and client.
    clients: HashMap<String, HashMap<String, Timestamp>>,
}

impl Revoked {
    /// The token of that `jti`.
    pub fn token(&mut self, issuer: &str, id: &str) {
        let ids = self.tokens.entry(issuer.to_owned()).or_default();
        ids.insert(id.to_owned());
    }

    /// All tokens of that `sub` issued up to then.
    pub fn subject(&mut self, issuer: &str, subject: &str, issued_until: Timestamp) {
        let until = self.subjects.entry(key_of(issuer, subject)).or_default();
        *until = issued_until.max(*until);
    }

    /// All tokens of that `client_id` issued up to then.
    pub fn client(&mut self, issuer: &str, client: &str, issued_until: Timestamp) {
        let clients = self.clients.entry(issuer.to_owned()).or_default();
        let until = clients.entry(client.to_owned()).or_default();
        *until = issued_until.max(*until);
    }

    fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.subjects.is_empty() && self.clients.is_empty()
    }

    /// An issuer's clock may be ahead of ours by `skew`: in doubt a token was issued before.
    fn includes(&self, identity: &Identity, skew: Duration) -> bool {
        let is_before = |until: &Timestamp| identity.issued <= until.plus(skew);
        let is_token = |id: &String| {
            let ids = self.tokens.get(&identity.issuer);
            ids.is_some_and(|ids| ids.contains(id))
        };
        let is_of_client = |client: &String| {
            let clients = self.clients.get(&identity.issuer);
            let until = clients.and_then(|clients| clients.get(client));
            until.is_some_and(is_before)
        };
        identity.token_id.as_ref().is_some_and(is_token)
            || self.subjects.get(&identity.key).is_some_and(is_before)
            || identity.client.as_ref().is_some_and(is_of_client)
    }
}

impl Trust {
    /// Whether a caller who was known is still: cheap enough to ask at every step. Cost, if nothing is revoked: three
    /// looks at empty tables.
    ///
    /// # Errors
    /// [`Unauthenticated::Revoked`].
    pub fn check_revoked(&self, identity: &Identity) -> Result<(), Unauthenticated> {
        if self.revoked.is_empty() {
            return Ok(());
        }
        let issuer = self.issuers.get(&identity.issuer);
        let skew = issuer.map_or(Duration::ZERO, |issuer| issuer.skew.min(MAX_SKEW));
        if self.revoked.includes(identity, skew) {
            return Err(Unauthenticated::Revoked);
        }
        Ok(())
    }
}
