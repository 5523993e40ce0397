//! Who reviews grants, and how often.

use super::desk::Desk;
use super::grants::who_is;
use super::issuers::Issuers;
use super::scopes;
use crate::config::bounds;
use crate::config::checked::{Issuer, Review, Who};
use crate::config::problem::Place;
use crate::config::raw_review;

pub(super) fn review(
    desk: &mut Desk<'_>,
    raw: Option<raw_review::Review>,
    issuers: &Issuers,
) -> Option<Review> {
    let raw = raw?;
    let place = Place::default().key("review");
    let every = desk.span(&place.key("every"), raw.every, &bounds::REVIEW_EVERY);
    let within = desk.span(&place.key("within"), raw.within, &bounds::REVIEW_WITHIN);
    let scopes = scopes(desk, &place.key("scopes"), raw.scopes);
    let Some(issuer) = raw.issuer else {
        let fix = "name the one of [issuers] whose tokens reviewers have";
        desk.refuse_missing(&place, "a review needs `issuer` and `reviewers`", fix);
        return None;
    };
    let issuer_place = place.key("issuer");
    if !issuers.names.contains(&issuer) {
        let known = issuers.names.iter().map(String::as_str);
        desk.refuse_unknown(&issuer_place, "no issuer has this name", &issuer, known);
    }
    if let Some(Issuer::Embedded { .. }) = issuers.known.get(&issuer) {
        desk.refuse_with(
            &issuer_place,
            "whoever operates the gateway can make tokens of an embedded issuer, for anybody",
            "name an identity provider of the reviewers",
        );
    }
    let reviewers_place = place.key("reviewers");
    let mut reviewers = Vec::new();
    for (index, text) in raw.reviewers.iter().enumerate().take(bounds::MAX_ENTRIES) {
        let place = reviewers_place.at(index);
        match who_is(desk, &place, text) {
            Some(Who::Anyone | Who::Client(_) | Who::Issuer(_)) => desk.refuse_with(
                &place,
                "names no person",
                "write \"user:NAME\", \"role:NAME\" or \"group:NAME\"",
            ),
            who => reviewers.extend(who),
        }
    }
    let is_alone = matches!(reviewers.as_slice(), [] | [Who::User(_)]);
    if is_alone && reviewers.len() == raw.reviewers.len() {
        desk.refuse_with(
            &reviewers_place,
            "nobody could decide: who starts a review decides nothing in it",
            "name two people, a role or a group",
        );
    }
    Some(Review {
        issuer,
        reviewers,
        scopes: scopes.into_iter().collect(),
        every,
        within,
    })
}
