//! Where one sentence ends and the next begins.

/// The longest sentence, in bytes; what is longer is cut, so that no sentence can be a whole document.
const MAX_SENTENCE: usize = 600;

/// The sentences of a folded text, as ranges of bytes.
pub(crate) fn split(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut start = 0;
    for (index, char) in text.char_indices() {
        let end = index + char.len_utf8();
        let next = bytes.get(end).copied().unwrap_or(b' ');
        let is_end = match char {
            '.' | '!' | '?' | ';' => {
                next.is_ascii_whitespace() || matches!(next, b'<' | b'"' | b')' | b'\'')
            }
            '。' | '！' | '？' | '；' => true,
            '\n' => matches!(next, b'\n' | b'-' | b'*' | b'#' | b'<' | b'0'..=b'9'),
            _ => end - start > MAX_SENTENCE && char.is_whitespace(),
        };
        if is_end {
            push(text, start, end, &mut found);
            start = end;
        }
    }
    push(text, start, text.len(), &mut found);
    found
}

fn push(text: &str, start: usize, end: usize, found: &mut Vec<(usize, usize)>) {
    if text
        .get(start..end)
        .is_some_and(|part| part.bytes().any(|byte| byte > b'@'))
    {
        found.push((start, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_they_end() {
        let text = "one 1.5 v2.x. two!\n\nthree\n- four\nstill four。five";
        let parts: Vec<&str> = split(text)
            .into_iter()
            .map(|(from, to)| text.get(from..to).unwrap_or_default().trim())
            .collect();
        assert_eq!(
            parts,
            [
                "one 1.5 v2.x.",
                "two!",
                "three",
                "- four\nstill four。",
                "five"
            ]
        );
    }
}
