//! `[review]` as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// Reviews of who may do what. What nobody keeps until its review is due gives no access any more.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Review {
    /// The issuer of the reviewers' tokens: a key of `[issuers]`. Not an embedded one, whose tokens whoever operates the
    /// gateway can make.
    pub(super) issuer: Option<String>,
    /// Who may start reviews and decide in them, by their tokens: `user:alice`, `role:reviewer`, `group:security`. Whoever
    /// starts a review decides nothing in it, so there must be two.
    #[serde(default)]
    pub(super) reviewers: Vec<String>,
    /// Scopes that a reviewer's token must have, so that the token of just any client is not enough.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// How often there must be a review. That one is overdue is recorded, and `doctor` says so.
    #[schemars(extend("default" = bounds::REVIEW_EVERY.default_text(), "x-range" = bounds::REVIEW_EVERY.words()))]
    pub(super) every: Option<Span>,
    /// How long a review is open.
    #[schemars(extend("default" = bounds::REVIEW_WITHIN.default_text(), "x-range" = bounds::REVIEW_WITHIN.words()))]
    pub(super) within: Option<Span>,
}
