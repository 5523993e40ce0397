//! Azure Key Vault over its REST API, signed in by Entra ID.

use super::{Lost, ask, tls_for};
use crate::config::{Azure, HttpUrl, Identity, Secret};
use crate::tls::Client;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use portcullis_core::authenticate::encode;
use serde::Deserialize;
use std::sync::Arc;

const API: &str = "api-version=7.4";
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// A token for Azure Key Vault.
#[derive(Clone)]
pub(super) struct SignedIn {
    azure: Arc<Azure>,
    token: Secret<String>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct Found {
    value: String,
}

/// Signs in for a resource: the vaults of one cloud.
pub(super) async fn sign_in(azure: &Arc<Azure>, resource: &str) -> Result<SignedIn, Lost> {
    let token: Token = match &azure.identity {
        Identity::Application {
            endpoint,
            client,
            secret,
        } => {
            let form = Secret::new(format!(
                "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
                encode(client),
                encode(secret.expose()),
                encode(&format!("{resource}/.default")),
            ));
            let mut request = Request::new(Full::new(Bytes::from(form.expose().clone())));
            *request.method_mut() = Method::POST;
            request.headers_mut().insert(CONTENT_TYPE, FORM);
            ask(endpoint, tls(azure, endpoint)?.as_ref(), request, lost).await?
        }
        Identity::Managed { endpoint, client } => {
            let mut query = format!("api-version=2018-02-01&resource={}", encode(resource));
            if let Some(client) = client {
                query.push_str("&client_id=");
                query.push_str(&encode(client));
            }
            let url = endpoint.asking(query);
            let mut request = Request::new(Full::default());
            let headers = request.headers_mut();
            headers.insert("metadata", HeaderValue::from_static("true"));
            ask(&url, tls(azure, &url)?.as_ref(), request, lost).await?
        }
    };
    Ok(SignedIn {
        azure: Arc::clone(azure),
        token: Secret::new(token.access_token),
    })
}

pub(super) async fn read(signed_in: &SignedIn, url: &HttpUrl) -> Result<Secret<String>, Lost> {
    let mut request = Request::new(Full::default());
    let bearer = Secret::new(format!("Bearer {}", signed_in.token.expose()));
    let mut bearer = HeaderValue::from_str(bearer.expose()).map_err(|_| Lost::Denied)?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    let tls = tls(&signed_in.azure, url)?;
    let found: Found = ask(&url.asking(API.to_owned()), tls.as_ref(), request, lost).await?;
    Ok(Secret::new(found.value))
}

fn tls(azure: &Azure, url: &HttpUrl) -> Result<Option<Client>, Lost> {
    tls_for(url, &azure.trust, "azure_key_vault")
}

/// What a status means that is not 200.
fn lost(status: StatusCode) -> Lost {
    match status.as_u16() {
        // Entra answers 400 to an application that it does not know, 401 to a wrong secret.
        400 | 401 | 403 => Lost::Denied,
        404 => Lost::Missing,
        other => Lost::Broken(other),
    }
}
