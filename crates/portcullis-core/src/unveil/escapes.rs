//! Escapes that stand for characters: `%41`, `\x41`, `\u0041`, `\n`, `&#65;` and `=41`.

use super::traced::Traced;

/// The fewest escapes that make a text one that hides something.
const MIN_ESCAPES: usize = 4;
/// The longest entity, in bytes.
const MAX_ENTITY: usize = 32;

/// What one escape stands for.
enum Stands {
    Char(char),
    /// A byte of UTF-8.
    Byte(u8),
}

/// A text in which `%41`, `\x41`, `\u0041` or `&#65;` stand for letters.
pub(super) fn read(text: &str) -> Option<Traced> {
    memchr::memchr3(b'%', b'\\', b'&', text.as_bytes())?;
    decode(text, &['%', '\\', '&'], escape)
}

/// The same for `=41`, with `=` at the end of a line that goes on (RFC 2045 section 6.7).
pub(super) fn quoted_printable(text: &str) -> Option<Traced> {
    memchr::memchr(b'=', text.as_bytes())?;
    decode(text, &['='], |rest| match rest.as_bytes() {
        [b'=', b'\r', b'\n', ..] => Some((Stands::Char('\u{ad}'), 3)),
        [b'=', b'\n', ..] => Some((Stands::Char('\u{ad}'), 2)),
        [b'=', ..] => byte(rest, 1),
        _ => None,
    })
}

fn decode(
    text: &str,
    marks: &[char],
    escape: impl Fn(&str) -> Option<(Stands, usize)>,
) -> Option<Traced> {
    let mut decoded = Traced::with_capacity(text.len());
    let mut bytes = Bytes::default();
    let (mut at, mut count) = (0, 0_usize);
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        if let Some((stands, length)) = escape(rest) {
            match stands {
                Stands::Byte(byte) => bytes.add(byte, at, at + length),
                Stands::Char(char) => {
                    bytes.flush(&mut decoded);
                    decoded.put_char(at..at + length, char);
                }
            }
            (at, count) = (at + length, count + 1);
            continue;
        }
        bytes.flush(&mut decoded);
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let after = rest.get(first..).unwrap_or_default();
        let plain = first + after.find(marks).unwrap_or(after.len());
        decoded.copy(at, rest.get(..plain).unwrap_or_default());
        at += plain;
    }
    bytes.flush(&mut decoded);
    (count >= MIN_ESCAPES).then_some(decoded)
}

/// Bytes in a row that make characters together.
#[derive(Default)]
struct Bytes {
    all: Vec<u8>,
    ends: Vec<usize>,
    from: usize,
}

impl Bytes {
    fn add(&mut self, byte: u8, from: usize, to: usize) {
        if self.all.is_empty() {
            self.from = from;
        }
        self.all.push(byte);
        self.ends.push(to);
    }

    fn flush(&mut self, decoded: &mut Traced) {
        let (mut at, mut from) = (0, self.from);
        for chunk in self.all.utf8_chunks() {
            for char in chunk.valid().chars() {
                at += char.len_utf8();
                let to = self.ends.get(at - 1).copied().unwrap_or(from);
                decoded.put_char(from..to, char);
                from = to;
            }
            if !chunk.invalid().is_empty() {
                at += chunk.invalid().len();
                let to = self.ends.get(at - 1).copied().unwrap_or(from);
                decoded.put_char(from..to, char::REPLACEMENT_CHARACTER);
                from = to;
            }
        }
        self.all.clear();
        self.ends.clear();
    }
}

/// What an escape at the start of a text stands for, and how long it is.
fn escape(rest: &str) -> Option<(Stands, usize)> {
    match rest.as_bytes() {
        [b'%', ..] => byte(rest, 1),
        [b'\\', b'x', ..] => byte(rest, 2),
        [b'\\', b'u', ..] => unit(rest),
        [b'\\', b'n' | b'r' | b't', ..] => Some((Stands::Char(' '), 2)),
        [b'\\', b'"', ..] => Some((Stands::Char('"'), 2)),
        [b'\\', b'/', ..] => Some((Stands::Char('/'), 2)),
        [b'&', ..] => entity(rest).map(|(char, length)| (Stands::Char(char), length)),
        _ => None,
    }
}

fn number(rest: &str, skip: usize, count: usize) -> Option<u32> {
    let digits = rest.get(skip..skip + count)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

fn byte(rest: &str, skip: usize) -> Option<(Stands, usize)> {
    let byte = u8::try_from(number(rest, skip, 2)?).ok()?;
    Some((Stands::Byte(byte), skip + 2))
}

/// A unit of UTF-16, or two that make a character.
fn unit(rest: &str) -> Option<(Stands, usize)> {
    let first = number(rest, 2, 4)?;
    if let Some(char) = char::from_u32(first) {
        return Some((Stands::Char(char), 6));
    }
    let second = number(rest, 8, 4).filter(|_| rest.get(6..8) == Some("\\u"))?;
    let pair = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
    let char = char::decode_utf16(pair).next()?.ok()?;
    Some((Stands::Char(char), 12))
}

/// The character of an entity of HTML at the start of a text, and how long it is.
pub(super) fn entity(rest: &str) -> Option<(char, usize)> {
    let head = rest.as_bytes().get(..MAX_ENTITY.min(rest.len()))?;
    let end = memchr::memchr(b';', head)? + 1;
    let entity = rest.get(..end)?;
    let decoded = html_escape::decode_html_entities(entity);
    let mut chars = decoded.chars();
    let char = chars.next().filter(|_| chars.next().is_none())?;
    Some((char, end))
}
