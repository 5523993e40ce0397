//! Who may use what.

use super::desk::Desk;
use super::servers::Servers;
use crate::config::checked::{Grant, ServerName, TextFile, Who};
use crate::config::pattern::Pattern;
use crate::config::problem::Place;
use crate::config::raw;
use std::collections::BTreeSet;

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
        for (index, text) in allow.iter().enumerate() {
            let found = pattern(desk, &allow_place.at(index), text, servers);
            if let (Some(who), Some((server, pattern))) = (&who, found) {
                grants.push(Grant {
                    who: who.clone(),
                    server,
                    pattern,
                });
            }
        }
    }
    grants
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

fn who_is(desk: &mut Desk<'_>, place: &Place, text: &str) -> Option<Who> {
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
