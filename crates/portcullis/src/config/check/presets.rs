//! From an identity provider and its few values to the keys that they stand for.

use super::desk::Desk;
use crate::config::bounds;
use crate::config::problem::Place;
use crate::config::provider::Provider;
use crate::config::raw_issuer::{Issuer, Path, Words};

/// The cloud of Entra that most tenants are in.
const ENTRA: &str = "https://login.microsoftonline.com";
/// Stand in the place of a tenant's id, and let in people of any tenant.
const ANY_TENANT: &[&str] = &["common", "organizations", "consumers"];
/// The tenant of everybody who has a private account with Microsoft.
const PRIVATE_ACCOUNTS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

pub(super) const NO_GOOGLE: &str = "Google's access tokens can be read by Google only, and it has no introspection endpoint \
                         (RFC 7662); its ID tokens are for whoever asks";
pub(super) const INSTEAD_OF_GOOGLE: &str = "write provider = \"google\", and [authority.sign_in]: people sign in there for tokens of the gateway's \
                                 own. See docs/identity/google.md";
/// Google's `iss`.
const GOOGLE: &str = "https://accounts.google.com";

/// Writes into `raw` what the provider stands for, where the file does not say otherwise.
pub(super) fn expand(desk: &mut Desk<'_>, place: &Place, raw: &mut Issuer) -> Option<Provider> {
    let here = place.key("provider");
    let provider = match raw.provider.take() {
        None => None,
        Some(text) => Some(desk.choose(&here, &text, Provider::ALL)?),
    };
    only_where_needed(desk, place, raw, provider);
    let provider = provider?;
    if provider != Provider::Oidc && raw.issuer.is_some() {
        desk.refuse_with(
            &place.key("issuer"),
            "the issuer follows from `provider`",
            "remove it, or remove `provider` and write every key",
        );
        return None;
    }
    if raw.one_of_claims.is_some() {
        desk.refuse_with(
            &place.key("one_of_claims"),
            "`provider` says by what its access tokens are known",
            "remove it, or remove `provider` and write every key",
        );
    }
    match provider {
        Provider::Entra => entra(desk, place, raw),
        Provider::Okta => okta(desk, place, raw),
        Provider::Auth0 => auth0(desk, place, raw),
        Provider::Keycloak => keycloak(desk, place, raw),
        Provider::Google => google(desk, place, raw),
        Provider::Oidc => {
            types(raw, &["at+jwt", "JWT"]);
            known_by(raw, &["scope", "scp"]);
        }
    }
    Some(provider)
}

/// What belongs to another provider would have no effect.
fn only_where_needed(desk: &mut Desk<'_>, place: &Place, raw: &Issuer, provider: Option<Provider>) {
    use Provider::{Auth0, Entra, Google, Keycloak, Okta};
    let keys: [(&str, bool, &[Provider]); 4] = [
        (
            "authority",
            raw.authority.is_some(),
            &[Entra, Okta, Auth0, Keycloak, Google],
        ),
        ("tenant", raw.tenant.is_some(), &[Entra]),
        (
            "authorization_server",
            raw.authorization_server.is_some(),
            &[Okta],
        ),
        ("realm", raw.realm.is_some(), &[Keycloak]),
    ];
    for (key, is_written, of) in keys {
        if is_written && !provider.is_some_and(|provider| of.contains(&provider)) {
            let names: Vec<&str> = of.iter().map(|provider| provider.name()).collect();
            desk.refuse_with(
                &place.key(key),
                "it belongs to another provider",
                &format!(
                    "remove it, or write provider = \"{}\"",
                    names.join("\" or \"")
                ),
            );
        }
    }
}

/// Tokens of version 2 of one tenant. `oid` is the user's id in the whole tenant, as its administrators and its logs
/// know it; `sub` is another for each application, and no administrator can look it up.
fn entra(desk: &mut Desk<'_>, place: &Place, raw: &mut Issuer) {
    let authority = match raw.authority.take() {
        None => Some(ENTRA.to_owned()),
        Some(text) => base(desk, &place.key("authority"), &text),
    };
    let is_of_version_1 = |text: &String| text.contains("://sts.");
    if authority.as_ref().is_some_and(is_of_version_1) {
        desk.refuse_with(
            &place.key("authority"),
            "it issues tokens of version 1",
            "write the login endpoint of the cloud, such as https://login.microsoftonline.us",
        );
        return;
    }
    let Some(tenant) = needed(
        desk,
        place,
        raw.tenant.take(),
        ("tenant", "the tenant's id"),
    ) else {
        return;
    };
    let tenant = tenant.to_ascii_lowercase();
    if ANY_TENANT.contains(&&*tenant) || tenant == PRIVATE_ACCOUNTS {
        desk.refuse_with(
            &place.key("tenant"),
            "people of every tenant could sign in",
            "write the id of your own tenant; several tenants are several issuers",
        );
        return;
    }
    if !is_guid(&tenant) {
        desk.refuse_with(
            &place.key("tenant"),
            "not the id of a tenant: tokens never have its name",
            "write the id that the portal shows as Tenant ID, as in 00000000-0000-0000-0000-000000000000",
        );
        return;
    }
    raw.issuer = authority.map(|authority| format!("{authority}/{tenant}/v2.0"));
    algorithms(raw, &["RS256"]);
    types(raw, &["JWT"]);
    named(&mut raw.scope_claim, "scp");
    named(&mut raw.subject_claim, "oid");
    named(&mut raw.client_claim, "azp");
    require(desk, place, raw, "tid", &[&tenant]);
    require(desk, place, raw, "ver", &["2.0"]);
    known_by(raw, &["scp", "roles"]);
    never(raw);
}

