//! The scopes of a server, and those with which more can be done there.

use crate::config::{self, Checked};
use portcullis_core::authorize::policy::Policy;
use std::collections::BTreeSet;

/// What the server and its tools ask for.
pub(super) fn needed<'s>(servers: impl Iterator<Item = &'s config::Server>) -> BTreeSet<String> {
    let scopes = servers.flat_map(|server| {
        let tools = server.tools.values().flat_map(|tool| &tool.scopes);
        server.scopes.iter().chain(tools)
    });
    scopes.cloned().collect()
}

/// These, what policies ask for, and what implies any of them in the tokens of these issuers.
pub(super) fn of_use<'i>(
    checked: &Checked,
    (needed, policy): (&BTreeSet<String>, &Policy),
    issuers: impl Iterator<Item = &'i String>,
) -> BTreeSet<String> {
    let named: BTreeSet<String> = needed.union(policy.scopes()).cloned().collect();
    let mut all = named.clone();
    for issuer in issuers.filter_map(|name| checked.issuers.get(name)) {
        match issuer {
            config::Issuer::Embedded { .. } => {}
            config::Issuer::External(external) => {
                let wider = external.claims.implied.implying(&named);
                all.extend(wider.map(str::to_owned));
            }
        }
    }
    all
}
