//! `docs/controls.md`: the catalogue for people.

use std::fmt::Write as _;

use super::catalogue::{Catalogue, Control, Status};
use super::tree::Tree;
use super::{CATALOGUE, Fault, PAGE};

const HEAD: &str = "\
# Controls

The controls of Microsoft's *MCP Security Controls* (February 2026) that the gateway keeps, under the ids of its
sections, and the room that keeps each. The tests of a control bear its id: `TOK-06` is shown by the tests whose
names begin with `tok_06_` (`cargo test --workspace tok_06_`).

";
const FOOT: &str = "
Generated from `docs/controls.toml` by `cargo xtask tidy --write`, which also checks that every room is there and
every control has a test.
";

/// The page is what the catalogue says.
pub(super) fn is_generated(tree: &Tree, catalogue: &Catalogue) -> Vec<Fault> {
    if tree.text(PAGE) == Some(&*page(catalogue)) {
        return Vec::new();
    }
    vec![Fault::whole(
        PAGE,
        format!("differs from {CATALOGUE}: cargo xtask tidy --write"),
    )]
}

/// The page.
pub(super) fn page(catalogue: &Catalogue) -> String {
    let done = catalogue
        .control
        .iter()
        .filter(|control| control.status == Status::Done)
        .count();
    let mut page = HEAD.to_owned();
    let mut line = |text: String| {
        if writeln!(page, "{text}").is_err() {
            // Writing to a text cannot fail.
        }
    };
    line(format!(
        "{done} are done, {} in part.\n",
        catalogue.control.len() - done
    ));
    line("| id | control | room | missing |".to_owned());
    line("| --- | --- | --- | --- |".to_owned());
    for Control {
        id,
        text,
        room,
        missing,
        ..
    } in &catalogue.control
    {
        line(format!(
            "| {id} | {text} | `{room}` | {} |",
            missing.as_deref().unwrap_or_default()
        ));
    }
    page + FOOT
}

#[cfg(test)]
mod tests {
    use super::super::PAGE;
    use super::super::catalogue::Catalogue;
    use super::super::tree::Tree;
    use super::{is_generated, page};

    #[test]
    fn a_page_of_another_catalogue_is_found() {
        let text = "[[control]]\nid = 'TOK-06'\ntext = 't'\nroom = 'crates/a'\nstatus = 'done'\n";
        let catalogue = Catalogue::parse(text).unwrap();
        let good = page(&catalogue);
        assert!(
            good.contains("1 are done, 0 in part.\n")
                && good.contains("| TOK-06 | t | `crates/a` |  |\n")
        );
        for (page, faults) in [
            (good.as_str(), 0),
            (&good.replace("TOK-06", "TOK-07"), 1),
            ("", 1),
        ] {
            assert_eq!(
                is_generated(&Tree::from([(PAGE, page)]), &catalogue).len(),
                faults
            );
        }
        assert_eq!(is_generated(&Tree::default(), &catalogue).len(), 1);
    }
}
