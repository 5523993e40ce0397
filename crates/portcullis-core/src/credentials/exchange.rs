//! A token from an authorization server: what is asked of it, and what its answer may be.

use super::{NoCredential, Want};
use crate::authenticate::encode;
use crate::protocol::read_strict;
use crate::secret::Secret;
use crate::time::Timestamp;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// What is left of a token's life when it is no longer shown: it has to arrive.
const MARGIN: Duration = Duration::from_secs(1);

pub(super) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What one upstream's tokens are asked for with.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// How it is asked.
    pub grant: Grant,
    /// The `aud` of a token for this upstream.
    pub audience: Arc<str>,
    /// The upstream's URI, where its authorization server wants one (RFC 8707).
    pub resource: Option<String>,
    /// How long a token is shown at most.
    pub max_age: Duration,
    /// The thumbprint (RFC 7638) of the key that tokens have to be bound to (RFC 9449), if they have to be.
    pub bound_to: Option<Arc<str>>,
}

/// How a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// The caller's token is exchanged (RFC 8693 section 2.1).
    Exchange,
    /// The same in Entra's form (RFC 7523 section 2.1 with `requested_token_use=on_behalf_of`).
    OnBehalfOf,
    /// The gateway asks for itself (RFC 6749 section 4.4).
    ClientCredentials,
    /// The authorization server is shown what the caller's identity provider says of it (ID-JAG, RFC 7523 section 2.1).
    IdJag,
}

/// For whom and what a token is: whoever wants the same can be shown the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place([u8; 32]);

/// A token that was issued.
#[derive(Debug)]
pub struct Token {
    /// The token itself.
    pub text: Secret<String>,
    /// Its `jti`, or the beginning of its digest where nobody but its issuer can read it.
    pub id: String,
    /// When it is shown no longer.
    pub until: Timestamp,
}

impl Grant {
    /// Whether the caller's own token is needed for it.
    pub const fn takes_token(self) -> bool {
        match self {
            Self::Exchange | Self::OnBehalfOf | Self::IdJag => true,
            Self::ClientCredentials => false,
        }
    }
}

impl Exchange {
    /// What the token is looked up by: the upstream is the table's, the caller's key, client and very token are here.
    pub fn place(&self, want: &Want) -> Place {
        let mut hash = digest::Context::new(&digest::SHA256);
        let caller = &want.principal;
        let bound = caller.bound.map(|bound| bound.bytes());
        let parts: [&[u8]; 4] = match self.grant {
            Grant::ClientCredentials => [b"", b"", b"", b""],
            Grant::Exchange | Grant::OnBehalfOf | Grant::IdJag => [
                caller.key.as_bytes(),
                caller.client.as_deref().unwrap_or_default().as_bytes(),
                bound.as_ref().map_or(b"", |bound| bound),
                caller
                    .brought()
                    .map_or(b"", |token| token.expose().as_bytes()),
            ],
        };
        for part in parts.into_iter().chain([want.scope.as_bytes()]) {
            hash.update(&part.len().to_be_bytes());
            hash.update(part);
        }
        let mut place = [0; 32];
        place.copy_from_slice(hash.finish().as_ref());
        Place(place)
    }

    /// The fields of the request, but for the client's own authentication. `beside` is who asks for the caller, or with
    /// [`Grant::IdJag`] what its identity provider said.
    ///
    /// # Errors
    /// [`NoCredential::Nothing`] if the caller brought no token, [`NoCredential::Expired`] if it is over.
    pub fn form(
        &self,
        want: &Want,
        beside: Option<&Secret<String>>,
        now: Timestamp,
    ) -> Result<Secret<String>, NoCredential> {
        let mut form = Form::default();
        match self.grant {
            Grant::Exchange => {
                form.set(
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                );
                form.set("subject_token", want.brought(now)?.expose());
                form.set("subject_token_type", ACCESS_TOKEN);
                form.set("requested_token_type", ACCESS_TOKEN);
                form.set("audience", &self.audience);
                if let Some(actor) = beside {
                    form.set("actor_token", actor.expose());
                    form.set("actor_token_type", JWT);
                }
            }
            Grant::OnBehalfOf => {
                form.set("grant_type", JWT_BEARER);
                form.set("assertion", want.brought(now)?.expose());
                form.set("requested_token_use", "on_behalf_of");
            }
            Grant::ClientCredentials => form.set("grant_type", "client_credentials"),
            Grant::IdJag => {
                form.set("grant_type", JWT_BEARER);
                form.set("assertion", beside.ok_or(NoCredential::Nothing)?.expose());
            }
        }
        if let Some(resource) = &self.resource {
            form.set("resource", resource);
        }
        if !want.scope.is_empty() {
            form.set("scope", &want.scope);
        }
        Ok(form.finish())
    }

