//! How servers are held to what was approved.

use super::desk::Desk;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::{raw, raw_catalog};
use portcullis_core::catalog::{Mode, Needed, Terms};
use std::time::Duration;

const MODES: &[(&str, Mode)] = &[
    ("pin", Mode::Pin),
    ("learn", Mode::Learn),
    ("observe", Mode::Observe),
];

/// What holds for all servers that say nothing else.
pub(super) fn catalog(desk: &mut Desk<'_>, raw: &raw_catalog::Catalog) -> Terms {
    let place = Place::default().key("catalog");
    let mode = raw.mode.as_deref().unwrap_or(bounds::CATALOG);
    let mode = desk.choose(&place.key("mode"), mode, MODES);
    let recheck = match raw.recheck.as_deref() {
        None | Some("call") => Duration::ZERO,
        Some(text) => {
            let written = raw::Span(text.to_owned());
            desk.span(&place.key("recheck"), Some(written), &bounds::RECHECK)
        }
    };
    Terms {
        mode: mode.unwrap_or(Mode::Pin),
        recheck,
        approvals: approvals(desk, &place, raw.approvals),
    }
}

fn approvals(desk: &mut Desk<'_>, place: &Place, raw: Option<i64>) -> Needed {
    let place = place.key("approvals");
    match desk.count(&place, raw, &bounds::APPROVALS) {
        0 | 1 => Needed::One,
        _ => Needed::Two,
    }
}

/// What holds for one of them.
pub(super) fn terms(desk: &mut Desk<'_>, place: &Place, raw: &raw::Server, all: Terms) -> Terms {
    let mode = raw.catalog.as_deref();
    let own = mode.and_then(|text| desk.choose(&place.key("catalog"), text, MODES));
    let needed = (raw.approvals).map(|number| approvals(desk, place, Some(number)));
    Terms {
        mode: own.unwrap_or(all.mode),
        approvals: needed.unwrap_or(all.approvals),
        ..all
    }
}
