//! Until when does a certificate (RFC 5280 section 4.1) or a revocation list (section 5.1) hold? Reads nothing else of it.

use crate::config::Day;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From and until which second since 1970 a certificate is valid.
pub(crate) fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
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

/// The second since 1970 by which there is a newer revocation list.
pub(super) fn next_update(list: &[u8]) -> Option<u64> {
    let (body, _) = element(list, SEQUENCE)?;
    let (body, _) = element(body, SEQUENCE)?;
    let body = element(body, INTEGER).map_or(body, |(_, rest)| rest);
    let (_, body) = element(body, SEQUENCE)?;
    let (_, body) = element(body, SEQUENCE)?;
    let (_, rest) = time(body)?;
    Some(time(rest)?.0)
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
    let number = |at: usize, below: u64| -> Option<u64> {
        let digits = part(at, 2)?;
        let number: u64 = digits.parse().ok()?;
        let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit());
        (is_plain && number < below).then_some(number)
    };
    (text.get(14..) == Some("Z")).then_some(())?;
    let clock = number(8, 24)? * 3600 + number(10, 60)? * 60 + number(12, 61)?;
    Some((Day::parse(&day)?.start() + clock, rest))
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
        for broken in [
            b"010909014640".as_slice(),
            b"019909014640Z",
            b"010909994640Z",
            b"0109090146+0Z",
        ] {
            assert_eq!(validity(&certificate(broken, b"20330518033320Z")), None);
        }
        let whole = certificate(b"010909014640Z", b"20330518033320Z");
        for length in 0..whole.len() {
            assert_eq!(validity(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn the_next_update_of_a_revocation_list_is_read() {
        let list = |version: &[u8], next: &[u8]| {
            let before = [der(SEQUENCE, b""), der(SEQUENCE, b"x")].concat();
            let times = [der(UTC_TIME, b"010909014640Z"), next.to_vec()].concat();
            der(
                SEQUENCE,
                &der(SEQUENCE, &[version, &before, &times].concat()),
            )
        };
        let next = der(UTC_TIME, b"330518033320Z");
        for version in [der(INTEGER, b"\x01"), Vec::new()] {
            let whole = list(&version, &next);
            assert_eq!(next_update(&whole), Some(2_000_000_000));
            for length in 0..whole.len() {
                assert_eq!(next_update(&whole[..length]), None, "{length}");
            }
            assert_eq!(next_update(&list(&version, &[])), None);
        }
    }
}
