//! The certificate that clients see: of files, or of an ACME server.

use super::desk::Desk;
use super::trust::{Written, trust};
use crate::config::bounds;
use crate::config::checked::TextFile;
use crate::config::problem::Place;
use crate::config::raw;
use crate::config::raw_trust;
use crate::config::trust::{Acme, Certificate, ExternalAccount, Tls};
use crate::config::url::is_host;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::secret::Secret;
use std::net::IpAddr;
use std::sync::Arc;

/// `own` is the host by which clients know the gateway.
pub(super) fn tls(desk: &mut Desk<'_>, raw: raw::Tls, own: Option<&str>) -> Option<Tls> {
    let place = Place::default().key("gateway").key("tls");
    let certificate = match (raw.acme, raw.certificate, raw.key) {
        (Some(raw), None, None) => {
            Certificate::Acme(Arc::new(acme(desk, &place.key("acme"), raw, own)?))
        }
        (Some(_), _, _) => {
            desk.refuse_with(
                &place.key("acme"),
                "either an ACME server, or `certificate` and `key`",
                "remove the one that does not hold",
            );
            return None;
        }
        (None, Some(chain), Some(key)) => {
            let chain = desk.pem(&place.key("certificate"), &chain, "CERTIFICATE");
            let key = desk
                .pem(&place.key("key"), &key, "PRIVATE KEY")
                .map(|file| Secret::new(file.text));
            Certificate::Files {
                chain: chain?,
                key: key?,
            }
        }
        (None, _, _) => {
            desk.refuse_missing(
                &place,
                "TLS needs `certificate` and `key`, or `acme`",
                "name both files",
            );
            return None;
        }
    };
    let (client_ca, client_crl) = clients(desk, &place, raw.client_ca, raw.client_crl)?;
    Some(Tls {
        certificate,
        client_ca,
        client_crl,
    })
}

/// Whose certificates of clients count, and which of them do not any more; nothing if one of the files is not good.
pub(super) fn clients(
    desk: &mut Desk<'_>,
    place: &Place,
    authorities: Option<String>,
    lists: Option<String>,
) -> Option<(Option<TextFile>, Option<TextFile>)> {
    if authorities.is_none() && lists.is_some() {
        desk.refuse_with(
            &place.key("client_crl"),
            "without `client_ca`, nobody has certified clients who could revoke it",
            "name the authorities of the lists as `client_ca`",
        );
    }
    let authorities =
        authorities.map(|text| desk.pem(&place.key("client_ca"), &text, "CERTIFICATE"));
    let lists = lists.map(|text| desk.pem(&place.key("client_crl"), &text, "X509 CRL"));
    match (authorities, lists) {
        (Some(None), _) | (_, Some(None)) => None,
        (authorities, lists) => Some((authorities.flatten(), lists.flatten())),
    }
}

fn acme(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: raw_trust::Acme,
    own: Option<&str>,
) -> Option<Acme> {
    if raw.terms_agreed != Some(true) {
        desk.refuse_missing(
            &place.key("terms_agreed"),
            "a server certifies only those who agree to its terms of service",
            "read them, and write terms_agreed = true",
        );
    }
    let Some(directory) = raw.directory else {
        let fix = "write directory = \"https://acme-v02.api.letsencrypt.org/directory\"";
        desk.refuse_missing(place, "no `directory`", fix);
        return None;
    };
    let directory = desk.url(&place.key("directory"), &directory)?;
    let written = Written {
        ca: raw.ca,
        crl: raw.crl,
        ocsp: raw.ocsp,
        pins: raw.pins,
        ..Written::default()
    };
    let trust = trust(desk, place, written, directory.is_https());
    let external_account = match raw.external_account {
        Some(raw) => Some(external_account(desk, &place.key("external_account"), raw)?),
        None => None,
    };
    Some(Acme {
        names: names(desk, &place.key("names"), raw.names, own),
        contact: contact(desk, &place.key("contact"), &raw.contact),
        directory,
        trust,
        external_account,
    })
}

fn external_account(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: raw_trust::ExternalAccount,
) -> Option<ExternalAccount> {
    let is_named = |id: &String| (1..=bounds::ACME_ID_BYTES).contains(&id.len());
    let id = raw.id.filter(is_named);
    if id.is_none() {
        let fix = "write what the server's operator calls your account";
        desk.refuse_missing(place, "no `id` of the account, or too long a one", fix);
    }
    let Some(key) = raw.key else {
        desk.refuse_missing(
            place,
            "no `key`",
            "write { file = \"…\" } or { env = \"…\" }",
        );
        return None;
    };
    let place = place.key("key");
    let text = desk.text(&place, raw::Text::Reference(key))?;
    let key = URL_SAFE_NO_PAD.decode(text.expose().trim());
    let Some(key) = key.ok().filter(|key| key.len() >= bounds::ACME_KEY_BYTES) else {
        let fix = "take it from the server's operator as it is";
        desk.refuse_with(&place, "not 16 bytes or more in base64url", fix);
        return None;
    };
    Some(ExternalAccount {
        id: id?,
        key: Secret::new(key),
    })
}

fn names(
    desk: &mut Desk<'_>,
    place: &Place,
    written: Vec<String>,
    own: Option<&str>,
) -> Vec<String> {
    let is_default = written.is_empty();
    let mut names = if is_default {
        own.map(str::to_owned).into_iter().collect()
    } else {
        written
    };
    if names.len() > bounds::ACME_NAMES {
        desk.refuse(place, &format!("at most {} names", bounds::ACME_NAMES));
    }
    for (index, name) in names.iter_mut().enumerate() {
        name.make_ascii_lowercase();
        let is_name = is_host(name) && !name.starts_with('[') && name.parse::<IpAddr>().is_err();
        if !is_name && is_default {
            desk.refuse_with(
                place,
                "the host of `public_url` is no name that can be certified",
                "write names = [\"name.of.this.gateway\"]",
            );
        } else if !is_name {
            desk.refuse(&place.at(index), "not a host name");
        }
    }
    names.sort();
    names.dedup();
    names
}

fn contact(desk: &mut Desk<'_>, place: &Place, written: &[String]) -> Vec<String> {
    if written.len() > bounds::ACME_CONTACTS {
        desk.refuse(
            place,
            &format!("at most {} addresses", bounds::ACME_CONTACTS),
        );
    }
    for (index, address) in written.iter().enumerate() {
        // RFC 8555 section 7.3 forbids header fields and several addresses in one.
        let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic())
            && !address.contains(['?', ',', ':', '%'])
            && matches!(address.split_once('@'), Some((user, host)) if !user.is_empty() && is_host(host));
        if !is_plain {
            desk.refuse_with(
                &place.at(index),
                "not a mail address",
                "write it as in \"ops@example.com\"",
            );
        }
    }
    written
        .iter()
        .map(|address| format!("mailto:{address}"))
        .collect()
}
