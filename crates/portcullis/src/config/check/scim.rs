//! What a directory tells of an issuer's users.

use super::desk::Desk;
use super::signals::expect_path;
use crate::config::bounds;
use crate::config::checked::Scim;
use crate::config::problem::Place;
use crate::config::{raw, raw_issuer};
use portcullis_core::scim::Attribute;

const ATTRIBUTES: &[(&str, Attribute)] = &[
    ("externalId", Attribute::ExternalId),
    ("userName", Attribute::UserName),
];
/// Whoever guesses it can end everybody's access.
const LEAST_CHARS: usize = 32;

/// `name` is the issuer's in this file, and a part of the path.
pub(super) fn scim(
    desk: &mut Desk<'_>,
    place: &Place,
    name: &str,
    raw: raw_issuer::Scim,
) -> Option<Scim> {
    expect_path(desk, place, name);
    let attribute = raw.attribute.as_deref().unwrap_or(bounds::ATTRIBUTE);
    let attribute = desk.choose(&place.key("attribute"), attribute, ATTRIBUTES);
    let is_name = |claim: &String| !claim.is_empty() && !claim.contains('=');
    if !raw.claim.as_ref().is_none_or(is_name) {
        desk.refuse(&place.key("claim"), "a claim has a name, without `=`");
    }
    let Some(bearer) = raw.bearer else {
        desk.refuse_missing(
            place,
            "no `bearer`",
            "write { file = \"…\" } or { env = \"…\" }",
        );
        return None;
    };
    let place = place.key("bearer");
    let bearer = desk.text(&place, raw::Text::Reference(bearer))?;
    if bearer.expose().len() < LEAST_CHARS {
        desk.refuse_with(
            &place,
            "shorter than 32 characters: it could be guessed",
            "make one with `openssl rand -hex 32`",
        );
    }
    Some(Scim {
        bearer,
        attribute: attribute?,
        claim: raw.claim,
    })
}
