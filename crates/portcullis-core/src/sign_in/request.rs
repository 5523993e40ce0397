//! What the gateway asks of an authorization server.

use super::document::{Authority, Way};
use crate::authenticate::encode;
use crate::secret::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use form_urlencoded::Serializer;
use serde::Serialize;
use serde_json::json;

/// What we are called, here and there.
const NAME: &str = "Portcullis";

/// The gateway as a client of one authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`, if it has one.
    pub secret: Option<Secret<String>>,
    /// How it authenticates.
    pub way: Way,
}

/// A request to the token endpoint or its like: a form, and what goes into `Authorization`.
#[derive(Debug)]
pub struct Request {
    /// The body.
    pub form: Secret<String>,
    /// The header, if there is one.
    pub authorization: Option<Secret<String>>,
}

/// What one authorization request says.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Where the answer goes.
    pub redirect: &'a str,
    /// The server for which a token is wanted (RFC 8707).
    pub resource: &'a str,
    /// Scopes with a space between them; empty if the server does not say.
    pub scope: &'a str,
    /// What the answer must bring along.
    pub state: &'a str,
    /// The secret of which only a digest goes there (RFC 7636).
    pub verifier: &'a str,
}

/// What a client says of itself when it registers (RFC 7591), or publishes.
#[derive(Debug, Serialize)]
pub struct Registration<'a> {
    client_name: &'a str,
    redirect_uris: [&'a str; 1],
    grant_types: [&'a str; 2],
    response_types: [&'a str; 1],
    token_endpoint_auth_method: &'a str,
    application_type: &'a str,
}

impl<'a> Registration<'a> {
    /// For answers that go to this URL; loopback is what native applications use.
    pub fn new(redirect: &'a str, way: Way) -> Self {
        Self {
            client_name: NAME,
            redirect_uris: [redirect],
            grant_types: ["authorization_code", "refresh_token"],
            response_types: ["code"],
            token_endpoint_auth_method: match way {
                Way::Open => "none",
                Way::Basic => "client_secret_basic",
                Way::Post => "client_secret_post",
            },
            application_type: if redirect.starts_with("https://") {
                "web"
            } else {
                "native"
            },
        }
    }
}

/// The document at the URL that is our client id (client id metadata documents, section 4.1).
pub fn client_document(url: &str, redirect: &str) -> String {
    let mut document = json!(Registration::new(redirect, Way::Open));
    if let Some(members) = document.as_object_mut() {
        members.insert("client_id".to_owned(), json!(url));
    }
    document.to_string()
}

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
pub fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref())
}

/// Where the user's browser goes to say yes (RFC 6749 section 4.1.1).
pub fn authorization_url(authority: &Authority, client: &Client, asked: &Asked<'_>) -> String {
    let mut query = Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &client.id)
        .append_pair("redirect_uri", asked.redirect)
        .append_pair("state", asked.state)
        .append_pair("code_challenge", &challenge_of(asked.verifier))
        .append_pair("code_challenge_method", "S256")
        .append_pair("resource", asked.resource);
    if !asked.scope.is_empty() {
        query.append_pair("scope", asked.scope);
    }
    let url = authority.authorization.to_string();
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{}", query.finish())
}

impl Client {
    /// Exchanges a code (RFC 6749 section 4.1.3).
    pub fn redeem(&self, code: &str, asked: &Asked<'_>) -> Request {
        self.request(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", asked.redirect),
            ("code_verifier", asked.verifier),
            ("resource", asked.resource),
        ])
    }

    /// Exchanges a refresh token (RFC 6749 section 6).
    pub fn refresh(&self, token: &Secret<String>, resource: &str) -> Request {
        self.request(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", token.expose()),
            ("resource", resource),
        ])
    }

    /// Gives a token back (RFC 7009 section 2.1).
    pub fn revoke(&self, token: &Secret<String>, hint: &str) -> Request {
        self.request(&[("token", token.expose()), ("token_type_hint", hint)])
    }

    fn request(&self, pairs: &[(&str, &str)]) -> Request {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(pairs);
        let secret = self.secret.as_ref();
        let authorization = match (self.way, secret) {
            (Way::Basic, Some(secret)) => {
                // RFC 6749 section 2.3.1.
                let pair = Secret::new(format!("{}:{}", encode(&self.id), encode(secret.expose())));
                Some(Secret::new(format!(
                    "Basic {}",
                    STANDARD.encode(pair.expose())
                )))
            }
            (Way::Post, Some(secret)) => {
                form.append_pair("client_id", &self.id);
                form.append_pair("client_secret", secret.expose());
                None
            }
            (Way::Open, _) | (Way::Basic | Way::Post, None) => {
                form.append_pair("client_id", &self.id);
                None
            }
        };
        Request {
            form: Secret::new(form.finish()),
            authorization,
        }
    }
}
