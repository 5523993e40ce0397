//! TLS 1.3, and nothing older, on every connection that is not loopback.

mod certificate;
mod listener;
mod client;
mod beyond;
mod pinned;
mod stapled;
mod refused;
mod validity;
mod expiry;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use std::io;
use std::sync::Arc;

pub(crate) use certificate::{Answering, Shown};
pub(crate) use client::{Client, Peer};
pub(crate) use expiry::{End, Expiries, Expiry, Kind, expiries};
pub(crate) use listener::{Door, Facing, Presented, is_validation, presented};
pub(crate) use validity::validity;

/// The protocol by which an ACME server looks whether a name is ours (RFC 8737 section 6.2).
const VALIDATION: &[u8] = b"acme-tls/1";

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
    /// No authority of clients, or one that cannot be read.
    #[error("no usable certificate in the PEM text of `gateway.tls.client_ca`")]
    Clients,
    /// Revocation lists that cannot be read.
    #[error("no usable revocation list in the PEM text")]
    Lists,
    /// The TLS library refuses.
    #[error("tls configuration refused")]
    Refused(#[source] rustls::Error),
}

/// Why a client's handshake was refused; none if the client only went away.
pub(crate) fn refusal(error: &io::Error) -> Option<&'static str> {
    refused::said(error).map(refused::reason)
}

/// A chain with its key, which must be that of its first certificate.
pub(crate) fn certified(certificate: &str, key: &str) -> Result<Arc<CertifiedKey>, BadTls> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| BadTls::Key)?;
    let builder = ServerConfig::builder_with_protocol_versions(&[&version::TLS13]);
    let certified = CertifiedKey::from_der(chain, key, builder.crypto_provider());
    Ok(Arc::new(certified.map_err(|_| BadTls::Key)?))
}

fn lists(pem: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, BadTls> {
    let read: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(pem.as_bytes()).collect();
    read.ok()
        .filter(|lists| !lists.is_empty())
        .ok_or(BadTls::Lists)
}

pub(crate) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, BadTls> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.ok()
        .filter(|chain| !chain.is_empty())
        .ok_or(BadTls::Certificate)
}
