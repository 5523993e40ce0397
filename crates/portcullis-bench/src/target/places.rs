//! What a target is given of its own: a directory, ports, and what stands for them in its texts.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use tempfile::TempDir;

/// What the placeholders stand for.
#[derive(Debug)]
pub(super) struct Places {
    directory: TempDir,
    extension: String,
    upstream: String,
    port: u16,
    admin_port: u16,
}

impl Places {
    pub(super) fn new(upstream: &str, extension: &str) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix("portcullis-bench-")?;
        // For its owner alone: it will hold keys.
        let data = directory.path().join("data");
        fs::DirBuilder::new().mode(0o700).create(data)?;
        // Both at once, so that they differ.
        let ports = [free()?, free()?];
        let [port, admin_port] = ports.each_ref().map(TcpListener::local_addr);
        Ok(Self {
            directory,
            extension: extension.to_owned(),
            upstream: upstream.to_owned(),
            port: port?.port(),
            admin_port: admin_port?.port(),
        })
    }

    pub(super) fn config(&self) -> PathBuf {
        let name = format!("config.{}", self.extension);
        self.directory.path().join(name)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    pub(super) fn fill(&self, text: &str) -> String {
        text.replace("{upstream}", &self.upstream)
            .replace("{port}", &self.port.to_string())
            .replace("{admin_port}", &self.admin_port.to_string())
            .replace("{config}", &self.config().to_string_lossy())
            .replace(
                "{data}",
                &self.directory.path().join("data").to_string_lossy(),
            )
    }

    pub(super) fn command(&self, words: &[String]) -> anyhow::Result<Command> {
        let (program, arguments) = words.split_first().context("an empty command")?;
        let mut command = program_of(self.fill(program).as_ref());
        command.args(arguments.iter().map(|word| self.fill(word)));
        Ok(command)
    }
}

fn free() -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the harness starts what it weighs, and weighs it outside of any sandbox"
)]
fn program_of(program: &OsStr) -> Command {
    Command::new(program)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{MCP_PROXY, Target};
    use super::*;

    #[test]
    fn every_placeholder_is_filled() {
        let places = Places::new("http://127.0.0.1:1/mcp", "toml").unwrap();
        let program = Path::new("portcullis");
        let gateways = [Target::gateway(program), Target::gateway_dpop(program)];
        let [plain, bound] = gateways.map(|target| target.unwrap().config);
        assert!(plain.contains("dpop = \"accepted\"") && bound.contains("dpop = \"required\""));
        for text in [&plain, &bound, MCP_PROXY, "{config}{data}{upstream}"] {
            assert!(!places.fill(text).contains('{'), "{text}");
        }
        assert_ne!(places.port, places.admin_port);
    }
}
