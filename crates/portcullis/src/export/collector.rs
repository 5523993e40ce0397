//! One collector over OTLP/HTTP: a request a connection, in bounded time, with a bounded answer.

use crate::config::{Collector, Trust};
use crate::telemetry::Exported;
use crate::tls::{BadTls, Client, Peer};
use crate::upstream::Report;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The collector has it.
    Taken,
    /// It will not take this.
    Refused,
    /// It may take it later.
    NotNow,
}

/// The way to the collector of one signal.
pub(super) struct Sender {
    signal: &'static str,
    collector: Collector,
    tls: Option<Client>,
    counted: Exported,
    /// Whether the last request failed: only a change is told.
    is_failing: AtomicBool,
}

/// Why nothing can be exported as it is wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadCollector {
    /// Its certificate cannot be used.
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE")]
    Tls(#[from] BadTls),
    /// There is no certificate whose key could be compared.
    #[error("`telemetry.{1}` is for a collector with an `https` URL, and that for {0} has none")]
    Plain(&'static str, &'static str),
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error("cannot be reached")]
    Unreachable,
    #[error("did not answer in time")]
    Timeout,
    #[error("answered with status {0}")]
    Status(StatusCode),
    #[error("the URL cannot be asked")]
    Url,
}

impl NotSent {
    /// Whether the same may be taken later (OTLP specification, "OTLP/HTTP Response").
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable | Self::Timeout => true,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Url => false,
        }
    }
}

impl Sender {
    pub(super) fn new(
        signal: &'static str,
        collector: Collector,
        (wanted, report): (&Trust, &Report),
        counted: &Exported,
    ) -> Result<Self, BadCollector> {
        let is_https = collector.url.is_https();
        for (key, is_wanted) in [
            ("crl", wanted.crl.is_some()),
            ("ocsp", wanted.staple.is_some()),
            ("pins", wanted.pins.is_some()),
        ] {
            if is_wanted && !is_https {
                return Err(BadCollector::Plain(signal, key));
            }
        }
        let trust = Trust {
            ca: collector.certificate.clone(),
            crl: wanted.crl.clone(),
            staple: wanted.staple,
            pins: wanted.pins.clone(),
            client: None,
        };
        let tls = is_https.then(|| Client::new(&trust, Peer::Collector(signal), report));
        Ok(Self {
            signal,
            tls: tls.transpose()?,
            collector,
            counted: counted.clone(),
            is_failing: AtomicBool::new(false),
        })
    }

    /// Sends a message.
    pub(super) async fn send(&self, body: &Bytes) -> Sent {
        let sent = timeout(self.collector.timeout, self.exchange(body.clone())).await;
        let failed = sent.unwrap_or(Err(NotSent::Timeout)).err();
        let was_failing = self.is_failing.swap(failed.is_some(), Ordering::Relaxed);
        let signal = self.signal;
        let Some(failed) = failed else {
            self.counted.request(signal, "accepted");
            if was_failing {
                tracing::info!(signal, "the collector takes telemetry again");
            }
            return Sent::Taken;
        };
        self.counted.request(signal, "failed");
        if !was_failing {
            let collector = self.collector.url.origin();
            tracing::warn!(signal, collector, error = %failed, "the collector does not take telemetry");
        }
        if failed.is_passing() {
            Sent::NotNow
        } else {
            Sent::Refused
        }
    }

    async fn exchange(&self, body: Bytes) -> Result<(), NotSent> {
        let url = &self.collector.url;
        let host = url.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, url.port()))
            .await
            .map_err(|_| NotSent::Unreachable)?;
        let Some(tls) = &self.tls else {
            return self.post(stream, body).await;
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| NotSent::Url)?;
        let stream = tls.connect(name, stream).await;
        self.post(stream.map_err(|_| NotSent::Unreachable)?, body)
            .await
    }

    async fn post(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        body: Bytes,
    ) -> Result<(), NotSent> {
        let (mut sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|_| NotSent::Unreachable)?;
        let request = self.request(body).ok_or(NotSent::Url)?;
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|_| NotSent::Unreachable)?;
            let status = response.status();
            let whole = Limited::new(response.into_body(), MAX_ANSWER).collect();
            if whole.await.is_err() {
                tracing::debug!("the collector's answer was too large, or broke off");
            }
            if status.is_success() {
                Ok(())
            } else {
                Err(NotSent::Status(status))
            }
        };
        // A collector may close after its answer: the connection is driven, but its end decides nothing.
        match select(pin!(answer), pin!(connection)).await {
            Either::Left((answer, _)) => answer,
            Either::Right((_, answer)) => answer.await,
        }
    }

    fn request(&self, body: Bytes) -> Option<Request<Full<Bytes>>> {
        let url = &self.collector.url;
        let path = url.query().map_or_else(
            || url.path().to_owned(),
            |query| format!("{}?{query}", url.path()),
        );
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().ok()?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&url.authority()).ok()?);
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"))),
        );
        for (name, value) in &self.collector.headers {
            headers.append(name.clone(), value.clone());
        }
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        Some(request)
    }
}
