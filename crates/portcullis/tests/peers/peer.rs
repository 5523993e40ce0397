//! The programs of `tests/peers`: started, spoken with, ended.

use serde::Deserialize;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How `cargo xtask test` says where the peers are installed.
const VARIABLE: &str = "PORTCULLIS_PEERS";
/// What `tests/peers/install.sh` leaves behind when it is done.
const INSTALLED: &[&str] = &[
    "resolve.mjs",
    "node/.stamp",
    "js/.stamp",
    "python/.stamp",
    "rmcp/.stamp",
    "debian/.stamp",
    "browser/.stamp",
    "remote/.stamp",
    "inspector/.stamp",
    "chromium/.stamp",
];

/// Where the peers are installed.
pub(crate) fn directory() -> PathBuf {
    let how = "run `cargo xtask test --only test`, or install the peers with `tests/peers/install.sh DIR` \
               and name DIR";
    let Some(directory) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
        panic!("{VARIABLE} is not set: {how} in it");
    };
    for file in INSTALLED {
        let file = directory.join(file);
        assert!(
            file.exists(),
            "the peers are not installed, {} is missing: {how} in {VARIABLE}",
            file.display()
        );
    }
    directory
}

/// The script that runs one peer.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/peer")
}

/// The command line of a peer.
pub(crate) fn command_line(peer: &str, arguments: &[&str]) -> Vec<String> {
    let (script, directory) = (script(), directory());
    let mut line = vec![
        script.to_str().unwrap().to_owned(),
        directory.to_str().unwrap().to_owned(),
        peer.to_owned(),
    ];
    line.extend(arguments.iter().map(|&argument| argument.to_owned()));
    line
}

/// A peer that serves until it is dropped.
pub(crate) struct Served {
    child: Child,
    /// The first line that it printed.
    pub(crate) first: String,
}

impl Served {
    /// Starts a peer and waits for its first line.
    pub(crate) fn start(peer: &str, arguments: &[&str]) -> Self {
        Self::of(command(peer, arguments).stdout(Stdio::piped()), peer)
    }

    /// One of `servers/`, over HTTP.
    pub(crate) fn http(server: &str) -> Self {
        Self::start(server, &["--http", "0"])
    }

    fn of(command: &mut Command, peer: &str) -> Self {
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut first).unwrap();
        assert!(!first.is_empty(), "{peer} ended without a line");
        Self {
            child,
            first: first.trim().to_owned(),
        }
    }

    /// The port of `listening PORT`.
    pub(crate) fn port(&self) -> u16 {
        let port = self.first.strip_prefix("listening ");
        port.and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("no port: {}", self.first))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The line of a client, or why there is none.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Round {
    pub(crate) client: String,
    pub(crate) protocol: Option<String>,
    pub(crate) server: Option<String>,
    pub(crate) tools: Vec<String>,
    pub(crate) call: Option<Called>,
    pub(crate) progress: Vec<f64>,
    pub(crate) asked: Vec<String>,
    pub(crate) resources: Option<Vec<String>>,
    pub(crate) prompts: Option<Vec<String>>,
    pub(crate) failed: Option<String>,
    pub(crate) code: Option<i64>,
}

/// What came of a tool call.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Called {
    pub(crate) tool: String,
    pub(crate) error: bool,
    pub(crate) text: String,
}

impl Round {
    /// The text of the tool's result; nothing if there is none, or it is an error.
    pub(crate) fn text(&self) -> Option<&str> {
        let call = self.call.as_ref().filter(|call| !call.error)?;
        Some(&call.text)
    }
}

/// Goes one round with a client to its end.
pub(crate) fn round(client: &str, arguments: &[&str]) -> Round {
    let done = command(client, arguments)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    serde_json::from_str(&said).unwrap_or_else(|error| {
        let noise = String::from_utf8_lossy(&done.stderr);
        panic!("{client} {arguments:?}: {error}: {said:?}\n{noise}")
    })
}

fn command(peer: &str, arguments: &[&str]) -> Command {
    let line = command_line(peer, arguments);
    let mut command = Command::new(&line[0]);
    command
        .args(&line[1..])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}
