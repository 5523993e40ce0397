//! How clients register themselves, and whose word for them counts.

use super::desk::Desk;
use crate::config::authority::Registration;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::raw_authority as raw;
use portcullis_authority::client::{Need, Statements};
use portcullis_core::authenticate::KeySet;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn registration(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: raw::Registration,
) -> Registration {
    let place = place.key("registration");
    let network = place.key("per_network");
    let need = place.key("require_statement");
    if raw.require_statement.is_some() && raw.statements.is_empty() {
        let fix = "write whose count in [authority.registration.statements], or remove the key";
        desk.refuse_with(&need, "nobody's statements count", fix);
    }
    let issuers = issuers(desk, &place.key("statements"), raw.statements);
    let need = match raw.require_statement {
        Some(false) => Need::Optional,
        Some(true) | None => Need::Required,
    };
    Registration {
        lifetime: desk.span(&place.key("lifetime"), raw.lifetime, &bounds::REGISTERED),
        per_network: desk.count(&network, raw.per_network, &bounds::OF_NETWORK),
        statements: (!issuers.is_empty()).then(|| Arc::new(Statements { issuers, need })),
    }
}

/// The keys of those whose statements count, by `iss`.
fn issuers(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: BTreeMap<String, String>,
) -> BTreeMap<String, KeySet> {
    let mut issuers = BTreeMap::new();
    for (issuer, file) in raw.into_iter().take(bounds::MAX_ENTRIES) {
        let place = place.key(&issuer);
        let Some(file) = desk.file(&place, &file) else {
            continue;
        };
        match KeySet::parse(file.text.as_bytes()) {
            Ok(keys) => {
                issuers.insert(issuer, keys);
            }
            Err(_) => desk.refuse_with(
                &place,
                "the file is not a JWK Set with public keys",
                "write { \"keys\": [ … ] } with keys for ES256, EdDSA, PS256 or RS256",
            ),
        }
    }
    issuers
}