    /// Reads the answer (RFC 6749 section 5.1, RFC 8693 section 2.2.1): a token for this upstream, of a kind that can be
    /// shown, with no scope that was not asked for, and not the one that the caller brought.
    ///
    /// # Errors
    /// [`NoCredential`]; it contains nothing of the answer.
    pub fn believe(
        &self,
        want: &Want,
        answer: &[u8],
        now: Timestamp,
    ) -> Result<Token, NoCredential> {
        let answer = parse(answer).ok_or(NoCredential::Broken)?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let token = token_in(&answer)?;
        self.expect_type(text("token_type").unwrap_or_default())?;
        let kind = text("issued_token_type");
        let is_kind = match self.grant {
            Grant::Exchange => kind.is_some_and(|kind| [ACCESS_TOKEN, JWT].contains(&kind)),
            Grant::OnBehalfOf | Grant::ClientCredentials | Grant::IdJag => true,
        };
        if !is_kind {
            return Err(NoCredential::Type);
        }
        if want
            .principal
            .brought()
            .is_some_and(|brought| brought.expose() == token)
        {
            return Err(NoCredential::Echoed);
        }
        match answer.get("scope") {
            None => {}
            Some(Value::String(scope)) => self.expect_scope(want, scope)?,
            Some(_) => return Err(NoCredential::Broken),
        }
        let mut until = now.plus(self.max_age);
        if self.grant.takes_token() {
            until = until.min(want.principal.expires);
        }
        let claims = claims_of(token).map(|(_, claims)| claims);
        let lives = match answer.get("expires_in") {
            Some(seconds) => Some(whole_seconds(seconds).ok_or(NoCredential::Lifetime)?),
            None => None,
        };
        match (lives, &claims) {
            (Some(seconds), _) => until = until.min(now.plus(Duration::from_secs(seconds))),
            // Nobody says how long it lives.
            (None, Some(claims)) if claims.contains_key("exp") => {}
            (None, _) => return Err(NoCredential::Lifetime),
        }
        let id = match &claims {
            Some(claims) => self.expect_claims(want, claims, &mut until)?,
            None => None,
        };
        if until <= now.plus(MARGIN) {
            return Err(NoCredential::Lifetime);
        }
        Ok(Token {
            id: id.unwrap_or_else(|| fingerprint(token)),
            text: Secret::new(token.to_owned()),
            until,
        })
    }

    /// A token that is to be bound and is none would be good for whoever steals it.
    fn expect_type(&self, kind: &str) -> Result<(), NoCredential> {
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        match &self.bound_to {
            None if is("bearer") => Ok(()),
            Some(_) if is("dpop") => Ok(()),
            Some(_) if is("bearer") => Err(NoCredential::Unbound),
            None | Some(_) => Err(NoCredential::Type),
        }
    }

