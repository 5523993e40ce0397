//! What is weighed: a command to start, a URL to call, and perhaps a token.

mod places;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::sleep;

use self::places::Places;
use crate::clock;
use crate::load::{Endpoint, Key};
use crate::wire::Era;

/// A target, as a JSON file describes it.
///
/// In every text, `{upstream}` stands for the upstream's URL, `{port}` and `{admin_port}` for
/// free ports, `{data}` for an empty directory, `{config}` for the path of the written `config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its name in the results.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where it answers.
    pub url: String,
    /// The text of its configuration file.
    #[serde(default)]
    pub config: String,
    /// The end of that file's name, which some programs go by.
    #[serde(default = "toml")]
    pub config_extension: String,
    /// A command whose standard output is a bearer token; it is run anew before each window. With `{jkt}` in it, which
    /// stands for the thumbprint of a key of that window, the token is bound to it and each request has a proof.
    #[serde(default)]
    pub bearer: Vec<String>,
    /// What it puts before the names of tools.
    #[serde(default)]
    pub tool_prefix: String,
    /// The eras that it speaks.
    #[serde(default = "both")]
    pub eras: Vec<Era>,
}

fn toml() -> String {
    "toml".to_owned()
}

fn both() -> Vec<Era> {
    vec![Era::Handshake, Era::Stateless]
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn text(path: &Path) -> anyhow::Result<String> {
    let path = path.to_str().context("a path that is no text")?;
    Ok(path.to_owned())
}

impl Target {
    /// The upstream itself, called without anything between.
    ///
    /// # Errors
    /// If the path of this program is no text.
    pub fn direct() -> anyhow::Result<Self> {
        let own = text(&std::env::current_exe()?)?;
        Ok(Self::plain(
            "direct",
            owned(&[&own, "upstream", "--listen", "127.0.0.1:{port}"]),
        ))
    }

    /// The relay that checks nothing; `variant` is `RUNTIME-POOL-BODY`, as in `multi-own-stream`.
    ///
    /// # Errors
    /// If the variant has another form.
    pub fn passthrough(variant: &str) -> anyhow::Result<Self> {
        let own = text(&std::env::current_exe()?)?;
        let parts: Vec<_> = variant.split('-').collect();
        let &[runtime, pool, body] = parts.as_slice() else {
            bail!("{variant} is not RUNTIME-POOL-BODY");
        };
        let mut command = owned(&[&own, "passthrough", "--listen", "127.0.0.1:{port}"]);
        command.extend(owned(&["--upstream", "{upstream}", "--runtime", runtime]));
        command.extend(owned(&["--pool", pool, "--body", body]));
        Ok(Self::plain(variant, command))
    }

    /// The rungs below the gateway: L0, which forwards and checks nothing, and L1, which verifies the
    /// token as the gateway does. Both are the relay, in the gateway's own shape.
    ///
    /// # Errors
    /// If the path of this program is no text.
    pub fn rungs() -> anyhow::Result<[Self; 2]> {
        let mut forwarding = Self::passthrough(SHAPE)?;
        "L0".clone_into(&mut forwarding.name);
        let mut verifying = Self {
            name: "L1".to_owned(),
            bearer: owned(&["cat", TOKEN]),
            ..forwarding.clone()
        };
        verifying.command.extend(owned(&["--token", TOKEN]));
        Ok([forwarding, verifying])
    }

    /// The gateway as it is shipped, but that nobody looks at the contents of answers.
    ///
    /// # Errors
    /// If the path is no text.
    pub fn gateway(program: &Path) -> anyhow::Result<Self> {
        // What a server without the key has too.
        Self::gateway_of("L2", program, "accepted")
    }

    /// The same, with a server that takes only bound tokens with a proof of possession.
    ///
    /// # Errors
    /// If the path is no text.
    pub fn gateway_dpop(program: &Path) -> anyhow::Result<Self> {
        let mut target = Self::gateway_of("L2 DPoP", program, "required")?;
        target.bearer.extend(owned(&["--jkt", THUMBPRINT]));
        Ok(target)
    }

    fn gateway_of(name: &str, program: &Path, dpop: &str) -> anyhow::Result<Self> {
        let program = text(program)?;
        let command = owned(&[&program, "serve", "--config", "{config}"]);
        Ok(Self {
            url: "http://127.0.0.1:{port}/servers/bench/mcp".to_owned(),
            config: GATEWAY.replace("{dpop}", dpop),
            bearer: owned(&[
                &program, "token", "--data", "{data}", "--config", "{config}", "--server", "bench",
            ]),
            ..Self::plain(name, command)
        })
    }

    /// The crate `mcp-proxy`, with one HTTP backend and none of its middleware.
    ///
    /// # Errors
    /// If the path is no text.
    pub fn mcp_proxy(program: &Path) -> anyhow::Result<Self> {
        let command = owned(&[&text(program)?, "--config", "{config}"]);
        Ok(Self {
            url: "http://127.0.0.1:{port}/".to_owned(),
            config: MCP_PROXY.to_owned(),
            tool_prefix: "bench/".to_owned(),
            eras: vec![Era::Handshake],
            ..Self::plain("mcp-proxy", command)
        })
    }

    fn plain(name: &str, command: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            command,
            url: "http://127.0.0.1:{port}/mcp".to_owned(),
            config: String::new(),
            config_extension: toml(),
            bearer: Vec::new(),
            tool_prefix: String::new(),
            eras: both(),
        }
    }
}

