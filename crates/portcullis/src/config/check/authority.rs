//! The authorization server that clients see.

use super::desk::Desk;
use super::issuers::Issuers;
use crate::config::authority::{Authority, Documents, Registration};
use crate::config::bounds;
use crate::config::checked::{Gateway, Issuer, TextFile};
use crate::config::problem::Place;
use crate::config::raw_authority as raw;
use crate::config::relying::relying;
use crate::config::trust::Trust;
use portcullis_authority::client::{ApplicationType, Client, Kind, MAX_ID_BYTES, Metadata, is_url};
use portcullis_authority::redirect::{Policy, Redirect, is_private_scheme};
use portcullis_core::egress::{Host, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    let access = desk.span(
        &place.key("access_tokens"),
        raw.access_tokens,
        &bounds::ACCESS,
    );
    let refresh = place.key("refresh_tokens");
    let refresh_tokens = desk.span(&refresh, raw.refresh_tokens, &bounds::REFRESH);
    Some(Authority {
        access_tokens: access,
        refresh_tokens,
        sign_ins: desk.span(&place.key("sign_ins"), raw.sign_ins, &bounds::FAMILY),
        clients: clients(desk, &place.key("clients"), raw.clients, &redirects),
        redirects,
        documents,
        consents: desk.span(&place.key("consents"), raw.consents, &bounds::CONSENTS),
        scopes: words(desk, &place.key("scopes"), raw.scopes),
        sign_in: raw.sign_in.and_then(|raw| relying(desk, raw, issuers)),
        registration: raw.registration.map(|raw| registration(desk, &place, raw)),
    })
}

fn registration(desk: &mut Desk<'_>, place: &Place, raw: raw::Registration) -> Registration {
    let place = place.key("registration");
    let network = place.key("per_network");
    Registration {
        lifetime: desk.span(&place.key("lifetime"), raw.lifetime, &bounds::REGISTERED),
        per_network: desk.count(&network, raw.per_network, &bounds::OF_NETWORK),
    }
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
        let redirect_uris = redirects(desk, &place, &raw.redirect_uris, policy);
        let jwks = raw.jwks.map(|file| desk.file(&place.key("jwks"), &file));
        let metadata = Metadata {
            client_name: Some(raw.name.unwrap_or_else(|| id.clone())),
            redirect_uris,
            jwks: jwks.flatten().map(|file| keys(&file)),
            application_type: ApplicationType::Native,
            refreshes: true,
            dpop_bound_access_tokens: false,
        };
        match metadata.client(id, Kind::Registered) {
            Ok(client) => clients.push(Arc::new(client)),
            Err(_) => desk.refuse_with(
                &place.key("jwks"),
                "the file is not a JWK Set with public keys",
                "write { \"keys\": [ … ] } with keys for ES256, EdDSA, PS256 or RS256",
            ),
        }
    }
    clients
}

/// What is no JSON has no keys, which is told where they are read.
fn keys(file: &TextFile) -> serde_json::Value {
    serde_json::from_str(&file.text).unwrap_or_default()
}

fn redirects(
    desk: &mut Desk<'_>,
    place: &Place,
    texts: &[String],
    policy: &Policy,
) -> Vec<Redirect> {
    let place = place.key("redirect_uris");
    if texts.is_empty() {
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
