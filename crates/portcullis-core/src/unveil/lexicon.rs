//! Which words stand for which idea, in several languages: an attack can be said in many words, but of few ideas.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use std::ops::Range;
use std::sync::LazyLock;

/// The words: a line for each idea and language, `Idea: phrase, phrase, stem*`.
const WORDS: &str = include_str!("lexicon.txt");

macro_rules! concepts {
    ($($name:ident),* $(,)?) => {
        /// An idea that attacks are made of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Concept { $($name),* }

        impl Concept {
            const ALL: &[Self] = &[$(Self::$name),*];

            /// The idea of that name.
            pub(crate) fn of(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its number, below 64.
            pub(crate) const fn number(self) -> usize {
                self as usize
            }
        }
    };
}

concepts! {
    You, Model, User, Must, Not, Tell, Secretly, Override, Rules, Prior, Tag, When, Tool, OtherTools, ThisTool, Call,
    Read, Send, Put, Credential, SecretFile, File, Conversation, SystemPrompt, Parameter, Url, Email, Recipient,
    Change, Urgent, Else, Best, Prefer, Worse, NoAsk, Pretext, Destroy, Shell, Install, Money, Encode, ForModel,
    Pretend, All, Env, Private, Outcome, Request, Then, Refuse, Continue, Jailbreak, Exactly, Identity, Hostile,
    Remember, Rot13, Backwards, Identifier, Upper, NotTell, Ask,
}

/// An idea that stands in a text, as a range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) concept: Concept,
}

/// Phrases, each of which stands for a number.
#[derive(Debug)]
pub(crate) struct Phrases {
    automaton: Option<AhoCorasick>,
    /// For each phrase its number, and whether it may go on after its end.
    phrases: Vec<(usize, End)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Word,
    Stem,
}

static LEXICON: LazyLock<Phrases> = LazyLock::new(|| {
    let lines = WORDS.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.split_once(": "));
    Phrases::read(lines.flat_map(|(name, words)| {
        let number = Concept::of(name.trim()).map(Concept::number);
        let words = words.split(',');
        words.filter_map(move |word| Some((number?, word)))
    }))
});

impl Phrases {
    /// Reads phrases with their numbers; `stem*` is a word that begins so.
    pub(crate) fn read<'a>(all: impl Iterator<Item = (usize, &'a str)>) -> Self {
        let mut phrases = Vec::new();
        let mut patterns = Vec::new();
        for (number, word) in all {
            let (word, end) = match word.trim().strip_suffix('*') {
                Some(stem) => (stem, End::Stem),
                None => (word.trim(), End::Word),
            };
            if !word.is_empty() {
                patterns.push(super::fold::Folded::of(word).text);
                phrases.push((number, end));
            }
        }
        let mut builder = AhoCorasickBuilder::new();
        let built = builder
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&patterns);
        Self {
            automaton: built.ok(),
            phrases,
        }
    }

    /// What stands in a folded text, with its number and in the order in which it stands; of what overlaps the longest.
    pub(crate) fn find(&self, text: &str) -> Vec<(Range<usize>, usize)> {
        let mut hits = Vec::new();
        let Some(automaton) = &self.automaton else {
            return hits;
        };
        for found in automaton.find_overlapping_iter(text) {
            let Some((number, end)) = self.phrases.get(found.pattern().as_usize()) else {
                continue;
            };
            if is_word(text, found.start(), found.end(), *end) {
                hits.push((found.start()..found.end(), *number));
            }
        }
        hits.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut covered = 0;
        hits.retain(|(range, _)| {
            let is_new = range.end > covered;
            covered = covered.max(range.end);
            is_new
        });
        hits
    }
}

/// The ideas in a folded text, in the order in which they stand; of those that overlap the longest.
pub(crate) fn hits(text: &str) -> Vec<Hit> {
    let found = LEXICON.find(text).into_iter();
    let hits = found.filter_map(|(range, number)| {
        let concept = *Concept::ALL.get(number)?;
        let (start, end) = (range.start, range.end);
        Some(Hit {
            start,
            end,
            concept,
        })
    });
    hits.collect()
}

/// Whether a match begins and ends where words do. Scripts that write no spaces have no such places.
fn is_word(text: &str, start: usize, end: usize, kind: End) -> bool {
    let byte = |at: usize| text.as_bytes().get(at).copied();
    let is_plain =
        |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric());
    let is_start = start == 0 || is_plain(byte(start - 1)) || !is_inside(text, start);
    is_start && (kind == End::Stem || is_plain(byte(end)) || !is_inside(text, end))
}

/// Whether letters of a script with spaces stand on both sides.
fn is_inside(text: &str, at: usize) -> bool {
    let before = text.get(..at).and_then(|text| text.chars().next_back());
    let after = text.get(at..).and_then(|text| text.chars().next());
    goes_on(before) && goes_on(after)
}

fn goes_on(char: Option<char>) -> bool {
    char.is_some_and(|char| char.is_alphanumeric() && !('\u{2e80}'..='\u{ffff}').contains(&char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lexicon_is_read_whole() {
        assert!(LEXICON.automaton.is_some());
        for line in WORDS
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
        {
            let (name, words) = line.split_once(": ").expect(line);
            assert!(Concept::of(name).is_some(), "{name}");
            assert!(
                words.split(',').all(|word| !word.trim().is_empty()),
                "{line}"
            );
        }
        assert!(Concept::Ask.number() < 64);
    }

    #[test]
    fn words_are_found_where_they_are_words() {
        let found = |text: &str| {
            hits(text)
                .into_iter()
                .map(|hit| hit.concept)
                .collect::<Vec<_>>()
        };
        assert_eq!(found("password"), [Concept::Credential]);
        assert_eq!(found("compassworded"), []);
        assert_eq!(
            found("不要告诉用户"),
            [Concept::Not, Concept::Tell, Concept::User]
        );
        assert_eq!(
            found("ikke fortell brukeren"),
            [Concept::Not, Concept::Tell, Concept::User]
        );
    }
}
