//! An issuer over HTTP: its metadata must name itself, and where it sends us is held against the rules for peers.

use crate::config::HttpUrl;
use crate::egress::{self, Egress, Site};
use crate::tls::Client;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use portcullis_core::authenticate::{Form, KeySet, Unauthenticated};
use serde::Deserialize;
use std::time::Duration;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const SIGNED: HeaderValue = HeaderValue::from_static("application/token-introspection+jwt");
/// How long one document may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take to say something about a token: somebody waits.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an issuer has not said what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error(transparent)]
    Unsent(#[from] egress::NoAnswer),
    #[error("answered with status {0}")]
    Status(u16),
    #[error("answer too large or broken")]
    Broken,
    #[error("no metadata that names this issuer")]
    Metadata,
    /// It is another's; which, nobody has verified.
    #[error("no metadata that names this issuer")]
    Named(String),
    #[error("its metadata names no acceptable URL")]
    Url,
    #[error("no usable keys")]
    Keys,
    #[error("a secret that it needs could not be read in time")]
    Secret,
    #[error("not a signed introspection response: {0}")]
    Unsigned(Unauthenticated),
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
    introspection_endpoint: Option<String>,
}

/// An issuer, and how it is reached.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) issuer: &'a str,
    pub(super) tls: Option<&'a Client>,
    pub(super) egress: &'a Egress,
}

impl Way<'_> {
    /// Its keys, from where the operator says, else from where its metadata does.
    pub(super) async fn keys(&self, jwks: Option<&HttpUrl>) -> Result<KeySet, NoAnswer> {
        let site = match jwks {
            Some(url) => Site::Written(url.clone()),
            None => self.named(self.discover().await?.jwks_uri)?,
        };
        KeySet::parse(&self.get(&site).await?).map_err(|_| NoAnswer::Keys)
    }

    /// Where the issuer's metadata says that it is asked about tokens.
    pub(super) async fn introspection(&self) -> Result<Site, NoAnswer> {
        self.named(self.discover().await?.introspection_endpoint)
    }

    fn named(&self, url: Option<String>) -> Result<Site, NoAnswer> {
        let own = HttpUrl::parse(self.issuer).map_err(|_| NoAnswer::Url)?;
        Ok(Site::named(&url.ok_or(NoAnswer::Url)?, &own)?)
    }

    /// RFC 8414 section 3.1 and OpenID Connect Discovery, in the order of the MCP specification.
    async fn discover(&self) -> Result<Metadata, NoAnswer> {
        let base = HttpUrl::parse(self.issuer).map_err(|_| NoAnswer::Url)?;
        let (origin, path) = (base.origin(), base.path().trim_end_matches('/').to_owned());
        let mut last = NoAnswer::Metadata;
        for url in [
            format!("{origin}/.well-known/oauth-authorization-server{path}"),
            format!("{origin}/.well-known/openid-configuration{path}"),
            format!("{origin}{path}/.well-known/openid-configuration"),
        ] {
            let url = HttpUrl::parse(&url).map_err(|_| NoAnswer::Url)?;
            let document = match self.get(&Site::Written(url)).await {
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
            if metadata.issuer != self.issuer {
                return Err(NoAnswer::Named(metadata.issuer));
            }
            return Ok(metadata);
        }
        Err(last)
    }

    async fn get(&self, site: &Site) -> Result<Bytes, NoAnswer> {
        let request = Request::new(Full::default());
        self.send(site, request, TIMEOUT).await
    }

    /// Sends a question about a token, with the credentials of a client.
    pub(super) async fn ask(
        &self,
        site: &Site,
        credentials: &HeaderValue,
        (question, answer): (Bytes, &Form),
    ) -> Result<Bytes, NoAnswer> {
        let mut request = Request::new(Full::new(question));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, credentials.clone());
        headers.insert(CONTENT_TYPE, FORM);
        match answer {
            Form::Plain => {}
            Form::Signed { .. } => {
                headers.insert(ACCEPT, SIGNED);
            }
        }
        self.send(site, request, POST_TIMEOUT).await
    }

    async fn send(
        &self,
        site: &Site,
        request: Request<Full<Bytes>>,
        within: Duration,
    ) -> Result<Bytes, NoAnswer> {
        let answer = self.egress.send(site, self.tls, request, within).await?;
        if answer.status != StatusCode::OK {
            return Err(NoAnswer::Status(answer.status.as_u16()));
        }
        Ok(answer.body)
    }
}
