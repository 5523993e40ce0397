//! Finds notes by words: whatever the case, titles count more, newer notes first among equals.

use std::cmp::Reverse;

use super::Note;

/// The number of words of a query that are looked for.
const MAX_WORDS: usize = 16;
const TITLE_WEIGHT: usize = 3;
const MAX_SNIPPET_CHARS: usize = 120;

/// A note that was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) id: u64,
    pub(crate) title: String,
    /// The start of the first line that holds a word of the query, or of the note.
    pub(crate) snippet: String,
    pub(crate) score: usize,
}

pub(super) fn search(notes: &[Note], query: &str, limit: usize) -> Vec<Match> {
    let query = query.to_lowercase();
    let words: Vec<&str> = query.split_whitespace().take(MAX_WORDS).collect();
    let mut matches: Vec<Match> = notes
        .iter()
        .filter_map(|note| score(note, &words))
        .collect();
    matches.sort_by_key(|found| (Reverse(found.score), Reverse(found.id)));
    matches.truncate(limit);
    matches
}

fn score(note: &Note, words: &[&str]) -> Option<Match> {
    let (title, text) = (note.title.to_lowercase(), note.text.to_lowercase());
    let score = words
        .iter()
        .map(|word| title.matches(word).count() * TITLE_WEIGHT + text.matches(word).count())
        .sum();
    if score == 0 {
        return None;
    }
    let has_word = |line: &&str| {
        let line = line.to_lowercase();
        words.iter().any(|word| line.contains(word))
    };
    let line = note
        .text
        .lines()
        .find(has_word)
        .or(note.text.lines().next())
        .unwrap_or_default();
    let snippet = line.chars().take(MAX_SNIPPET_CHARS).collect();
    Some(Match {
        id: note.id,
        title: note.title.clone(),
        snippet,
        score,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: &[(u64, usize)]) {
        let note = |id, title: &str, text: &str| Note {
            id,
            title: title.to_owned(),
            text: text.to_owned(),
            created_ms: 0,
        };
        let notes = [
            note(1, "Bread", "Flour and water"),
            note(2, "Pizza", "BREAD dough\nflour, flour"),
            note(3, "Übung", "water"),
        ];
        let found = search(&notes, query, 2);
        assert_eq!(
            found.iter().map(|m| (m.id, m.score)).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn ranks_titles_then_counts_then_newer_notes() {
        check("bread", &[(1, 3), (2, 1)]);
        check("FLOUR", &[(2, 2), (1, 1)]);
        check("water", &[(3, 1), (1, 1)]);
        check("übung", &[(3, 3)]);
        check("bread flour water", &[(1, 5), (2, 3)]);
        check("nothing", &[]);
        check("  ", &[]);
    }
}
