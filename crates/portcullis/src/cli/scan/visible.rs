//! Text of others as it may reach a terminal: what is hidden is spelled out, and nothing controls anything.

use std::fmt::Write as _;

/// Characters that show nothing, turn the order of others, or end a line: format characters, fillers, variation
/// selectors, tags. Control characters come besides.
const HIDDEN: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

fn is_hidden(letter: char) -> bool {
    let within = |(first, last): &(char, char)| (*first..=*last).contains(&letter);
    letter.is_control() || HIDDEN.iter().any(within)
}

/// The text with `⟨U+200B⟩` where a character is hidden.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) {
            let _infallible = write!(shown, "⟨U+{:04X}⟩", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// JSON that says the same, with `\u200b` where a character is hidden. It must have been written without line breaks in
/// texts, as every JSON is.
pub(super) fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter == '\n' || !is_hidden(letter) {
            escaped.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let _infallible = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn poi_04_hidden_characters_are_spelled_out() {
        assert_eq!(
            shown("a\u{1b}[31mb\u{202e}c\u{e0041}\r\n"),
            "a⟨U+001B⟩[31mb⟨U+202E⟩c⟨U+E0041⟩⟨U+000D⟩⟨U+000A⟩"
        );
        assert_eq!(shown("Grüße, 世界 🙂"), "Grüße, 世界 🙂");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_json_says_the_same(text in any::<String>()) {
            prop_assert!(!shown(&text).chars().any(is_hidden));
            let value = json!({ "a": text });
            let json = escaped(&format!("{value:#}"));
            prop_assert!(!json.chars().any(|letter| letter != '\n' && is_hidden(letter)));
            prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        }
    }
}
