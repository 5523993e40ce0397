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
    /// With `provider = "google"`, required: the domains of your organization (`hd` of ID tokens). Anybody can have an account
    /// at Google; nobody signs in here whose account is not of one of these.
    #[serde(default)]
    pub(super) hosted_domains: Vec<String>,
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
    /// The organizations of which users must be; any, if none is named.
    pub(crate) domains: BTreeSet<String>,
}

impl Relying {
    /// The claim by which ID tokens name the user. Okta's have the id of the user as `sub`, and access tokens as `uid`.
    pub(crate) fn subject(external: &External) -> String {
        match external.provider {
            Some(Provider::Okta) => "sub".to_owned(),
            Some(
                Provider::Entra
                | Provider::Auth0
                | Provider::Keycloak
                | Provider::Google
                | Provider::Oidc,
            )
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
    let beside = (is_google(issuers, &provider), &identification);
    let domains = domains(desk, &place, raw.hosted_domains, beside);
    let mut scopes = scopes(desk, &place.key("scopes"), raw.scopes);
    scopes.insert("profile".to_owned());
    scopes.remove("openid");
    Some(Relying {
        provider,
        client_id: raw.client_id.filter(|id| !id.is_empty())?,
        identification,
        scopes,
        domains,
    })
}

fn is_google(issuers: &Issuers, name: &str) -> bool {
    match issuers.known.get(name) {
        Some(Issuer::External(external)) => external.provider == Some(Provider::Google),
        Some(Issuer::Embedded { .. }) | None => false,
    }
}

/// Of Google's users only those of an organization are meant, and Google knows its clients by secrets only.
fn domains(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Vec<String>,
    (is_google, identification): (bool, &Identification),
) -> BTreeSet<String> {
    if is_google && matches!(identification, Identification::Key) {
        let fix = "write client_secret = { file = \"…\" }";
        desk.refuse_missing(place, "Google takes no `private_key_jwt`", fix);
    }
    let list = place.key("hosted_domains");
    match (is_google, raw.is_empty()) {
        (true, true) => desk.refuse_missing(
            place,
            "no `hosted_domains`: anybody with an account at Google could sign in",
            "write the domains of your organization, as in hosted_domains = [\"example.com\"]",
        ),
        (false, false) => {
            desk.refuse_with(
                &list,
                "only Google says of which domain an account is",
                "remove it",
            );
        }
        (true, false) | (false, true) => {}
    }
    for (index, name) in raw.iter().enumerate().filter(|(_, name)| !is_domain(name)) {
        desk.refuse_with(
            &list.at(index),
            &format!("not the name of a domain: {name:?}"),
            "write it in small letters and whole, as in example.com",
        );
    }
    raw.into_iter().collect()
}

fn is_domain(name: &str) -> bool {
    let is_inside =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    name.contains('.') && name.bytes().all(is_inside) && !name.starts_with('.')
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
