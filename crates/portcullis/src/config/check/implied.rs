//! Which scopes imply which others.

use super::desk::Desk;
use super::servers::scopes;
use crate::config::bounds;
use crate::config::problem::Place;
use portcullis_core::authenticate::Implied;
use std::collections::{BTreeMap, BTreeSet};

/// What is written at `place`, followed to its end.
pub(super) fn implied(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: BTreeMap<String, Vec<String>>,
) -> Implied {
    let named = raw
        .iter()
        .flat_map(|(scope, below)| below.iter().chain([scope]));
    if named.collect::<BTreeSet<_>>().len() > bounds::MAX_IMPLIED {
        let reason = format!("too many scopes: at most {}", bounds::MAX_IMPLIED);
        desk.refuse(place, &reason);
        return Implied::default();
    }
    let mut table = BTreeMap::new();
    for (scope, below) in raw {
        let place = place.key(&scope);
        if below.is_empty() {
            desk.refuse_with(&place, "implies nothing", "name scopes, or remove it");
        }
        let below = scopes(desk, &place, below);
        let name = scopes(desk, &place, vec![scope]);
        table.extend(name.into_iter().map(|scope| (scope, below.clone())));
    }
    match Implied::close(&table) {
        Ok(implied) => implied,
        Err(cycle) => {
            let place = cycle.way.first().map(|first| place.key(first));
            desk.refuse_with(
                &place.unwrap_or_default(),
                &format!("a scope that implies itself: {}", cycle.way.join(" > ")),
                "let the wider scope imply the narrower one, and not the other way round",
            );
            Implied::default()
        }
    }
}
