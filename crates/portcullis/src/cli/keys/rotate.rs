//! `portcullis keys rotate`.

use crate::cli::revoke::{Found, Place, operator};
use crate::cli::{Ending, out};
use crate::keys::{Purpose, replace, ring};
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use std::time::Duration;

#[derive(Debug, Args)]
#[command(
    after_help = "A running gateway takes the new key up by itself, and records it. Exit codes: 0 there is a new key, 1 \
there is none, 2 wrong usage."
)]
pub(super) struct Rotate {
    /// Which key.
    kind: Kind,
    /// The key that signs for this server alone (`own_key`); only with `assertion`.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    #[command(flatten)]
    place: Place,
    /// The old key is known to others: the new one signs now, and nothing that the old one has signed counts any more.
    #[arg(long)]
    at_once: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Tokens of the embedded issuer.
    Issuer,
    /// What servers are shown of callers.
    Assertion,
    /// What authorization servers are told of the gateway.
    Client,
    /// Checkpoints of the audit log: the old key hands over to the new one, and what it has signed counts on.
    Audit,
    /// What is approved of what servers define: a running gateway signs it anew.
    Catalog,
}

impl Kind {
    const fn purpose(self) -> Purpose {
        match self {
            Self::Issuer => Purpose::Issuer,
            Self::Assertion => Purpose::Assertion,
            Self::Client => Purpose::Client,
            Self::Audit => Purpose::Audit,
            Self::Catalog => Purpose::Catalog,
        }
    }
}

impl Rotate {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let purpose = self.kind.purpose();
        let found = self.place.find()?;
        let directory = found.home.keys();
        let overlap = overlap(purpose, &found)?;
        let overlap = (!self.at_once).then_some(overlap);
        let ring = ring(purpose, &directory, self.server.as_deref())?;
        let replaced = replace(&ring, (overlap, operator()))?;
        out::print(&if self.json {
            format!("{:#}\n", replaced.json())
        } else {
            replaced.line()
        });
        Ok(Ending::Good)
    }
}

/// How long what the old key has signed counts, as it is configured.
fn overlap(purpose: Purpose, found: &Found) -> anyhow::Result<Duration> {
    let checked = found.checked.as_ref().context(
        "name the configuration file with --config: it says where keys are, and how long tokens live",
    )?;
    if checked
        .pkcs11
        .as_ref()
        .and_then(|place| purpose.label(place))
        .is_some()
    {
        bail!(
            "the key is in a token: make another one there, write its label into [pkcs11.keys], and start again; the \
             old one counts until what it has signed is over"
        );
    }
    Ok(purpose.overlap(checked))
}
