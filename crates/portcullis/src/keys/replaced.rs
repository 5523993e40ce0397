//! Another key in the place of one of ours.

use super::{Purpose, Ring, Rotation, Standing};
use crate::clock;
use anyhow::{Context as _, bail};
use portcullis_audit::time_text;
use portcullis_core::time::Timestamp;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The old key and the new one, from when on the one signs, and until when the other counts.
pub(crate) struct Replaced {
    old: String,
    new: String,
    from: String,
    until: String,
}

impl Replaced {
    pub(crate) fn json(&self, purpose: Purpose) -> Value {
        json!({
            "key": purpose.word(),
            "old": self.old,
            "new": self.new,
            "from": self.from,
            "until": self.until,
        })
    }

    pub(crate) fn line(&self, purpose: Purpose) -> String {
        let Self {
            old,
            new,
            from,
            until,
        } = self;
        let key = purpose.word();
        let counts = match purpose {
            Purpose::Issuer | Purpose::Assertion | Purpose::Client => format!("until {until}"),
            Purpose::Audit => "for what it has signed".to_owned(),
        };
        format!("{key}: {new} signs from {from}; {old} counts {counts}\n")
    }
}

/// Makes a new key. What the old one has signed counts for `overlap` after the new one signs; without it, the new one signs
/// now, and nothing of the old one counts any more.
///
/// # Errors
/// There is no key yet, or no new one.
pub(crate) fn replace(
    purpose: Purpose,
    directory: &Path,
    (overlap, by): (Option<Duration>, String),
) -> anyhow::Result<Replaced> {
    if !directory.join(purpose.file()).exists() {
        bail!(
            "there is no {} yet: start the gateway once",
            directory.join(purpose.file()).display()
        );
    }
    let (lead, overlap) = match overlap {
        None => (Duration::ZERO, Duration::ZERO),
        Some(overlap) => (purpose.lead(), overlap),
    };
    let rotation = Rotation { lead, overlap, by };
    let standing = Ring::new(purpose, directory).rotate(rotation, clock::now());
    let standing = standing.context("there is no new key")?.standing;
    let (old, new, from, until) = outcome(&standing, overlap)?;
    let time = |at| time_text(Timestamp::from_seconds(at).micros());
    Ok(Replaced {
        old: old.to_owned(),
        new: new.to_owned(),
        from: time(from),
        until: time(until),
    })
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
