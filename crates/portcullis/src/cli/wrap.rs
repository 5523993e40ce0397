//! `portcullis wrap -- COMMAND ARGS`: stands in a client's configuration in place of the command.
//!
//! The client speaks to our stdin and stdout, the server runs behind the same walk as everywhere, and
//! every message is recorded. Whoever runs the process is the principal, as the kernel says.

use super::{Ending, default_data, environment, runtime};
use crate::clock;
use crate::config::{self, Checked, Upstream};
use crate::lifecycle::{Hangup, Home, build, end, told_again, told_to_end};
use crate::relay::Local;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use portcullis_core::authenticate::operating_system_user;
use portcullis_core::catalog::Digest;
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

/// Messages that may wait for the client to read.
const QUEUE: usize = 64;
/// The most copies of one wrapped server that keep a log each.
const MAX_COPIES: usize = 64;
/// How many letters stand for a command line.
const MARK: usize = 8;
/// Longer than any client runs.
const FOREVER: Duration = Duration::from_hours(24 * 365 * 10);
/// How long requests that are under way may take once the client has closed our stdin.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Wrap {
    /// What the server is called in policies, records and approvals [default: the command's name and a few letters that
    /// stand for its arguments].
    #[arg(long)]
    name: Option<String>,
    /// The data directory.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The server's command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl Wrap {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let started = clock::now();
        let shared = Home(std::path::absolute(
            self.data.clone().map_or_else(default_data, Ok)?,
        )?);
        let data = shared.0.join("wrap");
        let name = self.server_name()?;
        for copy in 0..MAX_COPIES {
            let home = data.join(format!("{name}-{copy}"));
            let mut checked = self.checked(&name, &home)?;
            adapt(&mut checked);
            let runtime = runtime()?;
            let ended = runtime.block_on(serve((&checked, &shared), &name, started));
            // A read of our stdin cannot be broken off: whoever waits for it waits for the client.
            runtime.shutdown_background();
            match ended {
                Err(error) if is_taken(&error) => {} // another client runs this copy
                ended => return ended,
            }
        }
        bail!("{MAX_COPIES} copies of {name} are running already")
    }

    fn server_name(&self) -> anyhow::Result<String> {
        let command = self.command.first().context("no command")?;
        let base = Path::new(command)
            .file_name()
            .map(|base| base.to_string_lossy().to_lowercase());
        let (name, mark) = match &self.name {
            Some(name) => (name.clone(), String::new()),
            None => (base.unwrap_or_default(), self.mark()),
        };
        let kept: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect();
        let kept: String = kept
            .trim_matches('-')
            .chars()
            .take(config::ServerName::MAX_CHARS - mark.len())
            .chain(mark.chars())
            .collect();
        if config::ServerName::parse(&kept).is_none() {
            bail!("cannot make a server name of {name:?}: give one with --name");
        }
        Ok(kept)
    }

    /// What tells two servers apart that one command starts, such as `npx`: what is approved of one says nothing of the
    /// other.
    fn mark(&self) -> String {
        let digest = Digest::of(self.command.join("\0").as_bytes()).to_string();
        let letters = digest.trim_start_matches("sha256:").chars().take(MARK);
        format!("-{}", letters.collect::<String>())
    }

    /// The configuration that this command line stands for.
    fn checked(&self, name: &str, home: &Path) -> anyhow::Result<Checked> {
        let text = |text: &str| toml::Value::from(text.to_owned()).to_string();
        let home_text = text(&home.display().to_string());
        let (command, args) = self.command.split_first().context("no command")?;
        let args: Vec<String> = args.iter().map(|arg| text(arg)).collect();
        let cwd = std::env::current_dir().context("no working directory")?;
        let toml = format!(
            "[gateway]\ndata = {home_text}\n\n[issuers.local]\nembedded = true\n\n[servers.{name}]\ncommand = {}\nargs = [{}]\ncwd = {}\nallow = [\"*\", \"resource:*\", \"prompt:*\", \"ask:*\"]\n\n[catalog]\nmode = \"learn\"\n",
            text(command),
            args.join(", "),
            text(&cwd.display().to_string()),
        );
        let file = home.join("portcullis.toml");
        Ok(config::read(&toml, &file, &environment, &|path| {
            std::fs::read_to_string(path)
        })?)
    }
}

