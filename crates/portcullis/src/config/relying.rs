//! Who signs users in for the authorization server: as it is written, and checked.

use super::bounds;
use super::check::{Desk, Issuers, scopes};
use super::checked::{External, Issuer};
use super::credentials::Identification;
use super::problem::Place;
use super::provider::Provider;
use super::raw::{Reference, Text};
use portcullis_core::secret::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;

/// The identity provider at which users sign in. Register the gateway there as a confidential client (a web application)
/// with the redirect URI `PUBLIC_URL/account/callback`, and for logout `PUBLIC_URL/account/backchannel-logout`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// Which of `[issuers]` it is. Required.
    pub(super) provider: Option<String>,
    /// The gateway's own name there. Required.
    pub(super) client_id: Option<String>,
    /// What it authenticates with: `{ file = "…" }` or `{ env = "…" }`. Default: a signature (`private_key_jwt`, RFC 7523)
    /// by the key at `PUBLIC_URL/.well-known/client-jwks.json`.
    pub(super) client_secret: Option<Reference>,
    /// Where the secret stands.
    #[schemars(extend("default" = bounds::CLIENT_AUTH, "enum" = ["client_secret_basic", "client_secret_post"]))]
    pub(super) client_auth: Option<String>,
    /// Scopes to ask for besides `openid` and `profile`, where the provider gives groups or roles only with one of them.
    #[serde(default)]
    pub(super) scopes: Vec<String>,
}

/// What the gateway is at the provider.
#[derive(Debug)]
pub(crate) struct Relying {
    /// A key of the issuers; never the embedded one.
    pub(crate) provider: String,
    /// Our name there.
    pub(crate) client_id: String,
    /// What shows that it is us.
    pub(crate) identification: Identification,
    /// Scopes besides `openid`.
    pub(crate) scopes: BTreeSet<String>,
}

impl Relying {
    /// The claim by which ID tokens name the user. Okta's have the id of the user as `sub`, and access tokens as `uid`.
    pub(crate) fn subject(external: &External) -> String {
        match external.provider {
            Some(Provider::Okta) => "sub".to_owned(),
            Some(Provider::Entra | Provider::Auth0 | Provider::Keycloak | Provider::Oidc)
            | None => external.claims.subject.clone(),
        }
    }
}

pub(super) fn relying(desk: &mut Desk<'_>, raw: Raw, issuers: &Issuers) -> Option<Relying> {
    let place = Place::default().key("authority").key("sign_in");
    let needed = [
        (
            "provider",
            raw.provider.is_none(),
            "write the name of one of [issuers]",
        ),
        (
            "client_id",
            raw.client_id.is_none(),
            "write the name under which the provider knows the gateway",
        ),
    ];
    for (key, is_missing, fix) in needed {
        if is_missing {
            desk.refuse_missing(&place, &format!("no `{key}`"), fix);
        }
    }
    let provider = raw.provider?;
    match issuers.known.get(&provider) {
        Some(Issuer::External(_)) => {}
        Some(Issuer::Embedded { .. }) => desk.refuse_with(
            &place.key("provider"),
            "it is the gateway itself, at which nobody signs in",
            "name the issuer of your identity provider",
        ),
        // What is wrong with it is told where it stands.
        None if issuers.names.contains(&provider) => return None,
        None => {
            let known = issuers.names.iter().map(String::as_str);
            desk.refuse_unknown(
                &place.key("provider"),
                "no issuer has this name",
                &provider,
                known,
            );
        }
    }
    let identification =
        identification(desk, &place, raw.client_secret, raw.client_auth.as_deref())?;
    let mut scopes = scopes(desk, &place.key("scopes"), raw.scopes);
    scopes.insert("profile".to_owned());
    scopes.remove("openid");
    Some(Relying {
        provider,
        client_id: raw.client_id.filter(|id| !id.is_empty())?,
        identification,
        scopes,
    })
}

fn identification(
    desk: &mut Desk<'_>,
    place: &Place,
    secret: Option<Reference>,
    way: Option<&str>,
) -> Option<Identification> {
    type Made = fn(Secret<String>) -> Identification;
    let ways: [(&str, Made); 2] = [
        ("client_secret_basic", Identification::Basic),
        ("client_secret_post", Identification::Post),
    ];
    let Some(secret) = secret else {
        if way.is_some() {
            desk.refuse_with(
                &place.key("client_auth"),
                "only for a client with `client_secret`",
                "remove it",
            );
        }
        return Some(Identification::Key);
    };
    let way = desk.choose(
        &place.key("client_auth"),
        way.unwrap_or(bounds::CLIENT_AUTH),
        &ways,
    );
    let secret = desk.text(&place.key("client_secret"), Text::Reference(secret))?;
    way.map(|way| way(secret))
}
