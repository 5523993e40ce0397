//! Letters moved, turned, apart, or with digits in their places.

use super::traced::Traced;

/// The fewest letters in a row that stand apart.
const MIN_APART: usize = 8;
/// The fewest characters that are worth reading.
const MIN_TEXT: usize = 8;
/// The fewest characters of ASCII that are, whichever they are.
const MIN_ASCII: usize = 12;

/// A text with each letter moved by 13 places.
pub(super) fn rot13(text: &str) -> Traced {
    let turn = |char: char, first: u8| {
        let place = u8::try_from(u32::from(char)).map_or(0, |byte| byte.wrapping_sub(first));
        char::from(first + (place + 13) % 26)
    };
    let turned = text.chars().map(|char| match char {
        'a'..='z' => turn(char, b'a'),
        'A'..='Z' => turn(char, b'A'),
        char => char,
    });
    Traced::same(turned.collect())
}

/// A text from its end to its start.
pub(super) fn backwards(text: &str) -> Traced {
    Traced::mirrored(text.chars().rev().collect())
}

/// Letters that stand apart: `i g n o r e`, `i-g-n-o-r-e`. Where words stand further apart than letters, they stay
/// words.
pub(super) fn apart(text: &str) -> Option<Traced> {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
    let singles = text.as_bytes().windows(3).filter(|three| {
        matches!(three, [before, middle, after] if !is_letter(before) && is_letter(middle) && !is_letter(after))
    });
    if text.is_ascii() && singles.count() + 2 < MIN_APART {
        return None;
    }
    let mut joined = Traced::with_capacity(text.len());
    let (mut run, mut longest, mut at, mut is_gap) = (0_usize, 0_usize, 0, false);
    for word in text.split([' ', '-', '.', '_', '*', '|']) {
        let mut chars = word.chars();
        let is_single =
            matches!((chars.next(), chars.next()), (Some(char), None) if char.is_alphabetic());
        if word.is_empty() {
            is_gap = true;
            at += 1;
            continue;
        }
        if run == 0 || !is_single || is_gap {
            joined.put(at.max(1) - 1..at, " ");
        }
        run = if is_single { run + 1 } else { 0 };
        longest = longest.max(run);
        joined.copy(at, word);
        at += word.len() + 1;
        is_gap = false;
    }
    (longest >= MIN_APART).then_some(joined)
}

/// Digits and signs for letters: `1gn0r3 4ll`.
pub(super) fn leet(text: &str) -> Option<Traced> {
    let is_sign = |byte: u8| byte.is_ascii_digit() || b"@$!|+".contains(&byte);
    let mixed = text
        .as_bytes()
        .windows(2)
        .filter(|two| matches!(two, [one, other] if is_sign(*one) && other.is_ascii_alphabetic()));
    if mixed.count() < 3 {
        return None;
    }
    let (mut count, mut words) = (0_usize, 0_usize);
    let mut changed = String::with_capacity(text.len());
    // Every sign is as long as its letter, so that all bytes stand where they stood.
    for word in text.split_inclusive(' ') {
        words += 1;
        if is_leet(word.trim_end_matches(' ')) {
            count += 1;
            changed.extend(word.chars().map(|char| letter(char).unwrap_or(char)));
        } else {
            changed.push_str(word);
        }
    }
    (count >= 3 && count * 4 >= words).then(|| Traced::same(changed))
}

const fn letter(char: char) -> Option<char> {
    match char {
        '0' => Some('o'),
        '1' | '!' | '|' => Some('i'),
        '3' => Some('e'),
        '4' | '@' => Some('a'),
        '5' | '$' => Some('s'),
        '7' | '+' => Some('t'),
        _ => None,
    }
}

fn is_leet(word: &str) -> bool {
    let inner = word.trim_matches(|char: char| !char.is_alphanumeric() && letter(char).is_none());
    let all = inner.chars().count();
    let letters = inner.chars().filter(char::is_ascii_alphabetic).count();
    let changed = inner.chars().filter(|char| letter(*char).is_some()).count();
    letters + changed == all && letters >= 1 && changed >= 1 && all >= 3
}

/// The bytes as a text, if it is one that somebody would read.
pub(super) fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let all = text.chars().count();
    let plain = |char: &char| char.is_alphabetic() || matches!(char, ' ' | '.' | ',' | '\'');
    let good = text.chars().filter(plain).count();
    let has_control = text
        .chars()
        .any(|char| char.is_control() && !char.is_whitespace());
    // What is no text is hardly ever ASCII throughout.
    let is_text = good * 10 >= all * 7 || (text.is_ascii() && all >= MIN_ASCII);
    (all >= MIN_TEXT && !has_control && is_text).then_some(text)
}
