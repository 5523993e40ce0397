//! Which calls somebody has to approve, as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// That each call of the tool has to be approved, besides all rules: by somebody who is signed in at the gateway's own page
/// (`[authority]`), for just these arguments, once.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    /// Who approves: `caller`, or `user:alice`, `role:lead`, `group:finance`; then never whoever calls. Default: `caller`.
    #[serde(default)]
    pub(super) by: Vec<String>,
    /// How long a question is open, and how long an approval is good after it.
    #[schemars(extend("default" = bounds::APPROVAL.default_text(), "x-range" = bounds::APPROVAL.words()))]
    pub(super) expires: Option<Span>,
    /// How much is at stake: `low`, or `high`, where the page looks different and wants the tool's name to be typed.
    #[schemars(extend("default" = bounds::RISK, "enum" = ["low", "high"]))]
    pub(super) risk: Option<String>,
}

/// That each call of a tool whose risk is over a number has to be approved, but of tools with an `approval` of their own. The
/// risk is that of the version that is approved, which is not known before the tool was listed: then it has to be approved too.
/// Needs `catalog = "pin"` or `"learn"`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RiskyTools {
    /// The number: a tool has from 0 to 100.
    #[schemars(extend("minimum" = bounds::OVER.least.0, "maximum" = bounds::OVER.most.0))]
    pub(super) over: i64,
    /// As in `approval` of a tool.
    #[serde(default)]
    pub(super) by: Vec<String>,
    /// As in `approval` of a tool.
    #[schemars(extend("default" = bounds::APPROVAL.default_text(), "x-range" = bounds::APPROVAL.words()))]
    pub(super) expires: Option<Span>,
    /// As in `approval` of a tool.
    #[schemars(extend("default" = bounds::RISK, "enum" = ["low", "high"]))]
    pub(super) risk: Option<String>,
}
