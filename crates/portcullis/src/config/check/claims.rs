//! What an issuer calls things, and by what its access tokens are known.

use super::declared::declared;
use super::desk::Desk;
use super::implied::implied;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::raw_issuer::{Issuer, Path, Words};
use portcullis_core::authenticate::{ClaimPath, Claims, Membership};
use std::collections::BTreeMap;

/// Claims that a provider may give to somebody else one day, with all that was granted to whoever had them before.
const REASSIGNED: &[&str] = &[
    "email",
    "preferred_username",
    "upn",
    "unique_name",
    "username",
    "name",
    "nickname",
    "phone_number",
];

/// Takes the names of claims out of what is written for an issuer.
pub(super) fn claims(desk: &mut Desk<'_>, place: &Place, raw: &mut Issuer) -> Claims {
    let roles = raw.roles_claim.take();
    let groups = raw.groups_claim.take();
    let forbidden = raw.forbidden_claims.take();
    Claims {
        provider: None,
        scopes: name(
            desk,
            &place.key("scope_claim"),
            raw.scope_claim.take(),
            bounds::SCOPE_CLAIM,
        ),
        implied: implied(
            desk,
            &place.key("scope_implies"),
            std::mem::take(&mut raw.scope_implies),
        ),
        roles: way(desk, &place.key("roles_claim"), roles, bounds::ROLES_CLAIM),
        groups: way(
            desk,
            &place.key("groups_claim"),
            groups,
            bounds::GROUPS_CLAIM,
        ),
        subject: subject(desk, &place.key("subject_claim"), raw.subject_claim.take()),
        client_subject: raw.client_subject.unwrap_or_default(),
        client: raw
            .client_claim
            .take()
            .map(|text| name(desk, &place.key("client_claim"), Some(text), "")),
        declared: declared(desk, &place.key("claims"), std::mem::take(&mut raw.claims)),
        required: required(
            desk,
            &place.key("required_claims"),
            std::mem::take(&mut raw.required_claims),
        ),
        one_of: list(desk, &place.key("one_of_claims"), raw.one_of_claims.take()),
        forbidden: match forbidden {
            None => bounds::FORBIDDEN_CLAIMS
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
            some => list(desk, &place.key("forbidden_claims"), some),
        },
        membership: Membership::Nobody, // tenants say it, once all issuers are known
    }
}

fn name(desk: &mut Desk<'_>, place: &Place, raw: Option<String>, default: &str) -> String {
    let claim = raw.unwrap_or_else(|| default.to_owned());
    expect_name(desk, place, &claim);
    claim
}

fn subject(desk: &mut Desk<'_>, place: &Place, raw: Option<String>) -> String {
    let claim = name(desk, place, raw, bounds::SUBJECT_CLAIM);
    if REASSIGNED.contains(&&*claim) {
        desk.refuse_with(
            place,
            "it can be given to somebody else, who would have all that was granted to the first",
            "name a claim with an id that is never used again, such as sub",
        );
    }
    claim
}

/// Where a claim stands.
pub(super) fn way(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Option<Path>,
    default: &str,
) -> ClaimPath {
    let names = match raw {
        None => vec![default.to_owned()],
        Some(Path::Name(name)) if name.contains("://") => vec![name],
        Some(Path::Name(name)) => name.split('.').map(str::to_owned).collect(),
        Some(Path::Names(names)) => names,
    };
    if names.is_empty() {
        desk.refuse(place, "a claim has a name");
    }
    if let Some(empty) = names.iter().find(|name| name.is_empty()) {
        expect_name(desk, place, empty);
    }
    ClaimPath::new(names)
}

fn required(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: BTreeMap<String, Words>,
) -> Vec<(String, Vec<String>)> {
    let mut required = Vec::new();
    for (name, words) in raw {
        let place = place.key(&name);
        expect_name(desk, &place, &name);
        let words = match words {
            Words::One(word) => vec![word],
            Words::Several(words) => words,
        };
        if words.is_empty() {
            desk.refuse(&place, "no value: no token would be accepted");
        }
        required.push((name, words));
    }
    required
}

fn list(desk: &mut Desk<'_>, place: &Place, raw: Option<Vec<String>>) -> Vec<String> {
    let names = raw.unwrap_or_default();
    for (index, name) in names.iter().enumerate() {
        expect_name(desk, &place.at(index), name);
    }
    names
}

fn expect_name(desk: &mut Desk<'_>, place: &Place, name: &str) {
    if name.is_empty() {
        desk.refuse(place, "a claim has a name");
    }
}
