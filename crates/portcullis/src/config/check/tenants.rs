//! Who shares the gateway, and by what a caller is known to belong to whom.

use super::desk::Desk;
use super::issuers::Issuers;
use super::servers::Servers;
use crate::config::bounds;
use crate::config::granted::Tenant;
use crate::config::problem::Place;
use crate::config::raw_tenant as raw;
use crate::config::server_name::ServerName;
use std::collections::{BTreeMap, BTreeSet};

/// By what an issuer's callers belong to tenants that were read before.
enum Known {
    /// All to this one.
    All(String),
    /// Those with this claim, by what it says.
    By(String, BTreeMap<String, String>),
}

/// What was read before.
type Seen = BTreeMap<String, Known>;

pub(super) fn tenants(
    desk: &mut Desk<'_>,
    raw: BTreeMap<String, raw::Tenant>,
    servers: &Servers,
    issuers: &Issuers,
) -> BTreeMap<String, Tenant> {
    let top = Place::default().key("tenants");
    let (mut known, mut seen) = (BTreeMap::new(), Seen::new());
    if raw.len() > bounds::MAX_ENTRIES {
        desk.refuse(&top, &format!("at most {} tenants", bounds::MAX_ENTRIES));
    }
    for (name, raw) in raw.into_iter().take(bounds::MAX_ENTRIES) {
        let place = top.key(&name);
        if ServerName::parse(&name).is_none() {
            desk.refuse_with(
                &place,
                "not a name of a tenant",
                "use up to 32 lower-case letters, digits and hyphens, the first no hyphen",
            );
        }
        if raw.issuers.is_empty() && raw.members.is_empty() {
            let fix = "name its `issuers`, or its `members`";
            desk.refuse_missing(&place, "nobody belongs to this tenant", fix);
        }
        let list = place.key("servers");
        for (index, server) in raw.servers.iter().enumerate() {
            if !servers.names.contains(server) {
                let names = servers.names.iter().map(String::as_str);
                desk.refuse_unknown(&list.at(index), "no server has this name", server, names);
            }
        }
        let list = place.key("issuers");
        for (index, issuer) in raw.issuers.iter().enumerate() {
            let place = list.at(index);
            if is_issuer(desk, &place, issuer, issuers) {
                let all = Known::All(name.clone());
                expect_alone(desk, &place, seen.insert(issuer.clone(), all).as_ref());
            }
        }
        let members = members(desk, &place.key("members"), raw.members, issuers);
        for (issuer, (claim, text)) in &members {
            let place = place.key("members").key(issuer);
            member(desk, &place, (&mut seen, issuer), (claim, text, &name));
        }
        let tenant = Tenant {
            servers: raw.servers.into_iter().collect(),
            issuers: raw.issuers.into_iter().collect::<BTreeSet<_>>(),
            members,
        };
        known.insert(name, tenant);
    }
    known
}

fn is_issuer(desk: &mut Desk<'_>, place: &Place, name: &str, issuers: &Issuers) -> bool {
    let is_known = issuers.names.contains(name);
    if !is_known {
        let names = issuers.names.iter().map(String::as_str);
        desk.refuse_unknown(place, "no issuer has this name", name, names);
    }
    is_known
}

fn expect_alone(desk: &mut Desk<'_>, place: &Place, before: Option<&Known>) {
    let whose = match before {
        None => return,
        Some(Known::All(tenant)) => format!("all its callers belong to `{tenant}`"),
        Some(Known::By(claim, _)) => format!("its claim `{claim}` says to whom callers belong"),
    };
    desk.refuse(place, &whose);
}

/// What is written as `CLAIM=TEXT`, by issuer.
fn members(
    desk: &mut Desk<'_>,
    place: &Place,
    raw: BTreeMap<String, String>,
    issuers: &Issuers,
) -> BTreeMap<String, (String, String)> {
    let mut members = BTreeMap::new();
    for (issuer, written) in raw {
        let place = place.key(&issuer);
        if !is_issuer(desk, &place, &issuer, issuers) {
            continue;
        }
        match written.split_once('=') {
            Some((claim, text)) if !claim.is_empty() && !text.is_empty() => {
                members.insert(issuer, (claim.to_owned(), text.to_owned()));
            }
            Some(_) | None => {
                let fix = "write \"CLAIM=TEXT\", as in \"org_id=17\"";
                desk.refuse_with(&place, "not a claim and its text", fix);
            }
        }
    }
    members
}

/// One claim of an issuer says to whom its callers belong, and each text to one tenant only.
fn member(
    desk: &mut Desk<'_>,
    place: &Place,
    (seen, issuer): (&mut Seen, &str),
    (claim, text, tenant): (&str, &str, &str),
) {
    let own = || Known::By(claim.to_owned(), BTreeMap::new());
    let before = seen.entry(issuer.to_owned()).or_insert_with(own);
    match before {
        Known::By(known, texts) if known == claim => {
            let first = texts.insert(text.to_owned(), tenant.to_owned());
            if let Some(first) = first {
                desk.refuse(place, &format!("these callers belong to `{first}`"));
            }
        }
        before @ (Known::By(..) | Known::All(_)) => {
            let before = std::mem::replace(before, Known::All(tenant.to_owned()));
            expect_alone(desk, place, Some(&before));
        }
    }
}
