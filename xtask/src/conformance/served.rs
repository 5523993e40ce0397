//! A program that serves until it is dropped.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::shell;

/// How long a program may take to begin; a busy machine is slow.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);

/// A program that has been started and ends with this value.
#[derive(Debug)]
pub(super) struct Served {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Where it listens; 0 until it is known.
    pub(super) port: u16,
}

impl Served {
    /// Starts it; what it prints goes to `log`.
    pub(super) fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output = File::create(log)?;
        let child = command
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start the {name}"))?;
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
            port: 0,
        })
    }

    /// Waits until `ready` gives the port.
    ///
    /// # Errors
    /// If the program ends before, or takes too long.
    pub(super) fn until(
        mut self,
        mut ready: impl FnMut(&Self) -> anyhow::Result<Option<u16>>,
    ) -> anyhow::Result<Self> {
        let begun = shell::now();
        loop {
            if let Some(port) = ready(&self)? {
                self.port = port;
                return Ok(self);
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let end = ended.map_or_else(
                    || "it did not begin to serve".to_owned(),
                    |status| status.to_string(),
                );
                bail!("the {}: {end}\n{}", self.name, self.said()?);
            }
            sleep(PAUSE);
        }
    }

    /// What it has printed.
    pub(super) fn said(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            shell::say(&format!("the {} had ended already", self.name));
        }
    }
}

/// Sends one request to a port of this machine; gives the status of the answer.
pub(super) fn request(port: u16, line: &str, body: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let head = format!(
        "{line}\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.take(1 << 20).read_to_string(&mut answer)?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.with_context(|| format!("no answer of HTTP: {answer:?}"))
}
