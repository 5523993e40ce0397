//! The policies by what their scopes ask for: a decision looks up those that matter, and Cedar
//! evaluates of them what is left, their conditions.
//!
//! A policy that is not looked up does not match by its scope. Cedar would find it unsatisfied,
//! and without an error, since nothing behind the scope would be evaluated. That this gives the
//! answers that Cedar gives for the whole policies is tested with random ones.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;

use cedar_policy::{
    ActionConstraint, Effect, Entities, Entity, EntityTypeName, EntityUid, Policy, PolicyId,
    PolicySet, PrincipalConstraint, ResourceConstraint,
};
use serde_json::{Value, json};

use super::action::Action;
use super::check::Checked;
use super::facts::Names;
use super::grants::{REVIEW, RULE_PREFIX, UNTIL};
use super::names::{Types, uid};
use super::reads::Reads;

/// All policies, by action.
#[derive(Debug)]
pub(super) struct Index(BTreeMap<Action, OfAction>);

/// The policies whose scopes match an action.
#[derive(Debug)]
pub(super) struct OfAction {
    /// The action with its families.
    pub(super) entity: Entity,
    /// The type of every target of this action, if it is one.
    kind: Option<EntityTypeName>,
    anywhere: Shelf,
    of_server: HashMap<String, Shelf>,
    of_target: HashMap<EntityUid, Shelf>,
}

/// The policies whose scopes match a target.
#[derive(Debug, Default)]
struct Shelf {
    of_anyone: Rules,
    of_principal: HashMap<EntityUid, Rules>,
}

/// Policies whose scopes match.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// The rules that permit without a condition.
    pub(super) permits: Vec<Named>,
    /// Names of the rules that forbid without a condition.
    pub(super) forbids: Vec<String>,
    /// The policies of which something is left to evaluate, and what it reads.
    pub(super) set: PolicySet,
    pub(super) reads: Reads,
    names: HashMap<PolicyId, Named>,
}

/// What the audit record calls a rule, and until when it permits anything.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) rule: String,
    /// A second since 1970.
    until: i64,
    /// The review by which it ends then.
    pub(super) review: Option<String>,
}

impl Named {
    pub(super) fn of(policy: &Policy) -> Self {
        let id = policy.id();
        let rule: &str = policy.annotation("id").unwrap_or(id.as_ref());
        let is_grant = rule.starts_with(RULE_PREFIX);
        let until = policy.annotation(UNTIL).filter(|_| is_grant);
        let review = policy.annotation(REVIEW).filter(|_| is_grant);
        Self {
            rule: rule.to_owned(),
            // An end that cannot be read has passed.
            until: until.map_or(i64::MAX, |until| until.parse().unwrap_or(i64::MIN)),
            review: review.map(str::to_owned),
        }
    }

    pub(super) const fn is_in_force(&self, now: i64) -> bool {
        now < self.until
    }
}

impl Index {
    pub(super) fn build(
        types: &Types,
        actions: &Entities,
        policies: &[Checked],
    ) -> Result<Self, Box<dyn Error>> {
        let mut index = BTreeMap::new();
        for action in Action::ALL {
            let uid = uid(&types.action, action.as_str());
            let known = actions.get(&uid).cloned();
            let mut own = OfAction {
                entity: known.unwrap_or_else(|| Entity::with_uid(uid.clone())),
                kind: types.of_targets(action).cloned(),
                anywhere: Shelf::default(),
                of_server: HashMap::new(),
                of_target: HashMap::new(),
            };
            let concerns = |checked: &&Checked| concerns(&checked.policy, &uid, actions);
            for checked in policies.iter().filter(concerns) {
                own.add(types, checked)?;
            }
            index.insert(action, own);
        }
        Ok(Self(index))
    }

    pub(super) fn of(&self, action: Action) -> Option<&OfAction> {
        self.0.get(&action)
    }
}

impl OfAction {
    /// The policies whose scopes match the target and one of the names of the principal: its own,
    /// its roles, its groups.
    pub(super) fn matching(&self, names: &Names<'_>) -> Vec<&Rules> {
        let shelves = [
            Some(&self.anywhere),
            self.of_server.get(names.server.as_ref()),
            self.of_target.get(&names.target),
        ];
        let mut matching = Vec::new();
        for shelf in shelves.into_iter().flatten() {
            matching.push(&shelf.of_anyone);
            if !shelf.of_principal.is_empty() {
                let names = names.principal.iter();
                matching.extend(names.filter_map(|name| shelf.of_principal.get(name)));
            }
        }
        matching
    }

