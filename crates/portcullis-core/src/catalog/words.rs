//! Two texts word by word, and what nobody sees in them made visible.

use super::visible::visible;

/// The most words of a text that are compared; longer ones are shown as gone and new.
const MAX_WORDS: usize = 2_000;

/// A part of a text that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It stands in both.
    Same(String),
    /// It stands in the old one only.
    Gone(String),
    /// It stands in the new one only.
    New(String),
}

/// What changed from one text to the other, word by word; the texts are made visible.
pub(super) fn compare(old: &str, new: &str) -> Vec<Piece> {
    let (old_words, new_words) = (words(old), words(new));
    let mut pieces = Vec::new();
    if old_words.len() > MAX_WORDS || new_words.len() > MAX_WORDS {
        push(&mut pieces, Piece::Gone(visible(old)));
        push(&mut pieces, Piece::New(visible(new)));
        return pieces;
    }
    let lengths = lengths(&old_words, &new_words);
    let common = |at: usize, to: usize| lengths.get(at).and_then(|row| row.get(to)).copied();
    let (mut at, mut to) = (0, 0);
    loop {
        match (old_words.get(at), new_words.get(to)) {
            (Some(one), Some(other)) if one == other => {
                push(&mut pieces, Piece::Same(visible(one)));
                at += 1;
                to += 1;
            }
            (Some(one), other) if other.is_none() || common(at + 1, to) >= common(at, to + 1) => {
                push(&mut pieces, Piece::Gone(visible(one)));
                at += 1;
            }
            (_, Some(other)) => {
                push(&mut pieces, Piece::New(visible(other)));
                to += 1;
            }
            (_, None) => return pieces,
        }
    }
}

/// How long the longest common part is from each pair of words on.
fn lengths(old: &[&str], new: &[&str]) -> Vec<Vec<u16>> {
    let mut lengths = vec![vec![0_u16; new.len() + 1]];
    for one in old.iter().rev() {
        let below = lengths.last().cloned().unwrap_or_default();
        let mut row = vec![0_u16; new.len() + 1];
        let mut right = 0;
        for (to, other) in new.iter().enumerate().rev() {
            let diagonal = below.get(to + 1).copied().unwrap_or_default();
            let best = if one == other {
                diagonal.saturating_add(1)
            } else {
                right.max(below.get(to).copied().unwrap_or_default())
            };
            if let Some(cell) = row.get_mut(to) {
                *cell = best;
            }
            right = best;
        }
        lengths.push(row);
    }
    lengths.reverse();
    lengths
}

/// Words with the white space after them, so that they add up to the text.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = Vec::new();
    let (mut start, mut was_space) = (0, false);
    for (at, char) in text.char_indices() {
        let is_space = char.is_whitespace();
        if was_space && !is_space {
            words.extend(text.get(start..at));
            start = at;
        }
        was_space = is_space;
    }
    words.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    words
}

/// Adds a piece, to the last one if that is of the same sort.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), &piece) {
        (Some(Piece::Same(last)), Piece::Same(more))
        | (Some(Piece::Gone(last)), Piece::Gone(more))
        | (Some(Piece::New(last)), Piece::New(more)) => last.push_str(more),
        (_, Piece::Same(_) | Piece::Gone(_) | Piece::New(_)) => pieces.push(piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dyn_01_a_review_sees_words_and_what_is_hidden_between_them() {
        let pieces = compare("Adds two numbers.", "Adds two\u{200b} big numbers.");
        let expected = [
            Piece::Same("Adds ".to_owned()),
            Piece::Gone("two ".to_owned()),
            Piece::New("two⟨U+200B⟩ big ".to_owned()),
            Piece::Same("numbers.".to_owned()),
        ];
        assert_eq!(pieces, expected);
    }

    proptest! {
        #[test]
        fn dyn_01_the_pieces_add_up_to_both_texts(old in "[ab ]{0,40}", new in "[ab ]{0,40}") {
            let (mut was, mut is) = (String::new(), String::new());
            for piece in compare(&old, &new) {
                match piece {
                    Piece::Same(text) => { was.push_str(&text); is.push_str(&text); }
                    Piece::Gone(text) => was.push_str(&text),
                    Piece::New(text) => is.push_str(&text),
                }
            }
            prop_assert_eq!((was, is), (old, new));
        }
    }
}
