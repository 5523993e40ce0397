//! The pieces of a text that are read as one: sentences, lines, values of JSON, texts between tags.

/// The longest piece, in bytes, before it is cut at the next space.
const SOFT: usize = 240;
/// The longest piece at all, in bytes.
const HARD: usize = 480;
/// The shortest piece, in bytes; what is shorter goes with what follows.
const SHORTEST: usize = 12;

/// The pieces of a folded text in order, as ranges of bytes.
pub(super) fn split(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(text.len() / 48 + 1);
    let mut start = 0;
    for (index, char) in text.char_indices() {
        let end = index + char.len_utf8();
        if end - start < SHORTEST && char != '\n' {
            continue;
        }
        let next = bytes.get(end).copied().unwrap_or(b' ');
        if is_end(char, next, end - start) {
            push(bytes, start, end, &mut found);
            start = end;
        }
    }
    push(bytes, start, bytes.len(), &mut found);
    found
}

fn is_end(char: char, next: u8, length: usize) -> bool {
    let is_closed = next.is_ascii_whitespace() || matches!(next, b'<' | b'"' | b')' | b'\'' | b'*');
    match char {
        '.' | '!' | '?' | ';' => is_closed || next >= 128,
        '。' | '！' | '？' | '；' | '؟' | '\n' | '>' | '{' | '}' | '|' => true,
        '"' | '\'' => matches!(next, b',' | b':' | b'}' | b']'),
        '\\' => next == b'n',
        char => (length > SOFT && char.is_whitespace()) || length > HARD,
    }
}

/// Keeps a piece in which something is written.
fn push(bytes: &[u8], start: usize, end: usize, found: &mut Vec<(usize, usize)>) {
    let piece = bytes.get(start..end).unwrap_or_default();
    if piece
        .iter()
        .any(|byte| byte.is_ascii_alphanumeric() || *byte >= 128)
    {
        found.push((start, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_lines_and_values_are_pieces() {
        for (text, expected) in [
            ("the first sentence. the second one!", 2),
            (
                "{\"subject\": \"hello all\", \"body\": \"see you tomorrow\"}",
                2,
            ),
            ("<p>one paragraph</p><p>another paragraph</p>", 2),
            ("一句很长的话在这里。另一句很长的话。", 2),
            ("----\n====\n", 0),
            ("", 0),
        ] {
            assert_eq!(split(text).len(), expected, "{text}: {:?}", split(text));
        }
    }

    #[test]
    fn no_piece_is_longer_than_the_bound() {
        for text in ["a ".repeat(5_000), "a".repeat(5_000), "语".repeat(5_000)] {
            let longest = split(&text).into_iter().map(|(from, to)| to - from).max();
            assert!(
                longest.is_some_and(|longest| longest <= HARD + 4),
                "{longest:?}"
            );
        }
    }
}
