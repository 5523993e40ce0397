//! Does a code, or a refresh token, give tokens? And what do they say?
//!
//! Whether it was used before, and whether its family lives, is looked at where it is kept; what it is bound to, here.

mod access;
mod token;
mod own;
mod enterprise;
#[cfg(test)]
mod tests;

use crate::client::Client;
use crate::consent::Approved;
use crate::form::Form;
use crate::request::{Challenge, Return};
use crate::user::User;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::authenticate::{Binding, Named, Resource, Thumbprint, Trust};
use portcullis_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use access::Access;
pub use own::CLIENTS;
pub use token::{PROVIDER, Said, claims};

/// How long a code can be used.
pub const CODE: Duration = Duration::from_mins(1);

/// What a user has granted a client: the same for all tokens that come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Who.
    pub user: User,
    /// To whom.
    pub client: String,
    /// For which server, by its name.
    pub server: String,
    /// The same, as the `aud` of tokens.
    pub audience: String,
    /// What of it.
    pub scopes: Vec<String>,
    /// Whether there are refresh tokens.
    pub refreshes: bool,
}

/// What a code is bound to besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Where it went.
    pub redirect: String,
    /// The digest of its verifier.
    pub challenge: String,
    /// The key that the client has said that it has.
    pub key: Option<String>,
}

/// Why there are no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoGrant {
    /// There is no such code or token.
    #[error("not a grant of this server")]
    Unknown,
    /// It was used before.
    #[error("used before")]
    Again,
    /// It is too old, or has ended.
    #[error("expired or ended")]
    Over,
    /// It is another client's.
    #[error("granted to another client")]
    Client,
    /// The code went elsewhere.
    #[error("another redirect_uri than the code was sent to")]
    Redirect,
    /// No verifier, or not that of the challenge.
    #[error("code_verifier does not fit")]
    Verifier,
    /// It is for another server.
    #[error("granted for another resource")]
    Target,
    /// More than was granted.
    #[error("more than was granted")]
    Scope,
    /// It is bound to a key that was not proven.
    #[error("bound to a key that was not proven")]
    Key,
    /// A key is needed, and none was proven.
    #[error("a proof of possession is needed")]
    NoKey,
    /// The user or the client was revoked, or whoever vouched for the user is not believed any more.
    #[error("access was revoked")]
    Revoked,
}

impl NoGrant {
    /// The error code (RFC 6749 section 5.2, RFC 8707 section 2, RFC 9449 section 5).
    pub const fn code(self) -> &'static str {
        match self {
            Self::Target => "invalid_target",
            Self::Scope => "invalid_scope",
            Self::NoKey => "invalid_dpop_proof",
            Self::Unknown
            | Self::Again
            | Self::Over
            | Self::Client
            | Self::Redirect
            | Self::Verifier
            | Self::Key
            | Self::Revoked => "invalid_grant",
        }
    }

    /// For the audit record.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Again => "again",
            Self::Over => "over",
            Self::Client => "client",
            Self::Redirect => "redirect_uri",
            Self::Verifier => "verifier",
            Self::Target => "resource",
            Self::Scope => "scope",
            Self::Key => "key",
            Self::NoKey => "no_key",
            Self::Revoked => "revoked",
        }
    }
}

/// A token request, as far as it is known who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The client, which has authenticated if it does.
    pub client: &'a Client,
    /// The key that it has proven.
    pub key: Option<Thumbprint>,
    /// What it says.
    pub form: &'a Form,
}

/// What a grant is held against.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// Our own name.
    pub issuer: &'a str,
    /// The server of the grant, if there is still one.
    pub resource: Option<&'a Resource>,
    /// What is revoked.
    pub trust: &'a Trust,
    /// Who alone vouches for users of such grants now.
    pub vouches: &'a str,
    /// When it was granted.
    pub made: Timestamp,
}

/// What is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What the access token says of scopes.
    pub scopes: Vec<String>,
    /// What the access token is bound to.
    pub key: Option<Thumbprint>,
    /// What refresh tokens are: also where the server takes no bound access tokens.
    pub sealed: Option<Thumbprint>,
    /// The longest life that the server allows.
    pub lifetime: Option<Duration>,
}

impl Bound {
    /// To what the code for this is bound.
    pub fn of(approved: &Approved, back: &Return, challenge: &Challenge) -> Self {
        Self {
            redirect: back.redirect.clone(),
            challenge: challenge.as_str().to_owned(),
            key: approved.asked().key().map(|key| key.to_string()),
        }
    }
}

impl Granted {
    /// What was approved.
    pub fn by(approved: &Approved) -> Self {
        let asked = approved.asked();
        Self {
            user: approved.user().clone(),
            client: asked.client().id.clone(),
            server: asked.server().to_string(),
            audience: asked.audience().to_owned(),
            scopes: asked.scopes().to_vec(),
            refreshes: asked.refreshes(),
        }
    }

    /// What this code gives.
    ///
    /// # Errors
    /// [`NoGrant`].
    pub fn redeem(
        &self,
        bound: &Bound,
        request: &Request<'_>,
        against: &Against<'_>,
    ) -> Result<Given, NoGrant> {
        if request.client.id != self.client {
            return Err(NoGrant::Client);
        }
        if request.form.value("redirect_uri") != Some(&bound.redirect) {
            return Err(NoGrant::Redirect);
        }
        check_verifier(request.form.value("code_verifier"), &bound.challenge)?;
        let key = check_key(bound.key.as_deref(), request.key)?;
        self.give(key, request, against)
    }

