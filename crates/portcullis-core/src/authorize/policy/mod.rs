//! May they? The policy engine: Cedar policies and grants, put to one question at a time.
//!
//! Nothing is permitted unless a policy permits it and none forbids it. Cedar leaves out a policy
//! whose evaluation fails, so that a broken `forbid` would permit; here any failure is a denial
//! (AUTHZ-02). What a policy can speak about is in `schema.cedarschema`, and a policy that speaks
//! about anything else does not compile.

use std::collections::BTreeSet;

use crate::authenticate::DeclaredClaim;
use cedar_policy::{AuthorizationError, Authorizer, Decision, Entities, PolicyId, Request};

mod question;
mod action;
mod problem;
mod grants;
mod who;
mod held;
mod boundary;
mod compile;
mod check;
mod names;
mod index;
mod reads;
mod facts;
mod arguments;
mod visible;
mod scopes;
mod step_up;
mod declared;
mod known;
mod told;
mod unsure;

use index::{Index, Named, Rules};
use reads::{Reads, TOLD};

pub use action::Action;
pub use boundary::Boundary;
pub use declared::Zone;
pub use grants::{Grant, Held, NoSuchWho, Who};
pub use held::Needs;
pub use problem::{PolicyError, Position, Problem};
pub use question::{Allowed, Denied, Question, Subject, Target};

/// Where policies come from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// Cedar files: the name and the text of each.
    pub cedar: &'a [(String, String)],
    /// Grants of the configuration.
    pub grants: &'a [Grant],
    /// What no policy and no grant exceeds.
    pub boundaries: &'a [Boundary],
    /// Named networks, each with a name of its own.
    pub zones: &'a [Zone],
    /// The claims that policies can speak of, with the issuers in whose tokens they are.
    pub claims: &'a [(String, DeclaredClaim)],
}

/// All policies, compiled and immutable.
#[derive(Debug)]
pub struct Policy {
    compiled: compile::Compiled,
    authorizer: Authorizer,
}

/// Scopes tried by [`Policy::missing_scopes`], at most.
pub const MAX_MISSING_SCOPES: usize = 64;

impl Policy {
    /// Parses the sources and checks them strictly against the schema.
    ///
    /// Without sources, the policy permits nothing.
    ///
    /// # Errors
    /// [`PolicyError`] with every problem of every source.
    pub fn compile(sources: &Sources<'_>) -> Result<Self, PolicyError> {
        Ok(Self {
            compiled: compile::compile(sources)?,
            authorizer: Authorizer::new(),
        })
    }

    /// SHA-256 in hexadecimal over the schema and [`Policy::text`]: equal for the same policies,
    /// however they are laid out and ordered.
    pub fn hash(&self) -> &str {
        &self.compiled.hash
    }

    /// Every policy as Cedar text, grants among them, each after a comment with its name.
    pub fn text(&self) -> &str {
        &self.compiled.text
    }

    /// The grants that ended after the one second and not after the other (seconds since 1970), with their ends.
    pub fn ended(&self, after: i64, by: i64) -> impl Iterator<Item = (&str, i64)> {
        let ends = self.compiled.ends.iter();
        ends.filter(move |(_, end)| after < *end && *end <= by)
            .map(|(rule, end)| (rule.as_str(), *end))
    }

    /// The scopes that policies ask for.
    pub const fn scopes(&self) -> &BTreeSet<String> {
        &self.compiled.scopes
    }

    /// The name of every rule in the audit record, by the alphabet.
    pub const fn rules(&self) -> &BTreeSet<String> {
        &self.compiled.rules
    }

