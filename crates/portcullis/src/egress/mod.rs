//! The one way out to where a peer sends us: read strictly, looked up once, held against the special ranges, pinned.
//!
//! What the operator wrote is connected to as it is; what a peer named only after the core has admitted every address
//! of it, and then to these addresses. Redirects are followed nowhere.

mod resolve;

use crate::config::{self, HttpUrl};
use crate::record::note;
use crate::tls::Client;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::HeaderMap;
use hyper::client::conn::http1::Builder;
use hyper::header::{ACCEPT, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use portcullis_audit::{Record, Recorder};
use portcullis_core::egress::{Allowance, Denied, Host, Target, admit, for_browsers};
use resolve::Resolver;
use rustls::pki_types::ServerName;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The largest document that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Headers of an answer, and the bytes of all of them.
const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How many of the addresses of a name are tried, and how long each.
const MAX_TRIED: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Where peers may send us, and who is asked what a name means.
#[derive(Debug)]
pub(crate) struct Egress {
    allow: Allowance,
    resolver: Resolver,
}

/// Where a request goes, and on whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Site {
    /// The operator wrote it.
    Written(HttpUrl),
    /// A peer named it.
    Named(Target),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// It is where no peer may send us; the host is for the audit log.
    #[error("not an acceptable place: {why}")]
    Denied { why: Denied, host: String },
    #[error("cannot be reached")]
    Unreachable,
    #[error("did not answer in time")]
    Timeout,
    #[error("answer too large or broken")]
    Broken,
    #[error("no TLS for an https URL")]
    Tls,
}

impl NoAnswer {
    /// For the audit record.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Denied { why, .. } => why.reason(),
            Self::Unreachable | Self::Timeout | Self::Broken | Self::Tls => "unreachable",
        }
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Site {
    /// What a peer named. A place at the origin that the operator wrote is still the operator's word.
    ///
    /// # Errors
    /// [`NoAnswer::Denied`].
    pub(crate) fn named(text: &str, written: &HttpUrl) -> Result<Self, NoAnswer> {
        let target = Target::parse(text).map_err(|why| NoAnswer::Denied {
            why,
            host: String::new(),
        })?;
        if target.origin() == written.origin()
            && let Ok(url) = HttpUrl::parse(text)
        {
            return Ok(Self::Written(url));
        }
        Ok(Self::Named(target))
    }

    /// Host, and port unless it is the scheme's own.
    pub(crate) fn authority(&self) -> String {
        match self {
            Self::Written(url) => url.authority(),
            Self::Named(target) => target.authority(),
        }
    }

    fn host(&self) -> String {
        let host = match self {
            Self::Written(url) => url.host().to_owned(),
            Self::Named(target) => target.host().to_string(),
        };
        host.trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned()
    }

    fn path(&self) -> String {
        match self {
            Self::Written(url) => url.query().map_or_else(
                || url.path().to_owned(),
                |query| format!("{}?{query}", url.path()),
            ),
            Self::Named(target) => target.path().to_owned(),
        }
    }

    const fn is_https(&self) -> bool {
        match self {
            Self::Written(url) => url.is_https(),
            Self::Named(target) => target.is_https(),
        }
    }
}

impl Egress {
    pub(crate) fn new(egress: &config::Egress) -> Self {
        Self {
            allow: egress.allow.clone(),
            resolver: egress.resolver.map_or(Resolver::System, Resolver::Server),
        }
    }

    /// For what the operator wrote alone.
    pub(crate) fn to_written() -> Self {
        Self {
            allow: Allowance::default(),
            resolver: Resolver::System,
        }
    }

    /// Sends one request and reads the whole answer, whatever its status, within this time.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub(crate) async fn send(
        &self,
        site: &Site,
        tls: Option<&Client>,
        request: Request<Full<Bytes>>,
        within: Duration,
    ) -> Result<Answer, NoAnswer> {
        if !site.is_https() && tls.is_some_and(Client::is_pinned) {
            return Err(NoAnswer::Tls); // no key would be shown there
        }
        timeout(within, async {
            let stream = self.connect(site).await?;
            if !site.is_https() {
                return exchange(stream, site, request).await;
            }
            let name = ServerName::try_from(site.host()).map_err(|_| NoAnswer::Tls)?;
            let stream = tls.ok_or(NoAnswer::Tls)?.connect(name, stream).await;
            exchange(stream.map_err(|_| NoAnswer::Unreachable)?, site, request).await
        })
        .await
        .map_err(|_| NoAnswer::Timeout)?
    }

    /// Whether somebody's browser may be sent there.
    ///
    /// # Errors
    /// [`Denied`].
    pub(crate) fn for_browsers(&self, site: &Site) -> Result<(), Denied> {
        match site {
            Site::Written(_) => Ok(()),
            Site::Named(target) => for_browsers(target, &self.allow),
        }
    }

    async fn connect(&self, site: &Site) -> Result<TcpStream, NoAnswer> {
        match site {
            Site::Written(url) => TcpStream::connect((site.host(), url.port()))
                .await
                .map_err(|_| NoAnswer::Unreachable),
            Site::Named(target) => self.pinned(target).await,
        }
    }

    /// Looks a name up once, and connects to what was admitted.
    async fn pinned(&self, target: &Target) -> Result<TcpStream, NoAnswer> {
        let answers: Vec<IpAddr> = match target.host() {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.resolver.look_up(name).await?,
        };
        let pinned = admit(target, &answers, &self.allow).map_err(|why| NoAnswer::Denied {
            why,
            host: target.host().to_string(),
        })?;
        for address in pinned.addresses().iter().take(MAX_TRIED) {
            let connecting = TcpStream::connect((*address, pinned.port()));
            if let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, connecting).await {
                return Ok(stream);
            }
        }
        Err(NoAnswer::Unreachable)
    }
}

/// Records that a peer sent us where none may; `by` names the peer.
pub(crate) fn note_denied(recorder: &Recorder, by: &str, host: &str, why: Denied) {
    let mut record = Record::new("egress.denied");
    record.reason = Some(why.reason().into());
    record.detail.set("by", by);
    if !host.is_empty() {
        record.detail.set("host", host);
    }
    if let Some(class) = why.class() {
        record.detail.set("class", class.name());
    }
    note(recorder, record);
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    site: &Site,
    mut request: Request<Full<Bytes>>,
) -> Result<Answer, NoAnswer> {
    let (mut sender, connection) = Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| NoAnswer::Unreachable)?;
    *request.uri_mut() = site.path().parse().map_err(|_| NoAnswer::Broken)?;
    let host = HeaderValue::from_str(&site.authority()).map_err(|_| NoAnswer::Broken)?;
    request.headers_mut().insert(HOST, host);
    request
        .headers_mut()
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static("application/json"));
    let answer = async {
        let sent = sender.send_request(request).await;
        let (head, body) = sent.map_err(|_| NoAnswer::Unreachable)?.into_parts();
        let whole = Limited::new(body, MAX_BYTES).collect().await;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: whole.map_err(|_| NoAnswer::Broken)?.to_bytes(),
        })
    };
    // A peer may close after its answer: the connection is driven, but its end decides nothing.
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, answer)) => answer.await,
    }
}
