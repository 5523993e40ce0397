//! `[authority]` as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The authorization server that MCP clients see: it gives them tokens of the embedded issuer for the servers that take
/// these. Off without this table. Its name is `public_url`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Authority {
    /// How long an access token lives; never longer than its server or the embedded issuer allow.
    #[schemars(extend("default" = bounds::ACCESS.default_text(), "x-range" = bounds::ACCESS.words()))]
    pub(super) access_tokens: Option<Span>,
    /// How long a refresh token may lie unused. Each is used once, and gives the next.
    #[schemars(extend("default" = bounds::REFRESH.default_text(), "x-range" = bounds::REFRESH.words()))]
    pub(super) refresh_tokens: Option<Span>,
    /// After this a user has to sign in again, however often its client has refreshed.
    #[schemars(extend("default" = bounds::FAMILY.default_text(), "x-range" = bounds::FAMILY.words()))]
    pub(super) sign_ins: Option<Span>,
    /// The same for users who have groups or roles, which are those of the sign-in until they sign in again.
    #[schemars(extend("default" = bounds::GROUPED.default_text(), "x-range" = bounds::GROUPED.words()))]
    pub(super) grouped_sign_ins: Option<Span>,
    /// The hosts to which answers may go by `https`, each as a whole name. Default: any that a client names, but none
    /// for clients that have registered themselves.
    pub(super) redirect_hosts: Option<Vec<String>>,
    /// Schemes of native applications to which answers may go, such as `com.example.app`.
    #[serde(default)]
    pub(super) redirect_schemes: Vec<String>,
    /// Whether answers may go to programs on the user's own machine.
    #[schemars(extend("default" = true))]
    pub(super) loopback: Option<bool>,
    /// Whether the URL of a document that a client publishes can be its id.
    #[schemars(extend("default" = true))]
    pub(super) documents: Option<bool>,
    /// The hosts whose documents are believed, each as a whole name. Default: any of the Internet.
    pub(super) document_hosts: Option<Vec<String>>,
    /// PEM file with a further root to trust where documents are fetched.
    pub(super) ca: Option<String>,
    /// Clients that you have registered. ID is the `client_id`.
    #[serde(default)]
    #[schemars(extend("x-name" = "ID"))]
    pub(super) clients: BTreeMap<String, AuthorityClient>,
    pub(super) registration: Option<Registration>,
    /// Identity providers whose assertions give tokens without asking their users, since the enterprise has consented for them
    /// there (Identity Assertion JWT Authorization Grant). NAME is one of `[issuers]`.
    #[serde(default)]
    #[schemars(extend("x-name" = "NAME"))]
    pub(super) assertions: BTreeMap<String, Assertions>,
    pub(super) sign_in: Option<super::relying::Raw>,
    /// How long it counts that a user has agreed. Users are asked again after that, and at once where a client asks for
    /// more, or says something else of itself; by clients that have registered themselves, each time.
    #[schemars(extend("default" = bounds::CONSENTS.default_text(), "x-range" = bounds::CONSENTS.words()))]
    pub(super) consents: Option<Span>,
    /// What scopes mean, in words for users: `"notes:write" = "Change your notes"`.
    #[serde(default)]
    #[schemars(extend("x-name" = "SCOPE"))]
    pub(super) scopes: BTreeMap<String, String>,
}

/// A client that you have registered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthorityClient {
    /// What users are shown. Default: the ID.
    pub(super) name: Option<String>,
    /// Where its answers may go: `https`, `http` on loopback with any port, or a scheme of a native application.
    /// Required with `authorization_code`.
    #[serde(default)]
    pub(super) redirect_uris: Vec<String>,
    /// JSON file with its public keys (a JWK Set), if it authenticates (`private_key_jwt`). Default: it does not.
    pub(super) jwks: Option<String>,
    /// How it gets tokens: `authorization_code`, `refresh_token`,
    /// `urn:ietf:params:oauth:grant-type:device_code` (for terminals: RFC 8628), `client_credentials` (for agents that come
    /// for themselves; with `jwks`).
    #[schemars(extend("default" = bounds::GRANT_TYPES))]
    pub(super) grant_types: Option<Vec<String>>,
    /// The scopes that it may have with `client_credentials`. Default: none.
    pub(super) scopes: Option<Vec<String>>,
}

/// A provider whose assertions give tokens.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Assertions {
    /// The clients that may come with them, by id: of `[authority.clients]` with `jwks`, or URLs of documents. Required.
    #[serde(default)]
    pub(super) clients: Vec<String>,
}

/// Lets clients register themselves (RFC 7591), which anybody can do. Off without this table. Their answers go to
/// loopback and to `redirect_hosts` only, and users are asked each time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    /// A client is forgotten after so long.
    #[schemars(extend("default" = bounds::REGISTERED.default_text(), "x-range" = bounds::REGISTERED.words()))]
    pub(super) lifetime: Option<Span>,
    /// Clients that one network may have registered at once.
    #[schemars(extend("default" = bounds::OF_NETWORK.default.0, "minimum" = bounds::OF_NETWORK.least.0, "maximum" = bounds::OF_NETWORK.most.0))]
    pub(super) per_network: Option<i64>,
    /// Those whose software statements count (RFC 7591 section 2.3), by their `iss`: JSON files with their public keys (JWK Sets).
    /// What a statement says of a client stands in the place of what the client says. Default: none, and statements are left
    /// aside.
    #[serde(default)]
    #[schemars(extend("x-name" = "ISS"))]
    pub(super) statements: BTreeMap<String, String>,
    /// Whether a client needs a software statement, where some count.
    #[schemars(extend("default" = true))]
    pub(super) require_statement: Option<bool>,
}
