//! What policies ask a set for: scopes, to tell a caller which ones it lacks, and zones.

use std::collections::BTreeSet;

use serde_json::Value;

/// Finds the literals of `principal.scopes.contains(..)`, `containsAny` and `containsAll`, or of another attribute.
pub(super) fn collect(tree: &Value, name: &str, found: &mut BTreeSet<String>) {
    match tree {
        Value::Object(map) => {
            for (operator, operands) in map {
                let asks = ["contains", "containsAny", "containsAll"].contains(&operator.as_str());
                let left = operands.get("left").and_then(|left| left.get("."));
                let attribute = left.and_then(|left| left.get("attr"));
                if asks && attribute.is_some_and(|attribute| attribute == name) {
                    operands
                        .get("right")
                        .into_iter()
                        .for_each(|right| texts(right, found));
                }
                collect(operands, name, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn texts(tree: &Value, found: &mut BTreeSet<String>) {
    match tree {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get("Value") {
                found.insert(text.clone());
            } else {
                map.values().for_each(|value| texts(value, found));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::String(text) => {
            found.insert(text.clone());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
