//! All servers together: one upstream, one protected resource.

use super::credentials::exchanges;
use super::quotas::quota_of;
use super::{Workshop, issuer_name, scopes};
use crate::config::Checked;
use crate::secrets::Lease;
use crate::upstream::{Around, Upstream};
use portcullis_core::authenticate::{Binding, Resource};
use portcullis_core::authorize::policy::Policy;
use portcullis_core::authorize::{Gate, Strengths};
use portcullis_core::catalog::Terms;
use portcullis_core::inspect::Contents;
use portcullis_core::pipeline::Server;
use portcullis_core::quota;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// All servers together as one upstream, which every reload keeps.
pub(super) fn all_together(workshop: &Workshop<'_>, name: &Arc<str>) -> (String, Arc<Upstream>) {
    let made = || {
        let inner = Arc::clone(&workshop.aggregate);
        let around = Around {
            server: Arc::clone(name),
            tasks: workshop.tasks.clone(),
            report: workshop.report.clone(),
            inside: Arc::clone(&workshop.aggregate),
            // It has no sessions, so it never asks anybody in the middle of a call.
            question_timeout: Duration::ZERO,
            // Each server has its own.
            lease: Lease::default(),
        };
        (String::new(), Arc::new(Upstream::inner(inner, around)))
    };
    workshop.kept.get(name).cloned().unwrap_or_else(made)
}

/// All servers together as one protected resource; what may be done with each, each decides.
pub(super) fn rules_of_all(
    (checked, policy): (&Checked, &Policy),
    name: &Arc<str>,
    audience: &str,
) -> Server {
    let servers = || checked.servers.values();
    let issuers: BTreeSet<&String> = servers().flat_map(|server| &server.issuers).collect();
    let needed = scopes::needed(servers());
    let of_use = scopes::of_use(checked, (&needed, policy), issuers.iter().copied());
    let issuers = issuers
        .into_iter()
        .filter_map(|issuer| checked.issuers.get(issuer));
    let public = &checked.gateway.public_url;
    Server {
        gate: Gate {
            resource: Resource {
                server: Arc::clone(name),
                audience: audience.to_owned(),
                metadata_url: format!(
                    "{}/.well-known/oauth-protected-resource{}/mcp",
                    public.origin(),
                    public.path().trim_end_matches('/')
                ),
                issuers: issuers.map(|issuer| issuer_name(checked, issuer)).collect(),
                max_lifetime: None, // each server asks for its own
                scopes: Vec::new(),
                scopes_supported: needed.into_iter().collect(),
                scopes_of_use: of_use,
                url: public.below("/mcp"),
                dpop: binding_of_all(servers().map(|server| server.dpop)),
                mtls: binding_of_all(servers().map(|server| server.mtls)),
                needs_nonce: servers().any(|server| server.dpop_nonce),
                upstream_audience: None,
                exchanges: servers().any(exchanges),
            },
            tool_scopes: HashMap::new(),
            strengths: Strengths::default(),
            privileged: HashMap::new(),
            tenants: Vec::new(),
            is_aggregate: true,
        },
        quota: quota::Limits {
            tool_requests: None,
            ..quota_of(&checked.quota, &BTreeMap::new())
        },
        // Each server has its own, as it has tenants.
        terms: Terms::OBSERVED,
        approvers: Vec::new(),
        contents: Contents::observed(),
    }
}

/// What all servers ask for is asked for here; a server that asks for more refuses its own part.
fn binding_of_all(servers: impl Iterator<Item = Binding> + Clone) -> Binding {
    let (least, most) = (servers.clone().min(), servers.max());
    match (least.unwrap_or_default(), most.unwrap_or_default()) {
        (Binding::Required, _) => Binding::Required,
        (Binding::Off, Binding::Off) => Binding::Off,
        (Binding::Off | Binding::Accepted, _) => Binding::Accepted,
    }
}
