//! How an issuer is asked about tokens.

use super::desk::Desk;
use super::issuers::Issuers;
use crate::config::bounds;
use crate::config::checked::{Introspection, Issuer};
use crate::config::problem::Place;
use crate::config::{raw, raw_issuer};
use std::collections::BTreeSet;

pub(super) fn introspection(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: raw_issuer::Introspection,
) -> Option<Introspection> {
    let endpoint = raw
        .endpoint
        .map(|text| desk.url(&place.key("endpoint"), &text));
    let ttl = desk.span(&place.key("ttl"), raw.ttl, &bounds::ASKED);
    let client_id = raw.client_id.filter(|id| !id.is_empty());
    if client_id.is_none() {
        desk.refuse_missing(
            place,
            "no `client_id`",
            "write the name under which the issuer knows the gateway",
        );
    }
    if raw.client_secret.is_none() {
        desk.refuse_missing(
            place,
            "no `client_secret`",
            "write { file = \"…\" } or { env = \"…\" }",
        );
    }
    let client_secret = raw
        .client_secret
        .and_then(|text| desk.text(&place.key("client_secret"), raw::Text::Reference(text)));
    let endpoint = match endpoint {
        None => None,
        Some(found) => Some(found?),
    };
    Some(Introspection {
        endpoint,
        client_id: client_id?,
        client_secret: client_secret?,
        ttl,
        always: raw.always.unwrap_or_default(),
        signed: raw.signed.unwrap_or_default(),
    })
}

/// Of two issuers that are asked, one would be shown the tokens of the other.
pub(super) fn only_one(
    desk: &mut Desk<'_>,
    place: &Place,
    names: &BTreeSet<String>,
    issuers: &Issuers,
) {
    let is_asked = |name: &&String| match issuers.known.get(*name) {
        Some(Issuer::External(external)) => external.introspection.is_some(),
        Some(Issuer::Embedded { .. }) | None => false,
    };
    if names.iter().filter(is_asked).count() > 1 {
        desk.refuse_with(
            place,
            "two issuers with `introspection`: a token of one would be shown to the other",
            "name the issuers of this server, one of them with `introspection` at most",
        );
    }
}
