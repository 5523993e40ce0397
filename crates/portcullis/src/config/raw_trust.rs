//! More of the file as it is written: what peers must show.

use super::raw::Reference;
use schemars::JsonSchema;
use serde::Deserialize;

/// Telemetry. Where it goes is said by the variables of OpenTelemetry.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Telemetry {
    /// As for a server.
    pub(super) crl: Option<String>,
    /// As for a server.
    #[schemars(extend("enum" = ["checked", "required"]))]
    pub(super) ocsp: Option<String>,
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

/// Gets the certificate from an ACME server (RFC 8555), in place of `certificate` and `key`, and a new one when two thirds
/// of its time are over. The server must reach this gateway at port 443 of each name (TLS-ALPN-01, RFC 8737).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acme {
    /// URL of the server's directory, such as `https://acme-v02.api.letsencrypt.org/directory`. Required.
    pub(super) directory: Option<String>,
    /// Whether its terms of service are agreed to. Required, and must be `true`.
    pub(super) terms_agreed: Option<bool>,
    /// The names to be certified, from 1 to 32. Default: the host of `public_url`.
    #[serde(default)]
    pub(super) names: Vec<String>,
    /// Mail addresses at which the server's operator reaches you, at most 8.
    #[serde(default)]
    pub(super) contact: Vec<String>,
    /// PEM file with a root to trust for the server, beside those of the system.
    pub(super) ca: Option<String>,
    /// As for a server.
    pub(super) crl: Option<String>,
    /// As for a server.
    #[schemars(extend("enum" = ["checked", "required"]))]
    pub(super) ocsp: Option<String>,
    pub(super) pins: Option<Pins>,
    pub(super) external_account: Option<ExternalAccount>,
}

/// Binds the account to one that you have at the server's operator already (RFC 8555 section 7.3.4). It is needed once, when
/// the account is made; another `id` makes another account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExternalAccount {
    /// What the operator calls your account (the key identifier). Required.
    pub(super) id: Option<String>,
    /// The key (HMAC) that the operator gave you, in base64url without padding: `{ file = "…" }` or `{ env = "…" }`. Required.
    pub(super) key: Option<Reference>,
}
