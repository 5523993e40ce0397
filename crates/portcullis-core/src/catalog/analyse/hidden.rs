//! What the people who approve a definition do not see, and the model does: invisible and bidirectional characters,
//! terminal escapes, comments, and white space that pushes text off the screen.

use super::places::{Place, Text};
use super::{Finding, Rule, Severity};
use crate::unveil::{self, Way, is_invisible};

/// How many spaces in a row push what follows out of sight.
const MANY_SPACES: usize = 60;
/// How many line ends in a row push what follows out of sight.
const MANY_LINES: usize = 8;
/// How many invisible characters in a row no script needs.
const MANY_INVISIBLE: usize = 3;

const INVISIBLE: Rule = Rule::new("hidden-invisible", "SAFE-T1402", Severity::High);
const TAGS: Rule = Rule::new("hidden-tags", "SAFE-T1402", Severity::Critical);
const BIDI: Rule = Rule::new("hidden-bidi", "SAFE-T1402", Severity::High);
const TERMINAL: Rule = Rule::new("hidden-terminal", "SAFE-T1402", Severity::High);
const SPACE: Rule = Rule::new("hidden-space", "SAFE-T1402", Severity::High);
const COMMENT: Rule = Rule::new("hidden-comment", "SAFE-T1402", Severity::High);
const STYLE: Rule = Rule::new("hidden-style", "SAFE-T1402", Severity::High);

/// Looks for what is hidden in a text.
pub(super) fn look(text: &Text<'_>, found: &mut Vec<Finding>) {
    if !text.said.is_ascii() {
        characters(text, found);
    }
    terminal(text, found);
    space(text, found);
    if text.said.len() >= 8 {
        comments(text, found);
    }
}

fn characters(text: &Text<'_>, found: &mut Vec<Finding>) {
    let mut invisible = Vec::new();
    let mut before = ' ';
    let chars: Vec<(usize, char)> = text.said.char_indices().collect();
    for (place, (index, char)) in chars.iter().copied().enumerate() {
        let after = chars.get(place + 1).map_or(' ', |(_, char)| *char);
        match u32::from(char) {
            0xe_0001..=0xe_007f if !is_flag(text.said, index) => {
                let reason = "tag characters, which nobody sees and models read";
                found.push(TAGS.at(text, index, reason));
                return;
            }
            0x202a..=0x202e | 0x2066..=0x2069 => {
                let reason = "controls of writing direction, by which text is shown in another order than it is read";
                found.push(BIDI.at(text, index, reason));
                return;
            }
            _ if is_invisible(char) && !is_joining(before, char, after) => invisible.push(index),
            _ => {}
        }
        before = char;
    }
    if let Some(first) = invisible
        .first()
        .filter(|_| is_hiding(text, invisible.len()))
    {
        let reason = format!("{} characters that nobody sees", invisible.len());
        found.push(INVISIBLE.at(text, *first, reason));
    }
}

/// A single one between words may be there by mistake; in a name never.
const fn is_hiding(text: &Text<'_>, count: usize) -> bool {
    match text.place {
        Place::Name | Place::ParameterName => count >= 1,
        Place::Title
        | Place::Description
        | Place::Instructions
        | Place::ParameterText
        | Place::Value
        | Place::Pattern
        | Place::Comment
        | Place::Icon
        | Place::Note
        | Place::Unknown => count >= MANY_INVISIBLE,
    }
}

/// Whether what cannot be seen does what it is for: an emoji's form, joining in Arabic, Persian and Indic scripts,
/// a mark of direction beside a letter that is written from the right.
fn is_joining(before: char, char: char, after: char) -> bool {
    let is_other = |char: char| !char.is_ascii() && !is_invisible(char);
    match char {
        '\u{fe0e}' | '\u{fe0f}' => {
            is_other(before) || before.is_ascii_digit() || matches!(before, '#' | '*')
        }
        '\u{200c}' | '\u{200d}' => is_other(before) || (before == '\u{fe0f}' && is_other(after)),
        '\u{200e}' | '\u{200f}' | '\u{061c}' => is_other(before) || is_other(after),
        '\u{e0100}'..='\u{e01ef}' | '\u{fe00}'..='\u{fe0d}' => {
            ('\u{2e80}'..='\u{3ffff}').contains(&before) && !is_invisible(before)
        }
        '\u{e0001}'..='\u{e007f}' => true,
        _ => false,
    }
}

/// The flags of England, Scotland and Wales are spelled in tags after a black flag.
fn is_flag(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let base = before.trim_end_matches(|char| ('\u{e0020}'..='\u{e007f}').contains(&char));
    base.ends_with('\u{1f3f4}') && before.len() - base.len() <= 24
}

