//! What a review holds back, and what rested on it.

use super::Policy;
use super::grants::{Grant, Held};
use crate::time::Timestamp;

/// Between the rules of one text.
const BETWEEN: &str = ", ";

/// The rules that are held back; no two grants have one name.
pub(super) fn back(grants: &[Grant]) -> Vec<(String, Held)> {
    let held = grants
        .iter()
        .filter_map(|grant| Some((grant.rule(), grant.held?)));
    held.collect()
}

impl Policy {
    /// Whether reviews hold anything back, or may if nobody decides.
    pub const fn has_held(&self) -> bool {
        !self.compiled.held.is_empty()
    }

    /// One of the rules that permitted something, and the review that holds it back by that second: if that leaves none of
    /// them, or, if `needs` is each, already if it is one of them.
    pub fn held_back(&self, rules: &str, needs: Needs, now: Timestamp) -> Option<(String, String)> {
        let now = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
        let held = &self.compiled.held;
        let mut rest = [BETWEEN, rules, BETWEEN].concat();
        let mut found = None;
        for (rule, held) in held.iter().filter(|(_, held)| held.from <= now) {
            let own = [BETWEEN, rule, BETWEEN].concat();
            while rest.contains(&own) {
                rest = rest.replacen(&own, BETWEEN, 1);
                found = Some((rule.clone(), held.review.to_string()));
            }
        }
        let is_left = !rest.trim_matches([',', ' ']).is_empty();
        found.filter(|_| needs == Needs::Each || !is_left)
    }
}

/// How something rests on the rules that permitted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// One of them is enough.
    Any,
    /// It needs each: it was permitted in parts.
    Each,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::policy::Sources;

    fn grant(id: &str, held: Option<Held>) -> Grant {
        Grant {
            id: id.to_owned(),
            who: crate::authorize::policy::Who::Anyone,
            allow: vec!["notes__a".to_owned()],
            until: None,
            held,
        }
    }

    #[test]
    fn authz_05_what_rests_on_grants_that_are_held_back_is_found() {
        let back = |from| Some(Held { from, review: 7 });
        let grants = [
            grant("a", back(5)),
            grant("b, c", back(5)),
            grant("d", back(50)),
            grant("e", None),
        ];
        let sources = Sources {
            cedar: &[],
            grants: &grants,
            ..Sources::default()
        };
        let policy = Policy::compile(&sources).unwrap();
        let at = Timestamp::from_seconds;
        for (rules, any, each) in [
            ("grant:a", true, true),
            ("grant:b, c", true, true),
            ("grant:a, grant:b, c", true, true),
            ("grant:a, grant:e", false, true),
            ("grant:d", false, false),
            ("grant:e", false, false),
            ("members decide", false, false),
            ("", false, false),
        ] {
            let held = |needs| policy.held_back(rules, needs, at(10)).is_some();
            assert_eq!(
                (held(Needs::Any), held(Needs::Each)),
                (any, each),
                "{rules}"
            );
        }
        let found = policy.held_back("grant:a", Needs::Any, at(10));
        assert_eq!(found, Some(("grant:a".to_owned(), "7".to_owned())));
        assert_eq!(policy.held_back("grant:a", Needs::Any, at(4)), None);
    }
}
