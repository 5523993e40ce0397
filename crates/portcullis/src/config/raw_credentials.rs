//! `[servers.NAME.credentials]` as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::{Reference, Span};
use super::raw_trust::Pins;
use schemars::JsonSchema;
use serde::Deserialize;

/// What `url` is shown of whoever calls, in `Authorization`: a token of its own for each message. What the client brought
/// never goes there. Default: nothing but `headers`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    /// Where it comes from. `assertion`: the gateway signs it, for servers that trust the keys at
    /// `PUBLIC_URL/.well-known/jwks.json` and the issuer `PUBLIC_URL/credentials`. Required.
    /// `exchange`: an authorization server gives one for the caller's (RFC 8693); `on-behalf-of`: the same in Entra's
    /// form; `id-jag`: it gives one for what the caller's identity provider says (enterprise-managed authorization), which is
    /// asked by `idp`; `client-credentials`: it gives one to the gateway itself (RFC 6749 section 4.4), the same for all
    /// callers.
    #[schemars(extend("enum" = ["assertion", "exchange", "on-behalf-of", "id-jag", "client-credentials"]))]
    pub(super) kind: Option<String>,
    /// The `aud` by which the server knows that a token is for it. No two servers share one, and it is none of the
    /// gateway's own. Required.
    pub(super) audience: Option<String>,
    /// Scopes of every such token; a call of a tool has its `upstream_scopes` besides.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// How long an `assertion` lives, and never longer than what the caller brought.
    #[schemars(extend("default" = bounds::ASSERTION.default_text(), "x-range" = bounds::ASSERTION.words()))]
    pub(super) lifetime: Option<Span>,
    /// How `sub` of an `assertion` names the caller: `plain` as its issuer does, `qualified` as `ISSUER|SUBJECT`, which a server needs that
    /// accepts more than one issuer.
    #[schemars(extend("default" = bounds::SUBJECT, "enum" = ["plain", "qualified"]))]
    pub(super) subject: Option<String>,
    /// Whether a key of the gateway's signs an `assertion` for this server alone: the server trusts the keys at
    /// `PUBLIC_URL/credentials/NAME/jwks.json` and the issuer `PUBLIC_URL/credentials/NAME`, and no other server does.
    #[schemars(extend("default" = false))]
    pub(super) own_key: Option<bool>,
    /// Where the authorization server gives tokens. The caller's token goes there, but for `id-jag` and
    /// `client-credentials`: name no other than its issuer, or one that may have it. Required, but for `assertion`.
    pub(super) token_endpoint: Option<String>,
    /// The issuer identifier of the authorization server, byte for byte: whom the gateway's signatures there are for.
    /// Default: `token_endpoint`. Required for `id-jag`, where it is whom the identity provider's word is for.
    pub(super) issuer: Option<String>,
    /// PEM file with a further root to trust for `token_endpoint`.
    pub(super) ca: Option<String>,
    /// As for a server.
    pub(super) crl: Option<String>,
    /// As for a server.
    #[schemars(extend("enum" = ["checked", "required"]))]
    pub(super) ocsp: Option<String>,
    pub(super) pins: Option<Pins>,
    /// The gateway's own name there. Required, but for `assertion`.
    pub(super) client_id: Option<String>,
    /// What it authenticates with: `{ file = "…" }` or `{ env = "…" }`. Default: a signature (`private_key_jwt`, RFC 7523)
    /// by the key at `PUBLIC_URL/.well-known/client-jwks.json`.
    pub(super) client_secret: Option<Reference>,
    /// Where the secret stands.
    #[schemars(extend("default" = bounds::CLIENT_AUTH, "enum" = ["client_secret_basic", "client_secret_post"]))]
    pub(super) client_auth: Option<String>,
    /// The server's URI, where the authorization server wants `resource` (RFC 8707). Required for `id-jag`.
    pub(super) resource: Option<String>,
    /// Whether `exchange` says that the gateway asks for the caller: an `actor_token` signed by the key at
    /// `PUBLIC_URL/.well-known/jwks.json`.
    #[schemars(extend("default" = false))]
    pub(super) actor: Option<bool>,
    /// Whether a token is bound to a key of the gateway's (RFC 9449), so that it is worth nothing to who steals it. A token
    /// that is not bound is refused then; `token_endpoint` and the server have to know that.
    #[schemars(extend("default" = false))]
    pub(super) dpop: Option<bool>,
    /// How long a token is shown at most; another one is fetched before. Never longer than it lives, or the caller's own.
    #[schemars(extend("default" = bounds::TOKEN_AGE.default_text(), "x-range" = bounds::TOKEN_AGE.words()))]
    pub(super) max_age: Option<Span>,
    /// How the caller's identity provider is asked. Required for `id-jag`.
    pub(super) idp: Option<IdentityProvider>,
}

/// Where the caller's identity provider says who comes, for a server's authorization server (ID-JAG, RFC 8693). The caller's
/// token goes there: name no other than its issuer.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityProvider {
    /// Where it is asked. Required.
    pub(super) token_endpoint: Option<String>,
    /// Its issuer identifier: whom the gateway's signatures there are for. Default: `token_endpoint`.
    pub(super) issuer: Option<String>,
    /// PEM file with a further root to trust for `token_endpoint`.
    pub(super) ca: Option<String>,
    /// As for a server.
    pub(super) crl: Option<String>,
    /// As for a server.
    #[schemars(extend("enum" = ["checked", "required"]))]
    pub(super) ocsp: Option<String>,
    pub(super) pins: Option<Pins>,
    /// The gateway's own name there. Required.
    pub(super) client_id: Option<String>,
    /// What it authenticates with: `{ file = "…" }` or `{ env = "…" }`. Default: a signature (`private_key_jwt`, RFC 7523)
    /// by the key at `PUBLIC_URL/.well-known/client-jwks.json`.
    pub(super) client_secret: Option<Reference>,
    /// Where the secret stands.
    #[schemars(extend("default" = bounds::CLIENT_AUTH, "enum" = ["client_secret_basic", "client_secret_post"]))]
    pub(super) client_auth: Option<String>,
    /// What the caller's token is to its issuer.
    #[schemars(extend("default" = bounds::SUBJECT_TOKEN, "enum" = ["access_token", "id_token"]))]
    pub(super) subject_token: Option<String>,
}
