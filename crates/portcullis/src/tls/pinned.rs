//! Is it the key that was pinned?

use super::beyond::{Asks, Shown};
use crate::config::{Pin, Pins};
use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::UnixTime;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, OtherError, RootCertStore};
use std::sync::Arc;

/// A chain without any of the keys that were pinned (RFC 7469 section 2.6).
#[derive(Debug, thiserror::Error)]
#[error("no key of the chain is pinned")]
pub(super) struct NotPinned {
    /// The key of the certificate that was shown.
    pub(super) seen: Pin,
    /// The keys that were wanted.
    pub(super) expected: Pins,
}

/// The keys of which the chain must have one.
#[derive(Debug)]
pub(super) struct Pinned {
    algorithms: WebPkiSupportedAlgorithms,
    pins: Pins,
    /// The trusted roots whose keys are pinned.
    roots: RootCertStore,
}

impl Pinned {
    pub(super) fn new(
        trusted: &RootCertStore,
        algorithms: WebPkiSupportedAlgorithms,
        pins: Pins,
    ) -> Self {
        let is_pinned = |key: &[u8]| pins.keys.contains(&Pin(sha256(&sequence(key))));
        let roots = trusted.roots.iter();
        let roots = roots.filter(|root| is_pinned(root.subject_public_key_info.as_ref()));
        Self {
            algorithms,
            roots: roots.cloned().collect(),
            pins,
        }
    }
}

impl Asks for Pinned {
    /// Whether the certificate has a pinned key, or one has signed it by way of this chain.
    ///
    /// What a server sends beside its certificate may have nothing to do with it. A pinned key among it counts only
    /// if it leads to the certificate: it is made the one thing that is trusted, and the chain is validated again.
    fn check(&self, shown: &Shown<'_>, now: UnixTime) -> Result<(), Error> {
        let (certificate, others) = (shown.certificate, shown.others);
        let leaf = ParsedCertificate::try_from(certificate)?;
        let seen = Pin(sha256(leaf.subject_public_key_info().as_ref()));
        if self.pins.keys.contains(&seen) {
            return Ok(());
        }
        let mut anchors = self.roots.clone();
        for other in others {
            let Ok(parsed) = ParsedCertificate::try_from(other) else {
                continue;
            };
            let key = Pin(sha256(parsed.subject_public_key_info().as_ref()));
            if self.pins.keys.contains(&key) {
                anchors.add_parsable_certificates([other.clone()]);
            }
        }
        let signed = verify_server_cert_signed_by_trust_anchor(
            &leaf,
            &anchors,
            others,
            now,
            self.algorithms.all,
        );
        signed.map_err(|_| {
            let expected = self.pins.clone();
            let why = OtherError(Arc::new(NotPinned { seen, expected }));
            Error::InvalidCertificate(CertificateError::Other(why))
        })
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// A DER `SEQUENCE` of this content, which is how a trust anchor keeps its key.
pub(super) fn sequence(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut der = vec![0x30];
    match (content.len(), u8::try_from(digits.len())) {
        (0..=0x7f, _) => der.extend(digits.last().copied().or(Some(0))),
        (_, Ok(count)) => {
            der.push(0x80 | count);
            der.extend(digits);
        }
        (_, Err(_)) => {}
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::sequence;

    #[test]
    fn a_sequence_says_its_length() {
        assert_eq!(sequence(&[]), [0x30, 0]);
        assert_eq!(sequence(&[7]), [0x30, 1, 7]);
        assert_eq!(sequence(&[7; 0x7f])[..3], [0x30, 0x7f, 7]);
        assert_eq!(sequence(&[7; 0x80])[..4], [0x30, 0x81, 0x80, 7]);
        assert_eq!(sequence(&[7; 0x100])[..5], [0x30, 0x82, 1, 0, 7]);
    }
}
