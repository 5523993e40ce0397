//! What an authorization server answers: to the browser, at its token endpoint, at its registration endpoint.

use super::Disbelieved;
use super::challenge::scopes;
use super::document::{Authority, Way};
use super::request::Client;
use crate::secret::Secret;
use crate::time::Timestamp;
use serde::Deserialize;
use std::time::Duration;

/// Bytes of a code, a token or a client's id.
const MAX_BYTES: usize = 16 * 1024;
/// How long a token is used of which nobody says how long it lives.
const UNSAID: Duration = Duration::from_hours(1);
/// No token is used longer than this without being fetched anew.
const MAX_LIFETIME: Duration = Duration::from_hours(24);

/// What the browser brought back (RFC 6749 section 4.1.2, RFC 9207).
#[derive(Debug, Default)]
pub struct Callback {
    /// `state`, by which the flow is found.
    pub state: Option<String>,
    code: Option<Secret<String>>,
    issuer: Option<String>,
    is_error: bool,
}

/// Tokens as they were issued.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The access token.
    pub access: Secret<String>,
    /// How long it may be used.
    pub lifetime: Duration,
    /// What fetches the next one.
    pub refresh: Option<Secret<String>>,
    /// What it is good for, if that is said.
    pub scopes: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RawTokens {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct RawClient {
    client_id: String,
    client_secret: Option<String>,
    token_endpoint_auth_method: Option<String>,
    client_secret_expires_at: Option<u64>,
}

#[derive(Deserialize)]
struct RawError {
    error: String,
}

impl Callback {
    /// Reads the query of the browser's request. A name that comes twice is not read (RFC 6749 section 3.1).
    pub fn read(query: &str) -> Self {
        let mut callback = Self::default();
        let mut seen: Vec<String> = Vec::new();
        if query.len() > MAX_BYTES {
            return callback;
        }
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if seen.iter().any(|seen| *seen == name) {
                return Self::default();
            }
            match &*name {
                "state" => callback.state = Some(value.into_owned()),
                "code" => callback.code = Some(Secret::new(value.into_owned())),
                "iss" => callback.issuer = Some(value.into_owned()),
                "error" => callback.is_error = true,
                _ => {}
            }
            seen.push(name.into_owned());
        }
        callback
    }

    /// The code, if the answer is from the authorization server that was asked (RFC 9207 section 2.4), and is a yes.
    ///
    /// # Errors
    /// [`Disbelieved::Mixed`] first, so that nothing of a stranger's answer counts; else [`Disbelieved::Refused`].
    pub fn code(self, issuer: &str, names_itself: bool) -> Result<Secret<String>, Disbelieved> {
        match &self.issuer {
            Some(said) if said != issuer => return Err(Disbelieved::Mixed),
            None if names_itself => return Err(Disbelieved::Mixed),
            Some(_) | None => {}
        }
        let code = self.code.filter(|code| !code.expose().is_empty());
        code.filter(|_| !self.is_error).ok_or(Disbelieved::Refused)
    }
}

impl Tokens {
    /// Reads the answer of a token endpoint (RFC 6749 section 5.1).
    ///
    /// # Errors
    /// [`Disbelieved`].
    pub fn parse(answer: &[u8]) -> Result<Self, Disbelieved> {
        let raw: RawTokens = serde_json::from_slice(answer).map_err(|_| Disbelieved::Malformed)?;
        let access = Secret::new(raw.access_token);
        let refresh = raw.refresh_token.map(Secret::new);
        let is_token = |token: &Secret<String>| {
            let token = token.expose();
            let is_inside = |byte: u8| byte.is_ascii_graphic();
            (1..=MAX_BYTES).contains(&token.len()) && token.bytes().all(is_inside)
        };
        if !raw.token_type.eq_ignore_ascii_case("bearer")
            || !is_token(&access)
            || refresh.as_ref().is_some_and(|refresh| !is_token(refresh))
        {
            return Err(Disbelieved::Token);
        }
        let lifetime = raw.expires_in.map_or(UNSAID, Duration::from_secs);
        Ok(Self {
            access,
            lifetime: lifetime.min(MAX_LIFETIME),
            refresh,
            scopes: raw.scope.as_deref().map(scopes),
        })
    }
}

impl Client {
    /// Reads the answer to a registration (RFC 7591 section 3.2.1); gives when its secret ends too, if it does.
    ///
    /// # Errors
    /// [`Disbelieved::Malformed`].
    pub fn parse(
        answer: &[u8],
        authority: &Authority,
    ) -> Result<(Self, Option<Timestamp>), Disbelieved> {
        let raw: RawClient = serde_json::from_slice(answer).map_err(|_| Disbelieved::Malformed)?;
        let secret = raw.client_secret.map(Secret::new);
        let is_text = |text: &str| {
            let is_inside = |byte: u8| (0x20..0x7f).contains(&byte);
            (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(is_inside)
        };
        if !is_text(&raw.client_id)
            || secret
                .as_ref()
                .is_some_and(|secret| !is_text(secret.expose()))
        {
            return Err(Disbelieved::Malformed);
        }
        let way = match raw.token_endpoint_auth_method.as_deref() {
            Some("none") => Way::Open,
            Some("client_secret_basic") => Way::Basic,
            Some("client_secret_post") => Way::Post,
            Some(_) => return Err(Disbelieved::NoClient),
            None => authority.way(secret.is_some()),
        };
        let ends = raw.client_secret_expires_at.filter(|ends| *ends > 0);
        let client = Self {
            id: raw.client_id,
            secret,
            way,
        };
        Ok((client, ends.map(Timestamp::from_seconds)))
    }
}

/// What a token endpoint says is wrong, where something follows from it (RFC 6749 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What was shown is worth nothing any more.
    Spent,
    /// The client is not known, or not by what it showed.
    Client,
}

/// Reads an answer that is no yes.
pub fn fault(answer: &[u8]) -> Option<Fault> {
    let said = serde_json::from_slice::<RawError>(answer).ok()?;
    match said.error.as_str() {
        "invalid_grant" => Some(Fault::Spent),
        "invalid_client" => Some(Fault::Client),
        _ => None,
    }
}
