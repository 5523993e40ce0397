//! The authorization server that clients see.

use super::desk::Desk;
use super::issuers::Issuers;
use super::registration::registration;
use crate::config::authority::{Authority, Documents};
use crate::config::bounds;
use crate::config::checked::{Gateway, Issuer, TextFile};
use crate::config::problem::Place;
use crate::config::raw_authority as raw;
use crate::config::relying::relying;
use crate::config::trust::Trust;
use portcullis_authority::client::{
    ApplicationType, Client, GrantType, Kind, MAX_ID_BYTES, Metadata, is_url,
};
use portcullis_authority::redirect::{Policy, Redirect, is_private_scheme};
use portcullis_core::egress::{Host, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What may be written of a client. Assertions are of providers, where clients are named.
const WRITTEN: [GrantType; 2] = [GrantType::Device, GrantType::Client];
/// Letters that say what a scope means.
const MAX_WORDS: usize = 128;

pub(super) fn authority(
    desk: &mut Desk<'_>,
    raw: Option<raw::Authority>,
    (gateway, issuers): (Option<&Gateway>, &Issuers),
) -> Option<Authority> {
    let raw = raw?;
    let place = Place::default().key("authority");
    let is_own = |issuer: &Issuer| matches!(issuer, Issuer::Embedded { .. });
    if !issuers.known.values().any(is_own) {
        let fix = "add [issuers.local] with `embedded = true`, or remove [authority]";
        desk.refuse_with(
            &place,
            "there is no embedded issuer whose tokens it could give",
            fix,
        );
    }
    if gateway.is_some_and(|gateway| gateway.public_url.path() != "/") {
        let fix = "give the gateway a host of its own";
        desk.refuse_with(
            &place,
            "`public_url` has a path, and clients look for metadata at the host",
            fix,
        );
    }
    let hosts = raw.redirect_hosts;
    let redirects = Policy {
        hosts: hosts.map(|hosts| names(desk, &place.key("redirect_hosts"), &hosts)),
        schemes: schemes(desk, &place.key("redirect_schemes"), raw.redirect_schemes),
        loopback: raw.loopback.unwrap_or(true),
    };
    let hosts = raw.document_hosts;
    let hosts = hosts.map(|hosts| names(desk, &place.key("document_hosts"), &hosts));
    let ca = raw
        .ca
        .map(|file| desk.pem(&place.key("ca"), &file, "CERTIFICATE"));
    let documents = raw.documents.unwrap_or(true).then(|| Documents {
        hosts,
        trust: Trust {
            ca: ca.flatten(),
            ..Trust::default()
        },
    });
    let access = place.key("access_tokens");
    let access = desk.span(&access, raw.access_tokens, &bounds::ACCESS);
    let grouped = place.key("grouped_sign_ins");
    let refresh = place.key("refresh_tokens");
    let refresh_tokens = desk.span(&refresh, raw.refresh_tokens, &bounds::REFRESH);
    let known = clients(desk, &place.key("clients"), raw.clients, &redirects);
    Some(Authority {
        access_tokens: access,
        refresh_tokens,
        sign_ins: desk.span(&place.key("sign_ins"), raw.sign_ins, &bounds::FAMILY),
        clients: known.clone(),
        grouped_sign_ins: desk.span(&grouped, raw.grouped_sign_ins, &bounds::GROUPED),
        redirects,
        documents,
        consents: desk.span(&place.key("consents"), raw.consents, &bounds::CONSENTS),
        scopes: words(desk, &place.key("scopes"), raw.scopes),
        sign_in: raw.sign_in.and_then(|raw| relying(desk, raw, issuers)),
        assertions: assertions(desk, &place, (raw.assertions, issuers, &known)),
        registration: raw.registration.map(|raw| registration(desk, &place, raw)),
    })
}

/// What scopes mean: short, and something.
fn words(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    for (scope, text) in &raw {
        if text.trim().is_empty() || text.chars().count() > MAX_WORDS {
            desk.refuse_with(
                &place.key(scope),
                "no words for a user, or too many",
                "write what it lets a client do, in at most 128 letters",
            );
        }
    }
    raw
}

/// Whole names of hosts, in lower case.
fn names(desk: &mut Desk<'_>, place: &Place, texts: &[String]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (index, text) in texts.iter().enumerate().take(bounds::MAX_ENTRIES) {
        let target = Target::parse(&format!("https://{text}"));
        let host = target.as_ref().map(Target::host);
        match host {
            Ok(Host::Name(name)) if name == text => {
                names.insert(name.clone());
            }
            Ok(_) | Err(_) => desk.refuse_with(
                &place.at(index),
                "not the name of a host",
                "write the whole name in lower case, as in \"app.example\"",
            ),
        }
    }
    names
}

fn schemes(desk: &mut Desk<'_>, place: &Place, texts: Vec<String>) -> BTreeSet<String> {
    for (index, text) in texts.iter().enumerate() {
        if !is_private_scheme(text) {
            desk.refuse_with(
                &place.at(index),
                "not the scheme of a native application",
                "write it in lower case and without colon, as in \"com.example.app\"",
            );
        }
    }
    texts.into_iter().collect()
}

