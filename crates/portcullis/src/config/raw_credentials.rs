//! `[servers.NAME.credentials]` as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// What `url` is shown of whoever calls, in `Authorization`: a token of its own for each message. What the client brought
/// never goes there. Default: nothing but `headers`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    /// Where it comes from. `assertion`: the gateway signs it, for servers that trust the keys at
    /// `PUBLIC_URL/.well-known/jwks.json` and the issuer `PUBLIC_URL/credentials`. Required.
    #[schemars(extend("enum" = ["assertion"]))]
    pub(super) kind: Option<String>,
    /// The `aud` by which the server knows that a token is for it. No two servers share one, and it is none of the
    /// gateway's own. Required.
    pub(super) audience: Option<String>,
    /// Scopes of every such token; a call of a tool has its `upstream_scopes` besides.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// How long a token lives, and never longer than what the caller brought.
    #[schemars(extend("default" = bounds::ASSERTION.default_text(), "x-range" = bounds::ASSERTION.words()))]
    pub(super) lifetime: Option<Span>,
    /// How `sub` names the caller: `plain` as its issuer does, `qualified` as `ISSUER|SUBJECT`, which a server needs that
    /// accepts more than one issuer.
    #[schemars(extend("default" = bounds::SUBJECT, "enum" = ["plain", "qualified"]))]
    pub(super) subject: Option<String>,
}
