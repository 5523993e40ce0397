//! TLS 1.3, and nothing older, on every connection that is not loopback.

mod client;
mod pinned;
mod refused;
mod validity;
mod expiry;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use std::io;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

pub(crate) use client::{Client, Peer};
pub(crate) use expiry::{End, Expiries, Expiry, Kind, expiries};
pub(crate) use validity::validity;

/// Why no TLS can be spoken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadTls {
    /// No certificate, or one that cannot be read.
    #[error("no usable certificate in the PEM text")]
    Certificate,
    /// No private key, or one that does not fit the certificate.
    #[error("no usable private key in the PEM text")]
    Key,
    /// The machine has no trust roots, and the configuration names none.
    #[error("no trust roots: install the system's CA certificates, or set `ca`")]
    NoRoots,
    /// Revocation lists that cannot be read.
    #[error("no usable revocation list in the PEM text")]
    Lists,
    /// The TLS library refuses.
    #[error("tls configuration refused")]
    Refused(#[source] rustls::Error),
}

/// For our own listener.
pub(crate) fn acceptor(shown: &Arc<Shown>) -> TlsAcceptor {
    let resolver: Arc<Shown> = Arc::clone(shown);
    let mut config = ServerConfig::builder_with_protocol_versions(&[&version::TLS13])
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Why a client's handshake was refused; none if the client only went away.
pub(crate) fn refusal(error: &io::Error) -> Option<&'static str> {
    refused::said(error).map(refused::reason)
}

/// The certificate that every new connection is shown.
#[derive(Debug)]
pub(crate) struct Shown(ArcSwap<CertifiedKey>);

impl Shown {
    pub(crate) fn new(certified: Arc<CertifiedKey>) -> Self {
        Self(ArcSwap::new(certified))
    }

    /// Shows this one from now on; says whether it is another one.
    pub(crate) fn replace(&self, certified: &Arc<CertifiedKey>) -> bool {
        let before = self.0.swap(Arc::clone(certified));
        before.cert != certified.cert
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// A chain with its key, which must be that of its first certificate.
pub(crate) fn certified(certificate: &str, key: &str) -> Result<Arc<CertifiedKey>, BadTls> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| BadTls::Key)?;
    let builder = ServerConfig::builder_with_protocol_versions(&[&version::TLS13]);
    let certified = CertifiedKey::from_der(chain, key, builder.crypto_provider());
    Ok(Arc::new(certified.map_err(|_| BadTls::Key)?))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, BadTls> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.ok()
        .filter(|chain| !chain.is_empty())
        .ok_or(BadTls::Certificate)
}
