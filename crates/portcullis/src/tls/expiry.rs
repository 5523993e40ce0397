//! What will not hold for ever: told ahead, in the audit log and by `check` and `doctor`.

use super::validity::{next_update, validity};
use crate::clock;
use crate::config::{Certificate, Checked, CredentialKind, Issuer, TextFile, Tls, Trust, Upstream};
use crate::record::note;
use arc_swap::ArcSwap;
use portcullis_audit::{Record, Recorder};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

const DAY: u64 = 86_400;

/// The kinds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Keys of a peer.
    Pins,
    /// The certificate that clients see.
    Certificate,
    /// The one that a peer sees.
    ClientCertificate,
    /// Revocation lists.
    Crl,
}

impl Kind {
    /// Its word in the audit log.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Pins => "pins",
            Self::Certificate => "certificate",
            Self::ClientCertificate => "client_certificate",
            Self::Crl => "crl",
        }
    }

    /// How many seconds before its end it is told of.
    const fn ahead(self) -> u64 {
        match self {
            Self::Pins => 30 * DAY,
            Self::Certificate | Self::ClientCertificate => 14 * DAY,
            Self::Crl => DAY,
        }
    }
}

/// How near the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// So many seconds away.
    Near(u64),
    /// Over.
    Past,
}

/// One thing with an end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    pub(crate) kind: Kind,
    /// The key of the configuration, such as `servers.notes.pins`.
    pub(crate) key: String,
    /// The second since 1970 from which it does not hold.
    until: u64,
}

impl Expiry {
    /// What is to be told, if anything.
    pub(crate) fn end(&self, now: u64) -> Option<End> {
        match self.until.checked_sub(now) {
            None | Some(0) => Some(End::Past),
            Some(left) => (left <= self.kind.ahead()).then_some(End::Near(left)),
        }
    }

    /// The same in words.
    pub(crate) fn words(&self, end: End) -> String {
        match end {
            End::Past => format!("{self} are past their end"),
            End::Near(left) => format!("{self} end in {}", span(left)),
        }
    }

    /// What to do about it.
    pub(crate) const fn fix(&self) -> &'static str {
        match self.kind {
            Kind::Pins => "compare the keys with the peer's, and set a new day",
            Kind::Certificate | Kind::ClientCertificate => "get a new one",
            Kind::Crl => "fetch the newest ones",
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Pins => "the pins",
            Kind::Certificate | Kind::ClientCertificate => "the certificates",
            Kind::Crl => "the revocation lists",
        };
        write!(out, "{what} of {}", self.key)
    }
}

/// Everything with an end that a configuration names. What cannot be read is told of elsewhere.
pub(crate) fn expiries(checked: &Checked) -> Vec<Expiry> {
    let mut found = Vec::new();
    let own = checked.gateway.tls.as_ref();
    // One of an ACME server is renewed in time, or each failure is told.
    if let Some(Tls {
        certificate: Certificate::Files { chain, .. },
        ..
    }) = own
    {
        let key = "gateway.tls.certificate";
        found.extend(certificate(Kind::Certificate, key, chain));
    }
    let admin = checked.admin.as_ref();
    for (key, tls) in [
        ("gateway.tls.client_crl", own),
        (
            "admin.tls.client_crl",
            admin.and_then(|admin| admin.tls.as_ref()),
        ),
    ] {
        let lists = tls.and_then(|tls| tls.client_crl.as_ref());
        found.extend(lists.and_then(|file| lists_of(key, file)));
    }
    if let Some(Tls {
        certificate: Certificate::Acme(acme),
        ..
    }) = own
    {
        of_peer(&mut found, "gateway.tls.acme", &acme.trust);
    }
    of_peer(&mut found, "telemetry", &checked.collector);
    for (name, alerts) in &checked.alerts {
        if let Some(trust) = alerts.trust() {
            of_peer(&mut found, &format!("alerts.{name}"), trust);
        }
    }
    for vault in &checked.vaults {
        of_peer(&mut found, &format!("vaults.{}", vault.name), &vault.trust);
    }
    if let Some(azure) = checked.borrowing.azure() {
        of_peer(&mut found, "azure_key_vault", &azure.trust);
    }
    for (name, issuer) in &checked.issuers {
        if let Issuer::External(external) = issuer {
            of_peer(&mut found, &format!("issuers.{name}"), &external.trust);
        }
    }
    for (name, server) in &checked.servers {
        if let Upstream::Http(http) = &server.upstream {
            of_peer(&mut found, &format!("servers.{name}"), &http.trust);
        }
        let kind = server.credentials.as_ref().map(|shown| &shown.kind);
        if let Some(CredentialKind::Fetched(fetched)) = kind {
            let key = format!("servers.{name}.credentials");
            of_peer(&mut found, &key, &fetched.at.trust);
            if let Some(idp) = &fetched.idp {
                of_peer(&mut found, &format!("{key}.idp"), &idp.at.trust);
            }
        }
    }
    found
}

