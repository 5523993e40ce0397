//! Boundaries: what nobody of some kind can ever do, whatever is granted, and the Cedar policies they stand for.
//!
//! A boundary is a set of `forbid`s, one for each kind of thing, that do not hold for what it allows. So its effect is
//! an intersection: a permission counts only within every boundary that holds for the caller.

use serde_json::{Value, json};

use super::grants::{ASKS, BadPattern, PARTS, Part, Pattern, TOOL, Who, entity, matches};

/// Begins the rule of every boundary, and of nothing else.
pub(super) const RULE_PREFIX: &str = "boundary:";

/// What some principals can never exceed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    /// Names it in the audit record, as `boundary:<id>`.
    pub id: String,
    /// For whom it holds.
    pub who: Who,
    /// What lies within, in the patterns of [`super::Grant::allow`]; nothing does if there is none.
    pub allow: Vec<String>,
}

impl Boundary {
    /// The name of this boundary in the audit record.
    pub(super) fn rule(&self) -> String {
        [RULE_PREFIX, &self.id].concat()
    }

    /// The Cedar policies, in their JSON form, that this boundary stands for.
    pub(super) fn to_cedar(&self) -> Result<Vec<Value>, (String, BadPattern)> {
        let mut patterns = Vec::new();
        for text in &self.allow {
            patterns.push(Pattern::parse(text).map_err(|bad| (text.clone(), bad))?);
        }
        let mut forbids = Vec::new();
        let mut servers = Vec::new();
        for part in std::iter::once(&TOOL).chain(PARTS) {
            let own = || patterns.iter().filter_map(|pattern| pattern.of(part));
            let things = own()
                .map(|(server, name)| all([matches("server", server), matches(part.name, name)]));
            let listed: Vec<_> = own().map(|(server, _)| matches("name", server)).collect();
            servers.extend(listed.iter().cloned());
            forbids.extend(self.forbid(part.actions, part.kind, things));
            forbids.extend(self.forbid(&[part.list], "Server", listed.into_iter()));
        }
        forbids.extend(self.forbid(&["server/use"], "Server", servers.into_iter()));
        for (_, action) in ASKS {
            let own = patterns.iter().filter_map(|pattern| pattern.asked(action));
            let own = own.map(|server| matches("name", server));
            forbids.extend(self.forbid(&[action], "Server", own));
        }
        Ok(forbids)
    }

    /// Forbids what no condition is met for; nothing to forbid if one of them always is.
    fn forbid(
        &self,
        actions: &[&str],
        kind: &str,
        within: impl Iterator<Item = Option<Value>>,
    ) -> Option<Value> {
        let actions: Vec<Value> = actions.iter().map(|id| entity("Action", id)).collect();
        let (principal, who) = self.who.to_cedar();
        let mut conditions = Vec::new();
        conditions.extend(who.map(|body| json!({"kind": "when", "body": body})));
        let within: Option<Vec<Value>> = within.collect();
        let any = within?
            .into_iter()
            .reduce(|left, right| json!({"||": {"left": left, "right": right}}));
        conditions.extend(any.map(|body| json!({"kind": "unless", "body": body})));
        Some(json!({
            "effect": "forbid",
            "principal": principal,
            "action": {"op": "in", "entities": actions},
            "resource": {"op": "is", "entity_type": kind},
            "conditions": conditions,
            "annotations": {"id": self.rule()},
        }))
    }
}

impl<'a> Pattern<'a> {
    /// Server and name, if it is about such things.
    fn of(&self, kind: &Part) -> Option<(&'a str, &'a str)> {
        match self {
            Self::Part { part, server, name } if part.kind == kind.kind => Some((server, name)),
            Self::Part { .. } | Self::Ask { .. } => None,
        }
    }

    /// The server, if it is about this question.
    fn asked(&self, asked: &str) -> Option<&'a str> {
        match self {
            Self::Ask { action, server } if *action == asked => Some(server),
            Self::Part { .. } | Self::Ask { .. } => None,
        }
    }
}

/// Both conditions; none if both are always met.
fn all(conditions: [Option<Value>; 2]) -> Option<Value> {
    let conditions = conditions.into_iter().flatten();
    conditions.reduce(|left, right| json!({"&&": {"left": left, "right": right}}))
}
