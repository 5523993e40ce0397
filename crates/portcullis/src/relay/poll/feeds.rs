//! Which feeds are followed, and whose issuers are not believed since theirs is silent.

use arc_swap::ArcSwap;
use portcullis_core::refusal::Unavailable;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The feeds of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    /// By the issuers' names in the file: one task for each.
    followed: Mutex<HashSet<String>>,
    reloads: watch::Sender<()>,
    /// Issuers whose feed must be heard and is not.
    silent: ArcSwap<HashSet<String>>,
    is_any_silent: AtomicBool,
}

impl Feeds {
    /// Whether what this issuer has to say of its subjects is known. Cost: one load.
    ///
    /// # Errors
    /// [`Unavailable::Feed`].
    pub(crate) fn known(&self, issuer: &str) -> Result<(), Unavailable> {
        if self.is_any_silent.load(Ordering::Acquire) && self.silent.load().contains(issuer) {
            return Err(Unavailable::Feed);
        }
        Ok(())
    }

    /// Nobody whom this issuer has named has access; says whether that is new.
    pub(super) fn deny(&self, issuer: &str) -> bool {
        self.change(|silent| silent.insert(issuer.to_owned()))
    }

    /// The feed of this issuer keeps nobody out; says whether that is new.
    pub(super) fn admit(&self, issuer: &str) -> bool {
        self.change(|silent| silent.remove(issuer))
    }

    fn change(&self, change: impl FnOnce(&mut HashSet<String>) -> bool) -> bool {
        let _alone = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut silent = (**self.silent.load()).clone();
        let is_changed = change(&mut silent);
        if is_changed {
            let is_any = !silent.is_empty();
            self.silent.store(Arc::new(silent));
            self.is_any_silent.store(is_any, Ordering::Release);
        }
        is_changed
    }

    /// Whether a feed has to be followed from now on.
    pub(super) fn begin(&self, name: &str) -> bool {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.insert(name.to_owned())
    }

    /// Ends it, unless it was configured again meanwhile.
    pub(super) fn end(&self, name: &str, is_configured: impl FnOnce() -> bool) -> bool {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if is_configured() {
            return false;
        }
        followed.remove(name)
    }

    pub(super) fn reloaded(&self) {
        self.reloads.send_replace(());
    }

    pub(super) fn reloads(&self) -> watch::Receiver<()> {
        self.reloads.subscribe()
    }
}
