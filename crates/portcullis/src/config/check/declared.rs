//! The claims that policies can speak of.

use super::claims::way;
use super::desk::Desk;
use crate::config::bounds;
use crate::config::checked::Issuer;
use crate::config::problem::Place;
use crate::config::raw_issuer::Claim;
use portcullis_core::authenticate::{ClaimKind, DeclaredClaim, Topic};
use std::collections::BTreeMap;

/// Longest name of a claim in policies.
const MAX_NAME_CHARS: usize = 64;
/// Attributes of the principal and the context whose literals are looked for in policies.
const TAKEN: [&str; 2] = ["scopes", "zones"];

/// What is declared at `place`.
pub(super) fn declared(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: BTreeMap<String, Claim>,
) -> Vec<DeclaredClaim> {
    if raw.len() > bounds::MAX_DECLARED {
        let reason = format!("too many claims: at most {}", bounds::MAX_DECLARED);
        desk.refuse(place, &reason);
    }
    let mut declared = Vec::new();
    for (name, raw) in raw.into_iter().take(bounds::MAX_DECLARED) {
        let place = place.key(&name);
        let is_named =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase());
        if !begins || name.len() > MAX_NAME_CHARS || !name.bytes().all(is_named) {
            desk.refuse_with(
                &place,
                "a name in policies has up to 64 lower-case letters, digits and `_`, and begins with a letter",
                "write the claim's own name as `claim`",
            );
        }
        if TAKEN.contains(&&*name) {
            desk.refuse(&place, "policies know something else by this name");
        }
        let Some(kind) = raw.kind else {
            let words = ClaimKind::ALL.map(|(word, _)| word).join(", ");
            desk.refuse_missing(&place, "no `type`", &format!("one of {words}"));
            continue;
        };
        let kind = desk.choose(&place.key("type"), &kind, &ClaimKind::ALL);
        let path = way(desk, &place.key("claim"), raw.claim, &name);
        let pushed = raw.pushed.and_then(|text| {
            let place = place.key("pushed");
            pushed(desk, &place, &text, kind)
        });
        declared.extend(kind.map(|kind| DeclaredClaim {
            name,
            path,
            kind,
            pushed,
        }));
    }
    declared
}

fn pushed(
    desk: &mut Desk<'_>,
    place: &Place,
    text: &str,
    kind: Option<ClaimKind>,
) -> Option<Topic> {
    let topic = desk.choose(place, text, &Topic::ALL)?;
    if kind.is_some_and(|kind| kind != topic.kind()) {
        let fix = format!("write type = \"{}\"", topic.kind().name());
        desk.refuse_with(place, "what is said of it has another type", &fix);
    }
    Some(topic)
}

/// Of an issuer from which no events come, nothing is known but by its tokens.
pub(super) fn expect_nothing_pushed(
    desk: &mut Desk<'_>,
    place: &Place,
    declared: &[DeclaredClaim],
) {
    for claim in declared.iter().filter(|claim| claim.pushed.is_some()) {
        desk.refuse_with(
            &place.key(&claim.name).key("pushed"),
            "nothing is pushed by this issuer",
            "write `signals` of the issuer too",
        );
    }
}

/// One name has one type, whoever issues the token: a policy is checked once for all of them.
pub(super) fn agree(desk: &mut Desk<'_>, issuers: &BTreeMap<String, Issuer>) {
    let mut kinds: BTreeMap<&str, (ClaimKind, &str)> = BTreeMap::new();
    for (issuer, known) in issuers {
        let declared = match known {
            Issuer::Embedded { .. } => continue,
            Issuer::External(external) => &external.claims.declared,
        };
        for claim in declared {
            let (kind, first) = *kinds.entry(&claim.name).or_insert((claim.kind, issuer));
            if kind != claim.kind {
                let place = Place::default().key("issuers").key(issuer);
                let place = place.key("claims").key(&claim.name).key("type");
                desk.refuse_with(
                    &place,
                    &format!("`{first}` has a claim of this name with another type"),
                    &format!("write type = \"{}\", or another name", kind.name()),
                );
            }
        }
    }
}
