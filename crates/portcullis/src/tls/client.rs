//! Connections to one peer of ours: whom they trust, and what is told when that one is not there.

use super::beyond::Beyond;
use super::pinned::{Pinned, sha256};
use super::stapled::Stapled;
use super::{BadTls, certificates, lists, refused};
use crate::clock;
use crate::config::Trust;
use crate::upstream::{Notice, Report};
use portcullis_core::time::Timestamp;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, version};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The same refusal is told once in this time.
const TOLD: Duration = Duration::from_secs(10);

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// The server of this name.
    Server(Arc<str>),
    /// The issuer of this identifier.
    Issuer(String),
    /// The collector of this signal.
    Collector(&'static str),
    /// Who keeps secrets, by name.
    Vault(String),
    /// The destination of alerts of this name.
    Alerts(String),
    /// The ACME server on this host.
    Acme(String),
}

/// The way to speak TLS to one peer.
#[derive(Clone)]
pub(crate) struct Client {
    connector: TlsConnector,
    is_pinned: bool,
    /// The hash of what it trusts.
    trusts: [u8; 32],
    witness: Arc<Witness>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.witness.peer)
    }
}

impl Client {
    /// # Errors
    /// [`BadTls`]: a root, a revocation list, or our own certificate cannot be used.
    pub(crate) fn new(trust: &Trust, peer: Peer, report: &Report) -> Result<Self, BadTls> {
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config(trust)?)),
            is_pinned: trust.pins.is_some(),
            trusts: sha256(format!("{trust:?}").as_bytes()),
            witness: Arc::new(Witness {
                peer,
                report: report.clone(),
                told: Mutex::default(),
            }),
        })
    }

    /// Whether this one trusts whom that one does.
    pub(crate) fn trusts_as(&self, other: &Self) -> bool {
        self.trusts == other.trusts
    }

    /// Whether no other way to this peer will do.
    pub(crate) const fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// As the connection and the TLS library say; what the latter refuses is told to the audit log.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: ServerName<'static>,
        stream: S,
    ) -> io::Result<Secured<S>> {
        match self.connector.connect(name, stream).await {
            Ok(stream) => Ok(Secured {
                stream,
                witness: Arc::clone(&self.witness),
            }),
            Err(error) => {
                self.witness.see(&error);
                Err(error)
            }
        }
    }
}

/// TLS 1.3, the system's roots and those of `trust`, and nothing that skips a step.
fn config(trust: &Trust) -> Result<ClientConfig, BadTls> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "a system trust root cannot be read");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(ca) = &trust.ca {
        for certificate in certificates(&ca.text)? {
            roots.add(certificate).map_err(BadTls::Refused)?;
        }
    }
    if roots.is_empty() {
        return Err(BadTls::NoRoots);
    }
    let builder = ClientConfig::builder_with_protocol_versions(&[&version::TLS13]);
    let algorithms = builder.crypto_provider().signature_verification_algorithms;
    let roots = Arc::new(roots);
    let mut standard = WebPkiServerVerifier::builder(Arc::clone(&roots));
    if let Some(crl) = &trust.crl {
        // Every certificate of a chain needs a list that is not out of date: what is not known to be good is refused.
        standard = standard
            .with_crls(lists(&crl.text)?)
            .enforce_revocation_expiration();
    }
    let standard = standard.build().map_err(|_| BadTls::Lists)?;
    let verifier: Arc<dyn ServerCertVerifier> = match &trust.pins {
        None => standard,
        Some(pins) => Arc::new(Beyond {
            within: standard,
            asks: Pinned::new(&roots, algorithms, pins.clone()),
        }),
    };
    let verifier = match trust.staple {
        None => verifier,
        Some(staple) => Arc::new(Beyond {
            within: verifier,
            asks: Stapled {
                algorithms,
                roots,
                staple,
            },
        }),
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &trust.client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let chain = certificates(&client.certificate.text)?;
            let key = PrivateKeyDer::from_pem_slice(client.key.expose().as_bytes());
            builder
                .with_client_auth_cert(chain, key.map_err(|_| BadTls::Key)?)
                .map_err(|_| BadTls::Key)?
        }
    };
    // A connection that resumes another is not shown the certificate again.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Tells the audit log.
struct Witness {
    peer: Peer,
    report: Report,
    /// What was told last, and when.
    told: Mutex<Option<(Timestamp, String)>>,
}

impl Witness {
    fn see(&self, error: &io::Error) {
        let Some(error) = refused::said(error) else {
            return;
        };
        let missed = refused::missed(error);
        let seen = missed.map(|missed| missed.seen.to_string());
        let expected = missed.map(|missed| missed.expected.to_string());
        let (event, reason) = match missed {
            Some(_) => ("tls.pin_mismatch", "pin"),
            None => ("tls.rejected", refused::reason(error)),
        };
        if !self.is_due(seen.as_deref().unwrap_or(reason)) {
            return;
        }
        tracing::warn!(peer = ?self.peer, reason, "a TLS connection was refused");
        let mut detail = Vec::new();
        let mut server = None;
        match &self.peer {
            Peer::Server(name) => server = Some(&**name),
            Peer::Issuer(issuer) => detail.push(("issuer", issuer.as_str())),
            Peer::Collector(signal) => detail.push(("collector", *signal)),
            Peer::Vault(name) => detail.push(("vault", name.as_str())),
            Peer::Alerts(name) => detail.push(("alerts", name.as_str())),
            Peer::Acme(host) => detail.push(("acme", host.as_str())),
        }
        detail.extend(seen.as_deref().map(|seen| ("seen", seen)));
        detail.extend(expected.as_deref().map(|expected| ("expected", expected)));
        self.report.tell(&Notice {
            event,
            reason,
            server,
            owner: None,
            detail: &detail,
        });
    }

    /// Whether this was not told a moment ago.
    fn is_due(&self, what: &str) -> bool {
        let now = clock::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told
            .as_ref()
            .is_none_or(|(at, last)| last != what || now.since(*at) >= TOLD);
        if is_due {
            *told = Some((now, what.to_owned()));
        }
        is_due
    }
}

/// A connection whose peer may still refuse us: what we showed is judged after our side of the handshake is over.
pub(crate) struct Secured<S> {
    stream: TlsStream<S>,
    witness: Arc<Witness>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Err(error)) = &read {
            self.witness.see(error);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
