//! What an issuer tells of its subjects by itself.

use super::desk::Desk;
use crate::config::bounds;
use crate::config::checked::{Poll, ServerName, Signals};
use crate::config::problem::Place;
use crate::config::{raw, raw_issuer};

const ON_STALE: &[(&str, bool)] = &[("record", false), ("deny", true)];

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
    let poll = raw.poll.map(|raw| poll(desk, &place.key("poll"), raw));
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
    let poll = match poll {
        None => None,
        Some(found) => Some(found?),
    };
    Some(Signals {
        audience,
        bearer,
        poll,
    })
}

fn poll(desk: &mut Desk<'_>, place: &Place, raw: raw_issuer::Poll) -> Option<Poll> {
    let stale_after = desk.span(&place.key("stale_after"), raw.stale_after, &bounds::STALE);
    let on_stale = raw.on_stale.as_deref().unwrap_or(bounds::ON_STALE);
    let denies = desk.choose(&place.key("on_stale"), on_stale, ON_STALE);
    let url = if let Some(text) = raw.url {
        desk.url(&place.key("url"), &text)
    } else {
        let fix = "write the address that the issuer has given the stream";
        desk.refuse_missing(place, "no `url`", fix);
        None
    };
    let Some(bearer) = raw.bearer else {
        let fix = "write { file = \"…\" } or { env = \"…\" }";
        desk.refuse_missing(place, "no `bearer`", fix);
        return None;
    };
    let place = place.key("bearer");
    let bearer = desk.text(&place, raw::Text::Reference(bearer))?;
    if !bearer.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        desk.refuse_with(
            &place,
            "not a bearer token: it has spaces, or characters that no header has",
            "take it as the issuer gave it",
        );
        return None;
    }
    Some(Poll {
        url: url?,
        bearer,
        stale_after,
        denies: denies?,
    })
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
