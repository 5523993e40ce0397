//! More of the file as it is written: what peers must show.

use schemars::JsonSchema;
use serde::Deserialize;

/// Telemetry. Where it goes is said by the variables of OpenTelemetry.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Telemetry {
    pub(super) pins: Option<Pins>,
}

/// The public keys that may stand behind a certificate here, beside all that is asked of one anyway. The certificate that is
/// shown, or one that leads from it to a trusted root, must have one of these keys.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pins {
    /// `sha256/…`: the hash of a public key, as in RFC 7469. From 2 to 16, so that one is in reserve when another must go.
    /// Required.
    pub(super) keys: Option<Vec<String>>,
    /// The last day on which these keys are known to be right, as in `2027-01-31`. They hold after it too, but this is
    /// told from 30 days before. Required.
    pub(super) expires: Option<String>,
}
