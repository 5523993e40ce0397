//! What a text says to the model that reads it, by the ideas that stand together in its sentences.

use super::model;
use super::places::{Collected, Place, Text};
use super::{Finding, Rule, Severity, show};
use crate::unveil::Concept::{
    self, All, Best, Call, Change, Conversation, Credential, Destroy, Else, Email, Encode, Env,
    Exactly, ForModel, Hostile, Identifier, Install, Model, Money, Must, NoAsk, Not, NotTell,
    OtherTools, Override, Parameter, Prefer, Prior, Put, Read, Recipient, Refuse, Remember,
    Request, Rules, SecretFile, Secretly, Send, Shell, SystemPrompt, Tag, Then, Urgent, Url, User,
    When, Worse, You,
};
use crate::unveil::{self, Ideas, OF_DEFINITIONS, Said, View};
use std::borrow::Cow;

/// The most sentences that are read together.
pub(super) const WINDOW: usize = 2;
/// The most decoded views of one text.
const MAX_VIEWS: usize = 12;
/// The longest text, in bytes, that is looked at for encodings.
const MAX_BYTES: usize = 64 * 1024;

/// A rule about ideas: all of `all`, and one of each of `any`.
struct Pattern {
    rule: Rule,
    scope: Scope,
    all: Ideas,
    any: &'static [Ideas],
    reason: &'static str,
}

impl Pattern {
    fn matches(&self, sentence: Ideas, window: Ideas) -> bool {
        let ideas = match self.scope {
            Scope::Sentence => sentence,
            Scope::Window => window,
        };
        ideas.has_all(self.all) && self.any.iter().all(|any| ideas.has_any(*any))
    }
}

/// In how much text the ideas have to stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Sentence,
    Window,
}

const fn one_of(concepts: &[Concept]) -> Ideas {
    Ideas::set(concepts)
}

const SENSITIVE: Ideas = one_of(&[Credential, SecretFile, Env, Conversation, SystemPrompt]);
const COMMANDED: Ideas = one_of(&[Must, When, Urgent, Tag, You]);
const OUT: Ideas = one_of(&[Send, Put, Url, Email, Encode, Remember]);

const PATTERNS: &[Pattern] = &[
    Pattern {
        rule: Rule::new("secrecy", "SAFE-T1001", Severity::High),
        scope: Scope::Sentence,
        all: one_of(&[NotTell, User]),
        any: &[],
        reason: "asks that something be kept from the user",
    },
    Pattern {
        rule: Rule::new("secrecy", "SAFE-T1001", Severity::High),
        scope: Scope::Sentence,
        all: one_of(&[Secretly]),
        any: &[
            one_of(&[Send, Put, Read, Call]),
            one_of(&[Must, You, Tag, Urgent, Model, User, All]),
            COMMANDED,
        ],
        reason: "asks that something be done in secret",
    },
    Pattern {
        rule: Rule::new("for-the-model", "SAFE-T1001", Severity::High),
        scope: Scope::Sentence,
        all: one_of(&[ForModel]),
        any: &[
            COMMANDED,
            one_of(&[Read, Send, Put, Call, Override, NotTell, Secretly, Change]),
        ],
        reason: "speaks to the model and not to whoever reads the description",
    },
    Pattern {
        rule: Rule::new("override", "AML.T0051", Severity::High),
        scope: Scope::Sentence,
        all: one_of(&[Override, Rules]),
        any: &[one_of(&[Prior, All, You, Model])],
        reason: "tells the model to set its instructions aside",
    },
    Pattern {
        rule: Rule::new("override", "AML.T0051", Severity::High),
        scope: Scope::Sentence,
        all: one_of(&[Override, Request, User]),
        any: &[one_of(&[Call, Send, Put, Read, Refuse])],
        reason: "tells the model to do something else than the user asks for",
    },
    Pattern {
        rule: Rule::new("instruction-tag", "SAFE-T1001", Severity::High),
        scope: Scope::Window,
        all: one_of(&[Tag]),
        any: &[COMMANDED, SENSITIVE, OUT],
        reason: "is marked up as an instruction of the system and speaks of data",
    },
    Pattern {
        rule: Rule::new("exfiltration", "AML.T0086", Severity::High),
        scope: Scope::Window,
        all: one_of(&[Read]),
        any: &[one_of(&[SecretFile, Env, SystemPrompt]), COMMANDED, OUT],
        reason: "tells the model to read something private and hand it on",
    },
    Pattern {
        rule: Rule::new("exfiltration", "AML.T0086", Severity::High),
        scope: Scope::Sentence,
        all: one_of(&[]),
        any: &[
            one_of(&[Conversation, SystemPrompt, SecretFile]),
            one_of(&[Send, Put]),
            one_of(&[Parameter, Url, Email, Recipient]),
            one_of(&[All, Exactly, Must]),
        ],
        reason: "tells the model to put what it knows where others get it",
    },
    Pattern {
        rule: Rule::new("secret-path", "SAFE-T1502", Severity::Medium),
        scope: Scope::Sentence,
        all: one_of(&[SecretFile]),
        any: &[],
        reason: "names a file that holds secrets",
    },
    Pattern {
        rule: Rule::new("cross-tool", "SAFE-T1301", Severity::High),
        scope: Scope::Window,
        all: one_of(&[Must]),
        any: &[
            one_of(&[OtherTools, Identifier]),
            one_of(&[Recipient, Email, Hostile]),
            one_of(&[Change, Put, Send]),
        ],
        reason: "changes what other tools are called with",
    },
    Pattern {
        rule: Rule::new("preference", "SAFE-T1001", Severity::High),
        scope: Scope::Window,
        all: one_of(&[OtherTools]),
        any: &[
            one_of(&[Worse, Refuse, Prefer]),
            one_of(&[Must, Best, Urgent]),
        ],
        reason: "asks to be chosen before other tools",
    },
    Pattern {
        rule: Rule::new("no-consent", "SAFE-T1001", Severity::High),
        scope: Scope::Window,
        all: one_of(&[NoAsk]),
        any: &[
            COMMANDED,
            one_of(&[Call, Send, Put, Destroy, Money, Shell, Install]),
        ],
        reason: "asks that the user not be asked",
    },
    Pattern {
        rule: Rule::new("urgency", "SAFE-T1001", Severity::Low),
        scope: Scope::Window,
        all: one_of(&[Urgent, Else]),
        any: &[one_of(&[Must, You])],
        reason: "presses, and threatens with what happens otherwise",
    },
];

