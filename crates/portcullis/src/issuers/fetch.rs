//! An issuer over HTTP: its metadata must name itself, redirects are not followed, sizes and times are bounded.

use crate::config::HttpUrl;
use crate::tls::Client;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use portcullis_core::authenticate::KeySet;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// The largest document that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// How long one document may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take to say something about a token: somebody waits.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an issuer has not said what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("cannot be reached")]
    Unreachable,
    #[error("did not answer in time")]
    Timeout,
    #[error("answered with status {0}")]
    Status(u16),
    #[error("answer too large or broken")]
    Broken,
    #[error("no metadata that names this issuer")]
    Metadata,
    #[error("its metadata names no acceptable URL")]
    Url,
    #[error("no usable keys")]
    Keys,
    #[error("no TLS for an https URL")]
    Tls,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
    introspection_endpoint: Option<String>,
}

pub(super) async fn keys(
    issuer: &str,
    jwks: Option<&HttpUrl>,
    tls: Option<&Client>,
) -> Result<KeySet, NoAnswer> {
    let discovered = match jwks {
        Some(_) => None,
        None => Some(named(discover(issuer, tls).await?.jwks_uri)?),
    };
    let url = jwks.or(discovered.as_ref()).ok_or(NoAnswer::Url)?;
    KeySet::parse(&get(url, tls).await?).map_err(|_| NoAnswer::Keys)
}

/// Where the issuer's metadata says that it is asked about tokens.
pub(super) async fn introspection(issuer: &str, tls: Option<&Client>) -> Result<HttpUrl, NoAnswer> {
    named(discover(issuer, tls).await?.introspection_endpoint)
}

fn named(url: Option<String>) -> Result<HttpUrl, NoAnswer> {
    HttpUrl::parse(&url.ok_or(NoAnswer::Url)?).map_err(|_| NoAnswer::Url)
}

/// RFC 8414 section 3.1 and OpenID Connect Discovery, in the order of the MCP specification.
async fn discover(issuer: &str, tls: Option<&Client>) -> Result<Metadata, NoAnswer> {
    let base = HttpUrl::parse(issuer).map_err(|_| NoAnswer::Url)?;
    let (origin, path) = (base.origin(), base.path().trim_end_matches('/').to_owned());
    let mut last = NoAnswer::Metadata;
    for url in [
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ] {
        let url = HttpUrl::parse(&url).map_err(|_| NoAnswer::Url)?;
        let document = match get(&url, tls).await {
            Ok(document) => document,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let Ok(metadata) = serde_json::from_slice::<Metadata>(&document) else {
            continue;
        };
        // RFC 8414 section 3.3: whoever names another issuer is not believed.
        if metadata.issuer != issuer {
            return Err(NoAnswer::Metadata);
        }
        return Ok(metadata);
    }
    Err(last)
}

async fn get(url: &HttpUrl, tls: Option<&Client>) -> Result<Bytes, NoAnswer> {
    let request = Request::new(Full::default());
    send(url, tls, request, TIMEOUT).await
}

/// Sends a form, with the credentials of a client.
pub(super) async fn post(
    url: &HttpUrl,
    tls: Option<&Client>,
    credentials: &HeaderValue,
    form: Bytes,
) -> Result<Bytes, NoAnswer> {
    let mut request = Request::new(Full::new(form));
    *request.method_mut() = Method::POST;
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, credentials.clone());
    headers.insert(CONTENT_TYPE, FORM);
    send(url, tls, request, POST_TIMEOUT).await
}

async fn send(
    url: &HttpUrl,
    tls: Option<&Client>,
    request: Request<Full<Bytes>>,
    within: Duration,
) -> Result<Bytes, NoAnswer> {
    timeout(within, async {
        let host = url
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let stream = TcpStream::connect((host.as_str(), url.port()))
            .await
            .map_err(|_| NoAnswer::Unreachable)?;
        if !url.is_https() {
            if tls.is_some_and(Client::is_pinned) {
                return Err(NoAnswer::Url); // no key would be shown there
            }
            return read(stream, url, request).await;
        }
        let name = ServerName::try_from(host).map_err(|_| NoAnswer::Url)?;
        let client = tls.ok_or(NoAnswer::Tls)?;
        read(
            client
                .connect(name, stream)
                .await
                .map_err(|_| NoAnswer::Unreachable)?,
            url,
            request,
        )
        .await
    })
    .await
    .map_err(|_| NoAnswer::Timeout)?
}

async fn read(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &HttpUrl,
    mut request: Request<Full<Bytes>>,
) -> Result<Bytes, NoAnswer> {
    let (mut sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|_| NoAnswer::Unreachable)?;
    let path = url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    );
    *request.uri_mut() = path.parse().map_err(|_| NoAnswer::Url)?;
    let host = HeaderValue::from_str(&url.authority()).map_err(|_| NoAnswer::Url)?;
    request.headers_mut().insert(HOST, host);
    request
        .headers_mut()
        .insert(ACCEPT, HeaderValue::from_static("application/json"));
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|_| NoAnswer::Unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(NoAnswer::Status(response.status().as_u16()));
        }
        let whole = Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await;
        Ok(whole.map_err(|_| NoAnswer::Broken)?.to_bytes())
    };
    // An issuer may close after its answer: the connection is driven, but its end decides nothing.
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, answer)) => answer.await,
    }
}
