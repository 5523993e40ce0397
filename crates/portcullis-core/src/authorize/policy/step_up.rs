//! Denials that a better login would lift: what `@step_up` of a policy asks for, and when it is the answer (RFC 9470).
//!
//! INVARIANT: an annotation permits nothing and forbids nothing. It only changes what is said to whoever is denied.

use super::question::{Question, Subject};
use super::reads::{Fact, Reads};
use super::{Index, Policy};
use crate::authorize::Strength;
use crate::time::Timestamp;
use cedar_policy::Policy as Cedar;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// What policies call it.
const ANNOTATION: &str = "step_up";
/// The longest that a login may be ago, in seconds: a year.
const MAX_AGE: u64 = 365 * 24 * 60 * 60;
/// What a policy has to look at, or no login could change what it says.
const OF_LOGINS: [Fact; 3] = [Fact::Class, Fact::Methods, Fact::Age];
/// Rules that would permit after a step-up, tried for one denial, at most.
const MAX_TRIED: usize = 16;

/// What is wrong with an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadStepUp {
    #[error("@step_up asks for nothing that is known")]
    Unknown,
    #[error("@step_up names something twice")]
    Twice,
    #[error("@step_up has a value that cannot be asked for")]
    Value,
    #[error("@step_up asks for amr alone, for which a challenge has no word")]
    MethodsAlone,
    #[error("@step_up cannot help: the policy looks at nothing of the login")]
    Useless,
}

impl BadStepUp {
    pub(super) const fn hint(self) -> &'static str {
        match self {
            Self::Unknown | Self::Twice => {
                "write @step_up(\"acr=VALUES; amr=VALUES; max_age=SECONDS\"), or some of them"
            }
            Self::Value => {
                "values stand between spaces, without quotes; max_age is 1 to 31536000 seconds"
            }
            Self::MethodsAlone => "name an acr whose logins have these methods beside it",
            Self::Useless => "let it read context.acr, context.amr or context.auth_age",
        }
    }
}

/// What the annotation of a policy asks for, if it has one.
pub(super) fn asked(policy: &Cedar, json: &Value) -> Result<Option<Strength>, BadStepUp> {
    let Some(text) = policy.annotation(ANNOTATION) else {
        return Ok(None);
    };
    let strength = parse(text)?;
    if Reads::of(json).has_any(&OF_LOGINS) {
        Ok(Some(strength))
    } else {
        Err(BadStepUp::Useless)
    }
}

/// Reads it in the form in which audit records say what is required.
fn parse(text: &str) -> Result<Strength, BadStepUp> {
    let mut strength = Strength::default();
    let mut named = BTreeSet::new();
    for part in text.split(';') {
        let (name, value) = part.split_once('=').ok_or(BadStepUp::Unknown)?;
        let name = name.trim();
        if !named.insert(name) {
            return Err(BadStepUp::Twice);
        }
        match name {
            "acr" => strength.classes = values(value)?,
            "amr" => strength.methods = values(value)?,
            "max_age" => strength.max_age = Some(seconds(value)?),
            _ => return Err(BadStepUp::Unknown),
        }
    }
    if strength.classes.is_empty() && strength.max_age.is_none() {
        return Err(BadStepUp::MethodsAlone);
    }
    Ok(strength)
}

fn values(text: &str) -> Result<Vec<String>, BadStepUp> {
    let values: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let is_good = !values.is_empty() && values.iter().all(|value| Strength::is_value(value));
    is_good.then_some(values).ok_or(BadStepUp::Value)
}

fn seconds(text: &str) -> Result<Duration, BadStepUp> {
    let seconds = text.trim().parse::<u64>().ok();
    let seconds = seconds.filter(|seconds| (1..=MAX_AGE).contains(seconds));
    seconds.map(Duration::from_secs).ok_or(BadStepUp::Value)
}

impl Policy {
    /// The login with which a question that was denied would be permitted, on top of what is needed anyway, and the rules
    /// that ask for it. None if no login helps: if a rule without an annotation forbids too, or none permits even then.
    ///
    /// Cost: a few decisions, for what is denied only, and only where a policy has an annotation.
    pub fn step_up(
        &self,
        question: &Question<'_>,
        anyway: &Strength,
    ) -> Option<(Strength, String)> {
        let step_ups = &self.compiled.step_ups;
        if step_ups.is_empty() {
            return None;
        }
        let unsure = self.unsure(question);
        let index = unsure.map_or(&self.compiled.full, |unsure| &unsure.full);
        let verdict = self.evaluate(index, question).ok()?;
        let mut needed = anyway.clone();
        for rule in &verdict.forbids {
            needed = needed.and(step_ups.get(*rule)?)?;
        }
        if self.is_enough(question, &needed) {
            return Some((needed, super::joined(&verdict.forbids)));
        }
        for rule in self.to_try(index, question) {
            let more = step_ups.get(rule).and_then(|own| needed.and(own));
            if let Some(more) = more.filter(|more| self.is_enough(question, more)) {
                let mut rules = verdict.forbids;
                rules.insert(rule);
                return Some((more, super::joined(&rules)));
            }
        }
        None
    }

    /// The rules with an annotation that would permit this if their conditions held.
    fn to_try<'p>(&'p self, index: &'p Index, question: &Question<'_>) -> Vec<&'p str> {
        let names = super::facts::Names::of(&self.compiled.types, question);
        let of_action = index.of(question.action);
        let matching = of_action
            .map(|own| own.matching(&names))
            .unwrap_or_default();
        let rules = matching.into_iter().flat_map(super::Rules::conditional);
        let rules: BTreeSet<&str> = rules
            .filter(|rule| self.compiled.step_ups.contains_key(*rule))
            .collect();
        rules.into_iter().take(MAX_TRIED).collect()
    }

    /// Whether every login that is just good enough would be permitted this.
    fn is_enough(&self, question: &Question<'_>, needed: &Strength) -> bool {
        let Some(seen) = question.subject.authentication else {
            return false;
        };
        let now = u64::try_from(question.time).unwrap_or_default();
        let mut logins = needed.just_met(seen, Timestamp::from_seconds(now));
        logins.all(|login| {
            let subject = Subject {
                authentication: Some(&login),
                ..question.subject
            };
            self.decide(&Question {
                subject,
                ..*question
            })
            .is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_05_an_annotation_is_read_as_it_is_recorded() {
        for text in [
            "acr=gold",
            "max_age=300",
            "acr=gold silver; amr=otp pwd; max_age=1",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        let tight = parse(" max_age = 31536000 ;acr= gold").unwrap();
        assert_eq!(tight.to_string(), "acr=gold; max_age=31536000");
    }

    #[test]
    fn auth_05_an_annotation_that_cannot_be_asked_for_is_refused() {
        for (text, why) in [
            ("", BadStepUp::Unknown),
            ("acr", BadStepUp::Unknown),
            ("level=3", BadStepUp::Unknown),
            ("acr=gold;", BadStepUp::Unknown),
            ("acr=gold; acr=tin", BadStepUp::Twice),
            ("acr=", BadStepUp::Value),
            ("acr=\"gold\"", BadStepUp::Value),
            ("acr=g\u{f6}ld", BadStepUp::Value),
            ("max_age=0", BadStepUp::Value),
            ("max_age=5m", BadStepUp::Value),
            ("max_age=31536001", BadStepUp::Value),
            ("amr=otp", BadStepUp::MethodsAlone),
        ] {
            assert_eq!(parse(text), Err(why), "{text:?}");
        }
    }
}
