//! Vaults (`HashiCorp` Vault, `OpenBao`) over their HTTP API: the KV secrets engine, version 2.

use super::{Lost, ask, tls_for};
use crate::config::{HttpUrl, Secret, SignIn, Vault};
use crate::egress::{Egress, Site};
use crate::tls::Client;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use portcullis_core::secret::Secret as Held;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroize as _;

/// The longest token of a service account, in bytes.
const MAX_JWT_BYTES: u64 = 16 * 1024;
/// How long giving a token back may take.
const SIGN_OUT: Duration = Duration::from_secs(2);

/// A token for a vault, and how it is reached.
#[derive(Clone)]
pub(super) struct SignedIn {
    vault: Arc<Vault>,
    tls: Option<Client>,
    token: Secret<String>,
    /// Whether we got the token for this reading only.
    is_ours: bool,
}

#[derive(Deserialize)]
struct Login {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
}

#[derive(Deserialize)]
struct Found {
    data: Versioned,
}

#[derive(Deserialize)]
struct Versioned {
    /// Null where the version was deleted.
    data: Option<Map<String, Value>>,
}

pub(super) async fn sign_in(vault: &Arc<Vault>) -> Result<SignedIn, Lost> {
    let tls = tls_for(&vault.address, &vault.trust, &vault.name)?;
    let (mount, body) = match &vault.sign_in {
        SignIn::Token(token) => {
            return Ok(SignedIn {
                vault: Arc::clone(vault),
                tls,
                token: token.clone(),
                is_ours: false,
            });
        }
        SignIn::AppRole {
            role,
            secret,
            mount,
        } => {
            let body = json!({ "role_id": role, "secret_id": secret.expose() });
            (mount, body)
        }
        SignIn::Kubernetes { role, jwt, mount } => {
            let jwt = account(jwt)?;
            (mount, json!({ "role": role, "jwt": jwt.expose().trim() }))
        }
    };
    let url = below(vault, &format!("/v1/auth/{mount}/login"))?;
    let request = request(vault, Method::POST, None, Bytes::from(body.to_string()))?;
    let login: Login = ask(&url, tls.as_ref(), request, lost).await?;
    Ok(SignedIn {
        vault: Arc::clone(vault),
        tls,
        token: Secret::new(login.auth.client_token),
        is_ours: true,
    })
}

pub(super) async fn read(
    signed_in: &SignedIn,
    mount: &str,
    (path, field): (&str, &str),
) -> Result<Secret<String>, Lost> {
    let vault = &signed_in.vault;
    let url = below(vault, &format!("/v1/{mount}/data/{path}"))?;
    let request = request(vault, Method::GET, Some(&signed_in.token), Bytes::new())?;
    let found: Found = ask(&url, signed_in.tls.as_ref(), request, lost).await?;
    let mut fields = found.data.data.ok_or(Lost::Missing)?;
    let wanted = fields.remove(field);
    for (_, other) in &mut fields {
        if let Value::String(text) = other {
            text.zeroize();
        }
    }
    match wanted {
        Some(Value::String(text)) => Ok(Secret::new(text)),
        Some(_) => Err(Lost::Unfit),
        None => Err(Lost::Missing),
    }
}

/// Gives a token back that was got for one reading; if that fails, it ends by itself.
pub(super) async fn sign_out(signed_in: &SignedIn) {
    if !signed_in.is_ours {
        return;
    }
    let vault = &signed_in.vault;
    let Ok(url) = below(vault, "/v1/auth/token/revoke-self") else {
        return;
    };
    let token = Some(&signed_in.token);
    let Ok(request) = request(vault, Method::POST, token, Bytes::new()) else {
        return;
    };
    let (site, egress) = (Site::Written(url), Egress::to_written());
    let tls = signed_in.tls.as_ref();
    let told = egress.send(&site, tls, request, SIGN_OUT).await;
    if told.is_err() {
        tracing::debug!(
            vault = vault.name,
            "the vault was not told to end our token"
        );
    }
}

fn below(vault: &Vault, path: &str) -> Result<HttpUrl, Lost> {
    HttpUrl::parse(&vault.address.below(path)).map_err(|_| Lost::Missing)
}

fn request(
    vault: &Vault,
    method: Method,
    token: Option<&Secret<String>>,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Lost> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    let headers = request.headers_mut();
    headers.insert("x-vault-request", HeaderValue::from_static("true"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(namespace) = &vault.namespace {
        let namespace = HeaderValue::from_str(namespace).map_err(|_| Lost::Missing)?;
        headers.insert("x-vault-namespace", namespace);
    }
    if let Some(token) = token {
        let mut token = HeaderValue::from_str(token.expose()).map_err(|_| Lost::Denied)?;
        token.set_sensitive(true);
        headers.insert("x-vault-token", token);
    }
    Ok(request)
}

/// What a status of the API means that is not 200.
fn lost(status: StatusCode) -> Lost {
    match status.as_u16() {
        // A login with wrong credentials is 400.
        400 | 401 | 403 => Lost::Denied,
        404 => Lost::Missing,
        // Sealed, and the active node of a cluster is another: redirects are not followed.
        503 | 429 | 307 => Lost::Sealed,
        other => Lost::Broken(other),
    }
}

fn account(path: &Path) -> Result<Held<String>, Lost> {
    let file = std::fs::File::open(path).map_err(|_| Lost::Denied)?;
    let mut jwt = Held::new(String::new());
    let read = file.take(MAX_JWT_BYTES).read_to_string(jwt.expose_mut());
    read.map_err(|_| Lost::Denied)?;
    Ok(jwt)
}
