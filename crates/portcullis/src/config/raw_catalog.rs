//! `[catalog]` as it is written. The comments are the reference that users read.

use super::bounds;
use schemars::JsonSchema;
use serde::Deserialize;

/// How servers are held to what was approved: their tools, prompts and resources, and what they say of themselves.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalog {
    /// What becomes of what nobody has approved. `pin` withholds it until somebody does, with `portcullis tools approve`;
    /// `learn` approves what is seen for the first time, unless something grave is found in it, and withholds every later
    /// change; `observe` lets everything pass and records changes.
    #[schemars(extend("default" = bounds::CATALOG, "enum" = ["pin", "learn", "observe"]))]
    pub(super) mode: Option<String>,
    /// How old what a server listed may be when something of it is called: 1s to 1h, or `call` to ask the server
    /// before each call. A server that says that its list has changed is asked before the next call in any case.
    #[schemars(extend("default" = "call"))]
    pub(super) recheck: Option<String>,
    /// How many persons have to approve what is new or has changed. The first yes serves nothing, and the second one has to be
    /// somebody else's, of the same version. What is learned, and what an earlier approval is rolled back to, needs nobody more.
    #[schemars(extend("default" = bounds::APPROVALS.default.0, "minimum" = bounds::APPROVALS.least.0, "maximum" = bounds::APPROVALS.most.0))]
    pub(super) approvals: Option<i64>,
}
