//! Counts the instructions of the core's part of a request: a number that noise does not move.
//!
//! Valgrind runs the example `walk` of `portcullis-core` twice for each step, with few requests and with
//! many; the difference is what the requests cost, without the start of the program.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::shell;
use crate::workspace::{self, Workspace};

/// Instructions of `admit` and `release` together, for one call of 64 bytes, when this was last set.
const EXPECTED: u64 = 55_800;
/// By how much more the step fails, and by how much less it asks for a new number.
const TOLERANCE_PERCENT: u64 = 4;
const FEW: u64 = 200;
const MANY: u64 = 1200;

/// Counts, prints, and compares with what is expected.
///
/// # Errors
/// If Valgrind is missing, or the number is too far from the expected one.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    // With the features that the bench builds with, so that the two share what they compile.
    let mut build = workspace.cargo("build");
    build.args(["--release", "--workspace", "--exclude", "xtask"]);
    shell::run(build.args(["--example", "walk"]))?;
    let walk = workspace.target.join("release/examples/walk");
    let folder = workspace.target.join("instructions");
    workspace::make(&folder)?;
    let of = |step: &str| -> anyhow::Result<u64> {
        let few = count(&walk, &folder, (step, FEW))?;
        let many = count(&walk, &folder, (step, MANY))?;
        Ok(many.saturating_sub(few) / (MANY - FEW))
    };
    let (identify, admit, release) = (of("identify")?, of("admit")?, of("release")?);
    let ours = release.saturating_sub(identify);
    shell::say(&format!(
        "instructions a request: identify {identify}, admit {}, release {}; admit + release {ours}, expected {EXPECTED}",
        admit.saturating_sub(identify),
        release.saturating_sub(admit),
    ));
    judge(ours)
}

fn judge(ours: u64) -> anyhow::Result<()> {
    let tolerated = EXPECTED * TOLERANCE_PERCENT / 100;
    ensure!(
        ours <= EXPECTED + tolerated,
        "admit + release take more than {TOLERANCE_PERCENT} % too many instructions"
    );
    if ours + tolerated < EXPECTED {
        shell::say("this is less than expected: lower EXPECTED in xtask/src/instructions.rs");
    }
    Ok(())
}

fn count(walk: &Path, folder: &Path, (step, requests): (&str, u64)) -> anyhow::Result<u64> {
    let counted = folder.join(format!("{step}-{requests}"));
    let mut valgrind = shell::program("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", counted.display()))
        .arg(walk)
        .args([step, &requests.to_string()]);
    let (code, _) = shell::output(&mut valgrind).context("Debian has it as valgrind")?;
    ensure!(code == 0, "walk {step} failed under valgrind");
    let counted = std::fs::read_to_string(&counted)?;
    let total = counted
        .lines()
        .find_map(|line| line.strip_prefix("totals: "));
    Ok(total.context("callgrind counted nothing")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_percent_more_are_too_many() {
        assert!(judge(EXPECTED).is_ok());
        assert!(judge(EXPECTED / 2).is_ok());
        assert!(judge(EXPECTED + EXPECTED * TOLERANCE_PERCENT / 100).is_ok());
        assert!(judge(EXPECTED + EXPECTED / 20).is_err());
    }
}
