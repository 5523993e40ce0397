//! Which keys there are, and nothing of them that is secret.

use super::{Public, Purpose, Ring, Standing, of_servers, wrapping};
use crate::clock;
use crate::lifecycle::Home;
use anyhow::Context as _;
use portcullis_audit::time_text;
use portcullis_core::time::Timestamp;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// A key, and nothing of it that is secret.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    key: &'static str,
    /// The server for which alone it signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Arc<str>>,
    id: String,
    algorithm: String,
    /// `signs`, `next`, `counts` or `wraps`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<String>,
    /// When its state changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    used_for: &'static str,
}

impl Listed {
    /// The same in a line.
    pub(crate) fn line(&self) -> String {
        let when = match (self.state, &self.until) {
            ("next", Some(until)) => format!("signs from {until}"),
            (_, Some(until)) => format!("counts until {until}"),
            (state, None) => state.to_owned(),
        };
        let of = self
            .server
            .as_ref()
            .map(|server| format!(" (for {server} alone)"));
        let made = self.made.as_ref().map(|made| format!(", made {made}"));
        format!(
            "{:<9} {} {} {when}{}: {}{}\n",
            self.key,
            self.id,
            self.algorithm,
            made.unwrap_or_default(),
            self.used_for,
            of.unwrap_or_default()
        )
    }
}

/// All of them.
///
/// # Errors
/// One of them cannot be read.
pub(crate) fn listed(home: &Home) -> anyhow::Result<Vec<Listed>> {
    let mut all = Vec::new();
    let shared = Purpose::ALL.map(|purpose| Ring::new(purpose, &home.keys()));
    let single = of_servers(&home.keys())?;
    for ring in shared.into_iter().chain(single) {
        if let Some(standing) = ring.look()? {
            all.extend(of_ring(&ring, standing));
        }
    }
    all.extend(of_wrapping(&home.keys())?);
    Ok(all)
}

fn of_ring(ring: &Ring, standing: Standing) -> Vec<Listed> {
    let listed = |key: Public, state, (made, until): (Option<u64>, Option<u64>)| Listed {
        key: ring.purpose.word(),
        server: ring.server().cloned(),
        id: key.kid,
        algorithm: key.alg,
        state,
        made: made.map(time),
        until: until.map(time),
        used_for: ring.purpose.signs(),
    };
    let mut all = vec![listed(standing.signs, "signs", (Some(standing.made), None))];
    let next = standing.next;
    all.extend(next.map(|next| listed(next.key, "next", (Some(next.made), Some(next.from)))));
    let now = clock::now().seconds();
    let counting = standing.retired.into_iter().filter(|one| one.until > now);
    all.extend(counting.map(|one| listed(one.key, "counts", (None, Some(one.until)))));
    all
}

fn of_wrapping(directory: &Path) -> anyhow::Result<Vec<Listed>> {
    let all = wrapping(directory);
    let all = all.with_context(|| format!("cannot read {}", directory.display()))?;
    let listed = all.into_iter().map(|(name, file)| Listed {
        key: "wrapping",
        server: None,
        id: name,
        algorithm: "AES-256-GCM-SIV".to_owned(),
        state: "wraps",
        made: made(&file),
        until: None,
        used_for: "the keys under which secrets are sealed in state.db",
    });
    Ok(listed.collect())
}

fn made(file: &Path) -> Option<String> {
    let changed = std::fs::metadata(file).ok()?.modified().ok()?;
    Some(time(changed.duration_since(UNIX_EPOCH).ok()?.as_secs()))
}

fn time(seconds: u64) -> String {
    time_text(Timestamp::from_seconds(seconds).micros())
}