    /// What holds whatever else is so: the rules without a condition that concern the question. Only the roles, the groups,
    /// the action and the target are looked at.
    pub fn always(&self, question: &Question<'_>) -> Always<'_> {
        let names = facts::Names::of(&self.compiled.types, question);
        let of_action = self.compiled.full.of(question.action);
        let matching = of_action
            .map(|own| own.matching(&names))
            .unwrap_or_default();
        let mut always = Always::default();
        for rules in matching {
            let lasting = rules.permits.iter().filter(|named| named.is_in_force(FAR));
            always
                .permits
                .extend(lasting.map(|named| named.rule.as_str()));
            always
                .forbids
                .extend(rules.forbids.iter().map(String::as_str));
        }
        always
    }

    /// Whether any policy reads the time, the revision, the network or the arguments. If none does, the answer for a
    /// principal, an action and a target stays the same until a grant ends.
    pub fn depends_on_context(&self) -> bool {
        self.compiled.reads.circumstances()
    }

    /// Whether any policy reads what a record does not hold anyway ([`Policy::looked_at`]).
    pub fn looks_further(&self) -> bool {
        self.compiled.reads.has_any(&TOLD)
    }

    /// Whether any policy asks how unusual what a caller does is.
    pub fn reads_anomaly(&self) -> bool {
        self.compiled.reads.has(reads::Fact::Anomaly)
    }

    /// Whether any policy asks how risky a tool is.
    pub fn reads_risk(&self) -> bool {
        self.compiled.reads.has(reads::Fact::Tool)
    }

    /// What the policies that concern a question read of the login, the named networks and the declared claims, for its
    /// record: with that, it can be decided again. What they do not read, or what is not known, is left out.
    pub fn looked_at(&self, question: &Question<'_>) -> Vec<(&'static str, String)> {
        let names = facts::Names::of(&self.compiled.types, question);
        let of_action = self.compiled.full.of(question.action);
        let matching = of_action.map(|own| own.matching(&names));
        let reads = matching.into_iter().flatten().map(|rules| rules.reads);
        let reads = reads.fold(Reads::default(), Reads::and);
        told::told(question, &self.compiled.zones, reads)
    }

    /// Answers a question.
    ///
    /// # Errors
    /// [`Denied::NoRule`] if no policy permits, [`Denied::Expired`] if one did until lately, [`Denied::Held`] if one
    /// would but for a review, [`Denied::Forbidden`] if one forbids, [`Denied::Beyond`] if a boundary does, [`Denied::UnknownGroups`] if one may, and
    /// [`Denied::Indeterminate`] if there is no definite answer.
    pub fn decide(&self, question: &Question<'_>) -> Result<Allowed, Denied> {
        let unsure = self.unsure(question);
        let index = unsure.map_or(&self.compiled.full, |unsure| &unsure.full);
        let verdict = self.evaluate(index, question)?;
        if !verdict.failed.is_empty() {
            return Err(Denied::Indeterminate);
        }
        if !verdict.forbids.is_empty() {
            let rule = joined(&verdict.forbids);
            let is_boundary = |rule: &&str| rule.starts_with(boundary::RULE_PREFIX);
            return Err(
                if unsure.is_some_and(|unsure| unsure.is_guess(&verdict.forbids)) {
                    Denied::UnknownGroups { rule }
                } else if verdict.forbids.iter().any(is_boundary) {
                    Denied::Beyond { rule }
                } else {
                    Denied::Forbidden { rule }
                },
            );
        }
        if verdict.permits.is_empty() {
            let rule = joined(&verdict.expired);
            let held = verdict.held.iter().copied();
            let (held, reviews): (BTreeSet<_>, BTreeSet<_>) = held.unzip();
            return Err(if !held.is_empty() {
                Denied::Held {
                    rule: joined(&held),
                    review: joined(&reviews),
                }
            } else if rule.is_empty() {
                Denied::NoRule
            } else {
                Denied::Expired { rule }
            });
        }
        let rule = joined(&verdict.permits);
        Ok(Allowed { rule })
    }

    /// Whether a list shows the target: whether the action could be permitted with some arguments,
    /// at some time, from some network. Only the subject, the action, the target and the end of grants are looked at.
    ///
    /// What [`Policy::decide`] permits is always visible. Conditions on the arguments and other
    /// circumstances count as met, also those that nothing can meet.
    pub fn is_visible(&self, question: &Question<'_>) -> bool {
        let unsure = self.unsure(question);
        let index = unsure.map_or(&self.compiled.lists, |unsure| &unsure.lists);
        let Ok(verdict) = self.evaluate(index, question) else {
            return false;
        };
        let excused = |id| self.compiled.visible.excuses(id);
        !verdict.permits.is_empty()
            && verdict.forbids.is_empty()
            && verdict.failed.iter().all(excused)
    }

    /// The scopes that the subject lacks for a question that was denied: with these, and none of
    /// them less, it would be permitted. Empty if scopes would not help (AUTH-10, TOK-10).
    ///
    /// Cost: a decision for every scope that policies name, of which it tries the first
    /// [`MAX_MISSING_SCOPES`]. Not for the hot path.
    pub fn missing_scopes(&self, question: &Question<'_>) -> Vec<String> {
        let held = question.subject.scopes;
        let named = self
            .compiled
            .scopes
            .iter()
            .filter(|scope| !held.contains(scope));
        let mut missing: Vec<String> = named.take(MAX_MISSING_SCOPES).cloned().collect();
        let suffices = |added: &[String]| {
            let mut question = *question;
            let scopes = [held, added].concat();
            question.subject.scopes = &scopes;
            self.decide(&question).is_ok()
        };
        if suffices(&[]) || !suffices(&missing) {
            return Vec::new();
        }
        for scope in missing.clone() {
            let mut fewer = missing.clone();
            fewer.retain(|other| *other != scope);
            if suffices(&fewer) {
                missing = fewer;
            }
        }
        missing
    }

    /// What counts instead if it is not known in which groups the subject is, and that matters.
    fn unsure(&self, question: &Question<'_>) -> Option<&unsure::Unsure> {
        let unsure = self.compiled.unsure.as_ref();
        unsure.filter(|_| question.subject.has_unknown_groups)
    }

    fn evaluate<'p>(
        &'p self,
        index: &'p Index,
        question: &Question<'_>,
    ) -> Result<Verdict<'p>, Denied> {
        if !question.target.fits(question.action) {
            return Err(Denied::Indeterminate);
        }
        let types = &self.compiled.types;
        let of_action = index.of(question.action).ok_or(Denied::Indeterminate)?;
        let names = facts::Names::of(types, question);
        let matching = of_action.matching(&names);
        let mut verdict = Verdict::default();
        let mut reads = Reads::default();
        for rules in &matching {
            verdict.permit(rules.permits.iter(), question.time);
            verdict
                .forbids
                .extend(rules.forbids.iter().map(String::as_str));
            reads = reads.and(rules.reads);
        }
        if matching.iter().all(|rules| rules.set.is_empty()) {
            return Ok(verdict);
        }
        let asked = (question, &*self.compiled.zones);
        let (request, entities) = facts::facts(types, &of_action.entity, &names, asked, reads)?;
        for rules in matching.iter().filter(|rules| !rules.set.is_empty()) {
            self.judge(rules, (&request, &entities), question.time, &mut verdict);
        }
        Ok(verdict)
    }

    /// Policies do not see each other, so sets of them can be evaluated one after the other.
    fn judge<'p>(
        &self,
        rules: &'p Rules,
        (request, entities): (&Request, &Entities),
        now: i64,
        verdict: &mut Verdict<'p>,
    ) {
        let response = self.authorizer.is_authorized(request, &rules.set, entities);
        let diagnostics = response.diagnostics();
        for AuthorizationError::PolicyEvaluationError(error) in diagnostics.errors() {
            verdict.failed.push(error.policy_id().clone());
        }
        let determining = diagnostics.reason().filter_map(|id| rules.name(id));
        match response.decision() {
            Decision::Allow => verdict.permit(determining, now),
            Decision::Deny => verdict
                .forbids
                .extend(determining.map(|named| named.rule.as_str())),
        }
    }
}

