//! Whether names are what the specification allows, and letters what they look like.

use super::places::{Collected, Place, Text};
use super::{Finding, Rule, Severity};
use crate::catalog::Kind;
use crate::unveil::twin;
use unicode_normalization::UnicodeNormalization as _;

/// The longest name of a tool (2025-11-25 server/tools, "Tool Names").
const MAX_NAME: usize = 128;
/// The longest name of a parameter that is one and not a sentence.
const MAX_PARAMETER: usize = 64;

const CHARSET: Rule = Rule::new("name-charset", "SAFE-T1001", Severity::Low);
const LENGTH: Rule = Rule::new("name-length", "SAFE-T1001", Severity::Medium);
const HOMOGLYPH: Rule = Rule::new("name-homoglyph", "SAFE-T1004", Severity::High);
const SENTENCE: Rule = Rule::new("name-sentence", "SAFE-T1001", Severity::Medium);

/// Looks at the names of a definition.
pub(super) fn look(kind: Kind, collected: &Collected<'_>, found: &mut Vec<Finding>) {
    for text in &collected.texts {
        match text.place {
            Place::Name if matches!(kind, Kind::Tool | Kind::Prompt) => {
                tool(text, found);
                letters(text, found);
            }
            Place::ParameterName => {
                parameter(text, found);
                letters(text, found);
            }
            Place::Name
            | Place::Title
            | Place::Description
            | Place::Instructions
            | Place::ParameterText
            | Place::Value
            | Place::Pattern
            | Place::Comment
            | Place::Icon
            | Place::Note
            | Place::Unknown => {}
        }
    }
}

fn tool(text: &Text<'_>, found: &mut Vec<Finding>) {
    if text.said.len() > MAX_NAME {
        found.push(LENGTH.at(text, 0, "a name of more than 128 characters"));
    }
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    if let Some(at) = text.said.find(|char| !is_allowed(char)) {
        found.push(CHARSET.at(
            text,
            at,
            "a name with characters other than A-Z, a-z, 0-9, _, - and .",
        ));
    }
}

fn parameter(text: &Text<'_>, found: &mut Vec<Finding>) {
    let parts = text
        .said
        .split([' ', '_', '-', '.'])
        .filter(|part| !part.is_empty());
    if text.said.len() > MAX_PARAMETER || parts.count() > 7 {
        let reason = "the name of a parameter is as long as a sentence";
        found.push(SENTENCE.at(text, 0, reason));
    }
}

/// A word of Latin letters in which some are not.
fn letters(text: &Text<'_>, found: &mut Vec<Finding>) {
    if text.said.is_ascii() {
        return;
    }
    let has_latin = text.said.bytes().any(|byte| byte.is_ascii_alphabetic());
    let plain: String = text.said.nfc().collect();
    let other = plain.chars().find(|char| is_look_alike(*char));
    let all = plain.chars().filter(|char| char.is_alphabetic());
    let is_whole = all.clone().count() > 2
        && all
            .clone()
            .all(|char| char.is_ascii() || is_look_alike(char));
    if let Some(other) = other.filter(|_| has_latin || is_whole) {
        let at = text.said.find(other).unwrap_or(0);
        let reason = format!(
            "U+{:04X} looks like \u{201c}{}\u{201d} and is another letter",
            u32::from(other),
            twin(other).unwrap_or(other)
        );
        found.push(HOMOGLYPH.at(text, at, reason));
    }
}

/// Letters with an accent are what they look like; others that look like Latin ones are not.
fn is_look_alike(char: char) -> bool {
    let base = std::iter::once(char).nfd().next().unwrap_or(char);
    !base.is_ascii() && twin(char).is_some()
}
