//! The rules of a configuration, with what the audit log says of their use.

use crate::assemble::Assembled;
use crate::cli::audit::{self, Named};
use crate::cli::check::{Judged, judge};
use crate::cli::{Ending, out};
use crate::clock;
use crate::config::Checked;
use crate::usage::Usage;
use anyhow::{Context as _, bail};
use std::path::PathBuf;

/// A good configuration, and the log since a moment.
pub(in crate::cli) struct Counted {
    pub(in crate::cli) file: PathBuf,
    pub(in crate::cli) checked: Box<Checked>,
    pub(in crate::cli) built: Box<Assembled>,
    /// Microseconds since 1970.
    pub(in crate::cli) since: u64,
    pub(in crate::cli) usage: Usage,
}

impl Counted {
    /// Reads both.
    ///
    /// # Errors
    /// One of them cannot be read, the configuration is not good, or `since` is no time.
    pub(in crate::cli) fn read(named: &Named, since: &str) -> anyhow::Result<Self> {
        let since =
            audit::parse(since, clock::micros()).context("--since is no time: see --help")?;
        let file = audit::configuration(named)?;
        let shown = file.display();
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {shown}"))?;
        let Judged::Good(checked, built) = judge(&file, &text)? else {
            bail!("{shown} is not good: run `portcullis check {shown}`");
        };
        let log = audit::place(named)?.log;
        let usage = Usage::read(&log, since)
            .with_context(|| format!("cannot read the log in {}", log.display()))?;
        Ok(Self {
            file,
            checked,
            built,
            since,
            usage,
        })
    }
}

impl Usage {
    /// How a command ends that has told what was counted.
    pub(in crate::cli) fn ending(&self) -> Ending {
        match &self.broken {
            None => Ending::Good,
            Some(broken) => {
                out::error(&format!("{broken}: nothing newer was counted"));
                Ending::Bad
            }
        }
    }
}
