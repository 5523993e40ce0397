//! How often keys of our own are replaced.

use super::desk::Desk;
use crate::config::checked::{Pkcs11, Server, ServerName};
use crate::config::credentials::CredentialKind;
use crate::config::problem::Place;
use crate::config::rotate::RotateEvery;
use crate::config::{bounds, raw, raw_keys};
use crate::keys::Purpose;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) fn keys(
    desk: &mut Desk<'_>,
    raw: raw_keys::Keys,
    token: Option<&Pkcs11>,
) -> RotateEvery {
    let place = Place::default().key("keys").key("rotate_every");
    let raw = raw.rotate_every;
    let mut signing = Vec::new();
    for purpose in Purpose::ALL {
        let written = match purpose {
            Purpose::Issuer => &raw.issuer,
            Purpose::Assertion => &raw.assertion,
            Purpose::Client => &raw.client,
            Purpose::Audit => &raw.audit,
            Purpose::Catalog => &raw.catalog,
        };
        let place = place.key(purpose.word());
        let Some(every) = span(desk, &place, written.as_ref()) else {
            continue;
        };
        if token.and_then(|token| purpose.label(token)).is_some() {
            let fix = "leave it out, and replace the key by hand: make another one in the token, and write its label into \
                       pkcs11.keys";
            desk.refuse_with(
                &place,
                "the key is in a token, where the gateway makes none",
                fix,
            );
        }
        signing.push((purpose, every));
    }
    let wrapping = span(desk, &place.key("wrapping"), raw.wrapping.as_ref());
    RotateEvery { signing, wrapping }
}

/// A key that is a file where the others are in a token would be the weakest of them.
pub(super) fn own_keys(
    desk: &mut Desk<'_>,
    token: Option<&Pkcs11>,
    servers: &BTreeMap<ServerName, Server>,
) {
    if token.is_none_or(|token| token.assertion.is_none()) {
        return;
    }
    for (name, server) in servers {
        let kind = server.credentials.as_ref().map(|shown| &shown.kind);
        if kind.is_some_and(CredentialKind::has_own_key) {
            let place = Place::default().key("servers").key(name.as_str());
            desk.refuse_with(
                &place.key("credentials").key("own_key"),
                "the key of all servers is in a token, and this one would be a file",
                "leave one of them out: own_key, or assertion of pkcs11.keys",
            );
        }
    }
}

fn span(desk: &mut Desk<'_>, place: &Place, written: Option<&raw::Span>) -> Option<Duration> {
    let raw::Span(text) = written?;
    Some(desk.span(place, Some(raw::Span(text.clone())), &bounds::ROTATE_EVERY))
}
