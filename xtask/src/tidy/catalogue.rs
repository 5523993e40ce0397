//! The controls that are claimed: `docs/controls.toml`.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde::Deserialize;

use super::tree::Tree;
use super::{CATALOGUE, Fault};

/// All of them, in the order of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalogue {
    pub(super) control: Vec<Control>,
}

/// One control of the guide, and how far we keep it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    /// As the guide numbers it: `TOK-06`.
    pub(super) id: String,
    /// What it is, in one line.
    pub(super) text: String,
    /// The folder or file that keeps it.
    pub(super) room: String,
    pub(super) status: Status,
    /// What is not there yet, of a control that is there in part.
    pub(super) missing: Option<String>,
}

/// How far a control is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Done,
    Part,
}

impl Catalogue {
    /// Reads the file's text.
    ///
    /// # Errors
    /// If it is no such file.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).context("not a catalogue of controls")
    }

    /// What is wrong with the catalogue itself.
    pub(super) fn faults(&self, tree: &Tree) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for control in &self.control {
            let mut fault = |text: String| {
                faults.push(Fault::whole(CATALOGUE, format!("{}: {text}", control.id)));
            };
            if !is_id(&control.id) {
                fault("no id of a control".to_owned());
            }
            if !seen.insert(&control.id) {
                fault("stands here twice".to_owned());
            }
            if !tree.has(&control.room) {
                fault(format!("its room is not there: {}", control.room));
            }
            if (control.status == Status::Part) != control.missing.is_some() {
                fault(
                    "`missing` is for a control that is there in part, and for every such"
                        .to_owned(),
                );
            }
        }
        faults
    }
}

impl Control {
    /// How the names of its tests begin: `tok_06_`.
    pub(super) fn prefix(&self) -> String {
        format!("{}_", self.id.to_ascii_lowercase().replace('-', "_"))
    }
}

/// Capital letters, a hyphen, one or two digits.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(family, number)| {
        !family.is_empty()
            && family.bytes().all(|byte| byte.is_ascii_uppercase())
            && (1..=2).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::Catalogue;

    const GOOD: &str =
        "[[control]]\nid = 'TOK-06'\ntext = 't'\nroom = 'crates/a'\nstatus = 'done'\n";

    #[test]
    fn faults_of_the_catalogue_are_found() {
        let tree = Tree::from([("crates/a/x.rs", "")]);
        for (text, faults) in [
            (GOOD.to_owned(), 0),
            (format!("{GOOD}{GOOD}"), 1),
            (GOOD.replace("crates/a", "crates/b"), 1),
            (GOOD.replace("TOK-06", "tok-06"), 1),
            (GOOD.replace("TOK-06", "TOK-006"), 1),
            (GOOD.replace("done", "part"), 1),
            (
                format!("{}missing = 'm'\n", GOOD.replace("done", "part")),
                0,
            ),
            (format!("{GOOD}missing = 'm'\n"), 1),
        ] {
            assert_eq!(
                Catalogue::parse(&text).unwrap().faults(&tree).len(),
                faults,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_catalogue_is_refused() {
        for text in [
            "",
            "[[control]]\nid = 'TOK-06'\n",
            &format!("{GOOD}more = 1\n"),
            &GOOD.replace("done", "planned"),
        ] {
            assert!(Catalogue::parse(text).is_err(), "{text}");
        }
    }
}
