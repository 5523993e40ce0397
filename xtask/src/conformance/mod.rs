//! The public conformance suites: a server of both eras, directly and through the gateway with
//! authentication on, where the gateway must not be noticed; the suites' own servers, of which
//! the gateway is the client; and the suite's own client, of which it is the authorization server.

mod authorization;
mod served;
mod suite;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::shell;
use crate::test::peers;
use crate::workspace::{Workspace, make};
use served::{Served, request};
use suite::{CLIENTS, SUITES, Verdict};

/// How our gateway calls the fixture.
const SERVER: &str = "conf";

/// Builds the gateway, runs every suite twice, and compares.
///
/// # Errors
/// If anything cannot be run, a scored check fails, or the gateway makes a difference.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    shell::run(workspace.cargo("build").arg("--workspace"))?;
    peers::install(workspace)?;
    let work = workspace.fresh("conformance")?;
    let fixture = start_fixture(workspace, &work)?;
    let gateway = Gateway::start(workspace, &work, fixture.port)?;
    gateway.asks_for_a_token()?;

    let direct = format!("http://localhost:{}/mcp", fixture.port);
    let through = format!("http://localhost:{}/servers/{SERVER}/mcp", gateway.port);
    let mut faults = Vec::new();
    for (suite, least) in SUITES {
        let direct = judge(workspace, suite, &direct, None)?;
        shell::say(&format!("{suite:15} direct   {direct}"));
        let token = gateway.token()?;
        let through = judge(workspace, suite, &through, Some(&token))?;
        shell::say(&format!("{suite:15} gateway  {through}"));
        faults.extend(suite::compare(suite, *least, &direct, &through));
    }
    for (suite, least) in CLIENTS {
        let run = judge_client(workspace, suite)?;
        shell::say(&format!("{suite:18} gateway {run}"));
        faults.extend(suite::judge_client(suite, *least, &run));
    }
    let run = authorization::judge(workspace, &gateway)?;
    shell::say(&format!("{:18} gateway {run}", "authorization"));
    faults.extend(suite::judge_authorization(&run));
    if !faults.is_empty() {
        bail!(
            "conformance:\n{}\nthe gateway's log is {}",
            faults.join("\n"),
            gateway.log.display()
        );
    }
    Ok(())
}

/// A peer: other people's programs, and ours that drive them.
fn peer(workspace: &Workspace, file: &str) -> Command {
    let mut command = shell::program(workspace.peer_sources().join("peer"));
    command.arg(workspace.peers()).arg(file);
    command
}

fn start_fixture(workspace: &Workspace, work: &Path) -> anyhow::Result<Served> {
    let mut command = peer(workspace, "conformance/fixture.mjs");
    command.env("PORT", "0");
    let served = Served::start("fixture", &mut command, &work.join("fixture.log"))?;
    served.until(|served| {
        let port = served
            .said()?
            .lines()
            .find_map(|line| line.strip_prefix("listening ")?.parse().ok());
        Ok(port)
    })
}

fn judge(
    workspace: &Workspace,
    suite: &str,
    url: &str,
    token: Option<&str>,
) -> anyhow::Result<Verdict> {
    let mut command = peer(workspace, "conformance/run.mjs");
    command.args(["--url", url]);
    if let Some(token) = token {
        command.args(["--bearer", token]);
    }
    verdict(workspace, suite, command)
}

/// A run in which the gateway is the client: the suite starts one for each scenario.
fn judge_client(workspace: &Workspace, suite: &str) -> anyhow::Result<Verdict> {
    let mut command = peer(workspace, "conformance/run.mjs");
    command.arg("--gateway").arg(workspace.built("portcullis"));
    verdict(workspace, suite, command)
}

fn verdict(workspace: &Workspace, suite: &str, mut command: Command) -> anyhow::Result<Verdict> {
    command
        .args(["--suite", suite, "--tools"])
        .arg(workspace.peers());
    let (code, line) = shell::output(&mut command)?;
    ensure!(code < 2, "the suite {suite} did not run");
    serde_json::from_str(&line).with_context(|| format!("the suite {suite} said: {line}"))
}

/// The gateway in front of the fixture.
struct Gateway<'a> {
    workspace: &'a Workspace,
    config: std::path::PathBuf,
    data: std::path::PathBuf,
    log: std::path::PathBuf,
    port: u16,
    _served: Served,
}

impl<'a> Gateway<'a> {
    fn start(workspace: &'a Workspace, work: &Path, fixture: u16) -> anyhow::Result<Self> {
        let (config, data, log) = (
            work.join("portcullis.toml"),
            work.join("data"),
            work.join("gateway.log"),
        );
        make(&data)?;
        // Both at once, so that they differ; free again before the gateway takes them.
        let (listen, admin) = (
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
        );
        let (port, admin_port) = (listen.local_addr()?.port(), admin.local_addr()?.port());
        drop((listen, admin));
        fs::write(&config, configuration(port, admin_port, &data, fixture)?)?;

        let mut command = shell::program(workspace.built("portcullis"));
        command.args(["serve", "--config"]).arg(&config);
        let served = Served::start("gateway", &mut command, &log)?.until(|_| {
            let ready =
                request(admin_port, "GET /readyz HTTP/1.1", "").is_ok_and(|status| status == 200);
            Ok(ready.then_some(port))
        })?;
        Ok(Self {
            workspace,
            config,
            data,
            log,
            port,
            _served: served,
        })
    }

    /// Without this, the rest would pass with authentication off.
    fn asks_for_a_token(&self) -> anyhow::Result<()> {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let status = request(
            self.port,
            &format!("POST /servers/{SERVER}/mcp HTTP/1.1"),
            ping,
        )?;
        ensure!(
            status == 401,
            "the gateway answered {status} to a request without a token"
        );
        Ok(())
    }

    /// A new token, so that none expires on a slow machine.
    fn token(&self) -> anyhow::Result<String> {
        let mut command = shell::program(self.workspace.built("portcullis"));
        command
            .args(["token", "--server", SERVER, "--data"])
            .arg(&self.data);
        let (code, token) = shell::output(command.arg("--config").arg(&self.config))?;
        ensure!(code == 0, "portcullis token failed");
        Ok(token.trim().to_owned())
    }
}

/// All is permitted, and the quota is far away: what remains is the gateway itself.
fn configuration(port: u16, admin: u16, data: &Path, fixture: u16) -> anyhow::Result<String> {
    let data = data
        .to_str()
        .context("the build directory's path is no text")?;
    Ok(format!(
        r#"[gateway]
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
data = "{data}"

[issuers.local]
embedded = true

[authority.clients.{client}]
redirect_uris = ["http://127.0.0.1/callback"]

[servers.{SERVER}]
url = "http://127.0.0.1:{fixture}/mcp"
allow = ["*", "resource:*", "prompt:*", "ask:*"]

[catalog]
mode = "observe"

[quota]
requests_per_minute = 1000000
burst = 1000000
concurrency = 10000
bytes_per_minute = "1024GiB"
tool_requests_per_minute = 1000000
upstream_concurrency = 10000
"#,
        client = authorization::CLIENT
    ))
}