fn of_peer(found: &mut Vec<Expiry>, key: &str, trust: &Trust) {
    found.extend(trust.pins.as_ref().map(|pins| Expiry {
        kind: Kind::Pins,
        key: format!("{key}.pins"),
        until: pins.expires.end(),
    }));
    found.extend(trust.client.as_ref().and_then(|client| {
        let key = format!("{key}.client_certificate");
        certificate(Kind::ClientCertificate, &key, &client.certificate)
    }));
    let lists = trust.crl.as_ref();
    found.extend(lists.and_then(|file| lists_of(&format!("{key}.crl"), file)));
}

/// The end of lists is that of the first to end.
fn lists_of(key: &str, file: &TextFile) -> Option<Expiry> {
    let until = CertificateRevocationListDer::pem_slice_iter(file.text.as_bytes())
        .flatten()
        .filter_map(|list| next_update(&list))
        .min()?;
    Some(Expiry {
        kind: Kind::Crl,
        key: key.to_owned(),
        until,
    })
}

/// The end of a chain is that of its first certificate to end.
fn certificate(kind: Kind, key: &str, file: &TextFile) -> Option<Expiry> {
    let until = CertificateDer::pem_slice_iter(file.text.as_bytes())
        .flatten()
        .filter_map(|certificate| Some(validity(&certificate)?.1))
        .min()?;
    Some(Expiry {
        kind,
        key: key.to_owned(),
        until,
    })
}

fn span(seconds: u64) -> String {
    match (seconds / DAY, seconds / 3600) {
        (0, 0) => "less than an hour".to_owned(),
        (0, 1) => "1 hour".to_owned(),
        (0, hours) => format!("{hours} hours"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

/// What is looked at while the gateway runs; each thing is told once a day.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    all: ArcSwap<Vec<Expiry>>,
    /// By key, when it was told, and whether it was past its end then.
    told: Mutex<BTreeMap<String, (u64, bool)>>,
}

impl Expiries {
    /// Looks at what a configuration names, and tells of it.
    pub(crate) fn new(checked: &Checked, recorder: &Recorder) -> Self {
        let new = Self::default();
        new.replace(expiries(checked), recorder);
        new
    }

    /// Looks at these from now on, and tells of them.
    pub(crate) fn replace(&self, all: Vec<Expiry>, recorder: &Recorder) {
        self.all.store(all.into());
        self.tell(recorder);
    }

    /// Tells the audit log of what is due.
    pub(crate) fn tell(&self, recorder: &Recorder) {
        for record in self.due(clock::now().seconds()) {
            note(recorder, record);
        }
    }
    fn due(&self, now: u64) -> Vec<Record> {
        let all = self.all.load();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|key, _| all.iter().any(|expiry| expiry.key == *key));
        let mut due = Vec::new();
        for expiry in all.iter() {
            let Some(end) = expiry.end(now) else {
                told.remove(&expiry.key);
                continue;
            };
            let is_past = end == End::Past;
            let is_told = |(at, was_past): &(u64, bool)| now < at + DAY && *was_past == is_past;
            if told.get(&expiry.key).is_some_and(is_told) {
                continue;
            }
            told.insert(expiry.key.clone(), (now, is_past));
            tracing::warn!("{}: {}", expiry.words(end), expiry.fix());
            let mut record = Record::new(if is_past {
                "tls.expired"
            } else {
                "tls.expiring"
            });
            record.reason = Some(expiry.kind.word().into());
            record.detail.set("key", expiry.key.as_str());
            if let End::Near(left) = end {
                record.detail.set("days", (left / DAY).to_string().as_str());
            }
            due.push(record);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, End, Expiries, Expiry, Kind};

    fn pins(until: u64) -> Expiry {
        Expiry {
            kind: Kind::Pins,
            key: "servers.notes.pins".to_owned(),
            until,
        }
    }

    #[test]
    fn trn_03_the_end_is_told_30_days_ahead() {
        let check = |now: u64, expected: Option<End>| {
            assert_eq!(pins(100 * DAY).end(now), expected, "{now}");
        };
        check(0, None);
        check(70 * DAY - 1, None);
        check(70 * DAY, Some(End::Near(30 * DAY)));
        check(100 * DAY - 1, Some(End::Near(1)));
        check(100 * DAY, Some(End::Past));
        check(u64::MAX, Some(End::Past));
    }

    #[test]
    fn trn_03_the_same_is_told_once_a_day() {
        let expiries = Expiries::default();
        expiries.all.store(vec![pins(100 * DAY)].into());
        let events = |now| -> Vec<String> {
            let due = expiries.due(now);
            due.iter()
                .map(|one| one.event.as_str().to_owned())
                .collect()
        };
        assert!(events(0).is_empty());
        assert_eq!(events(99 * DAY), ["tls.expiring"]);
        assert!(events(99 * DAY + 1).is_empty());
        assert_eq!(
            events(100 * DAY),
            ["tls.expired"],
            "sooner, as it is another"
        );
        assert!(events(101 * DAY - 1).is_empty());
        assert_eq!(events(101 * DAY), ["tls.expired"]);
        expiries.all.store(Vec::new().into());
        assert!(events(102 * DAY).is_empty());
    }
}
