//! What the gateway needs, the policy, and reading the configuration again.

use super::{Answer, Asked};
use crate::listener::faults;
use serde_json::{Value, json};

pub(super) fn health(asked: &Asked) -> Answer {
    let gateway = &asked.gateway;
    let faults: Vec<&str> = faults(gateway).into_iter().map(str::trim_end).collect();
    Answer::ok(json!({
        "ready": faults.is_empty(),
        "faults": faults,
        "version": env!("CARGO_PKG_VERSION"),
        "policy": &*asked.live.policy,
        "servers": asked.live.upstreams.len(),
        "sessions": gateway.state.sessions.len(),
    }))
}

pub(super) fn policy(asked: &Asked) -> Answer {
    let policy = &asked.live.rules.policy;
    let rules: Vec<Value> = policy.rules().iter().map(|rule| json!(rule)).collect();
    Answer::ok(json!({ "hash": policy.hash(), "rules": rules }))
}

/// It is read behind the answer; `config.reloaded` or `config.rejected` says what came of it.
pub(super) fn reload(asked: &Asked) -> Answer {
    asked.gateway.reread.notify_one();
    Answer::Done(202, json!({ "status": "asked" }))
}
