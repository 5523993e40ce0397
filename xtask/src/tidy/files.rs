//! How a source file begins, and how long it may be.

use super::Fault;
use super::sources::without_tests;
use super::tree::Tree;

const MAX_LINES: usize = 400;

/// Every source file opens with `//!` and a sentence.
pub(super) fn open_with_a_sentence(tree: &Tree) -> Vec<Fault> {
    let is_mute = |text: &str| {
        !text
            .strip_prefix("//! ")
            .is_some_and(|rest| rest.starts_with(char::is_alphanumeric) || rest.starts_with('`'))
    };
    let faults = tree.sources().filter(|(_, text)| is_mute(text));
    faults
        .map(|(path, _)| Fault::at(path, 1, "a file opens with `//!` and says what it is"))
        .collect()
}

/// No source file has more lines than one can hold in the head.
pub(super) fn are_short(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in tree.sources() {
        let lines = without_tests(path, text).len();
        if lines > MAX_LINES {
            faults.push(Fault::whole(
                path,
                format!("{lines} lines without its tests; at most {MAX_LINES}"),
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{are_short, open_with_a_sentence};

    #[test]
    fn a_file_without_a_sentence_is_found() {
        for (text, faults) in [
            ("//! A room.\n", 0),
            ("//! `portcullis up`.\n", 0),
            ("use a;\n", 1),
            ("", 1),
            ("//!\n", 1),
            ("\n//! A room.\n", 1),
        ] {
            assert_eq!(
                open_with_a_sentence(&Tree::from([("a.rs", text), ("a.md", "")])).len(),
                faults,
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_long_file_is_found() {
        let tests = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            "    //\n".repeat(1000)
        );
        for (lines, faults) in [(400, 0), (401, 1)] {
            let text = "//\n".repeat(lines) + &tests;
            let tree = Tree::from([("src/a.rs", &*text), ("src/tests.rs", &*tests)]);
            assert_eq!(are_short(&tree).len(), faults, "{lines}");
        }
    }
}
