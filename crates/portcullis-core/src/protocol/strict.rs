//! One pass over a JSON text (RFC 8259): its grammar, its depth, and that no member occurs twice.
//!
//! Every byte that a client or a server sends goes through here before anything else reads it. It takes what
//! `serde_json` takes, and no more; the fuzz target `strict` holds the two against each other.

use super::{MAX_DEPTH, Malformed};
use std::borrow::Cow;
use std::collections::HashSet;

/// Up to so many members of one object, duplicates are looked for one by one.
const FEW_MEMBERS: usize = 16;
/// The length of a number, in bytes, from which on it may be too large for a double.
const LONG_NUMBER: usize = 300;

/// Checks that a text is one JSON value with no duplicate member at any level, at most
/// [`MAX_DEPTH`] deep, with nothing after it.
///
/// # Errors
/// [`Malformed::Json`] or [`Malformed::Duplicate`].
pub fn check_strict(text: &str) -> Result<(), Malformed> {
    let mut pass = Pass {
        text,
        at: 0,
        names: Vec::new(),
    };
    pass.value(0)?;
    pass.blank();
    if pass.at == text.len() {
        Ok(())
    } else {
        Err(Malformed::Json)
    }
}

struct Pass<'a> {
    text: &'a str,
    at: usize,
    /// The members so far of the objects that are open, the innermost last.
    names: Vec<Cow<'a, str>>,
}

impl<'a> Pass<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether this byte stood here; then it is behind us.
    fn take(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Malformed::Json)
        }
    }

    // INVARIANT: recursion ends at MAX_DEPTH.
    fn value(&mut self, depth: usize) -> Result<(), Malformed> {
        self.blank();
        match self.peek() {
            Some(b'{') if depth < MAX_DEPTH => self.object(depth + 1),
            Some(b'[') if depth < MAX_DEPTH => self.array(depth + 1),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) | None => Err(Malformed::Json),
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Malformed> {
        self.expect(b'[')?;
        self.blank();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.blank();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Malformed> {
        self.expect(b'{')?;
        self.blank();
        if self.take(b'}') {
            return Ok(());
        }
        let first = self.names.len();
        let mut many = HashSet::new();
        loop {
            self.blank();
            let name = self.string()?;
            self.remember(name, first, &mut many)?;
            self.blank();
            self.expect(b':')?;
            self.value(depth)?;
            self.blank();
            if self.take(b'}') {
                self.names.truncate(first);
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// Keeps the name of a member of the object whose names begin at `first`, and in `many` once they are.
    fn remember(
        &mut self,
        name: &'a str,
        first: usize,
        many: &mut HashSet<Cow<'a, str>>,
    ) -> Result<(), Malformed> {
        let name = unescaped(name)?;
        let few = self.names.get(first..).unwrap_or_default();
        if few.contains(&name) || many.contains(&name) {
            return Err(Malformed::Duplicate);
        }
        if few.len() < FEW_MEMBERS {
            self.names.push(name);
        } else {
            many.insert(name);
        }
        Ok(())
    }

    /// A string, as it stands between its quotes.
    fn string(&mut self) -> Result<&'a str, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            let rest = self.rest();
            let length = memchr::memchr2(b'"', b'\\', rest).ok_or(Malformed::Json)?;
            let plain = rest.get(..length).unwrap_or_default();
            // All of them at once: the compiler makes wide instructions of it.
            if plain.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' ' {
                return Err(Malformed::Json);
            }
            self.at += length;
            if self.take(b'"') {
                return self.text.get(start..self.at - 1).ok_or(Malformed::Json);
            }
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        self.expect(b'\\')?;
        let kind = self.peek();
        self.at += 1;
        match kind {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match self.code_unit()? {
                // A pair of surrogates, in this order, or none of them (RFC 8259 section 8.2).
                0xD800..=0xDBFF => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    match self.code_unit()? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => Err(Malformed::Json),
                    }
                }
                0xDC00..=0xDFFF => Err(Malformed::Json),
                _ => Ok(()),
            },
            Some(_) | None => Err(Malformed::Json),
        }
    }

    /// Four hexadecimal digits.
    fn code_unit(&mut self) -> Result<u32, Malformed> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or(Malformed::Json)?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        let has_exponent = self.take(b'e') || self.take(b'E');
        if has_exponent {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        // What is infinite to others is no number.
        if has_exponent || self.at - start >= LONG_NUMBER {
            let number = self.text.get(start..self.at).unwrap_or_default();
            if serde_json::from_str::<f64>(number).is_err() {
                return Err(Malformed::Json);
            }
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(Malformed::Json)
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Malformed::Json)
        }
    }
}

/// A string without its escapes.
fn unescaped(string: &str) -> Result<Cow<'_, str>, Malformed> {
    if memchr::memchr(b'\\', string.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(string));
    }
    serde_json::from_str(&format!("\"{string}\""))
        .map(Cow::Owned)
        .map_err(|_| Malformed::Json)
}
