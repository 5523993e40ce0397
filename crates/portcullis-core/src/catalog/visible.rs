//! Text of others as it may be shown to people: what nobody sees is named, and nothing controls a terminal.

use crate::unveil::is_invisible;
use std::fmt::Write as _;

/// A text as it may be printed: characters that show nothing, control the terminal or turn the direction of writing
/// are named.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        one(&mut shown, char);
    }
    shown
}

/// Shows one character.
pub(super) fn one(shown: &mut String, char: char) {
    match char {
        '\n' => shown.push_str("\\n"),
        '\t' => shown.push_str("\\t"),
        char if is_hidden(char) => {
            let _infallible = write!(shown, "⟨U+{:04X}⟩", u32::from(char));
        }
        char => shown.push(char),
    }
}

/// JSON that says the same, with `\u200b` where a character is hidden. Line breaks stay: JSON has them between its
/// parts only.
pub fn escaped(json: &str) -> String {
    escaped_but(json, |char| char == '\n' || !is_hidden(char))
}

/// JSON that says the same, with an escape in place of each character that is not kept. What is between the parts of
/// JSON has to be kept.
pub(super) fn escaped_but(json: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(json.len());
    for char in json.chars() {
        if is_kept(char) {
            escaped.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            let _infallible = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

/// What is not seen as itself: by Unicode's categories of control, format, separator and private use characters, and
/// those that only change how the one before them looks.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || (char.is_whitespace() && char != ' ')
        || is_invisible(char)
        || matches!(char,
            '\u{2800}' | '\u{e000}'..='\u{f8ff}' | '\u{13430}'..='\u{1343f}' | '\u{e1000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn poi_04_hidden_characters_are_spelled_out() {
        assert_eq!(
            visible("\u{1b}[8mx\u{e0041}\u{202e}\r\n"),
            "⟨U+001B⟩[8mx⟨U+E0041⟩⟨U+202E⟩⟨U+000D⟩\\n"
        );
        assert_eq!(visible("año 日本 مرحبا 🙂"), "año 日本 مرحبا 🙂");
    }

    proptest! {
        #[test]
        fn poi_04_nothing_hidden_is_left_and_json_says_the_same(text in any::<String>()) {
            prop_assert!(!visible(&text).chars().any(is_hidden));
            let value = json!({ "a": text });
            let json = escaped(&format!("{value:#}"));
            prop_assert!(!json.chars().any(|char| char != '\n' && is_hidden(char)));
            prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        }
    }
}
