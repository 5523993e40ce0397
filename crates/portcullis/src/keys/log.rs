//! The key of the audit log: which one it is, where it is, and how another takes its place.
//!
//! Whose turn it is, the log itself says: each key hands over to the next. Files and tokens only say where keys are.

use super::ring::Change;
use super::token::label_of;
use super::{Hardware, Public, Purpose, Ring, Unready};
use crate::clock;
use crate::config::{Checked, Pkcs11};
use crate::lifecycle::{Home, LOG_NAME};
use anyhow::{Context as _, bail};
use portcullis_audit::{Recorder, SigningKey, VerifierKey, signer};
use portcullis_core::time::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a token may take to sign a checkpoint: meanwhile nothing is made durable.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take until another key signs: the writer may have to ask two tokens first.
const HANDING_OVER: Duration = Duration::from_secs(10);

/// The key of the log, as the configuration says.
#[derive(Clone)]
pub(crate) struct LogKey {
    ring: Ring,
    /// Where it is, if it is no file.
    hardware: Option<Arc<Hardware>>,
}

impl LogKey {
    /// Finds the key in the token, if it is to be there.
    ///
    /// # Errors
    /// [`Unready`].
    pub(crate) fn new(home: &Home, checked: &Checked) -> anyhow::Result<Self> {
        let purpose = Purpose::Audit;
        let named = checked.pkcs11.as_ref();
        let named = named.and_then(|place| Some((place, purpose.label(place)?)));
        let hardware = named
            .map(|(place, label)| opened(place, label))
            .transpose()?;
        let mut ring = Ring::new(purpose, &home.keys());
        if let Some(hardware) = &hardware {
            ring = ring.elsewhere(hardware.public().clone(), Duration::ZERO);
        }
        Ok(Self { ring, hardware })
    }

    /// The key whose turn it is in a log that the key in `first` began, if there are such; else the one that is configured.
    ///
    /// # Errors
    /// It is nowhere, or not the one that began the log.
    pub(crate) fn due(
        &self,
        log: &Path,
        first: Option<&VerifierKey>,
        place: Option<&Pkcs11>,
    ) -> anyhow::Result<SigningKey> {
        let first_keys = first.map(std::slice::from_ref).unwrap_or_default();
        let due = match first {
            Some(_) => signer(log, first_keys)?,
            None => None,
        };
        let Some(due) = due else {
            return self.configured();
        };
        if let Some(hardware) = &self.hardware
            && hardware.public().verifier()? == due
        {
            return signing(hardware);
        }
        for (public, secret) in self.ring.secrets()? {
            if public.verifier()? == due {
                return Ok(SigningKey::from_pkcs8(LOG_NAME, secret.expose())?);
            }
        }
        let sought = Public::of_point(Purpose::Audit, due.bytes()).context("no Ed25519 key")?;
        let label = place.map(|place| Ok((place, label_of(place, &sought, Purpose::Audit)?)));
        match label.transpose() {
            Ok(Some((place, label))) => signing(&opened(place, &label)?),
            Ok(None) | Err(Unready::Key) => bail!(
                "it is the turn of the key {} to sign the audit log, which is neither keys/audit.ed25519 nor in a token: \
                 one of them was replaced",
                due.id()
            ),
            Err(unready) => Err(unready.into()),
        }
    }

    /// The key that is configured: one in a token, or a file, which is made if there is none.
    fn configured(&self) -> anyhow::Result<SigningKey> {
        let opened = self.ring.open(clock::now())?;
        match (&self.hardware, opened.secret) {
            (Some(hardware), _) => signing(hardware),
            (None, Some(secret)) => Ok(SigningKey::from_pkcs8(LOG_NAME, secret.expose())?),
            (None, None) => bail!("the key of the audit log is nowhere"),
        }
    }

    /// Has the key sign that is configured, if another one did until now: when the gateway starts.
    ///
    /// # Errors
    /// One of the two did not sign.
    pub(crate) fn take_place(&self, recorder: &Recorder) -> anyhow::Result<()> {
        let now = clock::now();
        if let Some(hardware) = &self.hardware {
            if hardware.public().verifier()? != recorder.signer() {
                recorder.hand_over(signing(hardware)?, HANDING_OVER)?;
            }
            // Only now is the ring told.
            self.ring.open(now)?;
            return Ok(());
        }
        if let Some(standing) = self.ring.look()? {
            let is_held = self
                .ring
                .secrets()?
                .iter()
                .any(|(key, _)| *key == standing.signs);
            if !is_held && standing.signs.verifier()? == recorder.signer() {
                // It is to come back from a token: as a key that never signed.
                self.ring.renew(now)?;
            }
        }
        self.succeed(recorder, now)?;
        let standing = self.ring.open(now)?.standing;
        if standing.signs.verifier()? != recorder.signer() {
            recorder.hand_over(self.configured()?, HANDING_OVER)?;
        }
        Ok(())
    }

    /// Has the next key sign whose time has come.
    fn succeed(&self, recorder: &Recorder, now: Timestamp) -> anyhow::Result<()> {
        let Some(standing) = self.ring.look()? else {
            return Ok(());
        };
        let Some(next) = standing.next.filter(|next| next.from <= now.seconds()) else {
            return Ok(());
        };
        let (due, signs) = (recorder.signer(), standing.signs.verifier()?);
        let verifier = next.key.verifier()?;
        if due == signs {
            let mut held = self.ring.secrets()?.into_iter();
            let found = held.find(|(public, _)| *public == next.key);
            let (_, secret) = found.context("the next key is gone")?;
            let key = SigningKey::from_pkcs8(LOG_NAME, secret.expose())?;
            recorder.hand_over(key, HANDING_OVER)?;
        } else if due != verifier {
            bail!("the audit log is signed by another key, {}", due.id());
        }
        self.ring.promote(now).map(drop)
    }

    /// Takes up what is on the disk, and gives what the audit log is to be told.
    ///
    /// # Errors
    /// As [`LogKey::take_place`]; then the key signs on that does.
    pub(super) fn keep_up(
        &self,
        recorder: &Recorder,
        tell: impl FnMut(Change),
    ) -> anyhow::Result<()> {
        let now = clock::now();
        if self.hardware.is_none() {
            self.succeed(recorder, now)?;
        }
        self.ring.settle(now, tell).map(drop)
    }

    /// When the next key is to sign.
    pub(super) fn changes(&self) -> Option<u64> {
        let standing = self.ring.look().ok().flatten()?;
        standing.next.map(|next| next.from)
    }

    /// What tells one state of its files from another.
    pub(super) fn files(&self) -> [std::path::PathBuf; 2] {
        self.ring.files()
    }

    /// Why the token did not sign when it was last asked; none if it did, or there is none.
    pub(super) fn unready(&self) -> Option<Unready> {
        self.hardware.as_ref()?.unready()
    }
}

fn opened(place: &Pkcs11, label: &str) -> anyhow::Result<Arc<Hardware>> {
    let opened = Hardware::open(place, Purpose::Audit, label);
    let opened =
        opened.with_context(|| format!("the key {label:?} in the token {:?}", place.token));
    opened.map(Arc::new)
}

fn signing(hardware: &Arc<Hardware>) -> anyhow::Result<SigningKey> {
    let (public, hardware) = (hardware.public().verifier()?, Arc::clone(hardware));
    let sign = move |text: &[u8]| hardware.sign_here(text.to_vec(), PATIENCE).ok();
    Ok(SigningKey::elsewhere(public, Box::new(sign)))
}
