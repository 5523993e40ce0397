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

/// By what a caller can be revoked.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The token's `iss`.
    pub issuer: &'a str,
    /// Its `sub`, or the claim that stands for it.
    pub subject: &'a str,
    /// [`Identity::key`].
    pub key: &'a str,
    /// The client.
    pub client: Option<&'a str>,
    /// Its `jti`.
    pub token_id: Option<&'a str>,
    /// Its claims that are plain texts.
    pub claims: &'a [(String, String)],
    /// When it was issued.
    pub issued: Timestamp,
}

impl<'a> From<&'a Identity> for Named<'a> {
    fn from(identity: &'a Identity) -> Self {
        Self {
            issuer: &identity.issuer,
            subject: &identity.subject,
            key: &identity.key,
            client: identity.client.as_deref(),
            token_id: identity.token_id.as_deref(),
            claims: &identity.claims,
            issued: identity.issued,
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
    /// issued before. A user who has signed in at a provider is looked for by its names and by the issuer's own.
    fn find(&self, named: &Named<'_>, provider: Option<&str>, skew: Duration) -> Option<Cause> {
        let issuer = named.issuer;
        let token = || self.tokens.get(issuer)?.get(named.token_id?).cloned();
        let is_before = |until: &&Until| named.issued <= until.moment.plus(skew);
        let subject = || self.subjects.get(named.key).filter(is_before);
        let client = || {
            let clients = self.clients.get(issuer)?;
            clients.get(named.client?).filter(is_before)
        };
        let claim = |issuer| {
            let refused = self.claims.get(issuer)?;
            let claims = named.claims.iter();
            let mut found = claims.filter_map(|(claim, value)| refused.get(claim)?.get(value));
            found.find(is_before)
        };
        let at_provider = || {
            let provider = provider?;
            let own = self.subjects.get(&key_of(issuer, named.subject));
            own.filter(is_before).or_else(|| claim(provider))
        };
        token().or_else(|| {
            let until = subject().or_else(client).or_else(|| claim(issuer));
            Some(until.or_else(at_provider)?.cause.clone())
        })
    }
}

impl Trust {
    /// Whether a caller who was known is still: cheap enough to ask at every step. Cost, if nothing is revoked: four
    /// looks at empty tables.
    ///
    /// # Errors
    /// [`Unauthenticated::Revoked`].
    pub fn check_revoked(&self, identity: &Identity) -> Result<(), Unauthenticated> {
        self.check_named(&identity.into())
    }

    /// The same of whom only the names are known.
    ///
    /// # Errors
    /// [`Unauthenticated::Revoked`].
    pub fn check_named(&self, named: &Named<'_>) -> Result<(), Unauthenticated> {
        if self.revoked.is_empty() {
            return Ok(());
        }
        let issuer = self.issuers.get(named.issuer);
        let skew = issuer.map_or(Duration::ZERO, |issuer| issuer.skew.min(MAX_SKEW));
        let provider = issuer.and_then(|issuer| issuer.claims.vouching(named.claims));
        match self.revoked.find(named, provider, skew) {
            Some(cause) => Err(Unauthenticated::Revoked { cause }),
            None => Ok(()),
        }
    }
}