/// A second that no grant with an end lasts until.
const FAR: i64 = i64::MAX - 1;

/// Rules without a condition.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Always<'p> {
    /// Those that permit, and never end.
    pub permits: BTreeSet<&'p str>,
    /// Those that forbid.
    pub forbids: BTreeSet<&'p str>,
}

/// What the policies say, each on its own.
#[derive(Debug, Default)]
struct Verdict<'p> {
    permits: BTreeSet<&'p str>,
    /// What would permit if its time were not over.
    expired: BTreeSet<&'p str>,
    /// What would permit if a review did not hold it back, with the review.
    held: BTreeSet<(&'p str, &'p str)>,
    forbids: BTreeSet<&'p str>,
    failed: Vec<PolicyId>,
}

impl<'p> Verdict<'p> {
    /// INVARIANT: only what is in force at that second permits.
    fn permit(&mut self, rules: impl Iterator<Item = &'p Named>, now: i64) {
        for named in rules {
            if named.is_in_force(now) {
                self.permits.insert(&named.rule);
            } else if let Some(review) = &named.review {
                self.held.insert((&named.rule, review));
            } else {
                self.expired.insert(&named.rule);
            }
        }
    }
}

fn joined(rules: &BTreeSet<&str>) -> String {
    let rules: Vec<&str> = rules.iter().copied().collect();
    rules.join(", ")
}

#[cfg(test)]
mod tests;
