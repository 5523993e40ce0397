//! Reads the sources, and collects what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use crate::authenticate::DeclaredClaim;
use crate::authorize::Strength;
use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    Entities, EntityUid, ParseErrors, Policy as Cedar, PolicyId, PolicySet, Schema,
    ValidationError, ValidationMode, ValidationWarning, Validator,
};
use serde_json::Value;

use super::action::{self, Action};
use super::boundary::{self, Boundary};
use super::declared::Zone;
use super::grants::{Grant, RULE_PREFIX};
use super::names::{SEPARATOR, Types};
use super::problem::{Position, Problem};

/// A policy that is in order, with its JSON form.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) policy: Cedar,
    pub(super) json: Value,
}

/// What the sources that were read so far come to.
pub(super) struct Check<'c> {
    validator: Validator,
    types: &'c Types,
    actions: &'c Entities,
    zones: &'c [Zone],
    /// Names of claims that are declared.
    claims: BTreeSet<String>,
    /// Names of rules: the audit record knows a rule by nothing else.
    rules: BTreeSet<String>,
    pub(super) policies: Vec<Checked>,
    /// What rules ask for of the login, by their names.
    pub(super) step_ups: BTreeMap<String, Strength>,
    pub(super) problems: Vec<Problem>,
}

impl<'c> Check<'c> {
    pub(super) fn new(
        schema: Schema,
        types: &'c Types,
        actions: &'c Entities,
        (zones, claims): (&'c [Zone], &[(String, DeclaredClaim)]),
    ) -> Self {
        let claims = claims.iter().map(|(_, claim)| claim.name.clone());
        Self {
            validator: Validator::new(schema),
            types,
            actions,
            zones,
            claims: claims.collect(),
            rules: BTreeSet::new(),
            policies: Vec::new(),
            step_ups: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn file(&mut self, name: &str, text: &str) {
        let set: PolicySet = match text.parse() {
            Ok(set) => set,
            Err(error) => return self.problems.extend(of_parsing(name, text, &error)),
        };
        for template in set.templates() {
            let start = place(text, 0, &template.to_cedar());
            let problem = Problem::new(name, "a policy has a slot (?principal or ?resource)")
                .hint("write a policy for each principal")
                .at(start.and_then(|offset| Position::of(text, offset)));
            self.problems.push(problem);
        }
        let mut own = PolicySet::new();
        let mut end = 0_usize;
        for policy in set.policies() {
            let start = policy
                .to_cedar()
                .and_then(|policy| place(text, end, &policy));
            end = start.map_or(end, |start| start.saturating_add(1));
            let position = start.and_then(|offset| Position::of(text, offset));
            let named = self.name(name, position, policy);
            let added = named.and_then(|policy| self.add(name, policy, &mut own));
            let problem = added.err().map(|problem| problem.at(position));
            self.problems.extend(problem);
        }
        self.validate(name, text, &own);
    }

    pub(super) fn grant(&mut self, grant: &Grant) {
        let source = ["grant ", &grant.id].concat();
        if grant.id.is_empty() || !self.rules.insert(grant.rule()) {
            let problem = Problem::new(&source, "its id is empty or that of another grant");
            let problem = problem.hint("the audit record names a rule by its id");
            return self.problems.push(problem);
        }
        if grant.allow.is_empty() {
            self.problems.push(Problem::new(&source, "allows nothing"));
        }
        let mut policies = Vec::new();
        for pattern in &grant.allow {
            match grant.to_cedar(pattern) {
                Ok(more) => policies.extend(more),
                Err(bad) => {
                    let problem = Problem::new(&source, format!("{pattern:?} {bad}"));
                    self.problems.push(problem.hint(bad.hint(pattern)));
                }
            }
        }
        self.made(&source, &grant.rule(), policies);
    }

    pub(super) fn boundary(&mut self, boundary: &Boundary) {
        let source = ["boundary ", &boundary.id].concat();
        if boundary.id.is_empty() || !self.rules.insert(boundary.rule()) {
            let problem = Problem::new(&source, "its id is empty or that of another boundary");
            return self.problems.push(problem);
        }
        match boundary.to_cedar() {
            Ok(policies) => self.made(&source, &boundary.rule(), policies),
            Err((pattern, bad)) => {
                let problem = Problem::new(&source, format!("{pattern:?} {bad}"));
                self.problems.push(problem.hint(bad.hint(&pattern)));
            }
        }
    }

    /// Takes the policies that a grant or a boundary stands for.
    fn made(&mut self, source: &str, rule: &str, policies: Vec<Value>) {
        let mut own = PolicySet::new();
        for (index, json) in policies.into_iter().enumerate() {
            let id = PolicyId::new(format!("{rule}#{index}"));
            let policy = Cedar::from_json(Some(id), json);
            let policy = policy.map_err(|error| Problem::new(source, error.to_string()));
            let added = policy.and_then(|policy| self.add(source, policy, &mut own));
            self.problems.extend(added.err());
        }
        self.validate(source, "", &own);
    }

    /// Gives a policy of a file its name in the audit record: its `@id`, or its place.
    fn name(
        &mut self,
        file: &str,
        position: Option<Position>,
        policy: &Cedar,
    ) -> Result<Cedar, Problem> {
        let line = position.map_or(0, |position| position.line);
        let rule = match policy.annotation("id") {
            Some(id) => id.to_owned(),
            None => format!("{file}:{line}"),
        };
        let is_reserved =
            [RULE_PREFIX, boundary::RULE_PREFIX].map(|prefix| rule.starts_with(prefix));
        if rule.is_empty() || is_reserved.contains(&true) {
            let message =
                format!("the @id {rule:?} is empty or begins as that of a grant or a boundary");
            return Err(Problem::new(file, message).hint("give it a name of its own"));
        }
        if !self.rules.insert(rule.clone()) {
            let message = format!("there is another policy named {rule:?}");
            return Err(Problem::new(file, message).hint("give it an @id of its own"));
        }
        Ok(policy.new_id(PolicyId::new(rule)))
    }

    /// Takes a policy whose entities could all be met.
    fn add(&mut self, source: &str, policy: Cedar, own: &mut PolicySet) -> Result<(), Problem> {
        for uid in policy.entity_literals() {
            self.meet(source, &uid)?;
        }
        let refused = |error: String| Problem::new(source, error);
        own.add(policy.clone())
            .map_err(|error| refused(error.to_string()))?;
        let json = policy
            .to_json()
            .map_err(|error| refused(error.to_string()))?;
        self.meet_zones(source, &json)?;
        if let Some(unknown) = super::known::unknown(&json, &self.claims) {
            return Err(Problem::new(source, format!("there is no {unknown}"))
                .hint("claims are declared under [issuers.NAME.claims]"));
        }
        let asked = super::step_up::asked(&policy, &json);
        let asked = asked.map_err(|bad| Problem::new(source, bad.to_string()).hint(bad.hint()))?;
        let rule: &str = policy.id().as_ref();
        self.step_ups
            .extend(asked.map(|strength| (rule.to_owned(), strength)));
        self.policies.push(Checked { policy, json });
        Ok(())
    }

    /// Refuses a zone that is not declared: no address would ever be in it.
    fn meet_zones(&self, source: &str, policy: &Value) -> Result<(), Problem> {
        let mut named = BTreeSet::new();
        super::scopes::collect(policy, "zones", &mut named);
        let is_declared = |name: &String| self.zones.iter().any(|zone| zone.name == *name);
        match named.iter().find(|name| !is_declared(name)) {
            Some(name) => Err(Problem::new(source, format!("there is no zone {name:?}"))
                .hint(format!("declare it: [zones.{name}]"))),
            None => Ok(()),
        }
    }

    /// Refuses an entity that no request could ever have, or that a request has for itself.
    fn meet(&self, source: &str, uid: &EntityUid) -> Result<(), Problem> {
        let (kind, id) = (uid.type_name(), uid.id().unescaped());
        let types = self.types;
        let unknown = Problem::new(source, format!("there is no {uid}"));
        if *kind == types.arguments || *kind == types.numbers {
            return Err(unknown.hint("use context.arguments or context.numbers"));
        }
        if *kind == types.principal && !id.contains('|') {
            return Err(unknown.hint("a principal is named issuer|subject"));
        }
        if types.is_part(kind) && !id.contains(SEPARATOR) {
            return Err(unknown.hint("a part of a server is named server__name"));
        }
        if *kind == types.action && self.actions.get(uid).is_none() {
            let known = Action::ALL.map(Action::as_str);
            let nearest = action::nearest(id, known.into_iter().chain(action::FAMILIES));
            return Err(match nearest {
                Some(action) => unknown.hint(format!("did you mean Action::\"{action}\"?")),
                None => unknown,
            });
        }
        Ok(())
    }

    fn validate(&mut self, source: &str, text: &str, policies: &PolicySet) {
        let result = self.validator.validate(policies, ValidationMode::Strict);
        let errors = || result.validation_errors();
        let wrong: BTreeSet<&PolicyId> = errors().map(ValidationError::policy_id).collect();
        // A policy that can never apply, or that reads differently from what it is, is a mistake;
        // a text in two scripts need not be one.
        let accepted = |warning: &&ValidationWarning| {
            matches!(warning, ValidationWarning::MixedScriptString(_))
                || wrong.contains(warning.policy_id())
        };
        let warnings = result.validation_warnings();
        let warnings = warnings
            .filter(|warning| !accepted(warning))
            .map(DetailedError::from);
        let mut problems: Vec<Problem> = errors()
            .map(DetailedError::from)
            .chain(warnings)
            .flat_map(|error| Problem::all_of(source, text, error))
            .collect();
        // Cedar tells a problem once for every action that the policy applies to.
        problems.sort_by(|one, other| {
            (one.position, &one.message).cmp(&(other.position, &other.message))
        });
        problems.dedup_by_key(|problem| problem.position);
        self.problems.extend(problems);
    }
}

/// Where a policy stands in its file. Cedar keeps its text but not its place.
fn place(text: &str, from: usize, policy: &str) -> Option<usize> {
    let places = text.get(from..)?.match_indices(policy);
    let mut offsets = places.filter_map(|(offset, _)| from.checked_add(offset));
    offsets.find(|offset| {
        let before = text.get(..*offset).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        !line.contains("//")
    })
}

fn of_parsing(name: &str, text: &str, error: &ParseErrors) -> Vec<Problem> {
    let errors = error.iter().map(DetailedError::from);
    errors
        .flat_map(|error| Problem::all_of(name, text, error))
        .collect()
}