    /// A token that can be read must be for this upstream alone, and bound if it is to be; gives its id.
    fn expect_claims(
        &self,
        want: &Want,
        claims: &Map<String, Value>,
        until: &mut Timestamp,
    ) -> Result<Option<String>, NoCredential> {
        let is_ours = |audience: &Value| audience.as_str() == Some(&*self.audience);
        let is_for_it = match claims.get("aud") {
            Some(Value::Array(all)) => !all.is_empty() && all.iter().all(is_ours),
            Some(one) => is_ours(one),
            None => false,
        };
        if !is_for_it {
            return Err(NoCredential::Audience);
        }
        if let Some(key) = self.bound_to.as_deref() {
            let bound = claims.get("cnf").and_then(|cnf| cnf.get("jkt"));
            if bound.and_then(Value::as_str) != Some(key) {
                return Err(NoCredential::Unbound);
            }
        }
        if let Some(expires) = claims.get("exp") {
            let expires = whole_seconds(expires).ok_or(NoCredential::Lifetime)?;
            *until = (*until).min(Timestamp::from_seconds(expires));
        }
        match claims.get("scope").or_else(|| claims.get("scp")) {
            None => {}
            Some(Value::String(scope)) => self.expect_scope(want, scope)?,
            Some(Value::Array(all)) => {
                for scope in all {
                    self.expect_scope(want, scope.as_str().ok_or(NoCredential::Broken)?)?;
                }
            }
            Some(_) => return Err(NoCredential::Broken),
        }
        let id = claims.get("jti").and_then(Value::as_str);
        Ok(id.filter(|id| is_id(id)).map(str::to_owned))
    }

    /// No more than was asked for. `X/.default` of Entra asks for all that was consented to at `X`.
    fn expect_scope(&self, want: &Want, issued: &str) -> Result<(), NoCredential> {
        if self.grant != Grant::OnBehalfOf {
            return want.expect_scope(issued);
        }
        let is_asked = |scope: &str| {
            let mut asked = want.scope.split(' ');
            asked.any(|asked| {
                let all = asked.strip_suffix(".default");
                asked == scope
                    || all.is_some_and(|all| scope.starts_with(all) || !scope.contains('/'))
            })
        };
        let mut issued = issued.split(' ').filter(|scope| !scope.is_empty());
        if issued.all(is_asked) {
            Ok(())
        } else {
            Err(NoCredential::Scope)
        }
    }
}

/// A body of `application/x-www-form-urlencoded`.
pub(super) struct Form(Secret<String>);

impl Default for Form {
    fn default() -> Self {
        Self(Secret::new(String::new()))
    }
}

impl Form {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let before = self.0.expose();
        let and = if before.is_empty() { "" } else { "&" };
        let value = Secret::new(encode(value));
        self.0 = Secret::new([before, and, name, "=", value.expose()].concat());
    }

    pub(super) fn finish(self) -> Secret<String> {
        self.0
    }
}

pub(super) fn parse(answer: &[u8]) -> Option<Map<String, Value>> {
    if answer.len() > MAX_ANSWER_BYTES {
        return None;
    }
    read_strict(answer).ok()
}

/// Header and claims of a token that has the form of a JWT; its signature is for others to verify.
pub(super) fn claims_of(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let mut parts = token.split('.');
    let (header, payload) = (parts.next()?, parts.next()?);
    parts.next().filter(|_| parts.next().is_none())?;
    let decoded = |part| parse(&URL_SAFE_NO_PAD.decode(part).ok()?);
    Some((decoded(header)?, decoded(payload)?))
}

pub(super) fn whole_seconds(value: &Value) -> Option<u64> {
    // Some write it as text, which RFC 6749 does not.
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    (seconds > 0).then_some(seconds)
}

/// `b64token` of RFC 6750 section 2.1.
/// The token of an answer, which can stand in a header.
pub(super) fn token_in(answer: &Map<String, Value>) -> Result<&str, NoCredential> {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let is_token =
        |text: &&str| (1..=MAX_TOKEN_BYTES).contains(&text.len()) && text.bytes().all(is_inside);
    let token = answer.get("access_token").and_then(Value::as_str);
    token.filter(is_token).ok_or(NoCredential::Broken)
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn fingerprint(token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    let start = hash.as_ref().get(..12).unwrap_or_default();
    format!("sha256:{}", URL_SAFE_NO_PAD.encode(start))
}
