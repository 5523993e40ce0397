//! What is asked of a server's certificate after the usual validation has said yes, never instead of it.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::fmt::Debug;
use std::sync::Arc;

/// What a server has shown.
pub(super) struct Shown<'a> {
    pub(super) certificate: &'a CertificateDer<'a>,
    /// Certificates beside it, which may have nothing to do with it.
    pub(super) others: &'a [CertificateDer<'a>],
    /// What its authority says of it; empty if nothing.
    pub(super) response: &'a [u8],
}

/// One more question.
pub(super) trait Asks: Debug + Send + Sync {
    /// Whether the answer is good.
    fn check(&self, shown: &Shown<'_>, now: UnixTime) -> Result<(), Error>;
}

/// All that is asked within, and then one thing more.
#[derive(Debug)]
pub(super) struct Beyond<A> {
    pub(super) within: Arc<dyn ServerCertVerifier>,
    pub(super) asks: A,
}

impl<A: Asks> ServerCertVerifier for Beyond<A> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.within.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        let shown = Shown {
            certificate: end_entity,
            others: intermediates,
            response: ocsp_response,
        };
        self.asks.check(&shown, now)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.within
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.within
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.within.supported_verify_schemes()
    }
}
