//! Who may sign tokens.

use super::claims::claims;
use super::declared::{agree, expect_nothing_pushed};
use super::desk::Desk;
use super::introspection::introspection;
use super::presets::{INSTEAD_OF_GOOGLE, NO_GOOGLE, expand};
use super::scim::scim;
use super::signals::signals;
use super::trust::{Written, trust};
use crate::config::bounds;
use crate::config::checked::{External, Issuer};
use crate::config::problem::Place;
use crate::config::provider::Provider;
use crate::config::raw_issuer as raw;
use crate::config::signing::{Algorithm, TokenType};
use std::collections::{BTreeMap, BTreeSet};

/// Issuers without a problem, and the names of all.
#[derive(Default)]
pub(in crate::config) struct Issuers {
    pub(in crate::config) known: BTreeMap<String, Issuer>,
    /// All but those at which people only sign in: callers have no tokens of these.
    pub(in crate::config) names: BTreeSet<String>,
    /// Whether users sign in at one of them for tokens of the embedded one.
    pub(in crate::config) vouch: bool,
}

impl Issuers {
    /// How many these are, and how many vouch for callers with tokens of these: each may call somebody by the same name.
    pub(super) fn count(&self, names: &BTreeSet<String>) -> (usize, usize) {
        let is_own = |name: &String| matches!(self.known.get(name), Some(Issuer::Embedded { .. }));
        let others = usize::from(self.vouch && names.iter().any(is_own));
        (names.len(), names.len().saturating_add(others))
    }

    /// Whether one of these is Entra, whose tokens never have a server's URL as audience.
    pub(super) fn has_entra(&self, names: &BTreeSet<String>) -> bool {
        let provider = |name| match self.known.get(name) {
            Some(Issuer::External(external)) => external.provider,
            Some(Issuer::Embedded { .. }) | None => None,
        };
        names
            .iter()
            .any(|name| provider(name) == Some(Provider::Entra))
    }
}

const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("EdDSA", Algorithm::EdDsa),
];

const TOKEN_TYPES: &[(&str, TokenType)] = &[("at+jwt", TokenType::AtJwt), ("JWT", TokenType::Jwt)];

pub(super) fn issuers(desk: &mut Desk<'_>, raw: BTreeMap<String, raw::Issuer>) -> Issuers {
    let place = Place::default().key("issuers");
    let mut issuers = Issuers::default();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut embedded: Option<String> = None;
    if raw.len() > bounds::MAX_ISSUERS {
        desk.refuse(
            &place,
            &format!("too many issuers: at most {}", bounds::MAX_ISSUERS),
        );
    }
    for (name, raw) in raw.into_iter().take(bounds::MAX_ISSUERS) {
        let place = place.key(&name);
        if raw.provider.as_deref() != Some(Provider::Google.name()) {
            issuers.names.insert(name.clone());
        }
        if name.is_empty()
            || name
                .chars()
                .any(|letter| letter.is_control() || letter.is_whitespace())
        {
            desk.refuse(&place, "a name has no spaces and is not empty");
        }
        if raw.embedded == Some(true) {
            if let Some(first) = embedded.replace(name.clone()) {
                desk.refuse(
                    &place,
                    &format!("`{first}` is the embedded issuer already: there is only one"),
                );
            }
            issuers.known.insert(name, own(desk, &place, raw));
            continue;
        }
        let Some(external) = whole(desk, &place, &name, raw) else {
            continue;
        };
        if let Some(first) = seen.insert(external.issuer.clone(), name.clone()) {
            desk.refuse(
                &place.key("issuer"),
                &format!("the same issuer as `{first}`"),
            );
        }
        issuers
            .known
            .insert(name, Issuer::External(Box::new(external)));
    }
    agree(desk, &issuers.known);
    issuers
}

/// One that is not our own, with all that it tells and is asked.
fn whole(desk: &mut Desk<'_>, place: &Place, name: &str, mut raw: raw::Issuer) -> Option<External> {
    let told = raw.signals.take();
    let signals = told.and_then(|raw| signals(desk, &place.key("signals"), name, raw));
    let told = raw.scim.take();
    let scim = told.and_then(|raw| scim(desk, &place.key("scim"), name, raw));
    let asked = raw.introspection.take();
    let introspection = asked.and_then(|raw| introspection(desk, &place.key("introspection"), raw));
    let external = external(desk, place, raw)?;
    if signals.is_none() {
        expect_nothing_pushed(desk, &place.key("claims"), &external.claims.declared);
    }
    Some(External {
        signals,
        scim,
        introspection,
        ..external
    })
}