fn clients(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: BTreeMap<String, raw::AuthorityClient>,
    policy: &Policy,
) -> Vec<Arc<Client>> {
    let mut clients = Vec::new();
    for (id, raw) in raw.into_iter().take(bounds::MAX_ENTRIES) {
        let place = place.key(&id);
        let is_plain = id.bytes().all(|byte| byte.is_ascii_graphic());
        if id.is_empty() || id.len() > MAX_ID_BYTES || !is_plain || is_url(&id) {
            let fix = "write a word of letters, digits, `-` and `_`";
            desk.refuse_with(&place, "not a name for a client", fix);
        }
        let grants = grants(desk, &place, raw.grant_types);
        let has_code = grants.contains(bounds::GRANT_TYPES[0]);
        let redirect_uris = redirects(desk, (&place, has_code), &raw.redirect_uris, policy);
        let jwks = raw.jwks.map(|file| desk.file(&place.key("jwks"), &file));
        let metadata = Metadata {
            client_name: Some(raw.name.unwrap_or_else(|| id.clone())),
            redirect_uris,
            jwks: jwks.flatten().map(|file| keys(&file)),
            jwks_uri: None,
            application_type: ApplicationType::Native,
            refreshes: grants.contains(bounds::GRANT_TYPES[1]),
            dpop_bound_access_tokens: false,
            grants: grants
                .iter()
                .filter_map(|name| GrantType::of(name))
                .collect(),
            software_statement: None,
        };
        let scopes = raw.scopes.unwrap_or_default();
        match metadata.client(id, Kind::Registered) {
            Ok(mut client) => {
                let comes = client.grants.contains(&GrantType::Client);
                expect_own(desk, &place, (comes, client.is_confidential(), &scopes));
                client.scopes = scopes.into_iter().collect();
                clients.push(Arc::new(client));
            }
            Err(_) => desk.refuse_with(
                &place.key("jwks"),
                "the file is not a JWK Set with public keys",
                "write { \"keys\": [ … ] } with keys for ES256, EdDSA, PS256 or RS256",
            ),
        }
    }
    clients
}

/// Who comes for itself has keys; nobody else has scopes of its own.
fn expect_own(
    desk: &mut Desk<'_>,
    place: &Place,
    (comes, has_keys, scopes): (bool, bool, &[String]),
) {
    if comes && !has_keys {
        desk.refuse_missing(
            place,
            "no `jwks` of a client that comes for itself",
            "write jwks = \"keys.json\", a file with its public keys",
        );
    }
    if !comes && !scopes.is_empty() {
        desk.refuse_with(
            &place.key("scopes"),
            "scopes of a client that does not come for itself",
            "add `client_credentials` to `grant_types`, or remove `scopes`",
        );
    }
}

/// Who may assert something, and to whom.
fn assertions(
    desk: &mut Desk<'_>,
    place: &Place,
    (raw, issuers, known): (BTreeMap<String, raw::Assertions>, &Issuers, &[Arc<Client>]),
) -> BTreeMap<String, BTreeSet<String>> {
    let mut assertions = BTreeMap::new();
    for (name, raw) in raw {
        let place = place.key("assertions").key(&name);
        if !matches!(issuers.known.get(&name), Some(Issuer::External(_))) {
            let fix = "name one of [issuers] that is not embedded";
            desk.refuse_with(&place, "not an identity provider", fix);
        }
        if raw.clients.is_empty() {
            let fix = "write clients = [\"ID\"]";
            desk.refuse_missing(&place, "no `clients`", fix);
        }
        for (index, id) in raw.clients.iter().enumerate().take(bounds::MAX_ENTRIES) {
            let has_keys = |client: &&Arc<Client>| client.id == *id && client.is_confidential();
            if !is_url(id) && known.iter().find(has_keys).is_none() {
                desk.refuse_with(
                    &place.key("clients").at(index),
                    "not a client with keys",
                    "name one of [authority.clients] that has `jwks`",
                );
            }
        }
        assertions.insert(name, raw.clients.into_iter().collect());
    }
    assertions
}

/// The names of grants, each of which there is.
fn grants(desk: &mut Desk<'_>, place: &Place, raw: Option<Vec<String>>) -> BTreeSet<String> {
    let place = place.key("grant_types");
    let raw = raw.unwrap_or_else(|| bounds::GRANT_TYPES.map(str::to_owned).to_vec());
    for (index, name) in raw.iter().enumerate().take(bounds::MAX_ENTRIES) {
        let is_other = WRITTEN.iter().any(|grant| grant.name() == name);
        if !bounds::GRANT_TYPES.contains(&&**name) && !is_other {
            let others = WRITTEN.map(GrantType::name).join("`, `");
            let fix = format!("write `authorization_code`, `refresh_token`, `{others}`");
            desk.refuse_with(&place.at(index), "not a grant that there is here", &fix);
        }
    }
    let is_one = |name: &String| name != bounds::GRANT_TYPES[1];
    if !raw.iter().any(is_one) {
        desk.refuse_with(
            &place,
            "no way to get tokens",
            "name one, or remove the key",
        );
    }
    raw.into_iter().collect()
}

/// What is no JSON has no keys, which is told where they are read.
fn keys(file: &TextFile) -> serde_json::Value {
    serde_json::from_str(&file.text).unwrap_or_default()
}

fn redirects(
    desk: &mut Desk<'_>,
    (place, has_code): (&Place, bool),
    texts: &[String],
    policy: &Policy,
) -> Vec<Redirect> {
    let place = place.key("redirect_uris");
    if texts.is_empty() && has_code {
        let fix = "write redirect_uris = [\"https://…\"]";
        desk.refuse_missing(&place, "no `redirect_uris`", fix);
    }
    let mut redirects = Vec::new();
    for (index, text) in texts.iter().enumerate().take(bounds::MAX_ENTRIES) {
        match Redirect::register(text, policy) {
            Ok(redirect) => redirects.push(redirect),
            Err(problem) => desk.refuse_with(
                &place.at(index),
                &problem.to_string(),
                "write it as the client sends it, and allow its host or scheme in [authority]",
            ),
        }
    }
    redirects
}
