//! What servers are shown of whoever calls.

use super::desk::Desk;
use super::servers::scopes;
use crate::config::bounds;
use crate::config::checked::{Server, ServerName, Upstream};
use crate::config::credentials::{CredentialKind, Credentials};
use crate::config::problem::Place;
use crate::config::raw::Span;
use crate::config::raw_credentials as raw;
use portcullis_core::credentials::Subject;
use std::collections::BTreeMap;

/// `beside` is how the server is reached, if that is known, and how many issuers it accepts.
pub(super) fn credentials(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: raw::Credentials,
    beside: (Option<&Upstream>, usize),
) -> Option<Credentials> {
    expect_room(desk, place, beside.0);
    let kind = kind(desk, place, &raw, beside.1);
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

fn kind(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: &raw::Credentials,
    issuers: usize,
) -> Option<CredentialKind> {
    let Some(kind) = &raw.kind else {
        desk.refuse_missing(place, "no `kind`", "write kind = \"assertion\"");
        return None;
    };
    desk.choose(&place.key("kind"), kind, &[("assertion", ())])?;
    let subjects = [("plain", Subject::Plain), ("qualified", Subject::Qualified)];
    let place_of = place.key("subject");
    let subject = raw.subject.as_deref().unwrap_or(bounds::SUBJECT);
    let subject = desk.choose(&place_of, subject, &subjects)?;
    if subject == Subject::Plain && issuers > 1 {
        desk.refuse_with(
            &place_of,
            "two issuers may give one subject to two people",
            "write subject = \"qualified\", or name one issuer in `issuers` of this server",
        );
    }
    let lifetime = raw.lifetime.as_ref().map(|span| Span(span.0.clone()));
    let lifetime = desk.span(&place.key("lifetime"), lifetime, &bounds::ASSERTION);
    Some(CredentialKind::Assertion { lifetime, subject })
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
