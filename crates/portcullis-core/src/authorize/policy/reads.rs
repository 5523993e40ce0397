//! What policies read: what none of them reads is not built for a decision.

use cedar_policy::{ActionConstraint, Policy, PrincipalConstraint, ResourceConstraint};
use serde_json::Value;

/// Something of a request that a policy can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    /// The entity of the principal, with its roles and groups.
    Principal,
    Issuer,
    Subject,
    Client,
    Scopes,
    Claims,
    /// The entity of the action, with its families.
    Action,
    /// The entity of the target, with its server.
    Target,
    /// The name, URI and server of the target.
    Naming,
    Time,
    Era,
    Network,
    Arguments,
    Numbers,
}

/// The facts that some policies read, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reads(u16);

/// Facts of the circumstances of a request, and not of its principal or its target.
const CIRCUMSTANCES: [Fact; 5] = [
    Fact::Time,
    Fact::Era,
    Fact::Network,
    Fact::Arguments,
    Fact::Numbers,
];

impl Reads {
    /// Finds what a policy reads in its scope and in its conditions (its JSON form).
    pub(super) fn of(policy: &Policy, conditions: &Value) -> Self {
        let mut reads = Self::default();
        match policy.principal_constraint() {
            PrincipalConstraint::In(_) | PrincipalConstraint::IsIn(..) => {
                reads.add(Fact::Principal);
            }
            PrincipalConstraint::Any | PrincipalConstraint::Eq(_) | PrincipalConstraint::Is(_) => {}
        }
        match policy.action_constraint() {
            ActionConstraint::In(_) => reads.add(Fact::Action),
            ActionConstraint::Any | ActionConstraint::Eq(_) => {}
        }
        match policy.resource_constraint() {
            ResourceConstraint::In(_) | ResourceConstraint::IsIn(..) => reads.add(Fact::Target),
            ResourceConstraint::Any | ResourceConstraint::Eq(_) | ResourceConstraint::Is(_) => {}
        }
        reads.note(conditions);
        reads
    }

    #[cfg(test)]
    pub(super) fn everything() -> Self {
        Self(u16::MAX)
    }

    pub(super) fn has(self, fact: Fact) -> bool {
        self.0 & bit(fact) != 0
    }

    /// Whether the answer depends on more than the principal, the action and the target.
    pub(super) fn circumstances(self) -> bool {
        CIRCUMSTANCES.into_iter().any(|fact| self.has(fact))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn add(&mut self, fact: Fact) {
        self.0 |= bit(fact);
    }

    /// INVARIANT: an over-estimate. Whatever is not recognised is followed into all its parts, and
    /// an attribute counts as read by its name alone, of whatever entity it may be.
    fn note(&mut self, tree: &Value) {
        match tree {
            Value::Object(map) => {
                for (operator, operands) in map {
                    self.note_operator(operator, operands);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.note(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn note_operator(&mut self, operator: &str, operands: &Value) {
        match operator {
            "Var" => match operands.as_str() {
                Some("principal") => self.add(Fact::Principal),
                Some("action") => self.add(Fact::Action),
                Some("resource") => self.add(Fact::Target),
                _ => CIRCUMSTANCES.into_iter().for_each(|fact| self.add(fact)),
            },
            "." | "has" => {
                let attribute = operands.get("attr").unwrap_or(operands);
                self.note_attribute(attribute);
                if operands.get("left").is_some_and(|left| !is_context(left)) {
                    self.note(operands);
                }
            }
            "hasTag" | "getTag" => {
                let left = operands.get("left").unwrap_or(operands);
                if !is_arguments(left) {
                    self.add(Fact::Claims);
                }
                self.note(operands);
            }
            "__entity" => {
                // It may be the principal or the target of a request by another name.
                self.add(Fact::Principal);
                self.add(Fact::Action);
                self.add(Fact::Target);
            }
            _ => self.note(operands),
        }
    }

    fn note_attribute(&mut self, attribute: &Value) {
        match attribute {
            Value::String(name) => match name.as_str() {
                "issuer" => self.add(Fact::Issuer),
                "subject" => self.add(Fact::Subject),
                "client" => self.add(Fact::Client),
                "scopes" => self.add(Fact::Scopes),
                "name" | "uri" | "server" => self.add(Fact::Naming),
                "time" => self.add(Fact::Time),
                "era" => self.add(Fact::Era),
                "network" => self.add(Fact::Network),
                "arguments" => self.add(Fact::Arguments),
                "numbers" => self.add(Fact::Numbers),
                _ => {}
            },
            Value::Array(names) => names.iter().for_each(|name| self.note_attribute(name)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }
}

fn bit(fact: Fact) -> u16 {
    1 << fact as u16
}

pub(super) fn is_context(tree: &Value) -> bool {
    tree.get("Var").and_then(Value::as_str) == Some("context")
}

fn is_arguments(tree: &Value) -> bool {
    tree.get(".")
        .and_then(|get| get.get("left"))
        .is_some_and(is_context)
}
