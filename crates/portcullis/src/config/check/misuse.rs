//! What of tokens counts as misuse.

use super::desk::Desk;
use super::zones::networks;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::raw_misuse;
use portcullis_core::misuse::{Block, Limits, NotPosition, Rule};
use std::path::PathBuf;

const RULES: &[(&str, Rule)] = &[
    ("token_networks", Rule::TokenNetworks),
    ("token_keys", Rule::TokenKeys),
    ("volume", Rule::Volume),
    ("impossible_travel", Rule::ImpossibleTravel),
];

/// The rules, and the database that says where addresses are.
pub(super) fn misuse(desk: &mut Desk<'_>, raw: raw_misuse::Misuse) -> (Limits, Option<PathBuf>) {
    let place = Place::default().key("misuse");
    let mut bits = |key: &str, raw, range| {
        let bits = desk.count(&place.key(key), raw, range);
        u8::try_from(bits).unwrap_or(u8::MAX)
    };
    let prefix_v4 = bits("prefix_v4", raw.prefix_v4, &bounds::PREFIX_V4);
    let prefix_v6 = bits("prefix_v6", raw.prefix_v6, &bounds::PREFIX_V6);
    let window = desk.span(&place.key("window"), raw.window, &bounds::WINDOW);
    let refusals = desk.count(&place.key("refusals"), raw.refusals, &bounds::INVALID);
    let audiences = desk.count(&place.key("audiences"), raw.audiences, &bounds::PROBED);
    if raw.exempt.len() > bounds::MAX_ALLOWED {
        desk.refuse(
            &place.key("exempt"),
            &format!("too many networks: at most {}", bounds::MAX_ALLOWED),
        );
    }
    let mut exempt = Vec::new();
    for (index, text) in raw.exempt.iter().take(bounds::MAX_ALLOWED).enumerate() {
        match text.parse::<Block>() {
            Ok(block) => exempt.push(block),
            Err(problem) => desk.refuse(&place.key("exempt").at(index), &problem.to_string()),
        }
    }
    let places = places(desk, &place.key("places"), raw.places);
    let file = raw.places_file;
    let file = file.map(|text| desk.path(&place.key("places_file"), &text));
    let max_kmh = desk.count(&place.key("max_kmh"), raw.max_kmh, &bounds::KMH);
    let mut revoke = Vec::new();
    for (index, text) in raw.revoke.iter().enumerate().take(RULES.len()) {
        let place = place.key("revoke").at(index);
        if Rule::ALL
            .iter()
            .any(|rule| rule.name() == text && rule.reach().is_none())
        {
            desk.refuse(
                &place,
                "this rule goes by what nobody has verified: who is named could be a victim",
            );
        } else {
            revoke.extend(desk.choose(&place, text, RULES));
        }
    }
    let limits = Limits {
        window,
        refusals,
        audiences,
        prefix_v4,
        prefix_v6,
        exempt,
        places,
        max_kmh,
        revoke,
    };
    (limits, file)
}

fn places(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Vec<raw_misuse::Place>,
) -> Vec<portcullis_core::misuse::Place> {
    if raw.len() > bounds::MAX_ALLOWED {
        let reason = format!("too many places: at most {}", bounds::MAX_ALLOWED);
        desk.refuse(place, &reason);
    }
    let mut places = Vec::new();
    for (index, raw) in raw.into_iter().enumerate().take(bounds::MAX_ALLOWED) {
        let place = place.at(index);
        let networks = networks(desk, &place, &raw.networks);
        match raw.at.as_deref().map(str::parse) {
            Some(Ok(at)) => places.push(portcullis_core::misuse::Place { networks, at }),
            Some(Err(problem)) => {
                let problem: NotPosition = problem;
                let fix = "write it as in \"52.52, 13.405\"";
                desk.refuse_with(&place.key("at"), &problem.to_string(), fix);
            }
            None => desk.refuse_missing(
                &place,
                "a place without `at`",
                "write at = \"52.52, 13.405\"",
            ),
        }
    }
    places
}
