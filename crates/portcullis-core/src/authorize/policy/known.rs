//! Attributes that policies ask for with `has`, and that nothing ever has.
//!
//! Cedar takes such a condition as one that is never met, and says nothing. A `forbid` with a slip of the pen in it would
//! forbid nothing.

use serde_json::Value;
use std::collections::BTreeSet;

const PRINCIPAL: [&str; 5] = ["issuer", "subject", "client", "scopes", "claims"];
const CONTEXT: [&str; 11] = [
    "time",
    "era",
    "network",
    "zones",
    "acr",
    "amr",
    "auth_age",
    "anomaly",
    "tool",
    "arguments",
    "numbers",
];

const TOOL: [&str; 2] = ["risk", "findings"];

/// The first attribute of the principal, the context or the claims that is not there, as a policy would write it.
pub(super) fn unknown(tree: &Value, declared: &BTreeSet<String>) -> Option<String> {
    match tree {
        Value::Object(map) => {
            let asked = map.get("has").and_then(|has| way("has", has));
            let asked = asked.filter(|way| !is_known(way, declared));
            let within = || map.values().find_map(|value| unknown(value, declared));
            asked.map(|way| way.join(".")).or_else(within)
        }
        Value::Array(items) => items.iter().find_map(|item| unknown(item, declared)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn is_known(way: &[&str], declared: &BTreeSet<String>) -> bool {
    match way {
        ["principal", "claims", name, ..] => declared.contains(*name),
        ["principal", name, ..] => PRINCIPAL.contains(name),
        ["context", "tool", name, ..] => TOOL.contains(name),
        ["context", name, ..] => CONTEXT.contains(name),
        _ => true,
    }
}

/// The variable, and the attributes that lead on from it; none if it does not begin with a variable.
fn way<'t>(operator: &str, operands: &'t Value) -> Option<Vec<&'t str>> {
    if operator == "Var" {
        return Some(vec![operands.as_str()?]);
    }
    if !["has", "."].contains(&operator) {
        return None;
    }
    let left = operands.get("left")?.as_object()?;
    let (operator, inner) = left.iter().next()?;
    let mut way = way(operator, inner)?;
    match operands.get("attr")? {
        Value::String(name) => way.push(name),
        Value::Array(names) => way.extend(names.iter().filter_map(Value::as_str)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    }
    Some(way)
}
