//! What a client says of itself (RFC 7591 section 2): read strictly, kept in our own words.

use super::{Authentication, Client, GrantType, Kind, Statements, place};
use crate::redirect::{BadRedirect, Policy, Redirect};
use portcullis_core::authenticate::KeySet;
use portcullis_core::protocol::read_strict;
use portcullis_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The largest document or registration, in bytes.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// The most redirect URIs.
const MAX_REDIRECTS: usize = 32;
/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Why a client is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadClient {
    /// No URL at which a document may be.
    #[error("the client's id is not the URL of a document")]
    Url,
    /// Not the JSON that it should be, or too much of it.
    #[error("metadata that cannot be read")]
    Malformed,
    /// It says that it is another client.
    #[error("the document is of another client")]
    OtherClient,
    /// It has, or wants, a shared secret.
    #[error("a client authenticates by keys of its own or not at all")]
    Secret,
    /// A way of authenticating that there is not.
    #[error("a way of authenticating that is not supported")]
    Method,
    /// Its keys cannot be used.
    #[error("keys that cannot be used")]
    Keys,
    /// It uses no flow that it may use.
    #[error("a flow that is not supported")]
    Grant,
    /// Its software statement is none, is not signed as it says, or is not of now.
    #[error("a software statement that does not verify")]
    Statement,
    /// Its software statement is somebody's whose statements do not count here.
    #[error("a software statement of somebody who does not count here")]
    Unapproved,
    /// It has no software statement.
    #[error("a software statement is needed")]
    NoStatement,
    /// A redirect URI that is not acceptable.
    #[error("{0}")]
    Redirect(BadRedirect),
}

impl BadClient {
    /// For the audit record.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Malformed => "malformed",
            Self::OtherClient => "other_client",
            Self::Secret => "secret",
            Self::Method => "method",
            Self::Keys => "keys",
            Self::Grant => "grant",
            Self::Statement => "statement",
            Self::Unapproved => "statement_issuer",
            Self::NoStatement => "no_statement",
            Self::Redirect(_) => "redirect_uri",
        }
    }

    /// The error of RFC 7591 section 3.2.2.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Redirect(_) => "invalid_redirect_uri",
            Self::Statement => "invalid_software_statement",
            Self::Unapproved => "unapproved_software_statement",
            Self::Url
            | Self::Malformed
            | Self::OtherClient
            | Self::Secret
            | Self::Method
            | Self::Keys
            | Self::Grant
            | Self::NoStatement => "invalid_client_metadata",
        }
    }
}

/// What is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// `client_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// `redirect_uris`; empty of a client that does without the code flow.
    pub redirect_uris: Vec<Redirect>,
    /// `jwks`, of a client that authenticates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// `jwks_uri`, of one that authenticates by keys that are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// `application_type`.
    pub application_type: ApplicationType,
    /// Whether `grant_types` has `refresh_token`.
    pub refreshes: bool,
    /// `dpop_bound_access_tokens`.
    pub dpop_bound_access_tokens: bool,
    /// What else `grant_types` has.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub grants: BTreeSet<GrantType>,
    /// `software_statement`, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_statement: Option<String>,
}

/// Where a client runs (OpenID Connect Dynamic Client Registration 1.0, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationType {
    /// On a server; its answers come by `https`.
    Web,
    /// On the user's machine.
    Native,
}

#[derive(Deserialize)]
struct Raw {
    client_id: Option<String>,
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    jwks: Option<Value>,
    jwks_uri: Option<String>,
    application_type: Option<ApplicationType>,
    dpop_bound_access_tokens: Option<bool>,
}

impl Metadata {
    /// Reads the document that was found at a client's id.
    ///
    /// # Errors
    /// [`BadClient`].
    pub fn of_document(id: &str, bytes: &[u8], policy: &Policy) -> Result<Self, BadClient> {
        let (raw, members) = parse(bytes)?;
        if raw.client_id.as_deref() != Some(id) {
            return Err(BadClient::OtherClient);
        }
        let method = raw.token_endpoint_auth_method.clone();
        let method = method.as_deref().unwrap_or("none");
        let offered = &GrantType::OF_DOCUMENTS;
        Self::judge(raw, &members, (method, offered), policy)
    }

    /// Reads what a client registers. A statement about its software is left aside (RFC 7591 section 2.3).
    ///
    /// # Errors
    /// [`BadClient`].
    pub fn of_registration(bytes: &[u8], policy: &Policy) -> Result<Self, BadClient> {
        let (raw, members) = parse(bytes)?;
        Self::of_strange(raw, &members, policy)
    }

    /// The same where statements count: what one says stands in the place of what the client says. `own` is what we are called.
    ///
    /// # Errors
    /// [`BadClient`].
    pub fn of_software(
        bytes: &[u8],
        policy: &Policy,
        statements: &Statements,
        at: (&str, Timestamp),
    ) -> Result<Self, BadClient> {
        let (_, mut members) = parse(bytes)?;
        let software_statement = statements.put(&mut members, at)?;
        let raw = serde_json::from_value(Value::Object(members.clone()));
        let raw = raw.map_err(|_| BadClient::Malformed)?;
        Ok(Self {
            software_statement,
            ..Self::of_strange(raw, &members, policy)?
        })
    }

    fn of_strange(
        raw: Raw,
        members: &Map<String, Value>,
        policy: &Policy,
    ) -> Result<Self, BadClient> {
        // RFC 7591 section 2 has a shared secret where nothing is said; we have none, and section 3.2.1 lets us say so.
        let method = match raw.token_endpoint_auth_method.as_deref() {
            None | Some("client_secret_basic" | "client_secret_post") => "none".to_owned(),
            Some(method) => method.to_owned(),
        };
        Self::judge(raw, members, (&method, &[]), policy)
    }

