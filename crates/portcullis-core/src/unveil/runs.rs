//! Words without a space that are base64 or hexadecimal, also broken over lines or apart in pairs.

use super::letters::readable;
use super::traced::Traced;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::ops::Range;

/// The fewest characters of base64 that are decoded.
const MIN_BASE64: usize = 20;
/// The fewest hexadecimal digits that are decoded.
const MIN_HEX: usize = 20;
/// The shortest line after which a run goes on in the next one.
const MIN_LINE: usize = 48;
/// The most bytes between two pairs, with the mark before the second.
const MAX_GAP: usize = 4;

/// What the runs of base64 in a text say, one in a line.
pub(super) fn base64(text: &str) -> Option<Traced> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    let mut found = Traced::default();
    each_run(text, is_part, |run| {
        let plain = run.text();
        let has = |is: fn(&u8) -> bool| plain.as_bytes().iter().any(is);
        let is_likely = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
        if plain.len() < MIN_BASE64 || !is_likely {
            return;
        }
        // Of a run with a broken end, the whole groups.
        let whole = plain.get(..plain.len() / 4 * 4).unwrap_or_default();
        let decoded = [plain, whole].iter().find_map(|run| {
            let decoded = STANDARD_NO_PAD
                .decode(run)
                .or_else(|_| URL_SAFE_NO_PAD.decode(run));
            readable(decoded.ok()?)
        });
        if let Some(decoded) = decoded {
            append(&mut found, &decoded, run, |byte| {
                byte / 3 * 4..byte / 3 * 4 + 4
            });
        }
    });
    (!found.text().is_empty()).then_some(found)
}

/// What the runs of hexadecimal digits in a text say, one in a line.
pub(super) fn hexadecimal(text: &str) -> Option<Traced> {
    let mut found = Traced::default();
    each_run(
        text,
        |byte| byte.is_ascii_hexdigit(),
        |run| {
            let plain = run.text();
            let is_run = plain.len() >= MIN_HEX;
            if let Some(decoded) = is_run.then(|| of_digits(plain)).flatten() {
                append(&mut found, &decoded, run, |byte| byte * 2..byte * 2 + 2);
            }
        },
    );
    pairs(text, |run| {
        let plain = run.text();
        if let Some(decoded) = of_digits(plain) {
            append(&mut found, &decoded, run, |byte| byte * 2..byte * 2 + 2);
        }
    });
    (!found.text().is_empty()).then_some(found)
}

/// Each word of such bytes, with the lines on which it goes on.
fn each_run(text: &str, is_part: impl Fn(u8) -> bool, mut take: impl FnMut(&Run)) {
    let bytes = text.as_bytes();
    let length = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| is_part(**byte)).count()
    };
    let mut at = 0;
    while at < bytes.len() {
        let mut line = length(at);
        if line < MIN_BASE64.min(MIN_HEX) {
            at += line.max(1);
            continue;
        }
        let mut run = Run::default();
        loop {
            run.add(at, text.get(at..at + line).unwrap_or_default());
            at += line;
            let rest = bytes.get(at..).unwrap_or_default();
            let end = match rest {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => 0,
            };
            let next = length(at + end);
            if end == 0 || line < MIN_LINE || next == 0 {
                break;
            }
            (at, line) = (at + end, next);
        }
        take(&run);
    }
}

/// Hexadecimal pairs that stand apart: `69 67 6e`, `69:67:6e`, `0x69, 0x67`.
fn pairs(text: &str, mut take: impl FnMut(&Run)) {
    let mut finish = |run: &mut Run| {
        let whole = std::mem::take(run);
        if whole.text().len() >= MIN_HEX {
            take(&whole);
        }
    };
    let (mut run, mut end, mut at) = (Run::default(), 0, 0);
    for word in text.split([' ', ':', ',', '-', '\n']) {
        let marked = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
        let digits = marked.unwrap_or(word);
        let is_pair = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let start = at + word.len() - digits.len();
        at += word.len() + 1;
        if word.is_empty() {
            continue;
        }
        if !is_pair || start - end > MAX_GAP {
            finish(&mut run);
        }
        if is_pair {
            run.add(start, digits);
            end = start + 2;
        }
    }
    finish(&mut run);
}

fn of_digits(run: &str) -> Option<String> {
    let (pairs, _) = run.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    readable(pairs.iter().filter_map(byte).collect())
}

/// A run of which the lines are joined.
#[derive(Debug, Default)]
struct Run(Traced);

impl Run {
    fn text(&self) -> &str {
        self.0.text()
    }

    fn add(&mut self, from: usize, part: &str) {
        self.0.copy(from, part);
    }
}

/// Adds what a run says; `group` gives the characters of the run that a decoded byte stands in.
fn append(found: &mut Traced, decoded: &str, run: &Run, group: impl Fn(usize) -> Range<usize>) {
    let (plain, map) = run.0.clone().into_parts();
    let place = |byte: usize| {
        let group = group(byte);
        map.range(group.start..group.end.min(plain.len()))
    };
    if !found.text().is_empty() {
        found.put(place(0), "\n");
    }
    for (at, char) in decoded.char_indices() {
        let last = place(at + char.len_utf8() - 1);
        found.put_char(place(at).start..last.end, char);
    }
}
