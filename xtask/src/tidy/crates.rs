//! Which crate of ours may depend on which: a short table, so that a new edge is a decision.

use toml::{Table, Value};

use super::Fault;
use super::tree::Tree;

/// A crate, and those of ours that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "portcullis",
        &[
            "portcullis-audit",
            "portcullis-authority",
            "portcullis-core",
            "portcullis-demo",
            "portcullis-sandbox",
            "portcullis-state",
        ],
    ),
    ("portcullis-audit", &[]),
    ("portcullis-authority", &["portcullis-core"]),
    ("portcullis-bench", &["portcullis-core"]),
    ("portcullis-core", &[]),
    ("portcullis-demo", &[]),
    (
        "portcullis-fuzz",
        &[
            "portcullis",
            "portcullis-audit",
            "portcullis-authority",
            "portcullis-core",
            "portcullis-sandbox",
        ],
    ),
    ("portcullis-peer-rmcp", &[]),
    ("portcullis-sandbox", &[]),
    ("portcullis-state", &["portcullis-core"]),
    ("xtask", &[]),
];

/// Every crate stands in the table and depends on what it says.
pub(super) fn know_their_place(tree: &Tree) -> Vec<Fault> {
    let manifests = tree
        .files()
        .filter(|(path, _)| path.ends_with("/Cargo.toml"));
    manifests
        .flat_map(|(path, text)| judge(path, text))
        .collect()
}

fn judge(path: &str, text: &str) -> Vec<Fault> {
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Fault::whole(path, format!("no manifest: {error}"))],
    };
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name")?.as_str())
        .unwrap_or_default();
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
        return vec![Fault::whole(
            path,
            format!("`{name}` stands not in the table of the crates (xtask, tidy)"),
        )];
    };
    let wrong = ours(&manifest)
        .into_iter()
        .filter(|dependency| !allowed.contains(&dependency.as_str()));
    wrong
        .map(|dependency| Fault::whole(path, format!("`{name}` must not depend on `{dependency}`")))
        .collect()
}

/// The crates of ours that a manifest names, under their real names, wherever it names them.
fn ours(manifest: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else {
            continue;
        };
        if key.ends_with("dependencies") {
            found.extend(
                table
                    .iter()
                    .map(real_name)
                    .filter(|name| is_ours(name))
                    .map(str::to_owned),
            );
        } else if key == "target" {
            found.extend(table.values().filter_map(Value::as_table).flat_map(ours));
        }
    }
    found
}

/// The name of a dependency's package, whatever it is called here.
fn real_name<'a>((name, dependency): (&'a String, &'a Value)) -> &'a str {
    dependency
        .get("package")
        .and_then(Value::as_str)
        .unwrap_or(name)
}

fn is_ours(name: &str) -> bool {
    name.starts_with("portcullis") || name == "xtask"
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::know_their_place;

    #[test]
    fn wrong_directions_are_found() {
        for (name, rest, faults) in [
            (
                "portcullis",
                "[dependencies]\nportcullis-core.workspace = true\nserde = '1'",
                0,
            ),
            ("portcullis-core", "[dependencies]\nserde = '1'", 0),
            (
                "portcullis-core",
                "[dependencies]\nportcullis-audit.workspace = true",
                1,
            ),
            (
                "portcullis-core",
                "[dependencies]\naudit = { package = 'portcullis-audit', path = 'x' }",
                1,
            ),
            (
                "portcullis-core",
                "[dev-dependencies]\nportcullis = { path = 'x' }",
                1,
            ),
            (
                "portcullis-core",
                "[build-dependencies]\nxtask = { path = 'x' }",
                1,
            ),
            (
                "portcullis-core",
                "[target.'cfg(unix)'.dependencies]\nportcullis-demo = { path = 'x' }",
                1,
            ),
            (
                "portcullis-sandbox",
                "[dependencies]\nportcullis-core = { path = 'x' }",
                1,
            ),
            ("portcullis-new", "", 1),
            (
                "xtask",
                "[dependencies]\nportcullis-core = { path = 'x' }",
                1,
            ),
            ("x'", "", 1),
        ] {
            let text = format!("[package]\nname = '{name}'\n{rest}\n");
            assert_eq!(
                know_their_place(&Tree::from([("crates/a/Cargo.toml", &*text)])).len(),
                faults,
                "{text}"
            );
        }
    }
}
