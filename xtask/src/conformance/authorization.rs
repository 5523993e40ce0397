//! The conformance suite for authorization servers: a client that was registered, and an owner who says yes.

use std::net::TcpListener;

use anyhow::{Context as _, ensure};

use super::suite::Verdict;
use super::{Gateway, SERVER, peer};
use crate::shell;
use crate::workspace::Workspace;

/// The client of the suite.
pub(super) const CLIENT: &str = "conformance";

/// What the suite says of the gateway.
pub(super) fn judge(workspace: &Workspace, gateway: &Gateway<'_>) -> anyhow::Result<Verdict> {
    let origin = format!("http://127.0.0.1:{}", gateway.port);
    let waiting = TcpListener::bind("127.0.0.1:0")?;
    let port = waiting.local_addr()?.port();
    drop(waiting);
    let mut command = peer(workspace, "conformance/authorize.mjs");
    command
        .args(["--url", &origin, "--client-id", CLIENT])
        .args(["--resource", &format!("{origin}/servers/{SERVER}/mcp")])
        .args(["--port", &port.to_string(), "--link", &link(gateway)?])
        .arg("--tools")
        .arg(workspace.peers());
    let (code, line) = shell::output(&mut command)?;
    ensure!(code < 2, "the suite for authorization servers did not run");
    serde_json::from_str(&line).with_context(|| format!("the suite said: {line}"))
}

/// A link that signs the owner in.
fn link(gateway: &Gateway<'_>) -> anyhow::Result<String> {
    let mut command = shell::program(gateway.workspace.built("portcullis"));
    command
        .args(["owner", "link", "--data"])
        .arg(&gateway.data)
        .arg("--config")
        .arg(&gateway.config);
    let (code, link) = shell::output(&mut command)?;
    ensure!(code == 0, "portcullis owner link failed");
    Ok(link.trim().to_owned())
}
