//! Servers that need their user's consent: as it is written, and checked.

use super::check::Desk;
use super::check::scopes;
use super::checked::{Transport, Upstream};
use super::problem::Place;
use super::raw::{Reference, Text};
use super::url::HttpUrl;
use portcullis_core::secret::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;

/// `url` needs the consent of each user (OAuth). Whoever calls without it gets a link to a page of the gateway; then
/// messages go up with this caller's own token. An empty table is enough where the authorization server takes a client
/// that it does not know by its URL, and `public_url` is `https`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// The authorization server at which the gateway is registered, byte for byte as its metadata says. Needed with
    /// `client_id`; what is registered there is shown to no other.
    pub(super) issuer: Option<String>,
    /// The gateway's own name there.
    pub(super) client_id: Option<String>,
    /// What it authenticates with there, if anything: `{ file = "…" }` or `{ env = "…" }`.
    pub(super) client_secret: Option<Reference>,
    /// Where you publish what `PUBLIC_URL/connect/client.json` would say, if the authorization server cannot reach the
    /// gateway: an `https` URL with a path. It is the gateway's name at each one that takes such clients.
    pub(super) client_document: Option<String>,
    /// Whether the gateway may register itself at an authorization server that the server names (RFC 7591).
    #[schemars(extend("default" = false))]
    pub(super) register: Option<bool>,
    /// Whether the server may be one of 2025-03-26, which says nothing of itself (no protected resource metadata): then the
    /// authorization server is at the origin of `url`, with its metadata there or, without any, `/authorize`, `/token` and
    /// `/register`. Weaker: such a server tells nobody for whom its tokens are, and who answers in its name names itself its
    /// authorization server.
    #[schemars(extend("default" = false))]
    pub(super) without_metadata: Option<bool>,
    /// Scopes to ask for besides those that the server wants.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
    /// Whether links may be followed by browsers that nobody has proven to be the caller's. Whoever follows the link of
    /// another and agrees lends that other an account. Needed unless `public_url` is on loopback, where a link leads
    /// to the machine of whoever follows it.
    #[schemars(extend("default" = false))]
    pub(super) unproven_browsers: Option<bool>,
}

/// How a server is signed in to.
#[derive(Debug)]
pub(crate) struct SignIn {
    /// The client that is registered.
    pub(crate) client: Option<RegisteredClient>,
    /// Where what the gateway says of itself as a client is published, if not by it.
    pub(crate) document: Option<String>,
    /// Whether the gateway may register itself.
    pub(crate) may_register: bool,
    /// Whether of a server that says nothing of itself is assumed what 2025-03-26 says.
    pub(crate) may_assume: bool,
    /// Scopes that are always asked for.
    pub(crate) scopes: BTreeSet<String>,
}

/// A client of an authorization server.
#[derive(Debug)]
pub(crate) struct RegisteredClient {
    /// Where, as a URL and byte for byte.
    pub(crate) issuer: (HttpUrl, String),
    /// `client_id`.
    pub(crate) id: String,
    /// `client_secret`.
    pub(crate) secret: Option<Secret<String>>,
}

/// `beside` is how the server is reached, if that is known, and whether it has `credentials`; `public_url` is ours.
pub(super) fn sign_in(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Raw,
    (upstream, has_credentials): (Option<&Upstream>, bool),
    public_url: Option<&HttpUrl>,
) -> Option<SignIn> {
    expect_room(desk, place, upstream, has_credentials);
    let is_elsewhere = public_url.is_some_and(|own| !own.is_loopback());
    if is_elsewhere && !raw.unproven_browsers.unwrap_or(false) {
        desk.refuse_with(
            place,
            "whoever opens a link of this server is not proven to be its caller",
            "write `unproven_browsers = true` if callers show links to nobody else, or remove `sign_in`",
        );
    }
    let scopes = scopes(desk, &place.key("scopes"), raw.scopes);
    let secret = raw
        .client_secret
        .map(|secret| desk.text(&place.key("client_secret"), Text::Reference(secret)));
    let id = raw.client_id.filter(|id| !id.is_empty());
    let issuer = raw.issuer.and_then(|text| {
        let url = desk.url(&place.key("issuer"), &text)?;
        Some((url, text))
    });
    let client = match (issuer, id) {
        (Some(issuer), Some(id)) => Some(RegisteredClient {
            issuer,
            id,
            secret: match secret {
                None => None,
                Some(found) => Some(found?),
            },
        }),
        (None, None) if secret.is_none() => None,
        (_, _) => {
            desk.refuse_missing(
                place,
                "`issuer` and `client_id` belong together, and `client_secret` to both",
                "write all that the authorization server gave, or none of it",
            );
            return None;
        }
    };
    let document = raw.client_document;
    if let Some(text) = &document {
        expect_document(desk, &place.key("client_document"), text, client.is_some());
    }
    Some(SignIn {
        client,
        document,
        may_register: raw.register.unwrap_or(false),
        may_assume: raw.without_metadata.unwrap_or(false),
        scopes,
    })
}

/// What can be a client's name (client id metadata documents, section 3), where it has no other.
fn expect_document(desk: &mut Desk<'_>, place: &Place, text: &str, is_registered: bool) {
    if is_registered {
        desk.refuse_with(
            place,
            "the gateway has a `client_id` already",
            "keep one of them",
        );
    }
    let url = desk.url(place, text);
    let is_name = |url: &HttpUrl| {
        let is_plain = !url
            .path()
            .split('/')
            .any(|part| [".", ".."].contains(&part));
        url.is_https() && url.path() != "/" && url.query().is_none() && is_plain
    };
    if url.is_some_and(|url| !is_name(&url)) {
        desk.refuse_with(
            place,
            "not the name of a client: `https`, with a path and without a query",
            "write it as in \"https://host.example/mcp-client.json\"",
        );
    }
}

/// There is one `Authorization`, and only where there are headers and answers to each message.
fn expect_room(
    desk: &mut Desk<'_>,
    place: &Place,
    upstream: Option<&Upstream>,
    has_credentials: bool,
) {
    if has_credentials {
        desk.refuse_with(
            place,
            "this server has `credentials` too",
            "keep one of them",
        );
    }
    match upstream {
        Some(Upstream::Http(http)) if http.headers.contains_key("authorization") => desk
            .refuse_with(
                place,
                "this server already has an `Authorization` in `headers`",
                "keep one of them",
            ),
        Some(Upstream::Http(http)) if http.transport == Transport::Sse => desk.refuse_with(
            place,
            "only with the transport `streamable-http`",
            "remove it, or the transport",
        ),
        Some(Upstream::Stdio(_)) => {
            desk.refuse_with(place, "only for a server with `url`", "remove it");
        }
        Some(Upstream::Http(_)) | None => {}
    }
}
