//! A text as a model understands it: compatibility forms, accents, look-alikes and what is invisible taken away.

use super::invisible::is_invisible;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// A text in lower case, reduced to what it says, and where its parts came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folded {
    pub(crate) text: String,
    /// Places where the two drift apart: a byte here and the byte of the original.
    marks: Vec<(usize, usize)>,
}

impl Folded {
    /// Folds a text.
    pub(crate) fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self {
                text: text.to_ascii_lowercase(),
                marks: Vec::new(),
            };
        }
        let mut folded = Self {
            text: String::with_capacity(text.len()),
            marks: Vec::new(),
        };
        let is_latin = is_mostly_latin(text);
        let mut start = 0;
        for (index, char) in text.char_indices() {
            if !char.is_whitespace() {
                continue;
            }
            folded.word(text.get(start..index).unwrap_or_default(), start, is_latin);
            folded.mark(index);
            let is_end = char == '\n';
            folded.text.push(if is_end { '\n' } else { ' ' });
            start = index + char.len_utf8();
        }
        folded.word(text.get(start..).unwrap_or_default(), start, is_latin);
        folded
    }

    /// The byte of the original near which a byte of the folded text came from.
    pub(crate) fn original(&self, at: usize) -> usize {
        let after = self.marks.partition_point(|(own, _)| *own <= at);
        let mark = after.checked_sub(1).and_then(|last| self.marks.get(last));
        mark.map_or(at, |(own, original)| original + (at - own))
    }

    /// Where a part of the folded text stands in the original.
    pub(crate) fn range(&self, part: Range<usize>) -> Range<usize> {
        let last = part.end.saturating_sub(1).max(part.start);
        self.original(part.start)..self.original(last) + 1
    }

    fn word(&mut self, word: &str, start: usize, is_latin: bool) {
        if word.is_ascii() {
            self.mark(start);
            self.text
                .extend(word.chars().map(|char| char.to_ascii_lowercase()));
            return;
        }
        let is_mixed = is_latin || word.bytes().any(|byte| byte.is_ascii_alphabetic());
        for (index, char) in word.char_indices() {
            if is_invisible(char) {
                continue;
            }
            self.mark(start + index);
            match twin(char).filter(|_| is_mixed) {
                Some(latin) => self.text.push(latin),
                None => self.plain(char),
            }
        }
    }

    fn plain(&mut self, char: char) {
        if char.is_ascii() {
            self.text.push(char.to_ascii_lowercase());
            return;
        }
        for part in std::iter::once(char)
            .nfkd()
            .filter(|part| !is_combining_mark(*part))
        {
            match part {
                'ø' | 'Ø' => self.text.push('o'),
                'æ' | 'Æ' => self.text.push_str("ae"),
                'ß' => self.text.push_str("ss"),
                'ł' | 'Ł' => self.text.push('l'),
                'đ' | 'Đ' | 'ð' => self.text.push('d'),
                'ı' => self.text.push('i'),
                '‘' | '’' | 'ʼ' => self.text.push('\''),
                part => self.text.extend(part.to_lowercase()),
            }
        }
    }

    fn mark(&mut self, original: usize) {
        let own = self.text.len();
        if self.original(own) != original {
            self.marks.push((own, original));
        }
    }
}

/// The Latin letter or digit that a character of another script cannot be told from.
pub(crate) fn twin(char: char) -> Option<char> {
    if char.is_ascii() || !char.is_alphanumeric() {
        return None;
    }
    let of_one = |char: char| {
        let text = char.to_string();
        let mut skeleton = unicode_security::skeleton(&text);
        skeleton
            .next()
            .filter(|first| first.is_ascii_alphanumeric() && skeleton.next().is_none())
    };
    let found = of_one(char).or_else(|| char.to_lowercase().next().and_then(of_one));
    found.map(|latin| latin.to_ascii_lowercase())
}

fn is_mostly_latin(text: &str) -> bool {
    let latin = text.bytes().filter(u8::is_ascii_alphabetic).count();
    let others = text
        .chars()
        .filter(|char| !char.is_ascii() && char.is_alphabetic())
        .count();
    latin > others * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poi_04_what_hides_a_word_is_taken_away() {
        for (text, expected) in [
            ("Ignore", "ignore"),
            ("ig\u{200b}no\u{ad}re ALL", "ignore all"),
            ("іgnоre all", "ignore all"),
            ("ｉｇｎｏｒｅ", "ignore"),
            ("𝐢𝐠𝐧𝐨𝐫𝐞", "ignore"),
            ("før du går", "for du gar"),
            ("игнорируй", "игнорируи"),
        ] {
            assert_eq!(Folded::of(text).text, expected, "{text}");
        }
    }

    #[test]
    fn a_place_of_the_folded_text_is_found_in_the_original() {
        let text = "é\u{200b}\u{200b} a𝐛c read";
        let folded = Folded::of(text);
        let at = folded.text.find("read").expect("there");
        assert_eq!(text.get(folded.original(at)..), Some("read"));
    }
}
