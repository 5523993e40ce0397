//! What no file says: work that is not done, tests that do not run, and the machine it was written on.

use super::Fault;
use super::tree::{Tree, is_kind};

/// A text that is not said, and where it counts.
struct Word {
    text: &'static str,
    place: Place,
    why: &'static str,
}

#[derive(Clone, Copy)]
enum Place {
    Anywhere,
    Sources,
    Docs,
}

/// In two halves, so that this table does not say them either.
const WORDS: &[Word] = &[
    Word {
        text: concat!("TO", "DO"),
        place: Place::Anywhere,
        why: "work that is not done has an issue",
    },
    Word {
        text: concat!("FIX", "ME"),
        place: Place::Anywhere,
        why: "work that is not done has an issue",
    },
    Word {
        text: concat!("todo", "!"),
        place: Place::Sources,
        why: "code for later",
    },
    Word {
        text: concat!("unimplemented", "!"),
        place: Place::Sources,
        why: "code for later",
    },
    Word {
        text: concat!("dbg", "!"),
        place: Place::Sources,
        why: "left behind",
    },
    Word {
        text: concat!("#[", "ignore"),
        place: Place::Sources,
        why: "a test that does not run shows nothing",
    },
    Word {
        text: concat!("#[", "should_panic"),
        place: Place::Sources,
        why: "any panic would do: assert the error",
    },
    Word {
        text: concat!("/wo", "rk/"),
        place: Place::Anywhere,
        why: "a path of one machine",
    },
    Word {
        text: concat!("/ro", "ot/"),
        place: Place::Docs,
        why: "a path of one machine",
    },
    Word {
        text: concat!("/t", "mp/"),
        place: Place::Docs,
        why: "a path of one machine",
    },
];

/// Where packages come from: only lock files say it.
const HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("registry.", "npmjs"),
    concat!("registry.", "yarnpkg"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("extra-", "index-url"),
    concat!("_auth", "Token"),
];

impl Place {
    fn has(self, path: &str) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Sources => is_kind(path, "rs"),
            Self::Docs => is_kind(path, "md") || path.starts_with("docs/"),
        }
    }
}

/// The words stand nowhere.
pub(super) fn are_absent(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !is_lock(path)) {
        for word in WORDS.iter().filter(|word| word.place.has(path)) {
            let lines = lines_with(text, |line| stands(line, word.text));
            faults.extend(
                lines.map(|line| Fault::at(path, line, format!("`{}`: {}", word.text, word.why))),
            );
        }
    }
    faults
}

/// The hosts stand in lock files only.
pub(super) fn hosts_are_absent(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !is_lock(path)) {
        for host in HOSTS {
            let lines = lines_with(text, |line| line.contains(host));
            faults.extend(lines.map(|line| {
                Fault::at(
                    path,
                    line,
                    format!("`{host}`: where packages come from is the machine's own"),
                )
            }));
        }
    }
    faults
}

/// The numbers, from 1, of the lines that `has` finds.
fn lines_with(text: &str, has: impl Fn(&str) -> bool) -> impl Iterator<Item = usize> {
    text.lines()
        .enumerate()
        .filter(move |(_, line)| has(line))
        .map(|(index, _)| index + 1)
}

/// Whether a word stands in a line and is not the end or the beginning of a longer one.
fn stands(line: &str, word: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let ends_open = word.bytes().last().is_some_and(is_part);
    line.match_indices(word).any(|(at, _)| {
        let before = line.as_bytes().get(..at).and_then(<[u8]>::last);
        let after = line.as_bytes().get(at + word.len());
        !(before.copied().is_some_and(is_part) || ends_open && after.copied().is_some_and(is_part))
    })
}

fn is_lock(path: &str) -> bool {
    is_kind(path, "lock") || path.ends_with("package-lock.json")
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{HOSTS, WORDS, are_absent, hosts_are_absent};

    #[test]
    fn every_word_is_found() {
        for word in WORDS {
            let check = |path: &str, line: &str, faults: usize| {
                let text = format!("//! A.\n{line}\n");
                assert_eq!(
                    are_absent(&Tree::from([(path, &*text)])).len(),
                    faults,
                    "{path}: {line}"
                );
            };
            check("docs/a.rs", &format!("    {} // more", word.text), 1);
            check("docs/a.rs", &format!("x{}", word.text), 0);
            check("Cargo.lock", word.text, 0);
        }
    }

    #[test]
    fn words_count_where_they_matter() {
        let temporary = concat!("data = '/t", "mp/a'");
        for (path, text, faults) in [
            ("docs/a.toml", temporary, 1),
            ("README.md", temporary, 1),
            ("crates/a/src/a.rs", temporary, 0),
            ("docs/a.md", concat!("net", "TO", "DOs"), 0),
            ("docs/a.md", concat!("dbg", "!(x)"), 0),
            ("a.mjs", concat!("// TO", "DO: later"), 1),
        ] {
            assert_eq!(
                are_absent(&Tree::from([(path, text)])).len(),
                faults,
                "{path}: {text}"
            );
        }
    }

    #[test]
    fn every_host_is_found() {
        for host in HOSTS {
            let text = format!("from https://{host}/x\n");
            let tree = Tree::from([
                ("docs/a.md", &*text),
                ("Cargo.lock", &*text),
                ("b/package-lock.json", &*text),
            ]);
            assert_eq!(hosts_are_absent(&tree).len(), 1, "{host}");
        }
    }
}
