//! How callers must have authenticated.

use super::desk::Desk;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::raw_step_up::StepUp;
use portcullis_core::authorize::Strength;

/// What is written at `place`, on top of what the server needs.
pub(super) fn step_up(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: StepUp,
    server: &Strength,
) -> Strength {
    if raw.acr.is_empty() && raw.amr.is_empty() && raw.max_age.is_none() {
        desk.refuse_with(
            place,
            "asks for nothing",
            "name `acr`, `amr` or `max_age`, or remove it",
        );
    }
    values(desk, &place.key("acr"), &raw.acr);
    values(desk, &place.key("amr"), &raw.amr);
    let max_age = raw
        .max_age
        .map(|span| desk.span(&place.key("max_age"), Some(span), &bounds::MAX_AGE));
    let mut classes = if raw.acr.is_empty() {
        server.classes.clone()
    } else {
        raw.acr
    };
    if !server.classes.is_empty() {
        classes.retain(|class| server.classes.contains(class));
        if classes.is_empty() {
            desk.refuse_with(
                &place.key("acr"),
                "the server accepts none of these: no token could satisfy both",
                "name values here that the server accepts too",
            );
        }
    }
    let mut methods = server.methods.clone();
    methods.extend(raw.amr);
    methods.sort();
    methods.dedup();
    Strength {
        classes,
        methods,
        max_age: max_age.into_iter().chain(server.max_age).min(),
    }
}

/// Values stand in a quoted text between spaces (RFC 9470 section 3, RFC 9110 section 5.6.4).
fn values(desk: &mut Desk<'_>, place: &Place, values: &[String]) {
    for (index, value) in values.iter().enumerate() {
        let is_inside = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if value.is_empty() || !value.bytes().all(is_inside) {
            desk.refuse_with(
                &place.at(index),
                "not a value of this claim",
                "write each value as one item of the list",
            );
        }
    }
}
