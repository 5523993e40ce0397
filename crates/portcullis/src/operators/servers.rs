//! Servers, as far as the caller is over them.

use super::{Answer, Asked, Trouble};
use portcullis_core::authorize::Gate;
use serde_json::{Value, json};

pub(super) fn all(asked: &Asked) -> Result<Answer, Trouble> {
    let gates = asked.live.rules.servers.values().map(|server| &server.gate);
    let own = gates.filter(|gate| is_theirs(asked, gate));
    let all = own.map(|gate| (gate.resource.server.to_string(), told(asked, gate)));
    asked.page("servers", all.collect())
}

pub(super) fn one(asked: &Asked) -> Result<Answer, Trouble> {
    let server = asked.live.rules.servers.get(asked.name());
    let gate = server.map(|server| &server.gate);
    let gate = gate.filter(|gate| is_theirs(asked, gate));
    let gate = gate.ok_or(Trouble::NotFound("there is no server of this name"))?;
    Ok(Answer::ok(told(asked, gate)))
}

fn is_theirs(asked: &Asked, gate: &Gate) -> bool {
    !gate.is_aggregate && asked.mandate.over().covers(&gate.tenants)
}

fn told(asked: &Asked, gate: &Gate) -> Value {
    let name = &gate.resource.server;
    let upstream = asked.live.upstreams.get(name);
    let sessions = asked.gateway.state.sessions.listed();
    let own = sessions.iter().filter(|session| session.server == *name);
    let tenants: Vec<&str> = gate.tenants.iter().map(|tenant| &**tenant).collect();
    json!({
        "name": &**name,
        "url": gate.resource.url,
        "audience": gate.resource.audience,
        "issuers": gate.resource.issuers,
        "tenants": tenants,
        "transport": upstream.and_then(|upstream| upstream.transport()),
        "processes": upstream.map(|upstream| upstream.processes()),
        "sessions": own.count(),
    })
}
