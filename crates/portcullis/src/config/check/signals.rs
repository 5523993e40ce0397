//! What an issuer tells of its subjects by itself.

use super::desk::Desk;
use crate::config::checked::{ServerName, Signals};
use crate::config::problem::Place;
use crate::config::{raw, raw_issuer};

/// `name` is the issuer's in this file, and a part of the path to which it pushes.
pub(super) fn signals(
    desk: &mut Desk<'_>,
    place: &Place,
    name: &str,
    raw: raw_issuer::Signals,
) -> Option<Signals> {
    expect_path(desk, place, name);
    let bearer = raw
        .bearer
        .map(|bearer| desk.text(&place.key("bearer"), raw::Text::Reference(bearer)));
    let Some(audience) = raw.audience.filter(|audience| !audience.is_empty()) else {
        desk.refuse_missing(
            place,
            "no `audience`",
            "write the `aud` that the issuer puts into its events",
        );
        return None;
    };
    let bearer = match bearer {
        None => None,
        Some(found) => Some(found?),
    };
    Some(Signals { audience, bearer })
}

/// The issuer's name can be a part of a path.
pub(super) fn expect_path(desk: &mut Desk<'_>, place: &Place, name: &str) {
    if ServerName::parse(name).is_none() {
        desk.refuse_with(
            place,
            "the issuer's name is a part of the URL, and this one has characters that none has",
            "call the issuer with up to 32 lower-case letters, digits and hyphens, the first no hyphen",
        );
    }
}
