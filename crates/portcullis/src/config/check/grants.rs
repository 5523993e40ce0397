//! Who may use what.

use super::desk::Desk;
use super::issuers::Issuers;
use super::servers::Servers;
use crate::config::checked::{Boundary, Grant, ServerName, TextFile, Who};
use crate::config::pattern::Pattern;
use crate::config::problem::Place;
use crate::config::raw;
use crate::moment;
use portcullis_core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Longest name of a boundary.
const MAX_BOUNDARY_CHARS: usize = 64;

/// A word, and the principal that it makes of a name.
type NamedKind = (&'static str, fn(String) -> Who);

const KINDS: &[NamedKind] = &[
    ("user", Who::User),
    ("role", Who::Role),
    ("group", Who::Group),
    ("client", Who::Client),
];

pub(super) fn grants(desk: &mut Desk<'_>, raw: Vec<raw::Grant>, servers: &Servers) -> Vec<Grant> {
    let top = Place::default().key("grants");
    let mut grants = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let place = top.at(index);
        let (Some(who), Some(allow)) = (raw.who, raw.allow) else {
            desk.refuse_missing(&place, "a grant needs `who` and `allow`", "write both");
            continue;
        };
        let who = who_is(desk, &place.key("who"), &who);
        let allow_place = place.key("allow");
        if allow.is_empty() {
            desk.refuse(&allow_place, "a grant of nothing");
        }
        let until = raw
            .until
            .and_then(|until| moment_of(desk, &place.key("until"), &until));
        for (place, server, pattern) in patterns(desk, &allow_place, &allow, servers) {
            grants.extend(who.clone().map(|who| Grant {
                who,
                server,
                pattern,
                until,
                line: desk.line(&place),
                key: place.to_string(),
            }));
        }
    }
    grants
}

pub(super) fn boundaries(
    desk: &mut Desk<'_>,
    raw: BTreeMap<String, raw::Boundary>,
    servers: &Servers,
    issuers: &Issuers,
) -> Vec<Boundary> {
    let top = Place::default().key("boundary");
    let mut boundaries = Vec::new();
    for (name, raw) in raw {
        let place = top.key(&name);
        let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > MAX_BOUNDARY_CHARS || !name.bytes().all(is_named) {
            desk.refuse(
                &place,
                "a name has up to 64 letters, digits, `-`, `_` and `.`",
            );
        }
        let (Some(who), Some(allow)) = (raw.who, raw.allow) else {
            desk.refuse_missing(&place, "a boundary needs `who` and `allow`", "write both");
            continue;
        };
        let who_place = place.key("who");
        let who = match who.strip_prefix("issuer:") {
            Some(issuer) => issuer_is(desk, &who_place, issuer, issuers),
            None => who_is(desk, &who_place, &who),
        };
        let allow = patterns(desk, &place.key("allow"), &allow, servers);
        let allow = allow
            .into_iter()
            .map(|(_, server, pattern)| (server, pattern))
            .collect();
        boundaries.extend(who.map(|who| Boundary { name, who, allow }));
    }
    boundaries
}

pub(super) fn policies(desk: &mut Desk<'_>, files: &[String]) -> Vec<TextFile> {
    let place = Place::default().key("policy").key("files");
    let mut policies = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, text) in files.iter().enumerate() {
        let Some(file) = desk.file(&place.at(index), text) else {
            continue;
        };
        if !seen.insert(file.path.clone()) {
            desk.refuse(&place.at(index), "the same file twice");
        }
        policies.push(file);
    }
    policies
}

fn issuer_is(desk: &mut Desk<'_>, place: &Place, name: &str, issuers: &Issuers) -> Option<Who> {
    if !issuers.names.contains(name) {
        let known = issuers.names.iter().map(String::as_str);
        desk.refuse_unknown(place, "no issuer has this name", name, known);
        return None;
    }
    Some(Who::Issuer(name.to_owned()))
}

fn moment_of(desk: &mut Desk<'_>, place: &Place, text: &str) -> Option<Timestamp> {
    let found = moment::written(text).map(Timestamp::from_micros);
    if found.is_none() {
        let fix = "write a day, as in \"2026-12-31\", or \"2026-12-31T18:00:00Z\"";
        desk.refuse_with(place, "not a moment", fix);
    }
    found
}

fn patterns(
    desk: &mut Desk<'_>,
    place: &Place,
    texts: &[String],
    servers: &Servers,
) -> Vec<(Place, ServerName, Pattern)> {
    let mut found = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let place = place.at(index);
        let one = pattern(desk, &place, text, servers);
        found.extend(one.map(|(server, pattern)| (place, server, pattern)));
    }
    found
}

pub(super) fn who_is(desk: &mut Desk<'_>, place: &Place, text: &str) -> Option<Who> {
    if text == "anyone" {
        return Some(Who::Anyone);
    }
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    let Some((_, make)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        let kinds = KINDS.iter().map(|(known, _)| *known).chain(["anyone"]);
        desk.refuse_unknown(place, "not a kind of principal", kind, kinds);
        return None;
    };
    if name.is_empty() || name == "*" {
        desk.refuse_with(
            place,
            "no name after the colon",
            &format!("write \"{kind}:NAME\"; \"anyone\" is everyone who is authenticated"),
        );
        return None;
    }
    Some(make(name.to_owned()))
}

fn pattern(
    desk: &mut Desk<'_>,
    place: &Place,
    text: &str,
    servers: &Servers,
) -> Option<(ServerName, Pattern)> {
    let (server, pattern) = match Pattern::parse_qualified(text) {
        Ok(found) => found,
        Err(problem) => {
            desk.refuse(place, &problem.to_string());
            return None;
        }
    };
    if !servers.names.contains(server) {
        let known = servers.names.iter().map(String::as_str);
        desk.refuse_unknown(place, "no server has this name", server, known);
        return None;
    }
    Some((ServerName::parse(server)?, pattern))
}