    fn judge(
        raw: Raw,
        members: &Map<String, Value>,
        (method, offered): (&str, &[GrantType]),
        policy: &Policy,
    ) -> Result<Self, BadClient> {
        if ["client_secret", "client_secret_expires_at"]
            .iter()
            .any(|name| members.contains_key(*name))
        {
            return Err(BadClient::Secret);
        }
        let (jwks, jwks_uri) = match method {
            "none" => (None, None),
            // RFC 7591 section 2: never both.
            "private_key_jwt" => match (raw.jwks, raw.jwks_uri) {
                (Some(jwks), None) => (Some(keys(jwks)?), None),
                (None, Some(uri)) if place(&uri).is_ok() => (None, Some(uri)),
                (None | Some(_), None | Some(_)) => return Err(BadClient::Keys),
            },
            "client_secret_basic" | "client_secret_post" | "client_secret_jwt" => {
                return Err(BadClient::Secret);
            }
            _ => return Err(BadClient::Method),
        };
        let grants = raw.grant_types.unwrap_or_else(|| {
            vec!["authorization_code".to_owned()] // RFC 7591 section 2
        });
        let has = |name: &str| grants.iter().any(|grant| grant == name);
        let offered = offered.iter().copied();
        let others: BTreeSet<GrantType> = offered.filter(|grant| has(grant.name())).collect();
        let has_code = raw
            .response_types
            .is_none_or(|types| types.iter().any(|kind| kind == "code"));
        let redirect_uris = match (has("authorization_code"), has_code) {
            (true, true) => redirects(&raw.redirect_uris, policy)?,
            (false, _) if !others.is_empty() => Vec::new(),
            (true | false, _) => return Err(BadClient::Grant),
        };
        let is_native = |redirect: &Redirect| !redirect.as_str().starts_with("https://");
        let application_type = match raw.application_type {
            Some(ApplicationType::Web) if redirect_uris.iter().any(is_native) => {
                return Err(BadClient::Redirect(BadRedirect::Scheme));
            }
            Some(written) => written,
            None if redirect_uris.iter().any(is_native) => ApplicationType::Native,
            None => ApplicationType::Web,
        };
        let name = raw.client_name.filter(|name| !name.trim().is_empty());
        if name
            .as_ref()
            .is_some_and(|name| name.len() > MAX_NAME_BYTES)
        {
            return Err(BadClient::Malformed);
        }
        Ok(Self {
            client_name: name,
            redirect_uris,
            jwks,
            jwks_uri,
            application_type,
            refreshes: has("refresh_token"),
            dpop_bound_access_tokens: raw.dpop_bound_access_tokens.unwrap_or_default(),
            grants: others,
            software_statement: None,
        })
    }

    /// The client of whom this is said.
    ///
    /// # Errors
    /// [`BadClient::Keys`].
    pub fn client(self, id: String, kind: Kind) -> Result<Client, BadClient> {
        let authentication = match (&self.jwks, &self.jwks_uri) {
            (None, None) => Authentication::Public,
            (Some(jwks), _) => {
                let keys = KeySet::parse(jwks.to_string().as_bytes());
                Authentication::Keys(Arc::new(keys.map_err(|_| BadClient::Keys)?))
            }
            (None, Some(uri)) => Authentication::KeysAt(place(uri).map_err(|_| BadClient::Keys)?),
        };
        Ok(Client {
            id,
            kind,
            name: self.client_name,
            authentication,
            refreshes: self.refreshes,
            is_bound: self.dpop_bound_access_tokens,
            grants: self.grants,
            scopes: BTreeSet::new(),
            redirects: self.redirect_uris,
        })
    }
}

fn parse(bytes: &[u8]) -> Result<(Raw, Map<String, Value>), BadClient> {
    if bytes.len() > MAX_BYTES {
        return Err(BadClient::Malformed);
    }
    let members = read_strict(bytes).map_err(|_| BadClient::Malformed)?;
    let raw = serde_json::from_slice(bytes).map_err(|_| BadClient::Malformed)?;
    Ok((raw, members))
}

/// Public keys only: whoever publishes a private one has lost it.
fn keys(jwks: Value) -> Result<Value, BadClient> {
    let listed = jwks.get("keys").and_then(Value::as_array);
    let is_private = |key: &Value| {
        ["d", "p", "q", "k"]
            .iter()
            .any(|name| key.get(name).is_some())
    };
    if listed.is_none_or(|keys| keys.iter().any(is_private)) {
        return Err(BadClient::Keys);
    }
    match KeySet::parse(jwks.to_string().as_bytes()) {
        Ok(_) => Ok(jwks),
        Err(_) => Err(BadClient::Keys),
    }
}

/// Reads the keys that were found at a client's `jwks_uri`.
///
/// # Errors
/// [`BadClient`].
pub fn fetched_keys(bytes: &[u8]) -> Result<KeySet, BadClient> {
    if bytes.len() > MAX_BYTES {
        return Err(BadClient::Malformed);
    }
    let members = read_strict(bytes).map_err(|_| BadClient::Malformed)?;
    let jwks = keys(Value::Object(members))?;
    KeySet::parse(jwks.to_string().as_bytes()).map_err(|_| BadClient::Keys)
}

fn redirects(texts: &[String], policy: &Policy) -> Result<Vec<Redirect>, BadClient> {
    if texts.is_empty() {
        return Err(BadClient::Redirect(BadRedirect::Missing));
    }
    if texts.len() > MAX_REDIRECTS {
        return Err(BadClient::Malformed);
    }
    let redirects = texts
        .iter()
        .map(|text| Redirect::register(text, policy).map_err(BadClient::Redirect));
    redirects.collect()
}
