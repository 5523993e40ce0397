//! What of tokens counts as misuse.

use super::desk::Desk;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::raw_misuse;
use portcullis_core::misuse::{Block, Limits, Rule};

const RULES: &[(&str, Rule)] = &[
    ("token_networks", Rule::TokenNetworks),
    ("token_keys", Rule::TokenKeys),
    ("volume", Rule::Volume),
];

pub(super) fn misuse(desk: &mut Desk<'_>, raw: raw_misuse::Misuse) -> Limits {
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
    Limits {
        window,
        refusals,
        audiences,
        prefix_v4,
        prefix_v6,
        exempt,
        revoke,
    }
}
