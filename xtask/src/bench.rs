//! Weighs the gateway as it is shipped, with our own scales.

use crate::shell;
use crate::tools::{self, Build};
use crate::workspace::Workspace;

/// What is weighed beside the gateway: one that checks nothing.
const PEER: (&str, &str) = ("mcp-proxy", "0.6.0");

/// Builds the gateway, the scales and the peer with optimisation, and runs `portcullis-bench run` with `args`.
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
        let peer = tools::install(workspace, PEER, Build::Release)?;
        bench.arg("--rungs").arg("--mcp-proxy").arg(peer);
        bench.arg("--gateway").arg(release.join("portcullis"));
        bench.arg("--dpop");
    }
    shell::run(bench.args(args))
}