/// Only ID tokens, and those for the gateway alone: `only_to_sign_in` keeps all others out.
fn google(desk: &mut Desk<'_>, place: &Place, raw: &mut Issuer) {
    raw.issuer = match raw.authority.take() {
        None => Some(GOOGLE.to_owned()),
        Some(text) => base(desk, &place.key("authority"), &text),
    };
    algorithms(raw, &["RS256"]);
    types(raw, &["JWT"]);
    never(raw);
}

/// `uid` is the user's id; `sub` is the name for signing in, which can be given to somebody else. Ids of users begin with
/// `00u`, those of clients with `0oa`: they never meet.
fn okta(desk: &mut Desk<'_>, place: &Place, raw: &mut Issuer) {
    let authority = authority(desk, place, raw, "https://acme.okta.com");
    let Some(server) = raw.authorization_server.take() else {
        desk.refuse_missing(
            place,
            "no `authorization_server`: the tokens of Okta's org server can be verified by Okta only",
            "write the id of a custom one, as in authorization_server = \"default\"",
        );
        return;
    };
    expect_plain(desk, &place.key("authorization_server"), &server);
    raw.issuer = authority.map(|authority| format!("{authority}/oauth2/{server}"));
    algorithms(raw, &["RS256"]);
    types(raw, &["at+jwt", "JWT"]);
    named(&mut raw.scope_claim, "scp");
    named(&mut raw.subject_claim, "uid");
    raw.client_subject.get_or_insert(true);
    named(&mut raw.client_claim, "cid");
    known_by(raw, &["scp"]);
    never(raw);
}

/// The issuer's identifier ends with a slash. `permissions` lists what the user may do, whatever the client asked for.
fn auth0(desk: &mut Desk<'_>, place: &Place, raw: &mut Issuer) {
    let authority = authority(desk, place, raw, "https://acme.eu.auth0.com");
    raw.issuer = authority.map(|authority| format!("{authority}/"));
    algorithms(raw, &["RS256", "PS256"]);
    types(raw, &["at+jwt", "JWT"]);
    path(&mut raw.roles_claim, &["permissions"]);
    known_by(raw, &["scope", "permissions", "gty"]);
    never(raw);
}

/// ID tokens and refresh tokens are signed by the same keys, and told from access tokens by the claim `typ`.
fn keycloak(desk: &mut Desk<'_>, place: &Place, raw: &mut Issuer) {
    let authority = authority(desk, place, raw, "https://sso.example.com");
    let Some(realm) = needed(desk, place, raw.realm.take(), ("realm", "the realm's name")) else {
        return;
    };
    expect_plain(desk, &place.key("realm"), &realm);
    raw.issuer = authority.map(|authority| format!("{authority}/realms/{realm}"));
    types(raw, &["at+jwt", "JWT"]);
    path(&mut raw.roles_claim, &["realm_access", "roles"]);
    named(&mut raw.client_claim, "azp");
    require(desk, place, raw, "typ", &["Bearer", "DPoP"]);
    // Before version 24, access tokens repeat the nonce.
    raw.forbidden_claims
        .get_or_insert_default()
        .extend(owned(&["at_hash", "c_hash"]));
}

/// A base URL without the slash that a browser puts at its end.
fn base(desk: &mut Desk<'_>, place: &Place, text: &str) -> Option<String> {
    let url = desk.url(place, text)?;
    if url.query().is_some() {
        desk.refuse(place, "a base URL has no query");
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn authority(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: &mut Issuer,
    such_as: &str,
) -> Option<String> {
    let Some(text) = raw.authority.take() else {
        desk.refuse_missing(
            place,
            "no `authority`",
            &format!("write the provider's base URL, as in authority = \"{such_as}\""),
        );
        return None;
    };
    base(desk, &place.key("authority"), &text)
}

fn needed(
    desk: &mut Desk<'_>,
    place: &Place,
    value: Option<String>,
    (key, what): (&str, &str),
) -> Option<String> {
    if value.is_none() {
        desk.refuse_missing(place, &format!("no `{key}`"), &format!("write {what}"));
    }
    value
}

/// It stands in the issuer's URL as it is.
fn expect_plain(desk: &mut Desk<'_>, place: &Place, text: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.starts_with('.') || !text.bytes().all(is_plain) {
        desk.refuse(place, "not a name of letters, digits, `-`, `_` and `.`");
    }
}

fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12])
        && text
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn algorithms(raw: &mut Issuer, names: &[&str]) {
    raw.algorithms.get_or_insert_with(|| owned(names));
}

fn types(raw: &mut Issuer, names: &[&str]) {
    raw.token_types.get_or_insert_with(|| owned(names));
}

fn known_by(raw: &mut Issuer, names: &[&str]) {
    raw.one_of_claims = Some(owned(names));
}

/// What ID tokens have is refused beside whatever the file refuses.
fn never(raw: &mut Issuer) {
    raw.forbidden_claims
        .get_or_insert_default()
        .extend(owned(bounds::FORBIDDEN_CLAIMS));
}

fn named(key: &mut Option<String>, name: &str) {
    key.get_or_insert_with(|| name.to_owned());
}

fn path(key: &mut Option<Path>, names: &[&str]) {
    key.get_or_insert_with(|| Path::Names(owned(names)));
}

fn require(desk: &mut Desk<'_>, place: &Place, raw: &mut Issuer, name: &str, texts: &[&str]) {
    let own = Words::Several(owned(texts));
    if raw.required_claims.insert(name.to_owned(), own).is_some() {
        desk.refuse_with(
            &place.key("required_claims").key(name),
            "`provider` says what it must be",
            "remove it",
        );
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
