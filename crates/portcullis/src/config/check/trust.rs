//! Whom the connections to a peer trust.

use super::desk::Desk;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::raw;
use crate::config::raw_trust;
use crate::config::trust::{ClientCertificate, Day, Pin, Pins, Staple, Trust};
use std::collections::BTreeSet;

/// The keys that say it.
#[derive(Default)]
pub(super) struct Written {
    pub(super) ca: Option<String>,
    pub(super) crl: Option<String>,
    pub(super) ocsp: Option<String>,
    pub(super) pins: Option<raw_trust::Pins>,
    pub(super) client_certificate: Option<String>,
    pub(super) client_key: Option<raw::Reference>,
}

impl Written {
    /// Which of them are there.
    pub(super) const fn keys(&self) -> [(&'static str, bool); 6] {
        [
            ("ca", self.ca.is_some()),
            ("crl", self.crl.is_some()),
            ("ocsp", self.ocsp.is_some()),
            ("pins", self.pins.is_some()),
            ("client_certificate", self.client_certificate.is_some()),
            ("client_key", self.client_key.is_some()),
        ]
    }
}

/// `is_https` is whether there is anything that they could hold for.
pub(super) fn trust(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Written,
    is_https: bool,
) -> Box<Trust> {
    let written = raw.keys();
    let written = written.iter().filter(|(_, is_written)| *is_written);
    for (key, _) in written.filter(|_| !is_https) {
        desk.refuse(&place.key(key), "only for an `https` URL");
    }
    for_https(desk, place, raw)
}

/// The same for a peer of which it is known, or looked at elsewhere, that it is asked over TLS.
pub(super) fn for_https(desk: &mut Desk<'_>, place: &Place, raw: Written) -> Box<Trust> {
    let client = client(desk, place, raw.client_certificate, raw.client_key);
    let mut pem = |key: &str, text: Option<String>, label: &str| {
        text.and_then(|text| desk.pem(&place.key(key), &text, label))
    };
    let (ca, crl) = (
        pem("ca", raw.ca, "CERTIFICATE"),
        pem("crl", raw.crl, "X509 CRL"),
    );
    let staple = raw
        .ocsp
        .and_then(|word| staple(desk, &place.key("ocsp"), &word));
    let pins = raw.pins.and_then(|raw| pins(desk, &place.key("pins"), raw));
    Box::new(Trust {
        ca,
        crl,
        staple,
        pins,
        client,
    })
}

fn staple(desk: &mut Desk<'_>, place: &Place, word: &str) -> Option<Staple> {
    match word {
        "checked" => Some(Staple::Checked),
        "required" => Some(Staple::Required),
        _ => {
            desk.refuse_with(place, "not known", "write \"checked\" or \"required\"");
            None
        }
    }
}

fn client(
    desk: &mut Desk<'_>,
    place: &Place,
    certificate: Option<String>,
    key: Option<raw::Reference>,
) -> Option<ClientCertificate> {
    match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            let certificate = desk.pem(
                &place.key("client_certificate"),
                &certificate,
                "CERTIFICATE",
            );
            let key = desk.text(&place.key("client_key"), raw::Text::Reference(key));
            Some(ClientCertificate {
                certificate: certificate?,
                key: key?,
            })
        }
        (Some(_), None) => {
            let fix = "write client_key = { file = \"…\" }";
            desk.refuse_with(&place.key("client_certificate"), "no `client_key`", fix);
            None
        }
        (None, Some(_)) => {
            let fix = "write client_certificate = \"…\"";
            desk.refuse_with(&place.key("client_key"), "no `client_certificate`", fix);
            None
        }
    }
}

fn pins(desk: &mut Desk<'_>, place: &Place, raw: raw_trust::Pins) -> Option<Pins> {
    let mut keys = BTreeSet::new();
    let texts = raw.keys.unwrap_or_default();
    for (index, text) in texts.iter().enumerate() {
        let place = place.key("keys").at(index);
        match Pin::parse(text) {
            Some(pin) if keys.insert(pin) => {}
            Some(_) => desk.refuse(&place, "the same key twice"),
            None => desk.refuse_with(
                &place,
                "not a pin",
                "write sha256/ and the Base64 of the SHA-256 of a public key (SPKI)",
            ),
        }
    }
    if !bounds::PINS.contains(&texts.len()) {
        desk.refuse_missing(
            &place.key("keys"),
            "from 2 to 16 keys are needed: one in use, and one in reserve for when it must go",
            "add the pin of a key that is kept elsewhere",
        );
    }
    let Some(expires) = raw.expires else {
        let fix = "write the day until which they are known to be right, as in \"2027-01-31\"";
        desk.refuse_missing(place, "no `expires`", fix);
        return None;
    };
    let Some(expires) = Day::parse(&expires) else {
        desk.refuse_with(
            &place.key("expires"),
            "not a day",
            "write it as in \"2027-01-31\"",
        );
        return None;
    };
    Some(Pins { keys, expires })
}
