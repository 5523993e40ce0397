//! `[misuse]` as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// What of tokens counts as misuse. It is recorded as `token.misuse`, with the rule as its reason.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Misuse {
    /// The time within which things are held together.
    #[schemars(extend("default" = bounds::WINDOW.default_text(), "x-range" = bounds::WINDOW.words()))]
    pub(super) window: Option<Span>,
    /// Invalid tokens of one network that are a burst; of one issuer, ten times as many.
    #[schemars(extend("default" = bounds::INVALID.default.0, "minimum" = bounds::INVALID.least.0, "maximum" = bounds::INVALID.most.0))]
    pub(super) refusals: Option<i64>,
    /// Servers that one network may try with tokens that are not meant for them, before it is called probing.
    #[schemars(extend("default" = bounds::PROBED.default.0, "minimum" = bounds::PROBED.least.0, "maximum" = bounds::PROBED.most.0))]
    pub(super) audiences: Option<i64>,
    /// Bits of an IPv4 address that are its network.
    #[schemars(extend("default" = bounds::PREFIX_V4.default.0, "minimum" = bounds::PREFIX_V4.least.0, "maximum" = bounds::PREFIX_V4.most.0))]
    pub(super) prefix_v4: Option<i64>,
    /// Bits of an IPv6 address that are its network.
    #[schemars(extend("default" = bounds::PREFIX_V6.default.0, "minimum" = bounds::PREFIX_V6.least.0, "maximum" = bounds::PREFIX_V6.most.0))]
    pub(super) prefix_v6: Option<i64>,
    /// Networks from which one token may come beside others, such as the pools behind which clients leave:
    /// `198.51.100.0/24`.
    #[serde(default)]
    pub(super) exempt: Vec<String>,
    /// Where networks are, for `impossible_travel`: at most 256.
    #[serde(default)]
    pub(super) places: Vec<Place>,
    /// A database (MMDB) that says where addresses are which no place of `places` has, by their cities. It is
    /// read at the start and whenever the configuration is read again.
    pub(super) places_file: Option<String>,
    /// Kilometres an hour that nobody travels faster than.
    #[schemars(extend("default" = bounds::KMH.default.0, "minimum" = bounds::KMH.least.0, "maximum" = bounds::KMH.most.0))]
    pub(super) max_kmh: Option<i64>,
    /// Rules that also revoke: `token_networks` and `token_keys` the token, `volume` and `impossible_travel` what the
    /// subject holds.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "enum": ["token_networks", "token_keys", "volume", "impossible_travel"]}))]
    pub(super) revoke: Vec<String>,
}

/// Networks that are at one place.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// Addresses and ranges, such as `198.51.100.0/24`. Required.
    #[serde(default)]
    pub(super) networks: Vec<String>,
    /// Latitude and longitude in degrees, north and east: `52.52, 13.405`. Required.
    pub(super) at: Option<String>,
}
