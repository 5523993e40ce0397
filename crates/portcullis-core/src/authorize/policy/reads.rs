//! What policies read: what none of them reads is not built for a decision.

use serde_json::Value;

/// Something of a request that a policy can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Issuer,
    Subject,
    Client,
    Scopes,
    Claims,
    /// The claims that the configuration declares.
    Declared,
    /// What an entity is in: roles, groups, families of actions, servers.
    Kin,
    /// The name, URI and server of the target.
    Naming,
    Time,
    Era,
    Network,
    /// The named networks of the client's address.
    Zones,
    /// `acr`, `amr` and `auth_age`.
    Class,
    Methods,
    Age,
    /// How unusual what the caller does is.
    Anomaly,
    /// How risky the tool is, and what was found in it.
    Tool,
    Arguments,
    Numbers,
}

/// The facts that some policies read, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reads(u32);

/// Facts that the entity of the principal is made of.
pub(super) const PRINCIPAL: [Fact; 7] = [
    Fact::Issuer,
    Fact::Subject,
    Fact::Client,
    Fact::Scopes,
    Fact::Claims,
    Fact::Declared,
    Fact::Kin,
];

/// Facts of the circumstances of a request, and not of its principal or its target.
const CIRCUMSTANCES: [Fact; 11] = [
    Fact::Time,
    Fact::Era,
    Fact::Network,
    Fact::Zones,
    Fact::Class,
    Fact::Methods,
    Fact::Age,
    Fact::Anomaly,
    Fact::Tool,
    Fact::Arguments,
    Fact::Numbers,
];

/// Facts that a record does not hold anyway.
pub(super) const TOLD: [Fact; 7] = [
    Fact::Declared,
    Fact::Zones,
    Fact::Class,
    Fact::Methods,
    Fact::Age,
    Fact::Anomaly,
    Fact::Tool,
];

impl Reads {
    /// Finds what a policy reads, given its JSON form.
    pub(super) fn of(policy: &Value) -> Self {
        let mut reads = Self::default();
        reads.note(policy);
        reads
    }

    #[cfg(test)]
    pub(super) fn everything() -> Self {
        Self(u32::MAX)
    }

    pub(super) fn has(self, fact: Fact) -> bool {
        self.0 & bit(fact) != 0
    }

    pub(super) fn has_any(self, facts: &[Fact]) -> bool {
        facts.iter().any(|fact| self.has(*fact))
    }

    /// Whether the answer depends on more than the principal, the action and the target.
    pub(super) fn circumstances(self) -> bool {
        self.has_any(&CIRCUMSTANCES)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn add(&mut self, fact: Fact) {
        self.0 |= bit(fact);
    }

    /// INVARIANT: an over-estimate. Every part is looked into, and an attribute counts as read by
    /// its name alone, whatever entity has it.
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
        let left = operands.get("left").unwrap_or(operands);
        match operator {
            // Of the context as a whole anything may be read.
            "Var" if operands == "context" => {
                for fact in CIRCUMSTANCES {
                    self.add(fact);
                }
            }
            "." | "has" => {
                self.note_attribute(operands.get("attr").unwrap_or(operands));
                if is_context(left) {
                    return;
                }
            }
            "hasTag" | "getTag" if !is_arguments(left) => self.add(Fact::Claims),
            "in" => self.add(Fact::Kin),
            "op" if operands == "in" => self.add(Fact::Kin),
            _ => {}
        }
        self.note(operands);
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
                "claims" => self.add(Fact::Declared),
                "zones" => self.add(Fact::Zones),
                "acr" => self.add(Fact::Class),
                "amr" => self.add(Fact::Methods),
                "auth_age" => self.add(Fact::Age),
                "anomaly" => self.add(Fact::Anomaly),
                "tool" => self.add(Fact::Tool),
                "arguments" => self.add(Fact::Arguments),
                "numbers" => self.add(Fact::Numbers),
                _ => {}
            },
            Value::Array(names) => names.iter().for_each(|name| self.note_attribute(name)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }
}

fn bit(fact: Fact) -> u32 {
    1 << fact as u16
}

pub(super) fn is_context(tree: &Value) -> bool {
    tree.get("Var")
        .is_some_and(|variable| variable == "context")
}

fn is_arguments(tree: &Value) -> bool {
    tree.get(".")
        .and_then(|get| get.get("left"))
        .is_some_and(is_context)
}