    /// What the client gets that has waited for its user (RFC 8628 section 3.4), and has shown that key before.
    ///
    /// # Errors
    /// [`NoGrant`].
    pub fn collect(
        &self,
        bound: &str,
        request: &Request<'_>,
        against: &Against<'_>,
    ) -> Result<Given, NoGrant> {
        if request.client.id != self.client {
            return Err(NoGrant::Client);
        }
        let bound = (!bound.is_empty()).then_some(bound);
        let key = check_key(bound, request.key)?;
        self.give(key, request, against)
    }

    /// What a client gets at once, since no user is asked here. Nobody comes back to it by signing in anew: a client that is
    /// revoked gets nothing until that is taken back.
    ///
    /// # Errors
    /// [`NoGrant`].
    pub fn hand_out(&self, request: &Request<'_>, against: &Against<'_>) -> Result<Given, NoGrant> {
        let client = Named {
            issuer: against.issuer,
            subject: "",
            key: "",
            client: Some(&self.client),
            token_id: None,
            claims: &[],
            issued: Timestamp::default(),
        };
        if against.trust.check_named(&client).is_err() {
            return Err(NoGrant::Revoked);
        }
        self.collect("", request, against)
    }

    /// What this refresh token gives, which is bound to that key.
    ///
    /// # Errors
    /// [`NoGrant`].
    pub fn refresh(
        &self,
        bound: &str,
        request: &Request<'_>,
        against: &Against<'_>,
    ) -> Result<Given, NoGrant> {
        let mut given = self.collect(bound, request, against)?;
        let mut wanted = request.form.words("scope").peekable();
        if wanted.peek().is_some() {
            let wanted: Vec<&str> = wanted.filter(|scope| *scope != "offline_access").collect();
            let is_granted = |scope: &&str| self.scopes.iter().any(|own| own == scope);
            if !wanted.iter().all(is_granted) {
                return Err(NoGrant::Scope);
            }
            given
                .scopes
                .retain(|scope| wanted.contains(&scope.as_str()));
        }
        Ok(given)
    }

    fn give(
        &self,
        key: Option<Thumbprint>,
        request: &Request<'_>,
        against: &Against<'_>,
    ) -> Result<Given, NoGrant> {
        let resource = against.resource.ok_or(NoGrant::Target)?;
        let is_ours = resource.issuers.iter().any(|one| one == against.issuer);
        if resource.audience != self.audience || !is_ours {
            return Err(NoGrant::Target);
        }
        let named = request.form.value("resource");
        if named.is_some_and(|named| named != resource.audience && named != resource.url) {
            return Err(NoGrant::Target);
        }
        let needs_key = request.client.is_bound || resource.dpop == Binding::Required;
        if resource.mtls == Binding::Required || (needs_key && key.is_none()) {
            return Err(NoGrant::NoKey);
        }
        let vouched = (against.trust, against.vouches);
        if self.is_revoked(against.issuer, vouched, against.made) {
            return Err(NoGrant::Revoked);
        }
        let known = &resource.scopes_supported;
        let scopes = self.scopes.iter().filter(|scope| known.contains(scope));
        Ok(Given {
            scopes: scopes.cloned().collect(),
            // What such a server is shown with a key, it refuses.
            key: key.filter(|_| resource.dpop != Binding::Off),
            sealed: key,
            lifetime: resource.max_lifetime,
        })
    }

    /// Whether the user, as we (`own`) or the provider call them, or the client was revoked since it was made; or users
    /// do not sign in any more where this one did, but where `vouches` says.
    pub fn is_revoked(&self, own: &str, (trust, vouches): (&Trust, &str), made: Timestamp) -> bool {
        let user = &self.user;
        let own_issuer = trust.issuers.get(own);
        let vouching = own_issuer.and_then(|own| own.claims.provider.as_ref());
        let is_known = vouching.is_some_and(|vouching| vouching.by.contains(&user.issuer));
        if !is_known || user.issuer != vouches {
            return true;
        }
        let mut claims = user.claims.clone();
        claims.push(("sub".to_owned(), user.subject.clone()));
        claims.push((PROVIDER.to_owned(), user.issuer.clone()));
        let named = Named {
            issuer: own,
            subject: &user.subject,
            key: &user.key(),
            client: Some(&self.client),
            token_id: None,
            claims: &claims,
            issued: made,
        };
        trust.check_named(&named).is_err()
    }
}

/// RFC 7636 sections 4.1 and 4.6.
fn check_verifier(verifier: Option<&str>, challenge: &str) -> Result<(), NoGrant> {
    let verifier = verifier.ok_or(NoGrant::Verifier)?;
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(is_inside) {
        return Err(NoGrant::Verifier);
    }
    let own = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref());
    verify_slices_are_equal(own.as_bytes(), challenge.as_bytes()).map_err(|_| NoGrant::Verifier)
}

/// What is bound stays so; what is not becomes so by a proof.
fn check_key(
    bound: Option<&str>,
    proven: Option<Thumbprint>,
) -> Result<Option<Thumbprint>, NoGrant> {
    match (bound, proven) {
        (None, proven) => Ok(proven),
        (Some(bound), Some(proven)) if Thumbprint::parse(bound) == Some(proven) => Ok(Some(proven)),
        (Some(_), _) => Err(NoGrant::Key),
    }
}
