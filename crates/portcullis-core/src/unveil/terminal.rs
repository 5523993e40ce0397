//! Escapes of terminals: a text without them, and what they conceal.

use super::markup::{Hidden, Way};
use super::traced::Traced;

const ESCAPE: char = '\u{1b}';
/// The longest sequence of parameters, in bytes.
const MAX_SEQUENCE: usize = 256;

/// A text without what a terminal does not show.
pub(super) fn read(text: &str) -> Option<Traced> {
    if !text.contains(is_control) {
        return None;
    }
    let mut plain = Traced::with_capacity(text.len());
    each(text, |at, part| match part {
        Part::Text(part) => plain.copy(at, part),
        Part::Style(_) | Part::Other => {}
    });
    Some(plain)
}

/// What stands between "conceal" and the next reset (ECMA-48 section 8.3.117).
pub(super) fn concealed(text: &str) -> Vec<Hidden> {
    let mut found = Vec::new();
    if !text.contains([ESCAPE, '\u{9b}']) {
        return found;
    }
    let mut from = None;
    each(text, |at, part| {
        let Part::Style(parameters) = part else {
            return;
        };
        for parameter in parameters.split([';', ':']) {
            match parameter {
                "8" => from = from.or(Some(at)),
                "" | "0" | "28" => {
                    let range = from.take().map(|from| from..at);
                    found.extend(range.map(|range| Hidden {
                        range,
                        way: Way::Concealed,
                    }));
                }
                _ => {}
            }
        }
    });
    if let Some(from) = from {
        let (range, way) = (from..text.len(), Way::Concealed);
        found.push(Hidden { range, way });
    }
    found
}

enum Part<'a> {
    Text(&'a str),
    /// Parameters of a sequence that changes how text looks.
    Style(&'a str),
    Other,
}

fn is_control(char: char) -> bool {
    char.is_control() && !matches!(char, '\n' | '\r' | '\t')
}

fn each<'a>(text: &'a str, mut take: impl FnMut(usize, Part<'a>)) {
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let plain = rest.find(is_control).unwrap_or(rest.len());
        if plain > 0 {
            take(at, Part::Text(rest.get(..plain).unwrap_or_default()));
            at += plain;
            continue;
        }
        let (length, style) = sequence(rest);
        take(at, style.map_or(Part::Other, Part::Style));
        at += length;
    }
}

/// How long a sequence is that stands at the start of a text, and its parameters if it changes the style.
fn sequence(rest: &str) -> (usize, Option<&str>) {
    let first = rest.chars().next().map_or(1, char::len_utf8);
    let bytes = rest.as_bytes();
    let start = match bytes {
        [0x1b, b'[', ..] => 2,
        [0xc2, 0x9b, ..] => first,
        [0x1b, b']' | b'P' | b'^' | b'_' | b'X', ..] => return (string(rest), None),
        [0x1b, b'@'..=b'~', ..] => return (2, None),
        _ => return (first, None),
    };
    let parameters = bytes.get(start..).unwrap_or_default();
    let length = parameters.iter().take(MAX_SEQUENCE);
    let length = length
        .take_while(|byte| (0x20..=0x3f).contains(*byte))
        .count();
    let end = start + length;
    match bytes.get(end) {
        Some(b'm') => (end + 1, rest.get(start..end)),
        Some(0x40..=0x7e) => (end + 1, None),
        _ => (start, None),
    }
}

/// A sequence that ends with BEL or ST; one without an end is only its first two bytes.
fn string(rest: &str) -> usize {
    let head = rest.as_bytes().get(..(8 * MAX_SEQUENCE).min(rest.len()));
    let head = head.unwrap_or_default();
    let bell = memchr::memchr(7, head).map(|at| at + 1);
    let end = memchr::memmem::find(head, b"\x1b\\").map(|at| at + 2);
    [bell, end].into_iter().flatten().min().unwrap_or(2)
}
