//! Weighs the gateway as it is shipped, with our own scales.

use crate::shell;
use crate::workspace::Workspace;

/// Builds the gateway and the scales with optimisation, and runs `portcullis-bench run` with `args`.
///
/// # Errors
/// If something does not build, or the scales report a fault.
pub(crate) fn run(workspace: &Workspace, args: &[&str]) -> anyhow::Result<()> {
    let release = workspace.target.join("release");
    shell::run(
        workspace
            .cargo("build")
            .args(["--release", "--workspace", "--exclude", "xtask"]),
    )?;
    let mut bench = shell::program(release.join("portcullis-bench"));
    bench.current_dir(&workspace.root).arg("run");
    // An earlier run is judged, nothing is weighed: then no gateway is named.
    if !args.contains(&"--check") {
        bench.arg("--gateway").arg(release.join("portcullis"));
    }
    shell::run(bench.args(args))
}
