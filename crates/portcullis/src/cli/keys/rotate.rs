//! `portcullis keys rotate`.

use crate::cli::revoke::{Found, Place, operator};
use crate::cli::{Ending, out};
use crate::clock;
use crate::keys::{Purpose, Ring, Rotation, Standing};
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use portcullis_audit::time_text;
use portcullis_core::time::Timestamp;
use serde_json::json;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(
    after_help = "A running gateway takes the new key up by itself, and records it. Exit codes: 0 there is a new key, 1 \
there is none, 2 wrong usage."
)]
pub(super) struct Rotate {
    /// Which key.
    kind: Kind,
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
}

impl Kind {
    const fn purpose(self) -> Purpose {
        match self {
            Self::Issuer => Purpose::Issuer,
            Self::Assertion => Purpose::Assertion,
            Self::Client => Purpose::Client,
            Self::Audit => Purpose::Audit,
        }
    }
}

impl Rotate {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let purpose = self.kind.purpose();
        let found = self.place.find()?;
        let directory = found.home.keys();
        let overlap = overlap(purpose, &found)?;
        if !directory.join(purpose.file()).exists() {
            bail!(
                "there is no {} yet: start the gateway once",
                directory.join(purpose.file()).display()
            );
        }
        let (lead, overlap) = if self.at_once {
            (Duration::ZERO, Duration::ZERO)
        } else {
            (purpose.lead(), overlap)
        };
        let rotation = Rotation {
            lead,
            overlap,
            by: operator(),
        };
        let ring = Ring::new(purpose, &directory);
        let standing = ring.rotate(rotation, clock::now());
        let standing = standing.context("there is no new key")?.standing;
        let (old, new, from, until) = outcome(&standing, overlap)?;
        let [from, until] = [from, until].map(|at| time_text(Timestamp::from_seconds(at).micros()));
        let counts = match purpose {
            Purpose::Issuer | Purpose::Assertion | Purpose::Client => format!("until {until}"),
            Purpose::Audit => "for what it has signed".to_owned(),
        };
        out::print(&if self.json {
            let told = json!({ "key": purpose.word(), "old": old, "new": new, "from": from, "until": until });
            format!("{told:#}\n")
        } else {
            format!(
                "{}: {new} signs from {from}; {old} counts {counts}\n",
                purpose.word()
            )
        });
        Ok(Ending::Good)
    }
}

/// The old key and the new one, from when on the one signs, and until when the other counts.
fn outcome(standing: &Standing, overlap: Duration) -> anyhow::Result<(&str, &str, u64, u64)> {
    if let Some(next) = &standing.next {
        let until = next.from.saturating_add(overlap.as_secs());
        return Ok((&standing.signs.kid, &next.key.kid, next.from, until));
    }
    let old = standing.retired.last().context("no key was replaced")?;
    let from = old.until.saturating_sub(overlap.as_secs());
    Ok((&old.key.kid, &standing.signs.kid, from, old.until))
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
