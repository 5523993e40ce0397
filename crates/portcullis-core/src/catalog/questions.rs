//! Which definitions callers were sent to a page about, to decide: few, for a while, each once, and nobody else's.

use super::{Digest, Thing};
use crate::hexadecimal::mark;
use crate::quota::Exhausted;
use crate::secret::Secret;
use crate::time::{Span, Timestamp};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a question is open.
const LASTS: Duration = Duration::from_mins(10);
/// The most questions that are open, in all and for one caller.
const MAX_OPEN: usize = 1024;
const MAX_OWN: usize = 16;

/// What somebody is asked: whether just this version is to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The key of whoever has made the call, who alone may answer.
    pub owner: Arc<str>,
    /// What it is about.
    pub thing: Thing,
    /// In which version.
    pub digest: Digest,
}

struct Held {
    question: Question,
    text: Secret<String>,
    /// A digest of the text: whoever has the memory's order has no link.
    mark: [u8; 32],
    span: Span,
}

/// The questions that are open. Bounded.
#[derive(Default)]
pub struct Questions(Mutex<Vec<Held>>);

impl Questions {
    /// Has somebody asked; gives the text of the link. A question that is open already keeps its own.
    ///
    /// # Errors
    /// [`Exhausted`], if too many are open.
    pub fn ask(
        &self,
        question: Question,
        text: Secret<String>,
        now: Timestamp,
    ) -> Result<Secret<String>, Exhausted> {
        let mut held = self.held();
        held.retain(|one| one.span.has(now));
        if let Some(known) = held.iter().find(|one| one.question == question) {
            return Ok(known.text.clone());
        }
        let own = held
            .iter()
            .filter(|one| one.question.owner == question.owner);
        if held.len() >= MAX_OPEN || own.count() >= MAX_OWN {
            return Err(Exhausted {
                which: "approvals",
                retry_after: LASTS,
            });
        }
        held.push(Held {
            question,
            mark: mark(text.expose()),
            text: text.clone(),
            span: Span::new(now, LASTS),
        });
        Ok(text)
    }

    /// What the link of this text asks, while it is open.
    pub fn asked(&self, text: &str, now: Timestamp) -> Option<Question> {
        let (held, mark) = (self.held(), mark(text));
        let mut open = held.iter().filter(|one| one.span.has(now));
        let found = open.find(|one| one.mark == mark)?;
        Some(found.question.clone())
    }

    /// The same, and from then on nobody is asked it.
    pub fn take(&self, text: &str, now: Timestamp) -> Option<Question> {
        let (mut held, mark) = (self.held(), mark(text));
        held.retain(|one| one.span.has(now));
        let place = held.iter().position(|one| one.mark == mark)?;
        Some(held.swap_remove(place).question)
    }

    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Questions(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Kind;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(1_767_261_600 + seconds)
    }

    fn question(owner: &str, name: &str) -> Question {
        Question {
            owner: owner.into(),
            thing: Thing {
                server: "notes".into(),
                kind: Kind::Tool,
                name: name.into(),
            },
            digest: Digest::of(name.as_bytes()),
        }
    }

    fn ask(questions: &Questions, owner: &str, name: &str, now: Timestamp) -> Option<String> {
        let text = Secret::new(format!("{owner}-{name}-{}", now.micros()));
        let asked = questions.ask(question(owner, name), text, now).ok()?;
        Some(asked.expose().clone())
    }

    #[test]
    fn dyn_01_a_question_about_a_definition_is_open_for_a_while_and_answered_once() {
        let questions = Questions::default();
        let text = ask(&questions, "alice", "echo", at(0)).unwrap();
        assert_eq!(ask(&questions, "alice", "echo", at(1)), Some(text.clone()));
        assert_ne!(ask(&questions, "bob", "echo", at(1)), Some(text.clone()));
        let expected = Some(question("alice", "echo"));
        assert_eq!(questions.asked(&text, at(1)), expected);
        assert_eq!(questions.asked("another", at(1)), None);
        assert_eq!(questions.asked(&text, at(601)), None);
        assert_eq!(questions.take(&text, at(2)), expected);
        assert_eq!(questions.take(&text, at(2)), None);
    }

    #[test]
    fn dyn_01_open_questions_are_bounded() {
        let questions = Questions::default();
        let names: Vec<String> = (0..=MAX_OPEN).map(|number| number.to_string()).collect();
        for name in names.iter().take(MAX_OWN) {
            assert!(ask(&questions, "alice", name, at(0)).is_some());
        }
        assert!(ask(&questions, "alice", "more", at(0)).is_none());
        for name in names.iter().skip(MAX_OWN).take(MAX_OPEN - MAX_OWN) {
            assert!(ask(&questions, name, name, at(0)).is_some(), "{name}");
        }
        assert!(ask(&questions, "zoe", "echo", at(0)).is_none());
        assert!(ask(&questions, "zoe", "echo", at(601)).is_some());
    }
}
