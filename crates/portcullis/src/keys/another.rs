//! A new key in a ring: it is made and written down; when its time has come, whoever opens the ring lets it sign.

use super::ring::{Opened, Ring, remove};
use super::schedule::is_old;
use super::standing::{Next, Rotation, Standing};
use super::{Public, write_private};
use anyhow::{Context as _, bail};
use portcullis_core::time::Timestamp;
use std::time::Duration;

/// The most keys of before that still count.
pub(super) const MAX_RETIRED: usize = 16;

impl Ring {
    /// Makes a new key, which signs when its time has come.
    ///
    /// # Errors
    /// As [`Ring::open`]; also if another one waits already, or too many of before still count.
    pub(crate) fn rotate(&self, rotation: Rotation, now: Timestamp) -> anyhow::Result<Opened> {
        let _alone = self.lock()?;
        let standing = self.recovered(now)?.standing;
        self.staged(standing, rotation, now)
    }

    /// The same for a key that is that old, unless another one waits already.
    ///
    /// # Errors
    /// As [`Ring::rotate`].
    pub(super) fn rotate_if_old(
        &self,
        every: Duration,
        rotation: Rotation,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let is_due =
            |standing: &Standing| standing.next.is_none() && is_old(standing.made, every, now);
        // Nobody is held up for one that is not; there is none before the first use.
        if !self.look()?.as_ref().is_some_and(is_due) {
            return Ok(());
        }
        let _alone = self.lock()?;
        let standing = self.recovered(now)?.standing;
        if is_due(&standing) {
            self.staged(standing, rotation, now)?;
        }
        Ok(())
    }

    fn staged(
        &self,
        mut standing: Standing,
        rotation: Rotation,
        now: Timestamp,
    ) -> anyhow::Result<Opened> {
        if let Some(next) = standing.next.take() {
            if !rotation.lead.is_zero() {
                bail!("the key {} waits already to be the next one", next.key.kid);
            }
            // Whoever has seen our keys has seen that one too.
            self.write(&standing)?;
            std::fs::remove_file(self.next_file())?;
        }
        if standing.retired.len() >= MAX_RETIRED {
            bail!("{MAX_RETIRED} keys of before still count: wait until one of them does not");
        }
        self.make_next(&mut standing, rotation, now)?;
        self.recovered(now)
    }

    /// Makes a key that signs at once, and whose file takes the place of whatever is there.
    ///
    /// # Errors
    /// As [`Ring::open`].
    pub(super) fn renew(&self, now: Timestamp) -> anyhow::Result<()> {
        let _alone = self.lock()?;
        let mut standing = self.standing()?;
        if standing.next.is_some() {
            return Ok(());
        }
        remove(&self.next_file())?;
        let rotation = Rotation {
            lead: Duration::ZERO,
            overlap: Duration::ZERO,
            by: "configuration".to_owned(),
        };
        self.make_next(&mut standing, rotation, now)
    }

    fn make_next(
        &self,
        standing: &mut Standing,
        rotation: Rotation,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let key = self.purpose.fresh()?;
        write_private(&self.next_file(), key.expose())
            .with_context(|| format!("cannot write {}", self.next_file().display()))?;
        self.sync()?;
        let key = Public::of(self.purpose, &key)?;
        standing.next = Some(Next::of(key, rotation, now));
        self.write(standing)
    }
}