/// The relay in the shape of the gateway's own.
const SHAPE: &str = "sharded-own-buffer";
/// What stands for the thumbprint of a window's key.
const THUMBPRINT: &str = "{jkt}";
/// Where the rung L1 leaves its token.
const TOKEN: &str = "{data}/token";

const GATEWAY: &str = r#"[gateway]
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin_port}"
data = "{data}"

[issuers.local]
embedded = true

[servers.bench]
url = "{upstream}"
allow = ["*"]
dpop = "{dpop}"

[servers.bench.inspect]
action = "off"

[catalog]
mode = "observe"

[sessions]
max = 100000
max_per_principal = 100000

[quota]
requests_per_minute = 1000000
tool_requests_per_minute = 1000000
burst = 1000000
concurrency = 100000
upstream_concurrency = 100000
bytes_per_minute = "1024GiB"

[audit]
durability = "50ms"
"#;

const MCP_PROXY: &str = r#"[proxy]
name = "bench"
separator = "/"

[proxy.listen]
host = "127.0.0.1"
port = {port}

[[backends]]
name = "bench"
transport = "http"
url = "{upstream}"

[observability]
log_level = "error"
"#;

/// A target that runs. It ends with this value.
#[derive(Debug)]
pub struct Running {
    target: Target,
    child: Child,
    places: Places,
    endpoint: Endpoint,
}

/// The longest that a target may take to listen, and to give a token.
const MAX_START: Duration = Duration::from_secs(20);

impl Running {
    /// Starts a target and waits until it listens.
    ///
    /// # Errors
    /// If it does not; with the end of what it wrote.
    pub async fn start(target: Target, upstream: &str) -> anyhow::Result<Self> {
        let places = Places::new(upstream, &target.config_extension)?;
        fs::write(places.config(), places.fill(&target.config))?;
        let log = File::create(places.log())?;
        let mut command = places.command(&target.command)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?);
        let child = child.stderr(log).spawn();
        let endpoint = Endpoint::new(&places.fill(&target.url), None, &target.tool_prefix)?;
        let mut running = Self {
            child: child.with_context(|| format!("start {}", target.name))?,
            target,
            places,
            endpoint,
        };
        running.wait().await?;
        Ok(running)
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        let start = clock::now();
        while TcpStream::connect(self.endpoint.address()).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}: {}", self.target.name, self.log());
            }
            if start.elapsed() > MAX_START {
                bail!("{} does not listen: {}", self.target.name, self.log());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Where to call it now, with a fresh token if it wants one.
    ///
    /// # Errors
    /// If the command for the token fails.
    pub async fn endpoint(&self) -> anyhow::Result<Endpoint> {
        if self.target.bearer.is_empty() {
            return Ok(self.endpoint.clone());
        }
        let key = Key::generate()?;
        let thumbprint = key.thumbprint();
        let words = self.target.bearer.iter();
        let words: Vec<_> = words
            .map(|word| word.replace(THUMBPRINT, &thumbprint))
            .collect();
        let start = clock::now();
        let token = loop {
            let output = self.places.command(&words)?.output()?;
            if output.status.success() {
                break String::from_utf8(output.stdout)?;
            }
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(start.elapsed() < MAX_START, "no token: {said}");
            sleep(Duration::from_millis(100)).await;
        };
        if words != self.target.bearer {
            return self.endpoint.clone().bound(token.trim(), key);
        }
        Endpoint::new(
            &self.places.fill(&self.target.url),
            Some(token.trim()),
            &self.target.tool_prefix,
        )
    }

    /// What it is.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.places.fill(&self.target.url)
    }

    /// The end of what it wrote.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.places.log()).unwrap_or_default();
        let mut lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.reverse();
        lines.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_can_be_written_as_json() {
        let target: Target = serde_json::from_str(
            r#"{"name":"L1","command":["rung","--listen","127.0.0.1:{port}"],"url":"http://127.0.0.1:{port}/mcp"}"#,
        )
        .unwrap();
        assert_eq!(target.eras, both());
        assert!(
            serde_json::from_str::<Target>(r#"{"name":"L1","command":[],"url":"","x":1}"#).is_err()
        );
    }
}