/// The client chose the server's environment, and gave it to us; its session lasts as long as we do.
fn adapt(checked: &mut Checked) {
    checked.sessions.idle = FOREVER;
    checked.sessions.absolute = FOREVER;
    for server in checked.servers.values_mut() {
        if let Upstream::Stdio(stdio) = &mut server.upstream {
            stdio.env = std::env::vars_os().filter_map(variable).collect();
        }
    }
}

/// A variable as a server can be given it; one that is not UTF-8 is left out.
pub(super) fn variable((name, value): (OsString, OsString)) -> Option<(String, Secret<String>)> {
    let Ok(name) = name.into_string() else {
        tracing::warn!("a variable whose name is not UTF-8 is not passed on");
        return None;
    };
    let Ok(value) = value.into_string() else {
        tracing::warn!(name, "a variable that is not UTF-8 is not passed on");
        return None;
    };
    Some((name, Secret::new(value)))
}

fn is_taken(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(portcullis_audit::NotOpened::Locked)
        )
    })
}

async fn serve(
    (checked, shared): (&Checked, &Home),
    name: &str,
    started: Timestamp,
) -> anyhow::Result<Ending> {
    crate::keys::private_directory(&checked.gateway.data)?;
    let running = build(checked, shared, super::serve::otlp()?).await?;
    let uid = rustix::process::getuid().as_raw();
    let user = environment("USER").unwrap_or_default();
    let (out, lines) = mpsc::channel(QUEUE);
    let local = Local::new(
        Arc::clone(&running.gateway),
        operating_system_user(uid, &user, started),
        name.into(),
        out,
    );
    let (local, under_way) = (Arc::new(local), TaskTracker::new());
    let writing = under_way.spawn(write(lines));
    let told = told_to_end(Hangup::Ends)?;
    let ended = tokio::select! {
        ended = converse(&local, &under_way, checked.limits.body_bytes) => ended,
        () = told => Ok(Ending::Good),
    };
    drop(local);
    under_way.close();
    let told = told_again()?;
    let is_written = tokio::select! {
        written = tokio::time::timeout(PATIENCE, writing) => written.is_ok(),
        () = told => false,
    };
    if !is_written {
        tracing::warn!("requests were still under way when the client left");
    }
    end(&running, Duration::from_secs(1)).await?;
    ended
}

/// Reads the client's lines until it leaves or its server does.
async fn converse(
    local: &Arc<Local>,
    under_way: &TaskTracker,
    most: usize,
) -> anyhow::Result<Ending> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut listening = JoinSet::new();
    loop {
        let line = tokio::select! {
            line = read(&mut input, most) => line?,
            Some(ended) = listening.join_next() => {
                if let Ok(Err(error)) = ended {
                    tracing::error!(%error, "the server cannot be listened to");
                }
                return Ok(Ending::Bad); // so that the client notices that its server is gone
            }
        };
        let Some(line) = line else {
            return Ok(Ending::Good);
        };
        if line.is_empty() {
            continue;
        }
        // The handshake, notifications and answers keep their order; requests may overtake each other.
        if !local.has_session() || !is_request(&line) {
            local.line(line).await;
        } else {
            let local = Arc::clone(local);
            under_way.spawn(async move { local.line(line).await });
        }
        if listening.is_empty() && local.has_session() {
            let local = Arc::clone(local);
            listening.spawn(async move { local.listen().await });
        }
    }
}

fn is_request(line: &[u8]) -> bool {
    portcullis_core::protocol::Envelope::parse(line)
        .is_ok_and(|message| message.id.is_some() && message.method.is_some())
}

/// One line without its end, cut at `most` bytes and one, which the walk then refuses; `None` at the end.
async fn read(
    input: &mut (impl AsyncBufRead + Unpin),
    most: usize,
) -> std::io::Result<Option<Bytes>> {
    let mut line = Vec::new();
    loop {
        let held = input.fill_buf().await?;
        if held.is_empty() {
            return Ok((!line.is_empty()).then(|| line.into()));
        }
        let end = held.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(held.len());
        let room = (most + 1).saturating_sub(line.len()).min(taken);
        line.extend_from_slice(held.get(..room).unwrap_or_default());
        input.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(Some(line.into()));
        }
    }
}

async fn write(mut lines: mpsc::Receiver<Bytes>) {
    let mut stdout = tokio::io::stdout();
    while let Some(message) = lines.recv().await {
        let mut line = crate::upstream::stdio::single_line(&message).into_owned();
        line.push(b'\n');
        if stdout.write_all(&line).await.is_err() || stdout.flush().await.is_err() {
            return;
        }
    }
}
