//! Programs from the registry that the workshop uses: built once, kept under the target directory.

use std::path::PathBuf;

use crate::shell;
use crate::workspace::Workspace;

/// How a tool is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// Quick to compile.
    Debug,
    /// Quick to run.
    Release,
}

/// The program of a crate at exactly this version; installed if it is not there.
///
/// # Errors
/// If it does not build.
pub(crate) fn install(
    workspace: &Workspace,
    (name, version): (&str, &str),
    build: Build,
) -> anyhow::Result<PathBuf> {
    let root = workspace
        .target
        .join("tools")
        .join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if program.exists() {
        return Ok(program);
    }
    let scratch = root.join("build");
    let mut install = workspace.cargo("install");
    install.args(["--locked", "--root"]).arg(&root);
    install.arg("--target-dir").arg(&scratch);
    if build == Build::Debug {
        install.arg("--debug").env("CARGO_PROFILE_DEV_DEBUG", "0");
    }
    shell::run(install.arg(format!("{name}@{version}")))?;
    std::fs::remove_dir_all(scratch)?;
    Ok(program)
}
