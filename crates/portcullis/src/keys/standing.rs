//! Which of our keys count at a time, and how that changes.

use super::Public;
use portcullis_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which keys count, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standing {
    /// The key that signs.
    pub(crate) signs: Public,
    /// When it was made, in seconds since the epoch.
    pub(crate) made: u64,
    /// The one that will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Next>,
    /// Those that did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) retired: Vec<Retired>,
}

/// How a key is replaced.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// How long the new one is published before it signs.
    pub(crate) lead: Duration,
    /// How long the old one counts after that.
    pub(crate) overlap: Duration,
    pub(crate) by: String,
}

/// A key that is published and does not sign yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Next {
    pub(crate) key: Public,
    pub(crate) made: u64,
    /// From when on it signs.
    pub(crate) from: u64,
    /// For how many seconds after that the old one counts.
    pub(super) overlap: u64,
    /// Who wanted it.
    pub(crate) by: String,
    /// Whether the audit log has it.
    pub(super) told: bool,
}

/// A key that signs no more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retired {
    pub(crate) key: Public,
    /// Until when what it has signed counts.
    pub(crate) until: u64,
    /// The key that took its place.
    pub(crate) successor: String,
    pub(crate) by: String,
    pub(super) told: bool,
}

impl Next {
    /// A new key.
    pub(super) fn of(key: Public, rotation: Rotation, now: Timestamp) -> Self {
        Self {
            key,
            made: now.seconds(),
            from: now.plus(rotation.lead).seconds(),
            overlap: rotation.overlap.as_secs(),
            by: rotation.by,
            told: false,
        }
    }
}

impl Standing {
    /// That of one key.
    pub(super) const fn of(signs: Public, made: u64) -> Self {
        Self {
            signs,
            made,
            next: None,
            retired: Vec::new(),
        }
    }

    /// Another key signs from now on, as the configuration says.
    pub(super) fn replace(&mut self, key: Public, overlap: Duration, now: Timestamp) {
        let rotation = Rotation {
            lead: Duration::ZERO,
            overlap,
            by: "configuration".to_owned(),
        };
        self.next = Some(Next::of(key, rotation, now));
        self.promote();
    }

    /// The keys whose signatures count at that time.
    pub(crate) fn counting(&self, now: Timestamp) -> impl Iterator<Item = &Public> {
        let next = self.next.as_ref().map(|next| &next.key);
        let retired = self.retired.iter();
        let retired = retired.filter(move |one| one.until > now.seconds());
        std::iter::once(&self.signs)
            .chain(next)
            .chain(retired.map(|one| &one.key))
    }

    /// When something changes by itself.
    pub(super) fn changes(&self) -> Option<u64> {
        let next = self.next.iter().map(|next| next.from);
        next.chain(self.retired.iter().map(|one| one.until)).min()
    }

    /// Whether the audit log has yet to be told of something.
    pub(super) fn is_untold(&self) -> bool {
        self.next.iter().any(|next| !next.told) || self.retired.iter().any(|one| !one.told)
    }

    /// The next key signs from now on.
    pub(super) fn promote(&mut self) {
        let Some(next) = self.next.take() else {
            return;
        };
        let old = std::mem::replace(&mut self.signs, next.key);
        self.made = next.made;
        self.retired.push(Retired {
            key: old,
            until: next.from.saturating_add(next.overlap),
            successor: self.signs.kid.clone(),
            by: next.by,
            told: false,
        });
    }
}
