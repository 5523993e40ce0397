//! Another key in the place of one of ours.

use super::{Purpose, Ring, Rotation, Standing};
use crate::clock;
use crate::config::ServerName;
use anyhow::{Context as _, bail};
use portcullis_audit::time_text;
use portcullis_core::time::Timestamp;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The old key and the new one, from when on the one signs, and until when the other counts.
pub(crate) struct Replaced {
    purpose: Purpose,
    server: Option<Arc<str>>,
    old: String,
    new: String,
    from: String,
    until: String,
}

impl Replaced {
    pub(crate) fn json(&self) -> Value {
        let mut told = json!({
            "key": self.purpose.word(),
            "old": self.old,
            "new": self.new,
            "from": self.from,
            "until": self.until,
        });
        if let (Some(server), Some(told)) = (&self.server, told.as_object_mut()) {
            told.insert("server".to_owned(), json!(**server));
        }
        told
    }

    pub(crate) fn line(&self) -> String {
        let Self {
            purpose,
            server,
            old,
            new,
            from,
            until,
        } = self;
        let of = server.as_ref().map(|server| format!(" of {server}"));
        let key = format!("{}{}", purpose.word(), of.unwrap_or_default());
        let counts = match purpose {
            Purpose::Issuer | Purpose::Assertion | Purpose::Client | Purpose::Catalog => {
                format!("until {until}")
            }
            Purpose::Audit => "for what it has signed".to_owned(),
        };
        format!("{key}: {new} signs from {from}; {old} counts {counts}\n")
    }
}

/// The ring of a key that somebody has named, of one server alone if that is named too.
///
/// # Errors
/// Servers have no such keys, or none may be called so.
pub(crate) fn ring(
    purpose: Purpose,
    directory: &Path,
    server: Option<&str>,
) -> anyhow::Result<Ring> {
    let Some(server) = server else {
        return Ok(Ring::new(purpose, directory));
    };
    let server = ServerName::parse(server).filter(|_| purpose == Purpose::Assertion);
    let server = server.context("servers have a key of their own only for `assertion`")?;
    Ok(Ring::of_server(&server.as_str().into(), directory))
}

/// Makes a new key. What the old one has signed counts for `overlap` after the new one signs; without it, the new one signs
/// now, and nothing of the old one counts any more.
///
/// # Errors
/// There is no key yet, or no new one.
pub(crate) fn replace(
    ring: &Ring,
    (overlap, by): (Option<Duration>, String),
) -> anyhow::Result<Replaced> {
    let (purpose, file) = (ring.purpose, ring.file());
    if !file.exists() {
        bail!("there is no {} yet: start the gateway once", file.display());
    }
    let (lead, overlap) = match overlap {
        None => (Duration::ZERO, Duration::ZERO),
        Some(overlap) => (purpose.lead(), overlap),
    };
    let rotation = Rotation { lead, overlap, by };
    let standing = ring.rotate(rotation, clock::now());
    let standing = standing.context("there is no new key")?.standing;
    let (old, new, from, until) = outcome(&standing, overlap)?;
    let time = |at| time_text(Timestamp::from_seconds(at).micros());
    Ok(Replaced {
        purpose,
        server: ring.server().cloned(),
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
