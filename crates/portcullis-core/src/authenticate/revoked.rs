//! Tokens that are refused although they verify.

use super::{Identity, MAX_SKEW, Said, Trust, Unauthenticated, key_of};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What was revoked: single tokens, and all that were issued to a subject or a client, or with a claim, up to a moment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// By issuer: refused `jti`s.
    tokens: HashMap<String, HashMap<String, Cause>>,
    /// By [`Identity::key`].
    subjects: HashMap<Arc<str>, Until>,
    /// By issuer and client.
    clients: HashMap<String, HashMap<String, Until>>,
    /// By issuer, claim and value.
    claims: HashMap<String, HashMap<String, HashMap<String, Until>>>,
    /// What issuers say of whom is not revoked.
    pub said: Said,
}

/// What a revocation follows from, for the record of whoever is refused: the trace of an exchange.
pub type Cause = Option<Arc<str>>;

/// Up to when, and why.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Until {
    moment: Timestamp,
    cause: Cause,
}

impl Until {
    fn widen(&mut self, moment: Timestamp, cause: Cause) {
        if moment >= self.moment {
            self.moment = moment;
            self.cause = cause.or(self.cause.take());
        }
    }
}

impl Revoked {
    /// The token of that `jti`.
    pub fn token(&mut self, issuer: &str, id: &str, cause: Cause) {
        let ids = self.tokens.entry(issuer.to_owned()).or_default();
        ids.insert(id.to_owned(), cause);
    }

    /// All tokens of that `sub` issued up to then.
    pub fn subject(&mut self, issuer: &str, subject: &str, (until, cause): (Timestamp, Cause)) {
        let held = self.subjects.entry(key_of(issuer, subject)).or_default();
        held.widen(until, cause);
    }

    /// All tokens of that `client_id` issued up to then.
    pub fn client(&mut self, issuer: &str, client: &str, (until, cause): (Timestamp, Cause)) {
        let clients = self.clients.entry(issuer.to_owned()).or_default();
        let held = clients.entry(client.to_owned()).or_default();
        held.widen(until, cause);
    }

    /// All tokens in which that claim is a text of that value, issued up to then.
    pub fn claim(
        &mut self,
        issuer: &str,
        (claim, value): (&str, &str),
        (until, cause): (Timestamp, Cause),
    ) {
        let claims = self.claims.entry(issuer.to_owned()).or_default();
        let values = claims.entry(claim.to_owned()).or_default();
        let held = values.entry(value.to_owned()).or_default();
        held.widen(until, cause);
    }

    fn is_empty(&self) -> bool {
        self.tokens.is_empty()
            && self.subjects.is_empty()
            && self.clients.is_empty()
            && self.claims.is_empty()
    }

    /// Why this caller's token is refused, if it is. An issuer's clock may be ahead of ours by `skew`: in doubt a token was
    /// issued before.
    fn find(&self, identity: &Identity, skew: Duration) -> Option<Cause> {
        let issuer = &identity.issuer;
        let token = || {
            let id = identity.token_id.as_ref()?;
            self.tokens.get(issuer)?.get(id).cloned()
        };
        let is_before = |until: &&Until| identity.issued <= until.moment.plus(skew);
        let subject = || self.subjects.get(&identity.key).filter(is_before);
        let client = || {
            let clients = self.clients.get(issuer)?;
            clients.get(identity.client.as_ref()?).filter(is_before)
        };
        let claim = || {
            let refused = self.claims.get(issuer)?;
            let named = identity.claims.iter();
            let mut found = named.filter_map(|(claim, value)| refused.get(claim)?.get(value));
            found.find(is_before)
        };
        token().or_else(|| {
            let until = subject().or_else(client).or_else(claim)?;
            Some(until.cause.clone())
        })
    }

    /// The same for what is revoked by the names of `issuer`, who may be the provider at whom the user has signed in.
    fn find_at(&self, issuer: &str, identity: &Identity, skew: Duration) -> Option<Cause> {
        let theirs = Identity {
            issuer: issuer.to_owned(),
            key: key_of(issuer, &identity.subject),
            token_id: None,
            client: None,
            ..identity.clone()
        };
        self.find(&theirs, skew)
    }
}

impl Trust {
    /// Whether a caller who was known is still: cheap enough to ask at every step. Cost, if nothing is revoked: four
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
        // By the provider's name for them, and by the issuer's own.
        let by_names = || {
            let provider = issuer.and_then(|issuer| issuer.provider(identity))?;
            let mut named = [provider, &identity.issuer].into_iter();
            named.find_map(|named| self.revoked.find_at(named, identity, skew))
        };
        match self.revoked.find(identity, skew).or_else(by_names) {
            Some(cause) => Err(Unauthenticated::Revoked { cause }),
            None => Ok(()),
        }
    }
}
