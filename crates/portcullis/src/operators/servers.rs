//! Servers, as far as the caller is over them.

use super::{Answer, Asked, Trouble};
use portcullis_core::authorize::Gate;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn all(asked: &Asked) -> Result<Answer, Trouble> {
    let counts = counts(asked);
    let gates = asked.live.rules.servers.values().map(|server| &server.gate);
    let own = gates.filter(|gate| is_theirs(asked, gate));
    let all = own.map(|gate| (gate.resource.server.to_string(), told(asked, gate, &counts)));
    asked.page("servers", all.collect())
}

pub(super) fn one(asked: &Asked) -> Result<Answer, Trouble> {
    let server = asked.live.rules.servers.get(asked.name());
    let gate = server.map(|server| &server.gate);
    let gate = gate.filter(|gate| is_theirs(asked, gate));
    let gate = gate.ok_or(Trouble::NotFound("there is no server of this name"))?;
    Ok(Answer::ok(told(asked, gate, &counts(asked))))
}

fn is_theirs(asked: &Asked, gate: &Gate) -> bool {
    !gate.is_aggregate && asked.mandate.over().covers(&gate.tenants)
}

/// How many sessions there are with each server, of callers that the operator is over: all are looked at once.
fn counts(asked: &Asked) -> BTreeMap<Arc<str>, usize> {
    let mut counts = BTreeMap::new();
    let over = asked.mandate.over();
    let all = asked.gateway.state.sessions.listed().into_iter();
    for session in all.filter(|session| over.covers(session.opener.tenant.as_ref())) {
        *counts.entry(session.server).or_default() += 1;
    }
    counts
}

fn told(asked: &Asked, gate: &Gate, counts: &BTreeMap<Arc<str>, usize>) -> Value {
    let name = &gate.resource.server;
    let upstream = asked.live.upstreams.get(name);
    // Of a server that several share, only what the caller is over.
    let tenants = gate.tenants.iter();
    let tenants = tenants.filter(|tenant| asked.mandate.over().covers([*tenant]));
    let tenants: Vec<&str> = tenants.map(|tenant| &**tenant).collect();
    json!({
        "name": &**name,
        "url": gate.resource.url,
        "audience": gate.resource.audience,
        "issuers": gate.resource.issuers,
        "tenants": tenants,
        "transport": upstream.and_then(|upstream| upstream.transport()),
        "processes": upstream.map(|upstream| upstream.processes()),
        "sessions": counts.get(name).copied().unwrap_or_default(),
    })
}
