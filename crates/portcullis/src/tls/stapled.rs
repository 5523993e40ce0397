//! Is the certificate still good? What its authority has said of it, as the peer shows it in the handshake (RFC 6960, RFC 6066
//! section 8).

use super::beyond::{Asks, Shown};
use super::pinned::sequence;
use crate::config::Staple;
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage, RawPublicKeyEntity, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::der::asn1::{BitString, ObjectIdentifier};
use x509_cert::der::{Decode, Encode, Header, Reader, SliceReader};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoRef};
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspResponse, OcspResponseStatus,
    ResponseData, SingleResponse,
};

/// `id-kp-OCSPSigning` (RFC 6960 section 4.2.2.2), as its content in DER.
const SIGNS_RESPONSES: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// The extension by which a certificate says what a server that shows it must do (RFC 7633).
const FEATURES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.24");
/// `status_request`: that a response is shown.
const STATUS: u16 = 5;
/// How far the clock of an authority may be ahead, in seconds.
const AHEAD: u64 = 300;
/// The hashes by which a response may name a certificate. They are looked up by, and trusted in nothing.
const HASHES: [(ObjectIdentifier, &Algorithm); 4] = [
    (
        ObjectIdentifier::new_unwrap("1.3.14.3.2.26"),
        &SHA1_FOR_LEGACY_USE_ONLY,
    ),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
        &SHA256,
    ),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"),
        &SHA384,
    ),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"),
        &SHA512,
    ),
];

/// Whether its authority must have said something, and who that is.
#[derive(Debug)]
pub(super) struct Stapled {
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) roots: Arc<RootCertStore>,
    pub(super) staple: Staple,
}

/// A response as it was signed.
struct Response {
    /// What is signed, byte for byte.
    signed: Vec<u8>,
    data: ResponseData,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
    certificates: Vec<Certificate>,
}

impl Asks for Stapled {
    fn check(&self, shown: &Shown<'_>, now: UnixTime) -> Result<(), Error> {
        self.expect_good(shown, now)
            .map_err(Error::InvalidCertificate)
    }
}

impl Stapled {
    fn expect_good(&self, shown: &Shown<'_>, now: UnixTime) -> Result<(), CertificateError> {
        let (certificate, others) = (shown.certificate, shown.others);
        let response = shown.response;
        if response.is_empty() {
            let is_needed = self.staple == Staple::Required || must_staple(certificate);
            let unknown = CertificateError::UnknownRevocationStatus;
            return if is_needed { Err(unknown) } else { Ok(()) };
        }
        let bad = CertificateError::InvalidOcspResponse;
        let response = Response::read(response).ok_or(bad.clone())?;
        let leaf = EndEntityCert::try_from(certificate).map_err(|_| bad.clone())?;
        let algorithms = self.algorithms.all;
        let (roots, usage) = (&self.roots.roots, KeyUsage::server_auth());
        let path = leaf.verify_for_usage(algorithms, roots, others, now, usage, None, None);
        let path = path.map_err(|_| bad.clone())?;
        let issuer = match path.intermediate_certificates().next() {
            None => path.anchor().clone(),
            Some(between) => anchor_from_trusted_cert(&between.der())
                .map_err(|_| bad.clone())?
                .to_owned(),
        };
        let key = path.issuer_spki();
        let is_signed = self.is_signed(&response, (&key, issuer), now);
        is_signed.then_some(()).ok_or(bad.clone())?;
        let parsed = Certificate::from_der(certificate).map_err(|_| bad.clone())?;
        let serial = &parsed.tbs_certificate.serial_number;
        let said = response.of((leaf.issuer(), serial), &key).ok_or(bad)?;
        judge(&said, now.as_secs())
    }

    /// Whether the authority has signed this, or somebody whom it has certified for just that.
    fn is_signed(
        &self,
        response: &Response,
        (key, issuer): (&SubjectPublicKeyInfoDer<'_>, TrustAnchor<'_>),
        now: UnixTime,
    ) -> bool {
        let Ok(written) = response.algorithm.to_der() else {
            return false;
        };
        let algorithms = self.algorithms.all.iter();
        let algorithms = algorithms.filter(|own| sequence(&own.signature_alg_id()) == written);
        let verifies = |key: &SubjectPublicKeyInfoDer<'_>| {
            let Ok(key) = RawPublicKeyEntity::try_from(key) else {
                return false;
            };
            let signature = response.signature.raw_bytes();
            let mut all = algorithms.clone();
            all.any(|own| {
                key.verify_signature(*own, &response.signed, signature)
                    .is_ok()
            })
        };
        if verifies(key) {
            return true;
        }
        let anchors = [issuer];
        response.certificates.iter().any(|signer| {
            let Ok(signer) = signer.to_der().map(CertificateDer::from) else {
                return false;
            };
            let Ok(signer) = EndEntityCert::try_from(&signer) else {
                return false;
            };
            let usage = KeyUsage::required(SIGNS_RESPONSES);
            let all = self.algorithms.all;
            let is_named = signer.verify_for_usage(all, &anchors, &[], now, usage, None, None);
            is_named.is_ok() && verifies(&signer.subject_public_key_info())
        })
    }
}

impl Response {
    fn read(bytes: &[u8]) -> Option<Self> {
        let outer = OcspResponse::from_der(bytes).ok()?;
        let inner = outer.response_bytes?;
        if outer.response_status != OcspResponseStatus::Successful || inner.response_type != BASIC {
            return None;
        }
        let basic = inner.response.as_bytes();
        let mut reader = SliceReader::new(basic).ok()?;
        Header::decode(&mut reader).ok()?;
        let signed = reader.tlv_bytes().ok()?.to_vec();
        let basic = BasicOcspResponse::from_der(basic).ok()?;
        Some(Self {
            data: ResponseData::from_der(&signed).ok()?,
            signed,
            algorithm: basic.signature_algorithm,
            signature: basic.signature,
            certificates: basic.certs.unwrap_or_default(),
        })
    }

