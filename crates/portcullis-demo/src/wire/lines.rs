//! Splits the input into lines without keeping more than a line may hold.

use std::io::{self, BufRead};

/// The longest line that is read, without its newline.
pub(crate) const MAX_LINE_BYTES: usize = 1024 * 1024;

/// What [`Lines::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line, without its newline.
    Text(&'a [u8]),
    /// A line of more than [`MAX_LINE_BYTES`]; it has been skipped.
    TooLong,
    /// The input has ended.
    End,
}

/// The lines of an input.
pub(crate) struct Lines<I> {
    input: I,
    line: Vec<u8>,
}

impl<I: BufRead> Lines<I> {
    pub(crate) fn new(input: I) -> Self {
        Self {
            input,
            line: Vec::new(),
        }
    }

    /// Reads the next line; a last line needs no newline.
    pub(crate) fn next(&mut self) -> io::Result<Line<'_>> {
        self.line.clear();
        let mut total_bytes: usize = 0;
        let mut has_ended = false;
        while !has_ended {
            let part = match self.input.fill_buf() {
                Ok(part) => part,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if part.is_empty() {
                break;
            }
            let newline = part.iter().position(|byte| *byte == b'\n');
            let (text, _) = part.split_at(newline.unwrap_or(part.len()));
            total_bytes = total_bytes.saturating_add(text.len());
            if total_bytes <= MAX_LINE_BYTES {
                self.line.extend_from_slice(text);
            }
            let used = text.len() + usize::from(newline.is_some());
            has_ended = newline.is_some();
            self.input.consume(used);
        }
        if total_bytes > MAX_LINE_BYTES {
            self.line = Vec::new();
            return Ok(Line::TooLong);
        }
        if !has_ended && total_bytes == 0 {
            return Ok(Line::End);
        }
        Ok(Line::Text(&self.line))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn check(input: &[u8], expected: &[Line<'_>]) {
        for capacity in [1, 7, 1 << 16] {
            let mut lines = Lines::new(BufReader::with_capacity(capacity, input));
            for line in expected {
                assert_eq!(&lines.next().unwrap(), line);
            }
            assert_eq!(lines.next().unwrap(), Line::End);
        }
    }

    #[test]
    fn splits_lines() {
        check(b"", &[]);
        check(b"a\nbc\n", &[Line::Text(b"a"), Line::Text(b"bc")]);
        check(
            b"a\n\nb",
            &[Line::Text(b"a"), Line::Text(b""), Line::Text(b"b")],
        );
    }

    #[test]
    fn skips_a_line_over_the_bound_and_goes_on() {
        let longest = vec![b'x'; MAX_LINE_BYTES];
        let mut input = longest.clone();
        input.extend_from_slice(b"\n");
        input.extend_from_slice(&longest);
        input.extend_from_slice(b"x\nnext\n");
        check(
            &input,
            &[Line::Text(&longest), Line::TooLong, Line::Text(b"next")],
        );
    }
}
