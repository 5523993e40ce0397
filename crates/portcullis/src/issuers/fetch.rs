//! An issuer's keys over HTTP: its metadata must name itself, redirects are not followed, sizes are bounded.

use crate::config::HttpUrl;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use portcullis_core::authenticate::KeySet;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The largest document that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// How long one document may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why an issuer's keys are not here.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoKeys {
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
    #[error("jwks_uri is no acceptable URL")]
    Url,
    #[error("no usable keys")]
    Keys,
    #[error("no TLS for an https URL")]
    Tls,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

pub(super) async fn keys(
    issuer: &str,
    jwks: Option<&HttpUrl>,
    tls: Option<&TlsConnector>,
) -> Result<KeySet, NoKeys> {
    let discovered = match jwks {
        Some(_) => None,
        None => Some(discover(issuer, tls).await?),
    };
    let url = jwks.or(discovered.as_ref()).ok_or(NoKeys::Url)?;
    KeySet::parse(&get(url, tls).await?).map_err(|_| NoKeys::Keys)
}

/// RFC 8414 section 3.1 and OpenID Connect Discovery, in the order of the MCP specification.
async fn discover(issuer: &str, tls: Option<&TlsConnector>) -> Result<HttpUrl, NoKeys> {
    let base = HttpUrl::parse(issuer).map_err(|_| NoKeys::Url)?;
    let (origin, path) = (base.origin(), base.path().trim_end_matches('/').to_owned());
    let mut last = NoKeys::Metadata;
    for url in [
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ] {
        let url = HttpUrl::parse(&url).map_err(|_| NoKeys::Url)?;
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
            return Err(NoKeys::Metadata);
        }
        return HttpUrl::parse(&metadata.jwks_uri).map_err(|_| NoKeys::Url);
    }
    Err(last)
}

async fn get(url: &HttpUrl, tls: Option<&TlsConnector>) -> Result<Bytes, NoKeys> {
    timeout(TIMEOUT, async {
        let host = url
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let stream = TcpStream::connect((host.as_str(), url.port()))
            .await
            .map_err(|_| NoKeys::Unreachable)?;
        if !url.is_https() {
            return read(stream, url).await;
        }
        let name = ServerName::try_from(host).map_err(|_| NoKeys::Url)?;
        let connector = tls.ok_or(NoKeys::Tls)?;
        read(
            connector
                .connect(name, stream)
                .await
                .map_err(|_| NoKeys::Unreachable)?,
            url,
        )
        .await
    })
    .await
    .map_err(|_| NoKeys::Timeout)?
}

async fn read(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &HttpUrl,
) -> Result<Bytes, NoKeys> {
    let (mut sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|_| NoKeys::Unreachable)?;
    let path = url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    );
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = path.parse().map_err(|_| NoKeys::Url)?;
    let host = HeaderValue::from_str(&url.authority()).map_err(|_| NoKeys::Url)?;
    request.headers_mut().insert(HOST, host);
    request
        .headers_mut()
        .insert(ACCEPT, HeaderValue::from_static("application/json"));
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|_| NoKeys::Unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(NoKeys::Status(response.status().as_u16()));
        }
        let whole = Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await;
        Ok(whole.map_err(|_| NoKeys::Broken)?.to_bytes())
    };
    // An issuer may close after its answer: the connection is driven, but its end decides nothing.
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, answer)) => answer.await,
    }
}
