//! What may be depended on: `cargo deny` with the rules of `deny.toml`.

use crate::shell;
use crate::workspace::Workspace;

const VERSION: &str = "0.20.2";

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
    let tools = workspace.target.join("tools");
    let program = tools.join("bin/cargo-deny");
    let is_there = program.exists()
        && shell::output(shell::program(&program).arg("--version"))?
            .1
            .trim()
            == format!("cargo-deny {VERSION}");
    if !is_there {
        // Quick to compile, quick enough for a graph of our size.
        let mut install = workspace.cargo("install");
        install
            .args(["--locked", "--debug", "--force", "--root"])
            .arg(&tools);
        install.arg("--target-dir").arg(tools.join("build"));
        install.env("CARGO_PROFILE_DEV_DEBUG", "0");
        shell::run(install.arg(format!("cargo-deny@{VERSION}")))?;
        std::fs::remove_dir_all(tools.join("build"))?;
    }
    let mut deny = shell::program(&program);
    deny.current_dir(&workspace.root)
        .args(["--all-features", "check"]);
    shell::run(deny.args(what))
}