    /// INVARIANT: a part of a scope is left out only where its place in the index says the same.
    fn add(&mut self, types: &Types, checked: &Checked) -> Result<(), Box<dyn Error>> {
        let mut rest = Rest::of(checked);
        rest.leave_out("action");
        let place = match checked.policy.resource_constraint() {
            ResourceConstraint::Any => &mut self.anywhere,
            ResourceConstraint::Is(kind) => {
                if self.kind.as_ref() == Some(&kind) {
                    rest.leave_out("resource");
                }
                &mut self.anywhere
            }
            ResourceConstraint::Eq(uid) => {
                rest.leave_out("resource");
                self.of_target.entry(uid).or_default()
            }
            ResourceConstraint::In(uid) => match types.server_of(&uid) {
                Some(server) => {
                    if *uid.type_name() == types.server {
                        rest.leave_out("resource");
                    }
                    self.of_server.entry(server).or_default()
                }
                None => &mut self.anywhere,
            },
            ResourceConstraint::IsIn(kind, uid) => match types.server_of(&uid) {
                Some(server) => {
                    if self.kind.as_ref() == Some(&kind) && *uid.type_name() == types.server {
                        rest.leave_out("resource");
                    }
                    self.of_server.entry(server).or_default()
                }
                None => &mut self.anywhere,
            },
        };
        let rules = match checked.policy.principal_constraint() {
            PrincipalConstraint::Any => &mut place.of_anyone,
            PrincipalConstraint::Is(kind) => {
                if kind == types.principal {
                    rest.leave_out("principal");
                }
                &mut place.of_anyone
            }
            PrincipalConstraint::Eq(uid) => {
                if *uid.type_name() == types.principal {
                    rest.leave_out("principal");
                }
                place.of_principal.entry(uid).or_default()
            }
            PrincipalConstraint::In(uid) => {
                rest.leave_out("principal");
                place.of_principal.entry(uid).or_default()
            }
            PrincipalConstraint::IsIn(kind, uid) => {
                if kind == types.principal {
                    rest.leave_out("principal");
                }
                place.of_principal.entry(uid).or_default()
            }
        };
        rules.add(rest, checked)
    }
}

fn concerns(policy: &Policy, action: &EntityUid, actions: &Entities) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == *action,
        ActionConstraint::In(uids) => {
            let is_in = |uid| uid == action || actions.is_ancestor_of(uid, action);
            uids.iter().any(is_in)
        }
    }
}

impl Rules {
    fn add(&mut self, rest: Rest, checked: &Checked) -> Result<(), Box<dyn Error>> {
        let id = checked.policy.id();
        let named = Named::of(&checked.policy);
        if rest.is_nothing() {
            match checked.policy.effect() {
                Effect::Permit => self.permits.push(named),
                Effect::Forbid => self.forbids.push(named.rule),
            }
            return Ok(());
        }
        let Rest(json) = rest;
        self.reads = self.reads.and(Reads::of(&json));
        self.names.insert(id.clone(), named);
        let policy = Policy::from_json(Some(id.clone()), json)?;
        Ok(self.set.add(policy)?)
    }

    /// The rules of which something is left to evaluate.
    pub(super) fn conditional(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(|named| named.rule.as_str())
    }

    /// The name that the audit record has for a policy that was evaluated.
    pub(super) fn name(&self, id: &PolicyId) -> Option<&Named> {
        self.names.get(id)
    }
}

/// What is left of a policy (its JSON form) where its place in the index says the rest.
struct Rest(Value);

const PARTS_OF_SCOPE: [&str; 3] = ["principal", "action", "resource"];

impl Rest {
    fn of(checked: &Checked) -> Self {
        let mut json = checked.json.clone();
        if let Some(policy) = json.as_object_mut() {
            // They would be copied at every evaluation.
            policy.remove("annotations");
        }
        Self(json)
    }

    fn leave_out(&mut self, part: &str) {
        if let Some(part) = self.0.get_mut(part) {
            *part = json!({"op": "All"});
        }
    }

    fn is_nothing(&self) -> bool {
        let all = json!({"op": "All"});
        let no_scope = PARTS_OF_SCOPE
            .iter()
            .all(|part| self.0.get(part) == Some(&all));
        no_scope && self.0.get("conditions") == Some(&json!([]))
    }
}
