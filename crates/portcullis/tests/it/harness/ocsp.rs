//! What an authority says of certificates, and who signs that.

use super::pki::{Authority, Identity};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rcgen::SigningKey as _;
use std::time::Duration;
use x509_cert::Certificate;
use x509_cert::der::asn1::{BitString, GeneralizedTime, Null, ObjectIdentifier, OctetString};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspResponse, ResponderId,
    ResponseData, RevokedInfo, SingleResponse, Version,
};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Status {
    Good,
    Revoked,
    Unknown,
}

/// What is said of a certificate, and from when until when.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) of: &'a Identity,
    pub(crate) status: Status,
    pub(crate) from: u64,
    pub(crate) until: Option<u64>,
}

fn time(second: u64) -> OcspGeneralizedTime {
    let time = GeneralizedTime::from_unix_duration(Duration::from_secs(second));
    OcspGeneralizedTime(time.unwrap())
}

fn octets(bytes: &[u8]) -> OctetString {
    OctetString::new(bytes).unwrap()
}

impl Authority {
    /// Its response, signed by itself or by whoever has this certificate.
    pub(crate) fn says(&self, all: &[Said<'_>], responder: Option<&Identity>) -> Vec<u8> {
        let own = Certificate::from_der(&self.certificate()).unwrap();
        let own = own.tbs_certificate;
        let hash = |bytes: &[u8]| octets(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
        let key = own.subject_public_key_info.subject_public_key;
        let responses = all.iter().map(|said| SingleResponse {
            cert_id: CertId {
                hash_algorithm: AlgorithmIdentifierOwned {
                    oid: ObjectIdentifier::new_unwrap("1.3.14.3.2.26"),
                    parameters: Some(Null.into()),
                },
                issuer_name_hash: hash(&own.subject.to_der().unwrap()),
                issuer_key_hash: hash(key.raw_bytes()),
                serial_number: Certificate::from_der(&said.of.chain[0])
                    .unwrap()
                    .tbs_certificate
                    .serial_number,
            },
            cert_status: match said.status {
                Status::Good => CertStatus::good(),
                Status::Unknown => CertStatus::unknown(),
                Status::Revoked => CertStatus::revoked(RevokedInfo {
                    revocation_time: time(said.from),
                    revocation_reason: None,
                }),
            },
            this_update: time(said.from),
            next_update: said.until.map(time),
            single_extensions: None,
        });
        let data = ResponseData {
            version: Version::V1,
            responder_id: ResponderId::ByKey(hash(key.raw_bytes())),
            produced_at: time(all[0].from),
            responses: responses.collect(),
            response_extensions: None,
        };
        let signed = data.to_der().unwrap();
        let signature =
            responder.map_or_else(|| self.sign(&signed), |responder| responder.sign(&signed));
        let certs =
            responder.map(|responder| vec![Certificate::from_der(&responder.chain[0]).unwrap()]);
        let basic = BasicOcspResponse {
            tbs_response_data: data,
            signature_algorithm: AlgorithmIdentifierOwned {
                oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
                parameters: None,
            },
            signature: BitString::from_bytes(&signature).unwrap(),
            certs,
        };
        OcspResponse::successful(basic).unwrap().to_der().unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key().sign(message).unwrap()
    }
}

impl Identity {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key().sign(message).unwrap()
    }
}
