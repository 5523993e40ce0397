//! Characters that nobody sees, and what is spelled in them.

use super::letters::readable;
use super::traced::Traced;

/// Whether a character leaves no trace on a screen: zero width, joiners, bidirectional controls, tags,
/// variation selectors, soft hyphens and fillers.
pub(crate) const fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Tag characters are ASCII moved; variation selectors number the 256 bytes.
pub(super) fn read(text: &str) -> Option<Traced> {
    if text.is_ascii() {
        return None;
    }
    let mut bytes = Vec::new();
    let mut places = Vec::new();
    for (index, char) in text.char_indices() {
        let byte = match u32::from(char) {
            code @ 0xe_0020..=0xe_007e => code - 0xe_0000,
            code @ 0xfe00..=0xfe0e => code - 0xfe00,
            code @ 0xe_0100..=0xe_01ef => code - 0xe_0100 + 16,
            _ => continue,
        };
        bytes.extend(u8::try_from(byte));
        places.push(index..index + char.len_utf8());
    }
    let said = readable(bytes)?;
    let mut traced = Traced::with_capacity(said.len());
    for (at, char) in said.char_indices() {
        let first = places.get(at)?.start;
        let last = places.get(at + char.len_utf8() - 1)?.end;
        traced.put_char(first..last, char);
    }
    Some(traced)
}
