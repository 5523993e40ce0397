//! The policies as they are for a list, where the arguments and the circumstances are not known. How risky a tool is is
//! known there as it is at a call.
//!
//! INVARIANT: what is permitted in some circumstances is visible. A permit only loses conditions,
//! and a forbid that depends on the circumstances is left out. A condition that is left out may
//! have protected another one from failing; such a failure hides nothing that could be permitted,
//! since it does not depend on the circumstances either: see [`Visible::excuses`].

use std::collections::BTreeSet;

use cedar_policy::{Effect, Policy, PolicyFromJsonError, PolicyId};
use serde_json::{Value, json};

use super::check::Checked;
use super::reads::is_context;

/// The policies that lost a condition.
#[derive(Debug, Default)]
pub(super) struct Visible {
    relaxed: BTreeSet<PolicyId>,
}

impl Visible {
    /// The form of a policy for a list, if there is one.
    pub(super) fn relax(
        &mut self,
        checked: &Checked,
    ) -> Result<Option<Checked>, Box<PolicyFromJsonError>> {
        let Checked { policy, json } = checked;
        let (policy, json) = match policy.effect() {
            _ if !mentions_context(json) => (policy.clone(), json.clone()),
            Effect::Forbid => return Ok(None),
            Effect::Permit => {
                let mut json = json.clone();
                if let Some(Value::Array(conditions)) = json.get_mut("conditions") {
                    *conditions = conditions.iter().flat_map(relaxed).collect();
                }
                let id = policy.id().clone();
                self.relaxed.insert(id.clone());
                (
                    Policy::from_json(Some(id), json.clone()).map_err(Box::new)?,
                    json,
                )
            }
        };
        Ok(Some(Checked { policy, json }))
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
    if is_tool(tree) {
        return false;
    }
    is_context(tree)
        || match tree {
            Value::Object(map) => map.values().any(mentions_context),
            Value::Array(items) => items.iter().any(mentions_context),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
}

/// Whether it is `context.tool`, which does not differ from call to call.
fn is_tool(tree: &Value) -> bool {
    let get = tree.get(".");
    get.is_some_and(|get| {
        get.get("left").is_some_and(is_context)
            && get.get("attr").is_some_and(|name| name == "tool")
    })
}
