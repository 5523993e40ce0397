//! The rules of the house that no other tool knows. Each is a row of [`RULES`]: a function from the tree of
//! files to what is wrong with it, with a test that plants what it must find.

mod catalogue;
mod crates;
mod events;
mod files;
mod named;
mod page;
mod sources;
mod tree;
mod words;

use std::fmt;
use std::fs;

use anyhow::{Context as _, bail};

use crate::shell;
use crate::workspace::Workspace;
use catalogue::Catalogue;
use tree::Tree;

/// The controls that are claimed.
const CATALOGUE: &str = "docs/controls.toml";
/// The same for people, generated.
const PAGE: &str = "docs/controls.md";

/// Something that is not as it has to be.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    path: String,
    /// Counted from 1; 0 for the file as a whole.
    line: usize,
    text: String,
}

impl Fault {
    fn at(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }

    fn whole(path: &str, text: impl Into<String>) -> Self {
        Self::at(path, 0, text)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.text),
            line => write!(f, "{}:{line}: {}", self.path, self.text),
        }
    }
}

/// The rules about files.
const RULES: &[fn(&Tree) -> Vec<Fault>] = &[
    files::open_with_a_sentence,
    files::are_short,
    words::are_absent,
    words::hosts_are_absent,
    crates::know_their_place,
    events::are_told,
];

/// The rules about files and the controls that are claimed.
const CLAIMS: &[fn(&Tree, &Catalogue) -> Vec<Fault>] = &[
    named::every_claim_has_a_test,
    named::every_name_is_claimed,
    page::is_generated,
];

/// Checks every rule.
///
/// # Errors
/// If one is broken; every fault is printed.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let tree = Tree::read(&workspace.root)?;
    let faults = judge(&tree);
    for fault in &faults {
        shell::say(&fault.to_string());
    }
    if !faults.is_empty() {
        bail!("{} faults", faults.len());
    }
    shell::say(&format!("{} files are tidy", tree.len()));
    Ok(())
}

/// Writes the page of the controls, then checks every rule.
///
/// # Errors
/// If the catalogue cannot be read, the page not be written, or a rule is broken.
pub(crate) fn write(workspace: &Workspace) -> anyhow::Result<()> {
    let text = fs::read_to_string(workspace.root.join(CATALOGUE)).context(CATALOGUE)?;
    fs::write(
        workspace.root.join(PAGE),
        page::page(&Catalogue::parse(&text)?),
    )?;
    check(workspace)
}

fn judge(tree: &Tree) -> Vec<Fault> {
    let mut faults: Vec<Fault> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    match Catalogue::parse(tree.text(CATALOGUE).unwrap_or_default()) {
        Ok(catalogue) => {
            faults.extend(catalogue.faults(tree));
            faults.extend(CLAIMS.iter().flat_map(|rule| rule(tree, &catalogue)));
        }
        Err(error) => faults.push(Fault::whole(CATALOGUE, format!("{error:#}"))),
    }
    faults.sort();
    faults
}
