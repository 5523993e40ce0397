//! The link that is printed where only the owner of the machine reads it.

use portcullis_core::time::{BACK, Timestamp};
use std::time::Duration;

/// How long a link may be used.
pub const LINK_LIFETIME: Duration = Duration::from_mins(10);

/// A link that was printed, as it is kept: its own word only as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Until when it may be used.
    pub until: Timestamp,
    /// The browser that opened it first.
    pub browser: [u8; 32],
}

/// Why a link signs nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// There is no such link, or it was used, or a newer one was printed.
    #[error("no link that can be used")]
    Unknown,
    /// Its time is over.
    #[error("the link's time is over")]
    Expired,
    /// Another browser opened it first.
    #[error("another browser opened the link first")]
    OtherBrowser,
}

impl Link {
    /// Whether this browser may use it now.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn check(kept: Option<&Self>, browser: &[u8; 32], now: Timestamp) -> Result<(), Unopened> {
        let link = kept.ok_or(Unopened::Unknown)?;
        // Longer than that no link was ever good: the clock was set back since.
        if now >= link.until || link.until > now.plus(LINK_LIFETIME + BACK) {
            return Err(Unopened::Expired);
        }
        if link.browser != *browser {
            return Err(Unopened::OtherBrowser);
        }
        Ok(())
    }
}

impl Unopened {
    /// For the audit record.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::OtherBrowser => "other_browser",
        }
    }
}
