//! Keys that are replaced because of their age, by the gateway itself.
//!
//! How old a key is says the disk, and who replaces it looks again once nobody else can: so it is replaced once, whoever
//! looks, and however far the clock has gone.

use super::ring::alone;
use super::watch::tell_once;
use super::wrapping::only;
use super::{Purpose, Ring, Rotation, wrapping};
use crate::clock;
use crate::config::Checked;
use crate::relay::Gateway;
use portcullis_core::time::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use tokio::runtime::Handle;

/// For how long nothing is tried again that has failed, in seconds.
const AGAIN_SECONDS: u64 = 10;
/// By so much a clock may have gone back; a key that is younger than that was made by a clock that was wrong.
const BACK: Duration = Duration::from_hours(1);
/// Who wanted it, in the log.
const BY: &str = "schedule";

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
    every: Duration,
    /// How long what it has signed counts.
    overlap: Duration,
}

/// A key whose time has been over for a while.
pub(crate) struct Overdue {
    pub(crate) key: &'static str,
    pub(crate) every: Duration,
}

/// Does it.
pub(super) struct Schedule {
    directory: PathBuf,
    failed: BTreeMap<&'static str, Failed>,
}

/// What was not done, and when it is tried again.
struct Failed {
    why: String,
    again: u64,
}

impl Turns {
    /// Those of a configuration.
    pub(crate) fn of(checked: &Checked) -> Self {
        let signing = checked.rotate_every.signing.iter();
        let turn = |&(purpose, every): &(Purpose, Duration)| Turn {
            purpose,
            every,
            overlap: purpose.overlap(checked),
        };
        Self {
            signing: signing.map(turn).collect(),
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
            let standing = Ring::new(turn.purpose, directory).look()?;
            let waits = |standing: &super::Standing| {
                standing.next.is_none() && is_old(standing.made, late(turn.every), now)
            };
            if standing.as_ref().is_some_and(waits) {
                all.push(Overdue {
                    key: turn.purpose.word(),
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
                key: "wrapping",
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
            let done = self.is_tried(turn.purpose.word(), now).then(|| {
                let ring = Ring::new(turn.purpose, &self.directory);
                ring.rotate_if_old(turn.every, turn.rotation(), now)
            });
            self.settle(gateway, (turn.purpose.word(), now), done);
        }
        if let Some(every) = turns.wrapping {
            let done = self
                .is_tried("wrapping", now)
                .then(|| self.rewrap(gateway, every, now));
            self.settle(gateway, ("wrapping", now), done);
        }
    }

    fn is_tried(&self, key: &'static str, now: Timestamp) -> bool {
        let failed = self.failed.get(key);
        failed.is_none_or(|failed| failed.again <= now.seconds())
    }

    /// Tells of what could not be done, once for each reason: the old key stays in use.
    fn settle(
        &mut self,
        gateway: &Gateway,
        (key, now): (&'static str, Timestamp),
        done: Option<anyhow::Result<()>>,
    ) {
        match done {
            None => {}
            Some(Ok(())) => drop(self.failed.remove(key)),
            Some(Err(error)) => {
                let (why, again) = (format!("{error:#}"), now.seconds() + AGAIN_SECONDS);
                let before = self.failed.insert(
                    key,
                    Failed {
                        why: why.clone(),
                        again,
                    },
                );
                let before = before.map(|before| before.why);
                tell_once(gateway, ("key.overdue", key), (&before, &Some(why)));
            }
        }
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
