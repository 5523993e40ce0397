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
    let own = Strength {
        classes: raw.acr,
        methods: raw.amr,
        max_age,
    };
    server.and(&own).unwrap_or_else(|| {
        desk.refuse_with(
            &place.key("acr"),
            "the server accepts none of these: no token could satisfy both",
            "name values here that the server accepts too",
        );
        own
    })
}

fn values(desk: &mut Desk<'_>, place: &Place, values: &[String]) {
    for (index, value) in values.iter().enumerate() {
        if !Strength::is_value(value) {
            desk.refuse_with(
                &place.at(index),
                "not a value of this claim",
                "write each value as one item of the list",
            );
        }
    }
}
