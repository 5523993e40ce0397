//! What servers are shown of whoever calls.

use super::desk::Desk;
use super::servers::scopes;
use super::trust::{Written, trust};
use crate::config::bounds;
use crate::config::checked::{Server, ServerName, Upstream};
use crate::config::credentials::{
    AssertionKey, CredentialKind, Credentials, Fetched, Identification, IdentityProvider,
    TokenEndpoint,
};
use crate::config::problem::Place;
use crate::config::raw::{Reference, Text};
use crate::config::raw_credentials as raw;
use portcullis_core::credentials::{Grant, Subject, SubjectToken};
use portcullis_core::secret::Secret;
use std::collections::BTreeMap;

/// How many issuers a server accepts, and how many vouch for callers with tokens of these.
type Many = (usize, usize);

/// `beside` is how the server is reached, if that is known, and how many issuers it accepts.
pub(super) fn credentials(
    desk: &mut Desk<'_>,
    place: &Place,
    mut raw: raw::Credentials,
    beside: (Option<&Upstream>, Many),
) -> Option<Credentials> {
    expect_room(desk, place, beside.0);
    let kind = kind(desk, place, &mut raw, beside.1);
    let audience = raw.audience.filter(|audience| !audience.is_empty());
    let is_strange = |letter: char| letter == '*' || letter.is_whitespace() || letter.is_control();
    match &audience {
        None => desk.refuse_missing(
            place,
            "no `audience`",
            "write the name by which this server knows that a token is for it",
        ),
        Some(audience) if audience.contains(is_strange) => desk.refuse(
            &place.key("audience"),
            "an audience is one name, without asterisk and spaces",
        ),
        Some(_) => {}
    }
    Some(Credentials {
        audience: audience?,
        scopes: scopes(desk, &place.key("scopes"), raw.scopes),
        kind: kind?,
    })
}

/// There is one `Authorization`, and only where there are headers.
fn expect_room(desk: &mut Desk<'_>, place: &Place, upstream: Option<&Upstream>) {
    match upstream {
        Some(Upstream::Stdio(_)) => {
            desk.refuse_with(place, "only for a server with `url`", "remove it");
        }
        Some(Upstream::Http(http)) if http.headers.contains_key("authorization") => {
            desk.refuse_with(
                place,
                "this server already has an `Authorization` in `headers`",
                "keep one of them",
            );
        }
        Some(Upstream::Http(_)) | None => {}
    }
}

/// The kinds, and for those of an authorization server how it is asked.
const KINDS: [(&str, Option<Grant>); 5] = [
    ("assertion", None),
    ("exchange", Some(Grant::Exchange)),
    ("on-behalf-of", Some(Grant::OnBehalfOf)),
    ("id-jag", Some(Grant::IdJag)),
    ("client-credentials", Some(Grant::ClientCredentials)),
];

fn kind(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: &mut raw::Credentials,
    (issuers, vouching): Many,
) -> Option<CredentialKind> {
    let Some(kind) = &raw.kind else {
        desk.refuse_missing(place, "no `kind`", "write kind = \"assertion\"");
        return None;
    };
    match desk.choose(&place.key("kind"), kind, &KINDS)? {
        None => {
            refuse_strange(
                desk,
                place,
                &keys_of_fetched(raw),
                "tokens that are fetched",
            );
            assertion(desk, place, raw, vouching)
        }
        Some(grant) => {
            if grant.takes_token() && issuers > 1 {
                desk.refuse_with(
                    &place.key("kind"),
                    "two issuers: a token of one would be shown to the other",
                    "name one issuer in `issuers` of this server",
                );
            }
            let strange = [
                ("lifetime", raw.lifetime.is_some()),
                ("subject", raw.subject.is_some()),
                ("own_key", raw.own_key.is_some()),
            ];
            refuse_strange(desk, place, &strange, "kind = \"assertion\"");
            fetched(desk, place, raw, grant)
                .map(|fetched| CredentialKind::Fetched(Box::new(fetched)))
        }
    }
}

