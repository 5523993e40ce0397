//! Why a handshake came to nothing, in the words of the audit log.

use super::pinned::NotPinned;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use std::error::Error as _;
use std::io;

/// What the TLS library said, if it was the one that said no.
pub(super) fn said(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// The pins that were missed.
pub(super) fn missed(error: &Error) -> Option<&NotPinned> {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return None;
    };
    other
        .0
        .downcast_ref()
        .or_else(|| other.source()?.downcast_ref())
}

/// One stable word for each reason.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library has many, and will have more; a word is all that depends on it"
)]
pub(crate) fn reason(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(why) => certificate(why),
        Error::PeerIncompatible(why) => incompatible(why),
        Error::AlertReceived(alert) => told(*alert),
        Error::InvalidMessage(_) | Error::PeerSentOversizedRecord => "not_tls",
        Error::NoCertificatesPresented => "no_certificate",
        _ => "handshake",
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library has many, and will have more; a word is all that depends on it"
)]
fn certificate(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "not_valid_yet"
        }
        CertificateError::Revoked => "revoked",
        CertificateError::UnknownRevocationStatus
        | CertificateError::InvalidOcspResponse
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => "revocation_unknown",
        CertificateError::UnknownIssuer => "unknown_issuer",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "name"
        }
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => "signature",
        _ => "certificate",
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library has many, and will have more; a word is all that depends on it"
)]
fn incompatible(why: &PeerIncompatible) -> &'static str {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => "version",
        _ => "incompatible",
    }
}

/// What the other side said no with (RFC 8446 section 6.2).
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library has many, and will have more; a word is all that depends on it"
)]
fn told(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::ProtocolVersion => "version",
        AlertDescription::CertificateRequired
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => "own_certificate",
        _ => "handshake",
    }
}
