//! What a good configuration says in vain or leaves open: grants that are over or beyond a boundary, servers without walls.

use crate::assemble::{grant_of, issuer_name};
use crate::config::{Boundary, Checked, Grant, Pattern, Server, ServerName, Upstream, Who};
use portcullis_audit::time_text;
use portcullis_core::time::Timestamp;

/// A doubt about each grant that gives less than it says.
pub(super) fn doubts(checked: &Checked, now: Timestamp) -> anyhow::Result<Vec<String>> {
    let mut doubts = Vec::new();
    for grant in &checked.grants {
        let named = grant_of(grant)?.id;
        if let Some(until) = grant.until.filter(|until| *until <= now) {
            let until = time_text(until.micros());
            doubts.push(format!(
                "the grant {named:?} is over since {until}: it permits nothing"
            ));
        }
        let caps = checked.boundaries.iter();
        for cap in caps.filter(|cap| is_for_all(checked, cap, &grant.who)) {
            let name = &cap.name;
            match reach(cap, grant) {
                Reach::Within => {}
                Reach::Across => doubts.push(format!(
                    "the grant {named:?} reaches beyond [boundary.{name}]: it has effect only within"
                )),
                Reach::Beyond => doubts.push(format!(
                    "the grant {named:?} lies beyond [boundary.{name}]: it has no effect"
                )),
            }
        }
    }
    doubts.extend(checked.servers.iter().filter_map(unconfined));
    Ok(doubts)
}

/// A doubt about a server that may do to the machine whatever we may, or more than it need.
fn unconfined((name, server): (&ServerName, &Server)) -> Option<String> {
    let Upstream::Stdio(stdio) = &server.upstream else {
        return None;
    };
    match &stdio.sandbox {
        None => Some(format!(
            "the server {name} is not confined: it may do whatever the gateway's user may; add [servers.{name}.sandbox]"
        )),
        Some(sandbox) if !sandbox.named.ports.is_empty() => Some(format!(
            "the server {name} uses the network of this machine: it reaches every host on its ports, and any by UDP"
        )),
        Some(_) => None,
    }
}

/// How a grant lies to a boundary.
enum Reach {
    Within,
    Across,
    Beyond,
}

fn reach(cap: &Boundary, grant: &Grant) -> Reach {
    let near = |(server, pattern): &&(_, Pattern)| {
        *server == grant.server && pattern.kind == grant.pattern.kind
    };
    let near = || {
        cap.allow
            .iter()
            .filter(near)
            .map(|(_, pattern)| &pattern.names)
    };
    let names = &grant.pattern.names;
    if near().any(|within| within.covers(names)) {
        Reach::Within
    } else if near().any(|within| within.meets(names)) {
        Reach::Across
    } else {
        Reach::Beyond
    }
}

/// Whether users of this issuer sign in there for tokens of our own.
fn signs_in(checked: &Checked, issuer: &str) -> bool {
    let configured = checked.authority.as_ref();
    let relying = configured.and_then(|configured| configured.sign_in.as_ref());
    relying.is_some_and(|relying| relying.provider == issuer)
}

/// Whether the boundary certainly holds for everyone who has the grant.
fn is_for_all(checked: &Checked, cap: &Boundary, who: &Who) -> bool {
    match (&cap.who, who) {
        (Who::Anyone, _) => true,
        // Users of the provider come with tokens of ours, too.
        (Who::Issuer(issuer), Who::User(_)) if signs_in(checked, issuer) => false,
        (Who::Issuer(issuer), Who::User(user)) => checked
            .issuers
            .get(issuer)
            .map(|issuer| issuer_name(checked, issuer))
            .is_some_and(|issuer| {
                let rest = user.strip_prefix(&issuer);
                rest.is_some_and(|rest| rest.starts_with('|'))
            }),
        (cap, who) => cap == who,
    }
}
