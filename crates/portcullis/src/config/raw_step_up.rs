//! How callers must have authenticated, as it is written.

use super::bounds;
use super::raw::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// How and how lately callers must have authenticated (RFC 9470). Under a tool, it adds to what the server needs. A token
/// that does not say is refused.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StepUp {
    /// Values of the `acr` claim to accept, the preferred one first.
    #[serde(default)]
    pub(super) acr: Vec<String>,
    /// Values that must all be in the `amr` claim (RFC 8176). The challenge has no word for them: name an `acr` too.
    #[serde(default)]
    pub(super) amr: Vec<String>,
    /// How long ago the login (`auth_time`) may be.
    #[schemars(extend("x-range" = bounds::MAX_AGE.words()))]
    pub(super) max_age: Option<Span>,
}
