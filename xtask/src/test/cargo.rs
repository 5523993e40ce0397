//! The steps that cargo itself can do.

use anyhow::ensure;

use super::peers;
use crate::shell;
use crate::workspace::Workspace;

/// Packages that are no members of the workspace.
const ALONE: &[&str] = &["fuzz/Cargo.toml", PEER];
/// The peers of Rust. No lint speaks there either; `cargo deny` does not look at what they are made of, as nothing of it
/// comes near the gateway.
const PEER: &str = "tests/peers/packages/rmcp/Cargo.toml";

pub(super) fn fmt(workspace: &Workspace) -> anyhow::Result<()> {
    shell::run(workspace.cargo("fmt").args(["--all", "--check"]))?;
    for alone in ALONE {
        shell::run(
            workspace
                .cargo("fmt")
                .args(["--check", "--manifest-path", alone]),
        )?;
    }
    Ok(())
}

pub(super) fn clippy(workspace: &Workspace) -> anyhow::Result<()> {
    for which in [&["--workspace"][..], &["--locked", "--manifest-path", PEER]] {
        let mut command = workspace.cargo("clippy");
        // A package that stands alone would build beside its sources.
        command
            .args(which)
            .arg("--target-dir")
            .arg(&workspace.target);
        shell::run(command.args(["--all-targets", "--", "-D", "warnings"]))?;
    }
    Ok(())
}

pub(super) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    shell::run(
        workspace
            .cargo("build")
            .args(["--workspace", "--all-targets"]),
    )
}

pub(super) fn test(workspace: &Workspace) -> anyhow::Result<()> {
    build(workspace)?;
    peers::install(workspace)?;
    let mut tally = Tally::default();
    let mut command = workspace.cargo("test");
    command
        .args(["--workspace", "--no-fail-fast"])
        .env("PORTCULLIS_PEERS", workspace.peers());
    let done = shell::run_seen(&mut command, |line| tally.add(line));
    shell::say(&format!("{} passed, {} failed", tally.passed, tally.failed));
    done?;
    ensure!(tally.passed > 0, "no test was run");
    ensure!(
        tally.ignored == 0,
        "{} tests were ignored: a test that does not run shows nothing",
        tally.ignored
    );
    Ok(())
}

pub(super) fn doc(workspace: &Workspace) -> anyhow::Result<()> {
    let mut command = workspace.cargo("doc");
    command.args(["--workspace", "--no-deps", "--document-private-items"]);
    shell::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// What the lines of the test programs add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Tally {
    /// Adds a line such as `test result: ok. 12 passed; 0 failed; 0 ignored; ...`; other lines say nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split(';') {
            let Some((number, what)) = count.trim().split_once(' ') else {
                continue;
            };
            let number: u64 = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn results_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out; finished in 2.00s",
            "test result_of_a_name ... ok",
        ] {
            tally.add(line);
        }
        assert_eq!(
            tally,
            Tally {
                passed: 7,
                failed: 1,
                ignored: 1
            }
        );
    }
}
