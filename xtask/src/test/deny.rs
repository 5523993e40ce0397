//! What may be depended on: `cargo deny` with the rules of `deny.toml`.

use crate::shell;
use crate::tools::{self, Build};
use crate::workspace::Workspace;

const DENY: (&str, &str) = ("cargo-deny", "0.20.2");

/// Licences, bans and sources: all that can be told from the lock file and the sources.
pub(super) fn offline(workspace: &Workspace) -> anyhow::Result<()> {
    check(workspace, &["licenses", "bans", "sources"])?;
    shell::say(
        "advisories are a step of their own, for they need a database from the network: \
                cargo xtask test --only advisories",
    );
    Ok(())
}

/// Known vulnerabilities; fetches the database, and fails where it cannot.
pub(super) fn advisories(workspace: &Workspace) -> anyhow::Result<()> {
    check(workspace, &["advisories"])
}

fn check(workspace: &Workspace, what: &[&str]) -> anyhow::Result<()> {
    // Quick to compile, quick enough for a graph of our size.
    let program = tools::install(workspace, DENY, Build::Debug)?;
    let mut deny = shell::program(&program);
    deny.current_dir(&workspace.root)
        .args(["--all-features", "check"]);
    shell::run(deny.args(what))
}
