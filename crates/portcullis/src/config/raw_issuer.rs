//! Who signs tokens, as it is written. The comments are the reference that users read.

use super::bounds;
use super::raw::{Reference, Span};
use super::raw_trust::Pins;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Who may sign the access tokens of clients: `provider` with the few values that it needs, or `issuer` and what belongs
/// to it, or `embedded`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are the keys of the file"
)]
pub(super) struct Issuer {
    /// Which identity provider it is. It sets `issuer`, and those of the keys below that belong to its access tokens;
    /// `portcullis check --print` shows to what. `oidc` is any other one whose access tokens have the type `JWT`, and
    /// needs `issuer`. Of `google` there are no tokens for servers: users sign in there for
    /// those of the embedded issuer (`[authority.sign_in]`). See docs/identity.
    #[schemars(extend("enum" = ["entra", "okta", "auth0", "keycloak", "google", "oidc"]))]
    pub(super) provider: Option<String>,
    /// The provider's base URL: `https://acme.okta.com`, `https://acme.eu.auth0.com`, `https://sso.example.com`. For Entra,
    /// that of its cloud. Default: `https://login.microsoftonline.com` for Entra.
    pub(super) authority: Option<String>,
    /// For Entra: the id of the tenant, whose users alone are accepted.
    pub(super) tenant: Option<String>,
    /// For Okta: the id of the custom authorization server, such as `default`.
    pub(super) authorization_server: Option<String>,
    /// For Keycloak: the name of the realm.
    pub(super) realm: Option<String>,
    /// The issuer's identifier, exactly as in the `iss` claim. `https`, or `http` on loopback.
    pub(super) issuer: Option<String>,
    /// Where its keys are. Default: what the issuer's metadata document says.
    pub(super) jwks_uri: Option<String>,
    /// Signature algorithms to accept: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`,
    /// `EdDSA`.
    #[schemars(extend("default" = bounds::ALGORITHMS, "items" = {"type": "string", "enum": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]}))]
    pub(super) algorithms: Option<Vec<String>>,
    /// Values of the `typ` header to accept: `at+jwt` and, for issuers that do not follow RFC 9068, `JWT`.
    #[schemars(extend("default" = bounds::TOKEN_TYPES, "items" = {"type": "string", "enum": ["at+jwt", "JWT"]}))]
    pub(super) token_types: Option<Vec<String>>,
    /// Longest time from `iat` to `exp` of a token.
    #[schemars(extend("default" = bounds::MAX_LIFETIME.default_text(), "x-range" = bounds::MAX_LIFETIME.words()))]
    pub(super) max_lifetime: Option<Span>,
    /// Difference of clocks to tolerate.
    #[schemars(extend("default" = bounds::SKEW.default_text(), "x-range" = bounds::SKEW.words()))]
    pub(super) skew: Option<Span>,
    /// The claim that lists the roles of a user. Dots lead into objects (`realm_access.roles`), but for names with `://`; a
    /// list of names says it exactly (`["resource_access", "my.client", "roles"]`).
    #[schemars(extend("default" = bounds::ROLES_CLAIM))]
    pub(super) roles_claim: Option<Path>,
    /// The claim that lists the groups of a user, written like `roles_claim`.
    #[schemars(extend("default" = bounds::GROUPS_CLAIM))]
    pub(super) groups_claim: Option<Path>,
    /// The claim that names the user, and never anybody else later.
    #[schemars(extend("default" = bounds::SUBJECT_CLAIM))]
    pub(super) subject_claim: Option<String>,
    /// Whether a client that comes for itself, without `subject_claim`, is named by `sub`. Only where no client can have the
    /// id of a user.
    #[schemars(extend("default" = false))]
    pub(super) client_subject: Option<bool>,
    /// The claim that names the client; a token without it is refused. Default: `client_id`, else `azp`, if there is one.
    pub(super) client_claim: Option<String>,
    /// Claims that a token must have, with this text, or one of these.
    #[serde(default)]
    #[schemars(extend("x-name" = "CLAIM"))]
    pub(super) required_claims: BTreeMap<String, Words>,
    /// Claims of which a token must have one that is not empty. Default: no such condition.
    pub(super) one_of_claims: Option<Vec<String>>,
    /// Claims that a token must not have, since ID tokens have them.
    #[schemars(extend("default" = bounds::FORBIDDEN_CLAIMS))]
    pub(super) forbidden_claims: Option<Vec<String>>,
    /// The claim that lists the scopes of a token, as one string or as a list; some issuers call it `scp`.
    #[schemars(extend("default" = bounds::SCOPE_CLAIM))]
    pub(super) scope_claim: Option<String>,
    /// Scopes of this issuer's tokens that imply others: `"mcp:admin" = ["mcp:write"]`. What an implied scope implies is
    /// implied too. Tokens of other issuers are not concerned.
    #[serde(default)]
    #[schemars(extend("x-name" = "SCOPE"))]
    pub(super) scope_implies: BTreeMap<String, Vec<String>>,
    /// Claims of this issuer's tokens that policies can speak of with their type, as `principal.claims.NAME`. NAME is up to
    /// 64 lower-case letters, digits and `_`.
    #[serde(default)]
    #[schemars(extend("x-name" = "NAME"))]
    pub(super) claims: BTreeMap<String, Claim>,
    /// PEM file with a further root to trust for connections to this issuer.
    pub(super) ca: Option<String>,
    /// As for a server.
    pub(super) crl: Option<String>,
    /// As for a server.
    #[schemars(extend("enum" = ["checked", "required"]))]
    pub(super) ocsp: Option<String>,
    pub(super) pins: Option<Pins>,
    pub(super) signals: Option<Signals>,
    pub(super) scim: Option<Scim>,
    pub(super) introspection: Option<Introspection>,
    /// The gateway's own issuer. At most one; only `max_lifetime` may stand beside it.
    #[schemars(extend("default" = false))]
    pub(super) embedded: Option<bool>,
}