    /// All that it says of this certificate of this authority; nothing, if it says what we do not understand.
    fn of(
        &self,
        (issuer, serial): (&[u8], &SerialNumber),
        key: &SubjectPublicKeyInfoDer<'_>,
    ) -> Option<Vec<&SingleResponse>> {
        let name = sequence(issuer);
        let key = SubjectPublicKeyInfoRef::from_der(key).ok()?;
        let key = key.subject_public_key.raw_bytes();
        let is_meant = |id: &CertId| {
            let hash = HASHES.iter().find(|(oid, _)| *oid == id.hash_algorithm.oid);
            hash.is_some_and(|(_, hash)| {
                id.serial_number == *serial
                    && id.issuer_name_hash.as_bytes() == digest(hash, &name).as_ref()
                    && id.issuer_key_hash.as_bytes() == digest(hash, key).as_ref()
            })
        };
        let said = self.data.responses.iter();
        let said: Vec<_> = said.filter(|said| is_meant(&said.cert_id)).collect();
        let own = said
            .iter()
            .filter_map(|said| said.single_extensions.as_ref());
        let mut extensions = self.data.response_extensions.iter().chain(own).flatten();
        // We know no extension; one that nobody may pass over says something else than we read.
        let is_clear = !extensions.any(|extension| extension.critical);
        is_clear.then_some(said)
    }
}

/// Good now, by all that is said of it.
fn judge(said: &[&SingleResponse], now: u64) -> Result<(), CertificateError> {
    let is_revoked = |said: &&SingleResponse| matches!(said.cert_status, CertStatus::Revoked(_));
    if said.iter().any(is_revoked) {
        return Err(CertificateError::Revoked);
    }
    let is_good = |said: &&SingleResponse| {
        let from = seconds(said.this_update);
        let until = said.next_update.map(seconds);
        matches!(said.cert_status, CertStatus::Good(_))
            && from <= now.saturating_add(AHEAD)
            && until.is_some_and(|until| now < until)
    };
    if said.is_empty() || !said.iter().all(is_good) {
        return Err(CertificateError::UnknownRevocationStatus);
    }
    Ok(())
}

fn seconds(time: OcspGeneralizedTime) -> u64 {
    time.0.to_unix_duration().as_secs()
}

/// Whether the certificate says that it counts with a response only. One that cannot be read is taken to say so.
fn must_staple(certificate: &CertificateDer<'_>) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return true;
    };
    let extensions = certificate.tbs_certificate.extensions.unwrap_or_default();
    let features = extensions.iter().filter(|own| own.extn_id == FEATURES);
    features
        .map(|features| Vec::<u16>::from_der(features.extn_value.as_bytes()))
        .any(|features| features.is_ok_and(|features| features.contains(&STATUS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::beyond::Beyond;
    use crate::tls::certificates;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::ServerName;
    use std::time::Duration;

    const CA: &str = include_str!("../../tests/it/tls/ocsp-ca.pem");
    const CERTIFICATE: &str = include_str!("../../tests/it/tls/ocsp-cert.pem");
    const GOOD: &[u8] = include_bytes!("../../tests/it/tls/ocsp-good.der");
    const REVOKED: &[u8] = include_bytes!("../../tests/it/tls/ocsp-revoked.der");
    /// When OpenSSL has said that.
    const THEN: u64 = 1_795_993_472;
    const DAY: u64 = 86_400;

    fn says(response: &[u8], second: u64) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(certificates(CA).unwrap().remove(0)).unwrap();
        let (roots, provider) = (Arc::new(roots), default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let standard =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::new(provider));
        let stapled = Beyond {
            within: standard.build().unwrap(),
            asks: Stapled {
                algorithms,
                roots,
                staple: Staple::Checked,
            },
        };
        let certificate = certificates(CERTIFICATE).unwrap().remove(0);
        let name = ServerName::try_from("localhost").unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(second));
        let verified = stapled.verify_server_cert(&certificate, &[], &name, response, now);
        verified.map(drop)
    }

    #[test]
    fn lp_07_what_openssl_says_of_a_certificate_is_believed() {
        assert_eq!(says(GOOD, THEN), Ok(()));
        assert_eq!(says(GOOD, THEN + 30 * DAY - 1), Ok(()));
        for (response, second, why) in [
            (REVOKED, THEN, CertificateError::Revoked),
            (&[], THEN, CertificateError::UnknownRevocationStatus),
            (
                GOOD,
                THEN + 30 * DAY,
                CertificateError::UnknownRevocationStatus,
            ),
        ] {
            let refused = Err(Error::InvalidCertificate(why));
            assert_eq!(says(response, second), refused);
        }
    }

    #[test]
    fn lp_07_no_byte_of_a_response_may_be_another() {
        for (at, byte) in GOOD.iter().enumerate() {
            let mut other = GOOD.to_vec();
            other[at] = byte ^ 1;
            // What stands beside the signer's certificate is signed by nobody, and changes nothing.
            let is_refused = says(&other, THEN).is_err();
            let parsed = Response::read(&other);
            let same = parsed.is_some_and(|parsed| {
                let own = Response::read(GOOD).unwrap();
                parsed.signed == own.signed && parsed.certificates == own.certificates
            });
            assert!(is_refused || same, "{at}");
        }
    }
}
