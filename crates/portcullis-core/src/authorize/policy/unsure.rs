//! The policies as they are for a caller some of whose groups are not known.
//!
//! INVARIANT: whatever groups the caller is in, what is permitted here is permitted there, unless an evaluation fails
//! there. A permit that mentions a group is left out, since it may ask for not being in it. A forbid that mentions one loses its principal and its
//! conditions: it may apply. [`Unsure::is_guess`] tells such a no from one that is certain.

use std::collections::BTreeSet;
use std::error::Error;

use cedar_policy::{Effect, Entities, Policy};
use serde_json::{Value, json};

use super::check::Checked;
use super::index::Index;
use super::names::Types;

/// Both indexes once more, and which rules were widened.
#[derive(Debug)]
pub(super) struct Unsure {
    pub(super) full: Index,
    pub(super) lists: Index,
    widened: BTreeSet<String>,
}

impl Unsure {
    /// None if no policy mentions a group: then it does not matter which there are.
    pub(super) fn build(
        types: &Types,
        actions: &Entities,
        (full, lists): (&[Checked], &[Checked]),
    ) -> Result<Option<Self>, Box<dyn Error>> {
        let group = types.group.to_string();
        if !full.iter().any(|checked| mentions(&checked.json, &group)) {
            return Ok(None);
        }
        let mut widened = BTreeSet::new();
        let mut index = |policies: &[Checked]| -> Result<Index, Box<dyn Error>> {
            let mut kept = Vec::new();
            for checked in policies {
                kept.extend(unsure(checked, &group, &mut widened)?);
            }
            Index::build(types, actions, &kept)
        };
        let (full, lists) = (index(full)?, index(lists)?);
        Ok(Some(Self {
            full,
            lists,
            widened,
        }))
    }

    /// Whether all of these rules forbid only in case the caller is in a group.
    pub(super) fn is_guess(&self, rules: &BTreeSet<&str>) -> bool {
        rules.iter().all(|rule| self.widened.contains(*rule))
    }
}

/// The form of a policy for such a caller, if there is one.
fn unsure(
    checked: &Checked,
    group: &str,
    widened: &mut BTreeSet<String>,
) -> Result<Option<Checked>, Box<dyn Error>> {
    if !mentions(&checked.json, group) {
        let (policy, json) = (checked.policy.clone(), checked.json.clone());
        return Ok(Some(Checked { policy, json }));
    }
    match checked.policy.effect() {
        Effect::Permit => Ok(None),
        Effect::Forbid => {
            let id = checked.policy.id();
            let name = checked.policy.annotation("id").unwrap_or(id.as_ref());
            widened.insert(name.to_owned());
            Ok(Some(widen(checked)?))
        }
    }
}

fn widen(checked: &Checked) -> Result<Checked, Box<dyn Error>> {
    let mut json = checked.json.clone();
    if let Some(policy) = json.as_object_mut() {
        policy.insert("principal".to_owned(), json!({"op": "All"}));
        policy.insert("conditions".to_owned(), json!([]));
    }
    let policy = Policy::from_json(Some(checked.policy.id().clone()), json.clone())?;
    Ok(Checked { policy, json })
}

/// Whether an entity of this type stands anywhere in the policy: no attribute leads to one.
fn mentions(tree: &Value, kind: &str) -> bool {
    match tree {
        Value::Object(map) => {
            map.get("type").is_some_and(|own| own == kind)
                || map.values().any(|value| mentions(value, kind))
        }
        Value::Array(items) => items.iter().any(|item| mentions(item, kind)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
