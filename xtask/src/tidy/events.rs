//! The table of events in `ARCHITECTURE.md` is what the code can write, and nothing else.

use std::collections::BTreeMap;

use super::Fault;
use super::sources::without_tests;
use super::tree::Tree;

const PAGE: &str = "ARCHITECTURE.md";
/// Where the tables begin and end.
const AROUND: [&str; 2] = ["### Exchanges", "## Streams"];
/// Code that writes no event: it lists them, or has words of its own that look like some.
const ELSEWHERE: &[&str] = &["/alert/known.rs", "/cli/doctor/", "/cli/scan/", "/points/"];
/// Texts that look like events: files, purposes of sealing, a target of the log on stderr.
const NO_EVENTS: &[&str] = &[
    "audit.vkey",
    "passkey.js",
    "state.db",
    "upstream.client",
    "upstream.grant",
    "upstream.stderr",
];

/// Every event of the tables is written by some code; everything in the code that begins like an event is in the tables.
pub(super) fn are_told(tree: &Tree) -> Vec<Fault> {
    let told = told(tree.text(PAGE).unwrap_or_default());
    let mut families: Vec<&str> = told.keys().filter_map(|event| family(event)).collect();
    families.dedup();
    let mut written = BTreeMap::new();
    for (path, text) in tree.sources() {
        if !path.starts_with("crates/") || ELSEWHERE.iter().any(|part| path.contains(part)) {
            continue;
        }
        for (line, text) in without_tests(path, text) {
            let literals = text.split('"').skip(1).step_by(2);
            let is_event = |text: &&str| family(text).is_some_and(|own| families.contains(&own));
            for literal in literals.filter(is_event) {
                written.entry(literal).or_insert((path, line));
            }
        }
    }
    let unwritten = told
        .iter()
        .filter(|(event, _)| !written.contains_key(*event));
    let unwritten = unwritten
        .map(|(event, line)| Fault::at(PAGE, *line, format!("no code writes the event {event}")));
    let untold = written
        .iter()
        .filter(|(event, _)| !told.contains_key(*event) && !NO_EVENTS.contains(event));
    let untold = untold.map(|(event, (path, line))| {
        Fault::at(
            path,
            *line,
            format!("{PAGE} does not tell of the event {event}"),
        )
    });
    unwritten.chain(untold).collect()
}

/// The events of the tables, each with its line.
fn told(page: &str) -> BTreeMap<&str, usize> {
    let [begin, end] = AROUND;
    let lines = page.lines().enumerate();
    let rows = lines
        .skip_while(|(_, line)| *line != begin)
        .take_while(|(_, line)| *line != end);
    let cells = rows.filter_map(|(index, line)| {
        let cell = line.strip_prefix("| ")?.split(" | ").next()?;
        Some((index + 1, cell))
    });
    cells
        .flat_map(|(line, cell)| {
            let names = cell.split('`').skip(1).step_by(2);
            names.map(move |name| (name, line))
        })
        .collect()
}

/// What stands before the one point of an event.
fn family(text: &str) -> Option<&str> {
    let (family, rest) = text.split_once('.')?;
    let is_word = |text: &str| {
        let own = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        !text.is_empty() && text.bytes().all(own)
    };
    (is_word(family) && is_word(rest)).then_some(family)
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{PAGE, are_told};

    #[test]
    fn the_tables_and_the_code_tell_the_same_events() {
        let page = "| `other.thing` |\n### Exchanges\n\n| event | when |\n| `key.made`, `key.gone` | a `key.part` |\n## Streams\n";
        let code = "//! A.\nlet events = [\"key.made\", \"key.new\", \"other.thing\"];\n";
        let tree = Tree::from([(PAGE, page), ("crates/a/src/a.rs", code)]);
        let faults: Vec<String> = are_told(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "ARCHITECTURE.md:5: no code writes the event key.gone",
                "crates/a/src/a.rs:2: ARCHITECTURE.md does not tell of the event key.new",
            ]
        );
    }
}