const fn keys_of_fetched(raw: &raw::Credentials) -> [(&'static str, bool); 14] {
    [
        ("token_endpoint", raw.token_endpoint.is_some()),
        ("issuer", raw.issuer.is_some()),
        ("idp", raw.idp.is_some()),
        ("ca", raw.ca.is_some()),
        ("crl", raw.crl.is_some()),
        ("ocsp", raw.ocsp.is_some()),
        ("pins", raw.pins.is_some()),
        ("client_id", raw.client_id.is_some()),
        ("client_secret", raw.client_secret.is_some()),
        ("client_auth", raw.client_auth.is_some()),
        ("resource", raw.resource.is_some()),
        ("actor", raw.actor.is_some()),
        ("dpop", raw.dpop.is_some()),
        ("max_age", raw.max_age.is_some()),
    ]
}

fn refuse_strange(desk: &mut Desk<'_>, place: &Place, keys: &[(&str, bool)], wanted: &str) {
    for (key, _) in keys.iter().filter(|(_, is_written)| *is_written) {
        desk.refuse_with(&place.key(key), &format!("only for {wanted}"), "remove it");
    }
}

fn assertion(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: &mut raw::Credentials,
    vouching: usize,
) -> Option<CredentialKind> {
    let subjects = [("plain", Subject::Plain), ("qualified", Subject::Qualified)];
    let place_of = place.key("subject");
    let subject = raw.subject.as_deref().unwrap_or(bounds::SUBJECT);
    let subject = desk.choose(&place_of, subject, &subjects)?;
    if subject == Subject::Plain && vouching > 1 {
        desk.refuse_with(
            &place_of,
            "two issuers may give one subject to two people (where users sign in for tokens of our own, it is one more)",
            "write subject = \"qualified\", or name one issuer in `issuers` of this server",
        );
    }
    let lifetime = desk.span(
        &place.key("lifetime"),
        raw.lifetime.take(),
        &bounds::ASSERTION,
    );
    let key = if raw.own_key.unwrap_or_default() {
        AssertionKey::Own
    } else {
        AssertionKey::Shared
    };
    Some(CredentialKind::Assertion {
        lifetime,
        subject,
        key,
    })
}

fn fetched(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: &mut raw::Credentials,
    grant: Grant,
) -> Option<Fetched> {
    let written = Door {
        token_endpoint: raw.token_endpoint.take(),
        issuer: raw.issuer.take(),
        trusted: Written {
            ca: raw.ca.take(),
            crl: raw.crl.take(),
            ocsp: raw.ocsp.take(),
            pins: raw.pins.take(),
            ..Written::default()
        },
        client_id: raw.client_id.take(),
        client_secret: raw.client_secret.take(),
        client_auth: raw.client_auth.take(),
    };
    let actor = raw.actor.unwrap_or_default();
    if actor && grant != Grant::Exchange {
        desk.refuse_with(
            &place.key("actor"),
            "only for kind = \"exchange\"",
            "remove it",
        );
    }
    let resource = raw.resource.take();
    if resource.as_deref().is_some_and(is_strange) {
        desk.refuse(&place.key("resource"), "not a URI");
    }
    let is_jag = grant == Grant::IdJag;
    for (is_missing, key) in [
        (written.issuer.is_none(), "issuer"),
        (resource.is_none(), "resource"),
        (raw.idp.is_none(), "idp"),
    ] {
        if is_jag && is_missing {
            desk.refuse_missing(place, &format!("no `{key}`"), "kind = \"id-jag\" needs it");
        }
    }
    let idp = raw.idp.take();
    if idp.is_some() && !is_jag {
        let only = [("idp", true)];
        refuse_strange(desk, place, &only, "kind = \"id-jag\"");
    }
    let at = door(desk, place, written);
    let idp = match idp.map(|idp| identity_provider(desk, &place.key("idp"), idp)) {
        None => None,
        Some(made) => Some(made?),
    };
    Some(Fetched {
        grant,
        at: at?,
        resource,
        actor,
        is_bound: raw.dpop.unwrap_or_default(),
        idp,
        max_age: desk.span(
            &place.key("max_age"),
            raw.max_age.take(),
            &bounds::TOKEN_AGE,
        ),
    })
}

fn identity_provider(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: raw::IdentityProvider,
) -> Option<IdentityProvider> {
    let subjects = [
        ("access_token", SubjectToken::Access),
        ("id_token", SubjectToken::Id),
    ];
    let subject = raw
        .subject_token
        .as_deref()
        .unwrap_or(bounds::SUBJECT_TOKEN);
    let subject = desk.choose(&place.key("subject_token"), subject, &subjects);
    let written = Door {
        token_endpoint: raw.token_endpoint,
        issuer: raw.issuer,
        trusted: Written {
            ca: raw.ca,
            crl: raw.crl,
            ocsp: raw.ocsp,
            pins: raw.pins,
            ..Written::default()
        },
        client_id: raw.client_id,
        client_secret: raw.client_secret,
        client_auth: raw.client_auth,
    };
    let at = door(desk, place, written)?;
    Some(IdentityProvider {
        at,
        subject: subject?,
    })
}

/// A token endpoint as it is written.
struct Door {
    token_endpoint: Option<String>,
    issuer: Option<String>,
    trusted: Written,
    client_id: Option<String>,
    client_secret: Option<Reference>,
    client_auth: Option<String>,
}

fn is_strange(text: &str) -> bool {
    text.is_empty() || text.contains(char::is_whitespace)
}

fn door(desk: &mut Desk<'_>, place: &Place, raw: Door) -> Option<TokenEndpoint> {
    let client_id = raw.client_id.filter(|id| !id.is_empty());
    for (is_missing, key) in [
        (raw.token_endpoint.is_none(), "token_endpoint"),
        (client_id.is_none(), "client_id"),
    ] {
        if is_missing {
            desk.refuse_missing(place, &format!("no `{key}`"), "this kind needs it");
        }
    }
    if raw.issuer.as_deref().is_some_and(is_strange) {
        desk.refuse(&place.key("issuer"), "not an issuer identifier");
    }
    let url = raw.token_endpoint;
    let url = url.and_then(|text| desk.url(&place.key("token_endpoint"), &text));
    let is_https = url.as_ref().is_none_or(|url| url.is_https());
    let trust = trust(desk, place, raw.trusted, is_https);
    Some(TokenEndpoint {
        trust,
        identification: identification(desk, place, (raw.client_secret, raw.client_auth))?,
        url: url?,
        issuer: raw.issuer,
        client_id: client_id?,
    })
}

fn identification(
    desk: &mut Desk<'_>,
    place: &Place,
    (secret, way): (Option<Reference>, Option<String>),
) -> Option<Identification> {
    type Made = fn(Secret<String>) -> Identification;
    let ways: [(&str, Made); 2] = [
        ("client_secret_basic", Identification::Basic),
        ("client_secret_post", Identification::Post),
    ];
    let Some(secret) = secret else {
        let strange = [("client_auth", way.is_some())];
        refuse_strange(desk, place, &strange, "a client with `client_secret`");
        return Some(Identification::Key);
    };
    let way = way.as_deref().unwrap_or(bounds::CLIENT_AUTH);
    let way = desk.choose(&place.key("client_auth"), way, &ways);
    let secret = desk.text(&place.key("client_secret"), Text::Reference(secret))?;
    way.map(|way| way(secret))
}

/// A token for one server must open nothing else.
pub(super) fn apart(
    desk: &mut Desk<'_>,
    servers: &BTreeMap<ServerName, Server>,
    ours: &BTreeMap<String, String>,
) {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for (audience, whose) in ours {
        seen.insert(audience, format!("{whose} here"));
    }
    for (name, server) in servers {
        let Some(credentials) = &server.credentials else {
            continue;
        };
        let first = seen.insert(&credentials.audience, format!("server `{name}`"));
        if let Some(first) = first {
            let place = Place::default().key("servers").key(name.as_str());
            desk.refuse_with(
                &place.key("credentials").key("audience"),
                &format!("the same audience as {first}: a token for one would open the other"),
                "give each its own",
            );
        }
    }
}
