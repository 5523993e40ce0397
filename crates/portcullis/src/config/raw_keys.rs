//! `[keys]` as it is written. The comments are the reference that users read.

use super::raw::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// The gateway's own keys.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    #[serde(default)]
    pub(super) rotate_every: RotateEvery,
}

/// How old a key becomes before the gateway replaces it by itself, as `portcullis keys rotate` and `keys rewrap` would. Each
/// 1d to 3650d. Default: never. Keys that sign in a token are not replaced so: the gateway makes none there.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateEvery {
    /// The key of the embedded issuer.
    pub(super) issuer: Option<Span>,
    /// The key that signs what servers are shown of callers.
    pub(super) assertion: Option<Span>,
    /// The key by which authorization servers know the gateway.
    pub(super) client: Option<Span>,
    /// The key that signs checkpoints of the audit log.
    pub(super) audit: Option<Span>,
    /// The key that signs what is approved of what servers define.
    pub(super) catalog: Option<Span>,
    /// The key that wraps those under which secrets are sealed; in a token as well, as that one makes it.
    pub(super) wrapping: Option<Span>,
}
