//! A text as it is shown to whoever decides: short, and with what is hidden in it made visible.

use crate::catalog::visible;
use std::fmt::Write as _;

/// The most characters of an excerpt, before those that are hidden are spelled out.
const MAX_CHARS: usize = 160;
/// The most spaces in a row that are shown.
const MAX_SPACES: usize = 3;
/// How many bytes before what was found are shown.
const BEFORE: usize = 24;

/// A part of a text from shortly before a byte of it on.
pub(super) fn excerpt(text: &str, from: usize) -> String {
    let start = text.floor_char_boundary(from.saturating_sub(BEFORE));
    let part = text.get(start..).unwrap_or_default();
    let mut shown = String::new();
    if start > 0 {
        shown.push('…');
    }
    let mut left = MAX_CHARS;
    let mut chars = part.chars().peekable();
    while let Some(char) = chars.next() {
        if left == 0 {
            shown.push('…');
            break;
        }
        left -= 1;
        let mut run = 1_usize;
        while char.is_whitespace() && chars.next_if_eq(&char).is_some() {
            run += 1;
        }
        one(&mut shown, char, run);
    }
    shown
}

/// Shows a character, or a run of one kind of white space.
fn one(shown: &mut String, char: char, run: usize) {
    if run > MAX_SPACES {
        let _infallible = write!(shown, "⟨{run} × U+{:04X}⟩", u32::from(char));
    } else {
        for _ in 0..run {
            visible::one(shown, char);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poi_04_hidden_characters_are_spelled_out() {
        assert_eq!(excerpt("a\u{200b}b\u{1b}[8m", 0), "a⟨U+200B⟩b⟨U+001B⟩[8m");
        assert_eq!(excerpt("a          b\nc", 0), "a⟨10 × U+0020⟩b\\nc");
        assert!(excerpt(&"é".repeat(500), 300).chars().count() < 200);
    }
}
