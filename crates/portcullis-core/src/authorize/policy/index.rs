//! The policies by what their scopes ask for, so that a decision evaluates only those that matter.
//!
//! To leave out a policy is safe where its scope does not match: Cedar would find it unsatisfied,
//! and without an error, since nothing behind the scope would be evaluated.

use std::collections::{BTreeMap, HashMap};

use cedar_policy::{
    ActionConstraint, Entities, Entity, EntityUid, Policy, PolicyId, PolicySet, PolicySetError,
    PrincipalConstraint, ResourceConstraint,
};

use serde_json::Value;

use super::action::Action;
use super::facts::Names;
use super::names::Types;
use super::reads::Reads;

/// All policies, by action.
#[derive(Debug)]
pub(super) struct Index(BTreeMap<Action, OfAction>);

/// The policies whose scopes match an action.
#[derive(Debug)]
pub(super) struct OfAction {
    /// The action with its families.
    pub(super) entity: Entity,
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

/// Policies that are evaluated together.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) set: PolicySet,
    pub(super) reads: Reads,
}

/// One policy, ready to be indexed.
#[derive(Debug)]
pub(super) struct Rule {
    policy: Policy,
    pub(super) reads: Reads,
}

impl Rule {
    pub(super) fn new(policy: Policy, json: &Value) -> Self {
        let conditions = json.get("conditions").unwrap_or(json);
        let reads = Reads::of(&policy, conditions);
        Self { policy, reads }
    }
}

impl Index {
    pub(super) fn build(
        types: &Types,
        actions: &Entities,
        rules: &[Rule],
    ) -> Result<Self, Box<PolicySetError>> {
        let mut index = BTreeMap::new();
        for action in Action::ALL {
            let uid = super::names::uid(&types.action, action.as_str());
            let entity = actions
                .get(&uid)
                .cloned()
                .unwrap_or_else(|| Entity::with_uid(uid.clone()));
            let mut own = OfAction {
                entity,
                anywhere: Shelf::default(),
                of_server: HashMap::new(),
                of_target: HashMap::new(),
            };
            for rule in rules
                .iter()
                .filter(|rule| concerns(&rule.policy, &uid, actions))
            {
                own.add(types, rule)?;
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
    pub(super) fn candidates(&self, names: &Names<'_>) -> Vec<&Rules> {
        let shelves = [
            Some(&self.anywhere),
            self.of_server.get(names.server.as_ref()),
            self.of_target.get(&names.target),
        ];
        let mut candidates = Vec::new();
        for shelf in shelves.into_iter().flatten() {
            candidates.push(&shelf.of_anyone);
            if !shelf.of_principal.is_empty() {
                let names = names.principal.iter();
                candidates.extend(names.filter_map(|name| shelf.of_principal.get(name)));
            }
        }
        candidates.retain(|rules| !rules.set.is_empty());
        candidates
    }

    fn add(&mut self, types: &Types, rule: &Rule) -> Result<(), Box<PolicySetError>> {
        let place = match rule.policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => &mut self.anywhere,
            ResourceConstraint::Eq(uid) => self.of_target.entry(uid).or_default(),
            ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                match types.server_of(&uid) {
                    Some(server) => self.of_server.entry(server).or_default(),
                    None => &mut self.anywhere,
                }
            }
        };
        let rules = match rule.policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => &mut place.of_anyone,
            PrincipalConstraint::Eq(uid)
            | PrincipalConstraint::In(uid)
            | PrincipalConstraint::IsIn(_, uid) => place.of_principal.entry(uid).or_default(),
        };
        rules.reads = rules.reads.and(rule.reads);
        rules.set.add(rule.policy.clone()).map_err(Box::new)
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
    /// The name that the audit record has for a policy of these rules.
    pub(super) fn name<'r>(&'r self, id: &PolicyId) -> Option<&'r str> {
        let policy = self.set.policy(id)?;
        Some(policy.annotation("id").unwrap_or(policy.id().as_ref()))
    }
}
