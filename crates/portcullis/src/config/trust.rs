//! What a peer of ours must show beside a certificate for its name, and what it is shown; and what we show clients.

use super::checked::TextFile;
use super::url::HttpUrl;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_core::secret::Secret;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use toml::value::{Date, Datetime};

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Whom connections to one peer trust.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// A further root, as PEM.
    pub(crate) ca: Option<TextFile>,
    /// Revocation lists of the authorities that issue its certificates, as PEM.
    pub(crate) crl: Option<TextFile>,
    /// What it has to show of what its authority says of its certificate.
    pub(crate) staple: Option<Staple>,
    /// Keys of which its chain must hold one.
    pub(crate) pins: Option<Pins>,
    /// What it is shown.
    pub(crate) client: Option<ClientCertificate>,
}

/// What a peer shows of what its authority says of its certificate (OCSP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Staple {
    /// What is shown must say that the certificate is good.
    Checked,
    /// The same, and it must be shown.
    Required,
}

/// What the gateway shows clients.
#[derive(Debug)]
pub(crate) struct Tls {
    /// Its certificate.
    pub(crate) certificate: Certificate,
    /// Who signs the certificates of clients, if not anyone may.
    pub(crate) client_ca: Option<TextFile>,
    /// Which of these are revoked; only with `client_ca`.
    pub(crate) client_crl: Option<TextFile>,
}

/// Where the gateway's certificate is from.
#[derive(Debug)]
pub(crate) enum Certificate {
    /// Somebody else renews it, as PEM.
    Files {
        /// The chain, leaf first.
        chain: TextFile,
        /// The private key.
        key: Secret<String>,
    },
    /// An ACME server, which is asked for it.
    Acme(Arc<Acme>),
}

/// An ACME server, and what it is asked for.
#[derive(Debug)]
pub(crate) struct Acme {
    /// Its directory.
    pub(crate) directory: HttpUrl,
    /// The names to be certified, in lower case; never empty.
    pub(crate) names: Vec<String>,
    /// Where its operator reaches ours: `mailto:` URLs.
    pub(crate) contact: Vec<String>,
    /// Whom connections to it trust.
    pub(crate) trust: Box<Trust>,
    /// The account outside that ours is bound to.
    pub(crate) external_account: Option<ExternalAccount>,
}

/// An account at the operator of an ACME server.
#[derive(Debug)]
pub(crate) struct ExternalAccount {
    pub(crate) id: String,
    /// What shows that it is ours: the key itself.
    pub(crate) key: Secret<Vec<u8>>,
}

/// Our certificate at a peer, as PEM.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    /// The chain, leaf first.
    pub(crate) certificate: TextFile,
    /// The private key.
    pub(crate) key: Secret<String>,
}

/// The public keys that a peer may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pins {
    /// At least two: one is in use, and one is kept for the day when the other must go.
    pub(crate) keys: BTreeSet<Pin>,
    /// The last day on which they are known to be right.
    pub(crate) expires: Day,
}

impl fmt::Display for Pins {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(Pin::to_string).collect();
        out.write_str(&keys.join(" "))
    }
}

/// The SHA-256 of a public key (SPKI), in the notation of RFC 7469 section 2.1.1: `sha256/BASE64=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pin(pub(crate) [u8; 32]);

impl Pin {
    /// Reads one; `None` if it does not have the form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix("sha256/")?).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256/{}", STANDARD.encode(self.0))
    }
}

/// A day of the Gregorian calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day(Date);

impl Day {
    /// Reads `YYYY-MM-DD` from 1970 on; `None` if there is no such day.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let read: Datetime = text.parse().ok()?;
        match (read.date, read.time, read.offset) {
            (Some(date), None, None) if date.year >= 1970 => Some(Self(date)),
            _ => None,
        }
    }

    /// The second since 1970 at which it is over.
    pub(crate) fn end(self) -> u64 {
        self.start() + DAY
    }

    /// The second since 1970 at which it begins.
    pub(crate) fn start(self) -> u64 {
        let Date { year, month, day } = self.0;
        let (year, month, day) = (u64::from(year), u64::from(month), u64::from(day));
        // A year is counted from March, so that the day of the leap year is its last.
        let (year, month) = match month {
            0..=2 => (year - 1, month + 9),
            _ => (year, month - 3),
        };
        let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
        (days - 719_469) * DAY
    }
}

impl fmt::Display for Day {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::{Day, Pin};

    #[test]
    fn trn_03_a_pin_has_one_form() {
        let good = "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        assert_eq!(Pin::parse(good).unwrap().to_string(), good);
        for bad in [
            "",
            "sha256/",
            "sha1/AAECAwQFBgcICQoLDA0ODxAREhM=",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "SHA256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
            "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-=",
            "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= ",
        ] {
            assert_eq!(Pin::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn trn_03_a_day_ends_at_midnight_utc() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(Day::parse(text).map(Day::end), expected, "{text}");
        };
        check("1970-01-01", Some(86_400));
        check("2000-02-29", Some(951_868_800));
        check("2027-01-31", Some(1_801_440_000));
        check("2028-12-31", Some(1_861_920_000));
        for bad in [
            "1969-12-31",
            "2027-02-29",
            "2027-1-31",
            "2027-01-31T00:00:00Z",
            "00:00:00",
            "31.01.2027",
            "",
        ] {
            check(bad, None);
        }
        assert_eq!(Day::parse("2027-01-31").unwrap().to_string(), "2027-01-31");
    }
}