const SPEAKS: Rule = Rule::new("speaks-to-the-model", "SAFE-T1001", Severity::High);
const ENCODED: Rule = Rule::new("encoded-text", "AML.T0068", Severity::Medium);
const MISPLACED: Rule = Rule::new("misplaced-instruction", "SAFE-T1001", Severity::High);

/// Reads every text, and what stands in it under an encoding.
pub(super) fn look(collected: &Collected<'_>, found: &mut Vec<Finding>) {
    let own = collected.own();
    for text in &collected.texts {
        let said = Said::of(text.said, &own);
        let reads = Reading {
            text,
            said: &said,
            view: None,
        };
        reads.look(found);
        for view in views(text.said, &said) {
            let said = Said::of(&view.text, &own);
            let reads = Reading {
                text,
                said: &said,
                view: Some(&view),
            };
            reads.look(found);
            reads.encoded(found);
        }
    }
}

/// What stands in a text under an encoding.
pub(super) fn views(text: &str, said: &Said) -> Vec<View> {
    let head = text.get(..text.floor_char_boundary(MAX_BYTES));
    let mut views = unveil::views(head.unwrap_or(text), OF_DEFINITIONS).list;
    views.truncate(MAX_VIEWS);
    views.extend(unveil::turned(text, said));
    views
}

/// A text, or what stands in it under an encoding, as it is read.
struct Reading<'a> {
    text: &'a Text<'a>,
    said: &'a Said,
    view: Option<&'a View>,
}

impl Reading<'_> {
    fn look(&self, found: &mut Vec<Finding>) {
        if let Some((start, over)) = model::over(self.said, self.text.place) {
            let reason = format!(
                "reads like an instruction to the model ({over} thousandths over the threshold)"
            );
            found.push(self.finding(SPEAKS, start, &reason));
        }
        for (index, (start, end)) in self.said.sentences.iter().copied().enumerate() {
            let window = self.said.sentences.get(index..).unwrap_or_default();
            let last = window
                .iter()
                .take(WINDOW)
                .next_back()
                .map_or(end, |(_, end)| *end);
            let sentence = Ideas::of(self.said.between(start, end));
            let window = Ideas::of(self.said.between(start, last));
            let matching = PATTERNS
                .iter()
                .filter(|pattern| pattern.matches(sentence, window));
            found.extend(matching.map(|pattern| self.finding(pattern.rule, start, pattern.reason)));
            if !self.text.place.is_prose() && self.is_misplaced(window) {
                let reason = format!("an instruction in a place for a {}", self.text.place.name());
                found.push(self.finding(MISPLACED, start, &reason));
            }
        }
    }

    /// Sentences that command stand in descriptions, if anywhere.
    fn is_misplaced(&self, ideas: Ideas) -> bool {
        let commands = ideas.has_any(one_of(&[Must, When, Then, Urgent, Tag, Not, Override]));
        let acts = ideas.has_any(one_of(&[Read, Send, Put, Call, NotTell, Change]));
        let objects = one_of(&[
            Credential,
            SecretFile,
            Conversation,
            SystemPrompt,
            Model,
            OtherTools,
            Rules,
        ]);
        commands && acts && ideas.has_any(objects) && self.text.place != Place::Name
    }

    fn encoded(&self, found: &mut Vec<Finding>) {
        if let Some(view) = self.view {
            let severity = if self.said.hits.len() >= 3 {
                Severity::High
            } else {
                ENCODED.severity
            };
            let reason = format!(
                "a text hidden by {}: {}",
                view.how,
                show::excerpt(&view.text, 0)
            );
            found.push(
                Rule {
                    severity,
                    ..ENCODED
                }
                .at(self.text, view.at(), reason),
            );
        }
    }

    fn finding(&self, rule: Rule, at: usize, reason: &str) -> Finding {
        let (excerpt, reason) = match self.view {
            None => (
                show::excerpt(self.text.said, self.said.folded.original(at)),
                Cow::Borrowed(reason),
            ),
            Some(view) => {
                let excerpt = show::excerpt(&view.text, self.said.folded.original(at));
                (
                    excerpt,
                    Cow::Owned(format!("{reason} (hidden by {})", view.how)),
                )
            }
        };
        rule.finding(&self.text.pointer, excerpt, reason)
    }
}
