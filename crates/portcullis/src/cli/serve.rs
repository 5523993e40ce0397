//! `portcullis serve`: what a configuration file says.

use super::{Ending, environment, out, runtime};
use crate::config::{self, Checked, Otlp, Problems};
use crate::lifecycle::{self, Home, Loaded, Start};
use crate::relay::Gateway;
use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long threads that wait for the world may take to end with the process.
const LAST: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file.
    #[arg(long, short, default_value = "portcullis.toml")]
    config: PathBuf,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let Loaded {
            checked,
            files,
            reads,
        } = load(&self.config)?;
        let checked = match checked {
            Ok(checked) => checked,
            Err(problems) => {
                out::error(&problems.to_string());
                return Ok(Ending::Bad);
            }
        };
        let listener = bind(checked.gateway.listen)?;
        let admin = bind(checked.gateway.admin)?;
        let api = checked.admin.as_ref().map(|admin| bind(admin.listen));
        let file = self.config.clone();
        let reread = Arc::new(move || reread(&file));
        let start = Start {
            checked,
            source: Some((files, reread)),
            reads,
            listener,
            admin,
            api: api.transpose()?,
            otlp: otlp()?,
        };
        serve(start, |_| ())
    }
}

/// Runs a gateway to its end and says meanwhile how it is reached.
pub(super) fn serve(start: Start, ready: impl FnOnce(&Arc<Gateway>)) -> anyhow::Result<Ending> {
    let home = Home(start.checked.gateway.data.clone());
    let public_url = start.checked.gateway.public_url.to_string();
    let listen = start.checked.gateway.listen;
    let running = home.running();
    let told = json!({ "pid": std::process::id(), "public_url": public_url });
    let runtime = runtime()?;
    let outcome = runtime.block_on(lifecycle::run(start, |gateway| {
        if let Err(error) = std::fs::write(&running, format!("{told}\n")) {
            tracing::warn!(%error, "cannot write {}", running.display());
        }
        tracing::info!(%listen, "serving");
        ready(gateway);
    }));
    // A vault that hangs must not hold up the end.
    runtime.shutdown_timeout(LAST);
    if std::fs::remove_file(&running).is_err() {
        tracing::debug!("running.json was already gone");
    }
    outcome.map(|()| Ending::Good)
}

/// Reads and checks a file, but no secrets that are elsewhere.
pub(crate) fn read(file: &Path) -> anyhow::Result<Result<Checked, Problems>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let file = std::path::absolute(file)?;
    Ok(config::read(&text, &file, &environment, &|path| {
        std::fs::read_to_string(path)
    }))
}

/// Reads and checks a file and all that it names, to be served and watched.
pub(super) fn load(file: &Path) -> anyhow::Result<Loaded> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(reread(file))
}

fn reread(file: &Path) -> Loaded {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    lifecycle::load(&file, |text, reading| {
        config::read_whole(text, &file, &environment, reading.file, reading.secret)
    })
}

/// What the standard variables of OpenTelemetry ask for.
pub(super) fn otlp() -> anyhow::Result<Option<Otlp>> {
    let read_file = |path: &Path| std::fs::read_to_string(path);
    config::otlp(&environment, &read_file).context("a variable of the environment")
}

/// Binds an address; says what to do if it is taken.
pub(super) fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}: is another gateway running there?"))
}
