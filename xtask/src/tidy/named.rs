//! Tests bear the ids of the controls that they show, and every control that is claimed is shown.

use std::collections::BTreeSet;

use super::catalogue::{Catalogue, Control};
use super::sources::functions;
use super::tree::Tree;
use super::{CATALOGUE, Fault};

/// A control that is claimed has a test whose name begins with its id.
pub(super) fn every_claim_has_a_test(tree: &Tree, catalogue: &Catalogue) -> Vec<Fault> {
    let tests: BTreeSet<&str> = in_crates(tree)
        .flat_map(|(_, text)| functions(text))
        .filter(|function| function.is_test)
        .map(|function| function.name)
        .collect();
    let is_shown = |control: &Control| {
        let prefix = control.prefix();
        tests
            .range(&*prefix..)
            .next()
            .is_some_and(|name| name.starts_with(&prefix))
    };
    let silent = catalogue
        .control
        .iter()
        .filter(|control| !is_shown(control));
    silent
        .map(|control| {
            Fault::whole(
                CATALOGUE,
                format!("{}: no test is called {}...", control.id, control.prefix()),
            )
        })
        .collect()
}

/// A function whose name begins like an id begins with one that is claimed, and is a test.
pub(super) fn every_name_is_claimed(tree: &Tree, catalogue: &Catalogue) -> Vec<Fault> {
    let prefixes: BTreeSet<String> = catalogue.control.iter().map(Control::prefix).collect();
    let mut faults = Vec::new();
    for (path, text) in in_crates(tree) {
        for function in functions(text) {
            let Some(prefix) = prefix(function.name) else {
                continue;
            };
            let id = prefix
                .trim_end_matches('_')
                .to_ascii_uppercase()
                .replace('_', "-");
            if !prefixes.contains(&prefix) {
                faults.push(Fault::at(
                    path,
                    function.line,
                    format!("{}: {CATALOGUE} claims no {id}", function.name),
                ));
            } else if !function.is_test {
                faults.push(Fault::at(
                    path,
                    function.line,
                    format!("{}: named like a test of {id}, and is none", function.name),
                ));
            }
        }
    }
    faults
}

fn in_crates(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.sources()
        .filter(|(path, _)| path.starts_with("crates/"))
}

/// What of a name looks like the id of a control: letters and two digits, or `man` and one.
fn prefix(name: &str) -> Option<String> {
    let (family, rest) = name.split_once('_')?;
    let (number, _) = rest.split_once('_')?;
    let is_id = family.bytes().all(|byte| byte.is_ascii_lowercase())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && (number.len() == 2 || family == "man" && number.len() == 1);
    is_id.then(|| format!("{family}_{number}_"))
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::Catalogue;
    use super::super::tree::Tree;
    use super::{every_claim_has_a_test, every_name_is_claimed};

    fn catalogue() -> Catalogue {
        let control = |id| {
            format!("[[control]]\nid = '{id}'\ntext = 't'\nroom = 'crates'\nstatus = 'done'\n")
        };
        Catalogue::parse(&(control("TOK-06") + &control("MAN-1"))).unwrap()
    }

    const GOOD: &str = "#[test]\nfn tok_06_a() {}\n#[tokio::test]\nasync fn man_1_b() {}\n";

    #[test]
    fn a_claim_without_a_test_is_found() {
        for (path, text, faults) in [
            ("crates/a/src/a.rs", GOOD, 0),
            ("xtask/src/a.rs", GOOD, 2),
            ("crates/a/src/a.rs", "#[test]\nfn tok_06_a() {}\n", 1),
            (
                "crates/a/src/a.rs",
                "fn tok_06_a() {}\n#[test]\nfn man_1_b() {}\n",
                1,
            ),
            (
                "crates/a/src/a.rs",
                "#[test]\nfn tok_06() {}\n#[test]\nfn man_10_b() {}\n",
                2,
            ),
        ] {
            assert_eq!(
                every_claim_has_a_test(&Tree::from([(path, text)]), &catalogue()).len(),
                faults,
                "{text}"
            );
        }
    }

    #[test]
    fn a_name_that_nobody_claims_is_found() {
        for (text, faults) in [
            (GOOD, 0),
            ("#[test]\nfn tok_07_a() {}\n", 1),
            ("#[test]\nfn sess_03_a() {}\n", 1),
            ("#[test]\nfn man_4_a() {}\n", 1),
            ("fn tok_06_a() {}\n", 1),
            (
                "#[test]\nfn utf_8_is_wanted() {}\n#[test]\nfn rfc_9068_holds() {}\n#[test]\nfn sha_256_a() {}\n",
                0,
            ),
        ] {
            assert_eq!(
                every_name_is_claimed(&Tree::from([("crates/a/src/a.rs", text)]), &catalogue())
                    .len(),
                faults,
                "{text}"
            );
        }
    }
}
