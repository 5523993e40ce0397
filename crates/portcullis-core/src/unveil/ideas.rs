//! The ideas in a text, sentence by sentence.

use super::fold::Folded;
use super::lexicon::{self, Concept, Hit};
use super::sentences;
use std::collections::BTreeSet;

/// How many bytes may lie between "not" and what is not to be told.
const NEAR_NOT: usize = 24;
/// How many words in capitals are shouting.
const SHOUTED: usize = 3;

/// A set of ideas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ideas(u64);

impl Ideas {
    /// The ideas of these hits.
    pub(crate) fn of(hits: &[Hit]) -> Self {
        Self(
            hits.iter()
                .fold(0, |set, hit| set | 1 << hit.concept.number()),
        )
    }

    /// The set of these ideas.
    pub(crate) const fn set(concepts: &[Concept]) -> Self {
        let mut set = 0;
        let mut rest = concepts;
        while let [first, others @ ..] = rest {
            set |= 1 << first.number();
            rest = others;
        }
        Self(set)
    }

    pub(crate) const fn has_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a definition calls its own: its name and those of its parameters, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Own(BTreeSet<String>);

impl Own {
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.map(str::to_lowercase).collect())
    }
}

/// A text, folded, with its ideas.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) folded: Folded,
    pub(crate) hits: Vec<Hit>,
    pub(crate) sentences: Vec<(usize, usize)>,
}

impl Said {
    /// Reads a text, which stands in a definition with these names.
    pub(crate) fn of(text: &str, own: &Own) -> Self {
        let folded = if text.contains(' ') {
            Folded::of(text)
        } else {
            Folded::of(&spaced(text))
        };
        Self::read(text, folded, own)
    }

    /// Reads a text that is no definition.
    pub(crate) fn of_content(text: &str) -> Self {
        Self::read(text, Folded::of(text), &Own::default())
    }

    fn read(text: &str, folded: Folded, own: &Own) -> Self {
        let mut hits = lexicon::hits(&folded.text);
        identifiers(&folded.text, own, &mut hits);
        hits.extend(shouting(text, &folded));
        negated(&mut hits, Concept::Tell, Concept::NotTell);
        negated(&mut hits, Concept::Ask, Concept::NoAsk);
        hits.sort_by_key(|hit| (hit.start, hit.end));
        let sentences = sentences::split(&folded.text);
        Self {
            folded,
            hits,
            sentences,
        }
    }

    /// How often an idea stands in it.
    pub(crate) fn count(&self, concept: Concept) -> usize {
        let hits = self.hits.iter();
        hits.filter(|hit| hit.concept == concept).count()
    }

    /// The hits between two bytes.
    pub(crate) fn between(&self, from: usize, to: usize) -> &[Hit] {
        let first = self.hits.partition_point(|hit| hit.start < from);
        let last = self.hits.partition_point(|hit| hit.start < to);
        self.hits.get(first..last).unwrap_or_default()
    }
}

/// A name as words: `readTheFile_now` is "read The File now".
fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len() + 8);
    let mut was_lower = false;
    for char in text.chars() {
        if char.is_ascii_uppercase() && was_lower {
            spaced.push(' ');
        }
        was_lower = char.is_ascii_lowercase();
        spaced.push(if char == '_' { ' ' } else { char });
    }
    spaced
}

/// Names that are none of the definition's own, and addresses of mail.
fn identifiers(text: &str, own: &Own, hits: &mut Vec<Hit>) {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.@-".contains(byte);
    let mut done = 0;
    for at in memchr::memchr2_iter(b'_', b'@', text.as_bytes()) {
        if at < done {
            continue;
        }
        let before = text.as_bytes().get(done..at).unwrap_or_default();
        let after = text.as_bytes().get(at..).unwrap_or_default();
        let start = at - before.iter().rev().take_while(|byte| is_part(byte)).count();
        let end = at + after.iter().take_while(|byte| is_part(byte)).count();
        done = end;
        let word = text.get(start..end).unwrap_or_default();
        let word = word.trim_matches(['_', '.', '-']);
        let host = word.rsplit_once('@').map(|(_, host)| host);
        let is_mail = !word.starts_with('@') && host.is_some_and(|host| host.contains('.'));
        let concept = if is_mail {
            Concept::Email
        } else if word.contains('_') && !own.0.contains(word) {
            Concept::Identifier
        } else {
            continue;
        };
        hits.push(Hit {
            start,
            end,
            concept,
        });
    }
}

/// Several words in capitals.
fn shouting(text: &str, folded: &Folded) -> Option<Hit> {
    let is_shouted =
        |word: &&str| word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let mut words = text.split_ascii_whitespace().filter(is_shouted);
    let first = words.next()?;
    let start = (first.as_ptr().addr() - text.as_ptr().addr()).min(folded.text.len());
    let end = start + 1;
    let concept = Concept::Upper;
    (words.take(SHOUTED).count() + 1 >= SHOUTED).then_some(Hit {
        start,
        end,
        concept,
    })
}

/// "Do not" close before "tell" or "ask".
fn negated(hits: &mut Vec<Hit>, what: Concept, as_whole: Concept) {
    let near = |one: &Hit, other: &Hit| other.start >= one.end && other.start - one.end <= NEAR_NOT;
    let nots = hits.iter().filter(|hit| hit.concept == Concept::Not);
    let those: Vec<&Hit> = hits.iter().filter(|hit| hit.concept == what).collect();
    let found: Vec<Hit> = nots
        .filter(|not| {
            let first = those.partition_point(|other| other.start < not.end);
            those.get(first).is_some_and(|other| near(not, other))
        })
        .map(|not| Hit {
            concept: as_whole,
            ..*not
        })
        .collect();
    hits.extend(found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ideas_that_no_word_has_are_found() {
        let own = Own(BTreeSet::from(["my_name".to_owned()]));
        let has = |text: &str, concept| {
            Said::of(text, &own)
                .hits
                .iter()
                .any(|hit| hit.concept == concept)
        };
        assert!(has("then call send_mail with", Concept::Identifier));
        assert!(!has("the parameter my_name is", Concept::Identifier));
        assert!(has("to audit@corp.example now", Concept::Email));
        assert!(has("do not ever tell the user", Concept::NotTell));
        assert!(!has("tell the user, do not wait", Concept::NotTell));
        assert!(has("YOU MUST ALWAYS OBEY", Concept::Upper));
        assert!(has("contentOf_id_rsa", Concept::SecretFile));
    }
}