fn own(desk: &mut Desk<'_>, place: &Place, raw: raw::Issuer) -> Issuer {
    let beside = [
        ("provider", raw.provider.is_some()),
        ("authority", raw.authority.is_some()),
        ("tenant", raw.tenant.is_some()),
        ("authorization_server", raw.authorization_server.is_some()),
        ("realm", raw.realm.is_some()),
        ("issuer", raw.issuer.is_some()),
        ("jwks_uri", raw.jwks_uri.is_some()),
        ("algorithms", raw.algorithms.is_some()),
        ("token_types", raw.token_types.is_some()),
        ("skew", raw.skew.is_some()),
        ("roles_claim", raw.roles_claim.is_some()),
        ("groups_claim", raw.groups_claim.is_some()),
        ("scope_claim", raw.scope_claim.is_some()),
        ("scope_implies", !raw.scope_implies.is_empty()),
        ("claims", !raw.claims.is_empty()),
        ("subject_claim", raw.subject_claim.is_some()),
        ("client_subject", raw.client_subject.is_some()),
        ("client_claim", raw.client_claim.is_some()),
        ("required_claims", !raw.required_claims.is_empty()),
        ("one_of_claims", raw.one_of_claims.is_some()),
        ("forbidden_claims", raw.forbidden_claims.is_some()),
        ("ca", raw.ca.is_some()),
        ("crl", raw.crl.is_some()),
        ("ocsp", raw.ocsp.is_some()),
        ("pins", raw.pins.is_some()),
        ("signals", raw.signals.is_some()),
        ("scim", raw.scim.is_some()),
        ("introspection", raw.introspection.is_some()),
    ];
    for (key, _) in beside.iter().filter(|(_, is_written)| *is_written) {
        desk.refuse_with(
            &place.key(key),
            "the embedded issuer needs no such key",
            "remove it; only `max_lifetime` may stand beside `embedded`",
        );
    }
    let max_lifetime = desk.span(
        &place.key("max_lifetime"),
        raw.max_lifetime,
        &bounds::MAX_LIFETIME,
    );
    Issuer::Embedded { max_lifetime }
}

fn external(desk: &mut Desk<'_>, place: &Place, mut raw: raw::Issuer) -> Option<External> {
    let provider = expand(desk, place, &mut raw);
    let claims = claims(desk, place, &mut raw);
    let algorithms = algorithms(desk, &place.key("algorithms"), raw.algorithms);
    let token_types = token_types(desk, &place.key("token_types"), raw.token_types);
    let max_lifetime = desk.span(
        &place.key("max_lifetime"),
        raw.max_lifetime,
        &bounds::MAX_LIFETIME,
    );
    let skew = desk.span(&place.key("skew"), raw.skew, &bounds::SKEW);
    let jwks_uri = raw
        .jwks_uri
        .and_then(|text| desk.url(&place.key("jwks_uri"), &text));
    let is_https = raw
        .issuer
        .as_ref()
        .is_none_or(|url| url.starts_with("https://"));
    let written = Written {
        ca: raw.ca,
        crl: raw.crl,
        ocsp: raw.ocsp,
        pins: raw.pins,
        ..Written::default()
    };
    let trust = trust(desk, place, written, is_https);
    let issuer = identifier(desk, place, (raw.issuer, provider))?;
    Some(External {
        issuer,
        jwks_uri,
        algorithms,
        token_types,
        max_lifetime,
        skew,
        claims,
        provider,
        trust,
        signals: None,
        scim: None,
        introspection: None,
    })
}

fn identifier(
    desk: &mut Desk<'_>,
    place: &Place,
    (raw, provider): (Option<String>, Option<Provider>),
) -> Option<String> {
    let Some(issuer) = raw else {
        desk.refuse_missing(
            place,
            "neither `provider`, `issuer` nor `embedded`",
            "write provider = \"…\" or issuer = \"https://…\", or embedded = true for the gateway's own",
        );
        return None;
    };
    let url = desk.url(&place.key("issuer"), &issuer)?;
    if url.query().is_some() || issuer.ends_with('?') {
        desk.refuse(
            &place.key("issuer"),
            "an issuer's identifier has no query (RFC 8414 section 2)",
        );
    }
    if url.host() == "accounts.google.com" && provider != Some(Provider::Google) {
        desk.refuse_with(&place.key("issuer"), NO_GOOGLE, INSTEAD_OF_GOOGLE);
    }
    Some(issuer)
}

fn algorithms(desk: &mut Desk<'_>, place: &Place, raw: Option<Vec<String>>) -> BTreeSet<Algorithm> {
    let texts = raw.unwrap_or_else(|| owned(bounds::ALGORITHMS));
    if texts.is_empty() {
        desk.refuse(place, "at least one algorithm is needed");
    }
    let mut algorithms = BTreeSet::new();
    for (index, text) in texts.iter().enumerate() {
        let place = place.at(index);
        if text.eq_ignore_ascii_case("none") {
            desk.refuse(
                &place,
                "`none` means no signature: anyone could write such a token",
            );
        } else if text.starts_with("HS") {
            desk.refuse_with(
                &place,
                "an HMAC key is shared: whoever checks tokens could also write them",
                "use an algorithm with a key pair, such as RS256 or ES256",
            );
        } else {
            algorithms.extend(desk.choose(&place, text, ALGORITHMS));
        }
    }
    algorithms
}

fn token_types(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: Option<Vec<String>>,
) -> BTreeSet<TokenType> {
    let texts = raw.unwrap_or_else(|| owned(bounds::TOKEN_TYPES));
    if texts.is_empty() {
        desk.refuse(place, "at least one type is needed");
    }
    let mut types = BTreeSet::new();
    for (index, text) in texts.iter().enumerate() {
        types.extend(desk.choose(&place.at(index), text, TOKEN_TYPES));
    }
    types
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
