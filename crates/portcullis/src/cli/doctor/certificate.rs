//! Can TLS be spoken, and for how long?

use super::Findings;
use crate::config::Checked;
use crate::tls::{End, Facing, Kind, expiries, validity};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// So long before the end, a new one should be there.
const SOON_SECONDS: u64 = 14 * 86_400;

pub(super) fn look(checked: &Checked, now: u64, findings: &mut Findings) {
    look_at_peers(checked, now, findings);
    let Some(gateway) = &checked.gateway.tls else {
        return;
    };
    findings.look("certificate");
    let file = gateway.certificate.path.display();
    if let Err(error) = Facing::of(checked) {
        let fix = "set `gateway.tls` to a certificate and its own key";
        findings.error("certificate.unusable", format!("{file}: {error}"), fix);
    }
    for certificate in CertificateDer::pem_slice_iter(gateway.certificate.text.as_bytes()).flatten()
    {
        let Some((from, until)) = validity(&certificate) else {
            let fix = "replace it by one that follows RFC 5280";
            findings.warning(
                "certificate.unreadable",
                format!("{file}: its validity cannot be read"),
                fix,
            );
            continue;
        };
        let days = until.saturating_sub(now) / 86_400;
        if now >= until {
            findings.error(
                "certificate.expired",
                format!("{file} has expired"),
                "put a new one in its place",
            );
        } else if now < from {
            findings.error(
                "certificate.early",
                format!("{file} is not valid yet"),
                "check the clock, or get another",
            );
        } else if until - now < SOON_SECONDS {
            findings.warning(
                "certificate.expiring",
                format!("{file} expires in {days} days"),
                "get a new one",
            );
        }
    }
}

/// What connections to others need.
fn look_at_peers(checked: &Checked, now: u64, findings: &mut Findings) {
    for expiry in expiries(checked) {
        let (past, near) = match expiry.kind {
            Kind::Certificate => continue, // as below
            Kind::ClientCertificate => {
                ("client_certificate.expired", "client_certificate.expiring")
            }
            Kind::Crl => ("crl.expired", "crl.expiring"),
            Kind::Pins => ("pins.expired", "pins.expiring"),
        };
        findings.look(expiry.kind.word());
        match expiry.end(now) {
            None => {}
            Some(end @ End::Past) => findings.error(past, expiry.words(end), expiry.fix()),
            Some(end @ End::Near(_)) => findings.warning(near, expiry.words(end), expiry.fix()),
        }
    }
}
