//! Keys that are replaced because of their age, by the gateway itself.
//!
//! How old a key is says the disk, and who replaces it looks again once nobody else can: so it is replaced once, whoever
//! looks, and however far the clock has gone.

use super::ring::alone;
use super::watch::{Which, tell_once};
use super::wrapping::only;
use super::{Purpose, Ring, Rotation, wrapping};
use crate::clock;
use crate::config::Checked;
use crate::relay::Gateway;
use portcullis_core::time::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::runtime::Handle;

/// For how long nothing is tried again that has failed, in seconds.
const AGAIN_SECONDS: u64 = 10;
/// By so much a clock may have gone back; a key that is younger than that was made by a clock that was wrong.
const BACK: Duration = Duration::from_hours(1);
/// Who wanted it, in the log.
const BY: &str = "schedule";
/// What the key that wraps others is called.
const WRAPPING: &str = "wrapping";

/// Which keys are replaced by their age, as the configuration says.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    signing: Vec<Turn>,
    wrapping: Option<Duration>,
}

/// One of those that sign.
#[derive(Debug)]
struct Turn {
    purpose: Purpose,
    /// Whose it is, if it is of one server alone.
    server: Option<Arc<str>>,
    every: Duration,
    /// How long what it has signed counts.
    overlap: Duration,
}

/// A key whose time has been over for a while.
pub(crate) struct Overdue {
    pub(crate) key: String,
    pub(crate) every: Duration,
}

/// Does it.
pub(super) struct Schedule {
    directory: PathBuf,
    failed: BTreeMap<(&'static str, Option<Arc<str>>), Failed>,
}

/// What was not done, and when it is tried again.
struct Failed {
    why: String,
    again: u64,
}

impl Turns {
    /// Those of a configuration.
    pub(crate) fn of(checked: &Checked) -> Self {
        let mut signing = Vec::new();
        for &(purpose, every) in &checked.rotate_every.signing {
            let servers = match purpose {
                Purpose::Assertion => checked.servers_with_own_key().collect(),
                Purpose::Issuer | Purpose::Client | Purpose::Audit | Purpose::Catalog => Vec::new(),
            };
            let all = std::iter::once(None).chain(servers.into_iter().map(Some));
            signing.extend(all.map(|server| Turn {
                purpose,
                server,
                every,
                overlap: purpose.overlap(checked),
            }));
        }
        Self {
            signing,
            wrapping: checked.rotate_every.wrapping,
        }
    }

    /// Keys that should have been replaced by now, so nothing does it.
    ///
    /// # Errors
    /// What a key is cannot be read.
    pub(crate) fn overdue(&self, directory: &Path, now: Timestamp) -> anyhow::Result<Vec<Overdue>> {
        let late = |every: Duration| every.saturating_add(BACK);
        let mut all = Vec::new();
        for turn in &self.signing {
            let standing = turn.ring(directory).look()?;
            let waits = |standing: &super::Standing| {
                standing.next.is_none() && is_old(standing.made, late(turn.every), now)
            };
            if standing.as_ref().is_some_and(waits) {
                all.push(Overdue {
                    key: turn.name(),
                    every: turn.every,
                });
            }
        }
        if let Some(every) = self.wrapping
            && wrapping(directory)?
                .iter()
                .any(|(_, file)| made(file).is_some_and(|made| is_old(made, late(every), now)))
        {
            all.push(Overdue {
                key: WRAPPING.to_owned(),
                every,
            });
        }
        Ok(all)
    }
}

impl Schedule {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            failed: BTreeMap::new(),
        }
    }

    /// Replaces what is old enough.
    pub(super) fn look(&mut self, gateway: &Gateway) {
        let (now, turns) = (clock::now(), gateway.live.load().turns.clone());
        for turn in &turns.signing {
            let which = (turn.purpose.word(), turn.server.as_ref());
            if self.is_tried(which, now) {
                let ring = turn.ring(&self.directory);
                let done = ring.rotate_if_old(turn.every, turn.rotation(), now);
                self.settle(gateway, (which, now), done);
            }
        }
        let which = (WRAPPING, None);
        if let Some(every) = turns.wrapping
            && self.is_tried(which, now)
        {
            let done = self.rewrap(gateway, every, now);
            self.settle(gateway, (which, now), done);
        }
    }

    fn is_tried(&self, (word, server): Which<'_>, now: Timestamp) -> bool {
        let failed = self.failed.get(&(word, server.cloned()));
        failed.is_none_or(|failed| failed.again <= now.seconds())
    }

    /// Tells of what could not be done, once for each reason: the old key stays in use.
    fn settle(
        &mut self,
        gateway: &Gateway,
        (which, now): (Which<'_>, Timestamp),
        done: anyhow::Result<()>,
    ) {
        let key = (which.0, which.1.cloned());
        let Err(error) = done else {
            return drop(self.failed.remove(&key));
        };
        let (why, again) = (format!("{error:#}"), now.seconds() + AGAIN_SECONDS);
        let failed = Failed {
            why: why.clone(),
            again,
        };
        let before = self.failed.insert(key, failed).map(|before| before.why);
        tell_once(gateway, ("key.overdue", which), (&before, &Some(why)));
    }

    /// The same for the key that wraps others. While it is replaced there are two, and it is somebody else's turn.
    fn rewrap(&self, gateway: &Gateway, every: Duration, now: Timestamp) -> anyhow::Result<()> {
        let is_due = || {
            let found = wrapping(&self.directory)?;
            let file = found.first().and_then(|(_, file)| made(file));
            let is_alone = only(&self.directory).is_some();
            anyhow::Ok(is_alone && file.is_some_and(|made| is_old(made, every, now)))
        };
        if !is_due()? {
            return Ok(());
        }
        let _alone = alone(&self.directory)?;
        if is_due()? {
            Handle::current().block_on(gateway.sign_ins.rewrap())?;
        }
        Ok(())
    }
}

impl Turn {
    fn ring(&self, directory: &Path) -> Ring {
        match &self.server {
            None => Ring::new(self.purpose, directory),
            Some(server) => Ring::of_server(server, directory),
        }
    }

    fn name(&self) -> String {
        let word = self.purpose.word();
        let of = |server: &Arc<str>| format!("{word} of {server}");
        self.server.as_ref().map_or_else(|| word.to_owned(), of)
    }

    fn rotation(&self) -> Rotation {
        Rotation {
            lead: self.purpose.lead(),
            overlap: self.overlap,
            by: BY.to_owned(),
        }
    }
}

/// Whether a key is to be replaced. One that is made in the future is as old as nobody knows.
pub(super) fn is_old(made: u64, every: Duration, now: Timestamp) -> bool {
    let now = now.seconds();
    now >= made.saturating_add(every.as_secs()) || made > now.saturating_add(BACK.as_secs())
}

fn made(file: &Path) -> Option<u64> {
    let changed = std::fs::metadata(file).ok()?.modified().ok()?;
    Some(changed.duration_since(UNIX_EPOCH).ok()?.as_secs())
}