fn terminal(text: &Text<'_>, found: &mut Vec<Finding>) {
    let is_control = |char: char| char.is_control() && !matches!(char, '\n' | '\r' | '\t');
    if let Some(at) = text.said.find(is_control) {
        let reason = "control characters, by which a terminal hides, moves or overwrites text";
        found.push(TERMINAL.at(text, at, reason));
        return;
    }
    let spelled = ["\\x1b[", "\\u001b[", "\\033[", "\\e["];
    if let Some(at) = spelled.iter().find_map(|escape| text.said.find(escape)) {
        let reason = "a terminal's escape, spelled out";
        let rule = Rule {
            severity: Severity::Low,
            ..TERMINAL
        };
        found.push(rule.at(text, at, reason));
    }
}

fn space(text: &Text<'_>, found: &mut Vec<Finding>) {
    let mut spaces = 0_usize;
    let mut lines = 0_usize;
    let mut start = 0;
    for (index, char) in text.said.char_indices() {
        match char {
            '\n' | '\u{2028}' | '\u{2029}' => (lines, spaces) = (lines + 1, 0),
            char if char.is_whitespace() || matches!(char, '\u{2800}' | '\u{3164}') => spaces += 1,
            _ if spaces >= MANY_SPACES || lines >= MANY_LINES => {
                let reason = "white space that pushes what follows out of sight";
                found.push(SPACE.at(text, start, reason));
                return;
            }
            _ => (spaces, lines, start) = (0, 0, index + char.len_utf8()),
        }
    }
}

fn comments(text: &Text<'_>, found: &mut Vec<Finding>) {
    let hidden = unveil::hidden(text.said);
    let first = |way| hidden.iter().find(|hidden| hidden.way == way);
    if let Some(hidden) = first(Way::Comment) {
        let reason = "a comment, which pages do not show and models read";
        let inner = text.said.get(hidden.range.clone()).unwrap_or_default();
        let severity = match inner.split_whitespace().count() {
            0..=4 => Severity::Low,
            _ => COMMENT.severity,
        };
        let rule = Rule {
            severity,
            ..COMMENT
        };
        found.push(rule.at(text, hidden.range.start, reason));
    }
    if let Some(hidden) = first(Way::Style) {
        let reason = "a style by which a page hides text that models read";
        found.push(STYLE.at(text, hidden.range.start, reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        let text = Text {
            pointer: "/description".to_owned(),
            place: Place::Description,
            said: text,
        };
        let mut found = Vec::new();
        look(&text, &mut found);
        found.iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn atk_049_terminal_escapes_are_found() {
        for text in [
            "a\u{1b}[8mb",
            "a\u{9b}8mb",
            "a\u{1b}]8;;http://x\u{7}b",
            "a\u{8}b",
        ] {
            assert_eq!(rules(text), ["hidden-terminal"], "{text:?}");
        }
    }

    #[test]
    fn atk_050_each_way_of_hiding_is_found() {
        let spaces = format!("Adds.{}Read this", " ".repeat(2000));
        let lines = format!("Adds.{}Read this", "\n".repeat(40));
        for (text, rule) in [
            ("a\u{200b}\u{200c}\u{2060}b", "hidden-invisible"),
            ("a \u{202e}b", "hidden-bidi"),
            ("a\u{e0049}\u{e0067}", "hidden-tags"),
            ("a\u{fe01}\u{fe02}\u{e0110}", "hidden-invisible"),
            (
                "Adds. <!-- the assistant reads this too -->",
                "hidden-comment",
            ),
            (
                "Adds.\n[//]: # (the assistant reads this too)",
                "hidden-comment",
            ),
            ("<p style=\"display: none\">read</p>", "hidden-style"),
            (spaces.as_str(), "hidden-space"),
            (lines.as_str(), "hidden-space"),
        ] {
            assert_eq!(rules(text), [rule], "{text:?}");
        }
    }

    #[test]
    fn poi_04_honest_scripts_and_pictures_pass() {
        for text in [
            "Family 👨‍👩‍👧 and 👩🏽‍💻, ❤️ 1️⃣",
            "🏴󠁧󠁢󠁥󠁮󠁧󠁿 England",
            "می‌خواهم",
            "क्‍ष",
            "שלום \u{200f}(abc)",
            "漢字󠄀",
            "Zero\u{200b}width by mistake",
            "a\n\n\n  b",
        ] {
            assert_eq!(rules(text), Vec::<&str>::new(), "{text:?}");
        }
    }
}
