//! The policies as they are for a list, where the arguments and the circumstances are not known.
//!
//! INVARIANT: what is permitted in some circumstances is visible. A permit only loses conditions,
//! and a forbid that depends on the circumstances is left out. A condition that is left out may
//! have protected another one from failing; such a failure hides nothing that could be permitted,
//! since it does not depend on the circumstances either: see [`Visible::excuses`].

use cedar_policy::{Effect, Policy, PolicyFromJsonError, PolicyId};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The policies that lost a condition.
#[derive(Debug, Default)]
pub(super) struct Visible {
    relaxed: BTreeSet<PolicyId>,
}

impl Visible {
    /// The form of a policy (and `json`, its JSON form) for a list, if there is one.
    pub(super) fn relax(
        &mut self,
        policy: &Policy,
        json: &Value,
    ) -> Result<Option<(Policy, Value)>, Box<PolicyFromJsonError>> {
        if !mentions_context(json) {
            return Ok(Some((policy.clone(), json.clone())));
        }
        match policy.effect() {
            Effect::Forbid => Ok(None),
            Effect::Permit => {
                let mut json = json.clone();
                if let Some(Value::Array(conditions)) = json.get_mut("conditions") {
                    *conditions = conditions.iter().flat_map(relaxed).collect();
                }
                let id = policy.id().clone();
                self.relaxed.insert(id.clone());
                let relaxed = Policy::from_json(Some(id), json.clone()).map_err(Box::new)?;
                Ok(Some((relaxed, json)))
            }
        }
    }

    /// Whether a failure of the policy is to be ignored: it is a permit that lost a condition.
    /// Where it fails without the condition, it fails or is not satisfied with it.
    pub(super) fn excuses(&self, id: &PolicyId) -> bool {
        self.relaxed.contains(id)
    }
}

/// The parts of a condition that do not mention the context, each as a condition.
fn relaxed(condition: &Value) -> Vec<Value> {
    let (Some(kind), Some(body)) = (condition.get("kind"), condition.get("body")) else {
        return Vec::new();
    };
    // All of `when {a && b}` must hold, and all of `unless {a || b}` must not.
    let operator = if kind == "when" { "&&" } else { "||" };
    let mut parts = Vec::new();
    split(operator, body, &mut parts);
    parts
        .into_iter()
        .filter(|part| !mentions_context(part))
        .map(|part| json!({"kind": kind, "body": part}))
        .collect()
}

fn split<'v>(operator: &str, body: &'v Value, parts: &mut Vec<&'v Value>) {
    match body.get(operator) {
        Some(operands) => {
            for side in ["left", "right"] {
                if let Some(side) = operands.get(side) {
                    split(operator, side, parts);
                }
            }
        }
        None => parts.push(body),
    }
}

fn mentions_context(tree: &Value) -> bool {
    super::reads::is_context(tree)
        || match tree {
            Value::Object(map) => map.values().any(mentions_context),
            Value::Array(items) => items.iter().any(mentions_context),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
}
