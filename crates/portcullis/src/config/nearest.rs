//! Did you mean …?

/// Longer words are no slips of a pen, and would cost time to compare.
const MAX_WORD_CHARS: usize = 64;

/// The candidate that is fewest slips away, if that is few enough: one in three letters.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    if word.len() > MAX_WORD_CHARS {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| {
            (
                slips(&word, &candidate.to_lowercase().chars().collect::<Vec<_>>()),
                candidate,
            )
        })
        .filter(|(slips, candidate)| {
            *slips <= (word.len().max(candidate.chars().count()) / 3).max(1)
        })
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Letters to change, add, drop or swap with their neighbour (optimal string alignment).
fn slips(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (row, letter) in from.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX - 1);
            let replaced = cell(&above, column) + usize::from(letter != other);
            let mut best = replaced
                .min(cell(&above, column + 1) + 1)
                .min(cell(&line, column) + 1);
            let is_swap = column > 0 && last == Some(other) && to.get(column - 1) == Some(letter);
            if is_swap {
                best = best.min(cell(&before, column - 1) + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
        last = Some(letter);
    }
    above.last().copied().unwrap_or(from.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found() {
        for (word, expected) in [
            ("lissten", Some("listen")),
            ("isten", Some("listen")),
            ("lisetn", Some("listen")),
            ("LISTEN", Some("listen")),
            ("drian", Some("drain")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(
                nearest(word, ["listen", "admin", "drain"]),
                expected,
                "{word}"
            );
        }
        assert_eq!(nearest(&"a".repeat(1000), ["a"]), None);
    }
}
