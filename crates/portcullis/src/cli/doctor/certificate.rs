//! Can TLS be spoken, and for how long?

use super::Findings;
use crate::acme;
use crate::config::{Acme, Certificate, Checked};
use crate::lifecycle::Home;
use crate::tls::{self, End, Facing, Kind, expiries, validity};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::sync::Arc;

/// So long before the end, a new one should be there.
const SOON_SECONDS: u64 = 14 * 86_400;

pub(super) fn look(checked: &Checked, now: u64, findings: &mut Findings) {
    look_at_peers(checked, now, findings);
    let Some(gateway) = &checked.gateway.tls else {
        return;
    };
    findings.look("certificate");
    let (chain, key) = match &gateway.certificate {
        Certificate::Files { chain, key } => (chain, key),
        Certificate::Acme(acme) => {
            let home = Home(checked.gateway.data.clone());
            return look_at_acme(acme, &home, now, findings);
        }
    };
    let file = chain.path.display().to_string();
    let certified = tls::certified(&chain.text, key.expose());
    if let Err(error) = certified.and_then(|own| Facing::of(checked, Some(own), &Arc::default())) {
        let fix = "set `gateway.tls` to a certificate and its own key";
        findings.error("certificate.unusable", format!("{file}: {error}"), fix);
    }
    for certificate in CertificateDer::pem_slice_iter(chain.text.as_bytes()).flatten() {
        match validity(&certificate) {
            Some(valid) => look_at_time(&file, valid, (now, SOON_SECONDS), findings),
            None => findings.warning(
                "certificate.unreadable",
                format!("{file}: its validity cannot be read"),
                "replace it by one that follows RFC 5280",
            ),
        }
    }
}

/// What was got of an ACME server.
fn look_at_acme(acme: &Acme, home: &Home, now: u64, findings: &mut Findings) {
    let from = acme.directory.host();
    match acme::held(home, acme) {
        Ok(Some(held)) => {
            // A new one should have been there when two thirds were over.
            let (from, until) = held.valid();
            let soon = (until - from) / 4;
            look_at_time(
                "that of the ACME server",
                (from, until),
                (now, soon),
                findings,
            );
        }
        Ok(None) => findings.warning(
            "certificate.missing",
            format!("{from} has given no certificate yet: nobody is answered"),
            "look for `tls.renewal_failed` in the audit log; port 443 of every name must lead here",
        ),
        Err(error) => findings.error(
            "certificate.unusable",
            format!("{error:#}"),
            "make it the gateway's own",
        ),
    }
}

fn look_at_time(
    what: &str,
    (from, until): (u64, u64),
    (now, soon): (u64, u64),
    findings: &mut Findings,
) {
    if now >= until {
        findings.error(
            "certificate.expired",
            format!("{what} has expired"),
            "put a new one in its place",
        );
    } else if now < from {
        findings.error(
            "certificate.early",
            format!("{what} is not valid yet"),
            "check the clock, or get another",
        );
    } else if until - now < soon {
        let days = (until - now) / 86_400;
        findings.warning(
            "certificate.expiring",
            format!("{what} expires in {days} days"),
            "get a new one",
        );
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
