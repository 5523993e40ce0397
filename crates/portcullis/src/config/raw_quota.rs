//! `[quota]` as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::Size;
use schemars::JsonSchema;
use serde::Deserialize;

/// How much each principal may ask for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Quota {
    /// Requests a minute of one principal.
    #[schemars(extend("default" = bounds::REQUESTS.default.0, "minimum" = bounds::REQUESTS.least.0, "maximum" = bounds::REQUESTS.most.0))]
    pub(super) requests_per_minute: Option<i64>,
    /// Requests of one principal that may come at once before the rate counts.
    #[schemars(extend("default" = bounds::BURST.default.0, "minimum" = bounds::BURST.least.0, "maximum" = bounds::BURST.most.0))]
    pub(super) burst: Option<i64>,
    /// Requests of one principal under way at once.
    #[schemars(extend("default" = bounds::CONCURRENCY.default.0, "minimum" = bounds::CONCURRENCY.least.0, "maximum" = bounds::CONCURRENCY.most.0))]
    pub(super) concurrency: Option<i64>,
    /// Bytes a minute of one principal, both directions.
    #[schemars(extend("default" = bounds::BYTES.default_text(), "x-range" = bounds::BYTES.words()))]
    pub(super) bytes_per_minute: Option<Size>,
    /// Calls a minute of one principal to one tool; a tool's own number replaces it.
    #[schemars(extend("default" = bounds::TOOL_REQUESTS.default.0, "minimum" = bounds::TOOL_REQUESTS.least.0, "maximum" = bounds::TOOL_REQUESTS.most.0))]
    pub(super) tool_requests_per_minute: Option<i64>,
    /// Requests to one server under way at once, of all principals.
    #[schemars(extend("default" = bounds::UPSTREAM_CONCURRENCY.default.0, "minimum" = bounds::UPSTREAM_CONCURRENCY.least.0, "maximum" = bounds::UPSTREAM_CONCURRENCY.most.0))]
    pub(super) upstream_concurrency: Option<i64>,
}
