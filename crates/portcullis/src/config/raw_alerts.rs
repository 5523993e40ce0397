//! `[alerts.NAME]` as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::{Reference, Span};
use super::raw_trust::Pins;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where alerts go, as Detection Findings of OCSF: one of `webhook`, `syslog`, `file` and `stdout`. NAME is formed like that
/// of a server. At most 8.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Alerts {
    /// URL to which each is sent by POST, signed as Standard Webhooks has it. `https`, or `http` on loopback.
    pub(super) webhook: Option<String>,
    /// The key of the signature, a secret reference: `whsec_` and Base64 of 24 bytes or more, or a text of as many.
    pub(super) secret: Option<Reference>,
    /// A syslog server (RFC 5424): `tls://HOST:PORT` (RFC 5425), or on loopback `tcp://…` and `udp://…`.
    pub(super) syslog: Option<String>,
    /// A file to which a line is added for each.
    pub(super) file: Option<String>,
    /// Whether a line for each goes to standard output.
    #[schemars(extend("default" = false))]
    pub(super) stdout: Option<bool>,
    /// PEM file with a further root to trust for it.
    pub(super) ca: Option<String>,
    /// PEM file with the revocation lists of the authorities that issue its certificates.
    pub(super) crl: Option<String>,
    /// As for a server.
    #[schemars(extend("enum" = ["checked", "required"]))]
    pub(super) ocsp: Option<String>,
    pub(super) pins: Option<Pins>,
    /// PEM file with the certificate that the gateway shows to it, leaf first. Needs `client_key`.
    pub(super) client_certificate: Option<String>,
    /// The private key of `client_certificate`, as PEM: a secret reference.
    pub(super) client_key: Option<Reference>,
    /// How grave an alert must be.
    #[schemars(extend("default" = bounds::SEVERITY, "enum" = ["low", "medium", "high", "critical"]))]
    pub(super) severity: Option<String>,
    /// Events of the audit log that are told too, however small: `authz.deny`, or with the reason `authn.reject/signature`.
    #[serde(default)]
    pub(super) events: Vec<String>,
    /// Alerts a minute; what goes beyond is counted in the audit log.
    #[schemars(extend("default" = bounds::ALERTS.default.0, "minimum" = bounds::ALERTS.least.0, "maximum" = bounds::ALERTS.most.0))]
    pub(super) per_minute: Option<i64>,
    /// For so long the same of the same caller is not told again, but counted in the next.
    #[schemars(extend("default" = bounds::REPEAT.default_text(), "x-range" = bounds::REPEAT.words()))]
    pub(super) repeat_after: Option<Span>,
    /// An alert that is older and still not delivered is given up; the audit log says so.
    #[schemars(extend("default" = bounds::GIVE_UP.default_text(), "x-range" = bounds::GIVE_UP.words()))]
    pub(super) give_up_after: Option<Span>,
}
