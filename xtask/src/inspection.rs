//! Trains the model of inspection and measures it.

use crate::shell;
use crate::workspace::Workspace;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Where the labelled texts are that are no part of the project, seen from its root.
const DATA: &str = "../shared/data";
const TEXTS: &str = "text.jsonl";

/// Trains the model from a folder and the grammar, and writes its weights, their digest and their manifest.
///
/// # Errors
/// Without the folder, or if something does not build.
pub(crate) fn train(workspace: &Workspace, data: Option<&str>) -> anyhow::Result<()> {
    let folder =
        unpacked(workspace, data)?.context("training needs labelled texts: --data FOLDER")?;
    run(workspace, &["train"], Some(&folder))
}

/// Measures the shipped model on texts of our own grammar and, where the labelled texts are, models of its kind on each
/// family that they never saw.
///
/// # Errors
/// If something does not build, or a folder is named that is not there.
pub(crate) fn evaluate(workspace: &Workspace, data: Option<&str>) -> anyhow::Result<()> {
    run(workspace, &["evaluate"], None)?;
    if let Some(folder) = unpacked(workspace, data)? {
        return run(workspace, &["left-out"], Some(&folder));
    }
    shell::say(
        "Families left out are not measured: the labelled texts are not on this machine (--data FOLDER).",
    );
    Ok(())
}

fn run(workspace: &Workspace, args: &[&str], folder: Option<&Path>) -> anyhow::Result<()> {
    let mut build = workspace.cargo("build");
    shell::run(build.args(["--quiet", "--workspace", "--example", "inspection"]))?;
    let mut program = shell::program(workspace.built("examples/inspection"));
    shell::run(program.current_dir(&workspace.root).args(args).args(folder))
}

/// A folder with the labelled texts as they are, unpacked if they are packed; none if nobody named one and there is none.
fn unpacked(workspace: &Workspace, data: Option<&str>) -> anyhow::Result<Option<PathBuf>> {
    let folder = workspace.root.join(data.unwrap_or(DATA));
    if folder.join(TEXTS).is_file() {
        return Ok(Some(folder));
    }
    let packed = folder.join(format!("{TEXTS}.gz"));
    if !packed.is_file() && data.is_none() {
        return Ok(None);
    }
    let (code, texts) = shell::output(shell::program("gzip").arg("-dc").arg(&packed))?;
    anyhow::ensure!(code == 0, "cannot unpack {}", packed.display());
    let fresh = workspace.fresh("inspection")?;
    std::fs::write(fresh.join(TEXTS), texts).context("writing the unpacked texts")?;
    Ok(Some(fresh))
}
