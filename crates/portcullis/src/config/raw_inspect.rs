//! How the contents of answers are dealt with, as it is written. The comments are the reference that users read.

use super::bounds;
use schemars::JsonSchema;
use serde::Deserialize;

/// What becomes of contents that give orders to the model: what a server's tools, resources and prompts answer, its errors, its
/// `instructions`, what it asks the client and what it notifies of. Under a tool, it holds for calls of that tool.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Inspect {
    /// `off` looks for none; `observe` lets them pass and records what was found; `mark` also says in the text that it is data; `redact` takes the lines out;
    /// `refuse` withholds the message. Under a tool, the default is what its server has.
    #[schemars(extend("default" = bounds::INSPECT, "enum" = ["off", "observe", "mark", "redact", "refuse"]))]
    pub(super) action: Option<String>,
    /// From which score on, of 100. Under a tool, the default is what its server has.
    #[schemars(extend("default" = bounds::INSPECT_SCORE.default.0, "minimum" = bounds::INSPECT_SCORE.least.0, "maximum" = bounds::INSPECT_SCORE.most.0))]
    pub(super) score: Option<i64>,
    /// How all texts of results are marked as data, whatever is in them: `delimit` puts each between boundaries that nobody can guess,
    /// `datamark` joins its words by a mark, `encode` gives it as base64. Structured content stays as it is. Under a tool, the default is
    /// what its server has.
    #[schemars(extend("default" = bounds::SPOTLIGHT, "enum" = ["off", "delimit", "datamark", "encode"]))]
    pub(super) spotlight: Option<String>,
}