/// A claim with a type. A token that has it as something else is refused.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the keys are named so")]
pub(super) struct Claim {
    /// What it is: `bool`, `long` (a whole number), `string` (of at most 256 bytes) or `strings` (a list of at most 64 of
    /// them). Required; the same for each issuer that has NAME.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["bool", "long", "string", "strings"]))]
    pub(super) kind: Option<String>,
    /// The claim in the token, written like `roles_claim`. Default: NAME.
    pub(super) claim: Option<Path>,
    /// What this issuer says by `signals` in its place: `device-compliance` (a `bool`), `risk-level` (`low`, `medium` or
    /// `high`) or `assurance-level`. It counts against tokens that were issued before, and those that say nothing. Such an
    /// event then ends no access by itself: policies decide.
    #[schemars(extend("enum" = ["device-compliance", "risk-level", "assurance-level"]))]
    pub(super) pushed: Option<String>,
}

/// Security events that this issuer pushes (Shared Signals, RFC 8935) to `PUBLIC_URL/signals/NAME`. NAME is that of
/// the issuer here, and formed like that of a server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Signals {
    /// The `aud` that its events must have. Required.
    pub(super) audience: Option<String>,
    /// The bearer token that it sends with them besides its signature: a secret reference.
    pub(super) bearer: Option<Reference>,
    pub(super) poll: Option<Poll>,
}

/// Where the gateway fetches security events (RFC 8936), from an issuer that does not push them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Poll {
    /// The address that the issuer has given the stream (`endpoint_url`). `https`, or `http` on loopback. Required.
    pub(super) url: Option<String>,
    /// The bearer token by which it knows the gateway: a secret reference. Required.
    pub(super) bearer: Option<Reference>,
    /// After so long without an answer the feed is stale, which is recorded.
    #[schemars(extend("default" = bounds::STALE.default_text(), "x-range" = bounds::STALE.words()))]
    pub(super) stale_after: Option<Span>,
    /// What a stale feed means for whom this issuer names: `record`, access goes on; `deny`, it ends until the feed answers, and
    /// there is none before it has answered first.
    #[schemars(extend("default" = bounds::ON_STALE, "enum" = ["record", "deny"]))]
    pub(super) on_stale: Option<String>,
}

/// Users of whom this issuer's directory tells (SCIM 2.0) at `PUBLIC_URL/scim/NAME/v2`. NAME is that of the issuer here, and
/// formed like that of a server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Scim {
    /// The bearer token that it sends, at least 32 characters: a secret reference. Required.
    pub(super) bearer: Option<Reference>,
    /// The attribute of a user that tokens name: `externalId` or `userName`.
    #[schemars(extend("default" = bounds::ATTRIBUTE, "enum" = ["externalId", "userName"]))]
    pub(super) attribute: Option<String>,
    /// The claim in which they do. Default: `subject_claim`.
    pub(super) claim: Option<String>,
}

/// Where this issuer is asked about tokens that nobody else can read (RFC 7662). A server trusts one such issuer at most.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Introspection {
    /// Its introspection endpoint. Default: what the issuer's metadata document says.
    pub(super) endpoint: Option<String>,
    /// The gateway's own name there (`client_secret_basic`). Required.
    pub(super) client_id: Option<String>,
    /// What it authenticates with: a secret reference. Required.
    pub(super) client_secret: Option<Reference>,
    /// How long a yes is believed before it is asked again; at most until the token expires.
    #[schemars(extend("default" = bounds::ASKED.default_text(), "x-range" = bounds::ASKED.words()))]
    pub(super) ttl: Option<Span>,
    /// Whether it is also asked about tokens that it has signed.
    #[schemars(extend("default" = false))]
    pub(super) always: Option<bool>,
    /// Whether it must sign its answers (RFC 9701). Others, and those of another key, of another audience than `client_id`, or
    /// older than a minute, then tell nothing.
    #[schemars(extend("default" = false))]
    pub(super) signed: Option<bool>,
}

/// Where a claim stands: its name, or the names on the way to it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline, extend("x-type" = "text or list of names"))]
pub(super) enum Path {
    Name(String),
    Names(Vec<String>),
}

/// A text, or several of which one will do.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline, extend("x-type" = "text or list of texts"))]
pub(super) enum Words {
    One(String),
    Several(Vec<String>),
}
