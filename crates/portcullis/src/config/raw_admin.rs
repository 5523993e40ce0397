//! `[admin]` as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// The admin API, with a listener and an audience of its own. Without this table there is none. See docs/admin-api.md.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    /// Its address and port. Any address but loopback needs `[admin.tls]`. It takes effect at start.
    #[schemars(extend("default" = bounds::ADMIN_API))]
    pub(super) listen: Option<String>,
    /// The URL by which operators know it: `https`, or `http` on loopback; without path and query. Default: `http://` or, with
    /// TLS, `https://`, and `listen`.
    pub(super) url: Option<String>,
    /// The `aud` that an operator's token must have; no server has the same. Default: `url` and `/api`.
    pub(super) audience: Option<String>,
    /// Names of the issuers of operators' tokens. Not an embedded one, whose tokens whoever has the machine can make for
    /// anybody. Required.
    #[serde(default)]
    pub(super) issuers: Vec<String>,
    /// Scopes that an operator's token must have.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// As for a server.
    #[schemars(extend("x-range" = bounds::MAX_LIFETIME.words()))]
    pub(super) max_token_lifetime: Option<Span>,
    /// As for a server.
    #[schemars(extend("default" = bounds::DPOP, "enum" = ["off", "accepted", "required"]))]
    pub(super) dpop: Option<String>,
    /// As for a server; it needs `[admin.tls]`.
    #[schemars(extend("default" = bounds::MTLS, "enum" = ["off", "accepted", "required"]))]
    pub(super) mtls: Option<String>,
    /// As for a server.
    #[schemars(extend("default" = false))]
    pub(super) dpop_nonce: Option<bool>,
    /// Requests a minute of one operator.
    #[schemars(extend("default" = bounds::ADMIN_REQUESTS.default.0, "minimum" = bounds::ADMIN_REQUESTS.least.0, "maximum" = bounds::ADMIN_REQUESTS.most.0))]
    pub(super) requests_per_minute: Option<i64>,
    /// Who has which role: without a row, nobody has any.
    #[serde(default)]
    pub(super) roles: Vec<Row>,
    pub(super) tls: Option<Tls>,
}

/// One row of roles.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// `viewer`, `operator`, `approver`, `auditor` or `admin`. Required.
    #[schemars(extend("enum" = ["viewer", "operator", "approver", "auditor", "admin"]))]
    pub(super) role: Option<String>,
    /// Who has it, by their tokens for the admin API: `user:…`, `role:…`, `group:…` or `client:…`. Required.
    #[serde(default)]
    pub(super) who: Vec<String>,
    /// The tenant that it is over. Default: everything, but for callers who belong to a tenant themselves, who are never over
    /// more than that.
    pub(super) tenant: Option<String>,
}

/// The certificate that operators see. TLS 1.3 only.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// PEM file with the certificate chain, leaf first. Required.
    pub(super) certificate: Option<String>,
    /// PEM file with the private key. Required.
    pub(super) key: Option<String>,
    /// As in `gateway.tls`.
    pub(super) client_ca: Option<String>,
    /// As in `gateway.tls`.
    pub(super) client_crl: Option<String>,
}
