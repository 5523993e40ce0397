//! The schema and the reference are ours.

use super::*;

#[test]
fn the_committed_schema_is_ours() {
    let committed = include_str!("../../../../../docs/portcullis.schema.json");
    let ours = serde_json::to_string_pretty(&schema()).unwrap();
    assert!(
        committed.trim() == ours,
        "write into docs/portcullis.schema.json:\n{ours}"
    );
}

#[test]
fn the_reference_in_the_documentation_is_ours() {
    let page = include_str!("../../../../../docs/configuration.md");
    let (_, rest) = page.split_once("<!-- reference: begin -->\n").unwrap();
    let (committed, _) = rest.split_once("<!-- reference: end -->").unwrap();
    assert!(
        committed == reference(),
        "write between the markers:\n{}",
        reference()
    );
}

#[test]
fn the_reference_names_every_section() {
    let sections = schema();
    let mut names: Vec<&str> = sections["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut ordered = reference::ORDER.to_vec();
    names.sort_unstable();
    ordered.sort_unstable();
    assert_eq!(names, ordered);
    assert!(reference().contains("### `[servers.NAME.tools.TOOL]`"));
}
