//! Can TLS be spoken, and for how long? Reads of a certificate (RFC 5280 section 4.1) its validity only.

use super::Findings;
use crate::cli::audit::seconds_of;
use crate::config::Checked;
use crate::tls;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// So long before the end, a new one should be there.
const SOON_SECONDS: u64 = 14 * 86_400;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

pub(super) fn look(checked: &Checked, now: u64, findings: &mut Findings) {
    let Some(gateway) = &checked.gateway.tls else {
        return;
    };
    findings.look("certificate");
    let file = gateway.certificate.path.display();
    if let Err(error) = tls::certified(&gateway.certificate.text, gateway.key.expose()) {
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

/// From and until which second since 1970.
fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (body, _) = element(certificate, SEQUENCE)?;
    let (body, _) = element(body, SEQUENCE)?;
    let body = element(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_, body) = element(body, INTEGER)?;
    let (_, body) = element(body, SEQUENCE)?;
    let (_, body) = element(body, SEQUENCE)?;
    let (validity, _) = element(body, SEQUENCE)?;
    let (from, rest) = time(validity)?;
    let (until, _) = time(rest)?;
    Some((from, until))
}

/// The content of the DER element at the beginning, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*length) {
        short @ 0..=0x7f => (short, rest),
        long @ 0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(long - 0x80)?;
            (
                digits
                    .iter()
                    .fold(0, |length, digit| length << 8 | usize::from(*digit)),
                rest,
            )
        }
        _ => return None,
    };
    (*first == tag).then(|| rest.split_at_checked(length))?
}

/// `YYMMDDHHMMSSZ` of 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn time(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (text, rest) = if let Some((short, rest)) = element(bytes, UTC_TIME) {
        let century = if short.first()? < &b'5' { "20" } else { "19" };
        (
            format!("{century}{}", std::str::from_utf8(short).ok()?),
            rest,
        )
    } else {
        let (long, rest) = element(bytes, GENERALIZED_TIME)?;
        (std::str::from_utf8(long).ok()?.to_owned(), rest)
    };
    let part = |at: usize, width: usize| text.get(at..at + width);
    let day = format!("{}-{}-{}", part(0, 4)?, part(4, 2)?, part(6, 2)?);
    let clock = format!("{}:{}:{}", part(8, 2)?, part(10, 2)?, part(12, 2)?);
    (text.get(14..) == Some("Z")).then_some(())?;
    Some((seconds_of(&format!("{day}T{clock}Z"))?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, 0x81, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn certificate(from: &[u8], until: &[u8]) -> Vec<u8> {
        let before = [
            der(VERSION, b"\x02\x01\x02"),
            der(INTEGER, b"\x07"),
            der(SEQUENCE, b""),
            der(SEQUENCE, b"x"),
        ];
        let validity = der(
            SEQUENCE,
            &[der(UTC_TIME, from), der(GENERALIZED_TIME, until)].concat(),
        );
        der(
            SEQUENCE,
            &der(SEQUENCE, &[before.concat(), validity].concat()),
        )
    }

    #[test]
    fn the_validity_of_a_certificate_is_read() {
        let read = validity(&certificate(b"010909014640Z", b"20330518033320Z"));
        assert_eq!(read, Some((1_000_000_000, 2_000_000_000)));
        assert_eq!(
            validity(&certificate(b"010909014640", b"20330518033320Z")),
            None
        );
        assert_eq!(
            validity(&certificate(b"019909014640Z", b"20330518033320Z")),
            None
        );
        let whole = certificate(b"010909014640Z", b"20330518033320Z");
        for length in 0..whole.len() {
            assert_eq!(validity(&whole[..length]), None, "{length}");
        }
    }
}
