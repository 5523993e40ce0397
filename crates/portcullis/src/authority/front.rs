//! What users have begun at our pages: browsers that are signed in, pages that wait, sign-ins that are under way.

use super::browser::{BrowserSession, Browsers, Mark};
use super::once::Once;
use super::provider::Transaction;
use portcullis_authority::owner;
use portcullis_authority::request::Asked;
use portcullis_core::quota::{Networks, Rate};
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How many pages and forms one network may ask for.
pub(crate) const RATE: Rate = Rate {
    per_minute: 240,
    burst: 120,
};
/// Ids of logout tokens that are remembered; a provider that says more in five minutes is not heard.
const MAX_HEARD: usize = 8192;

/// All of it; a reload keeps it.
#[derive(Default)]
pub(crate) struct Front {
    pub(crate) browsers: Browsers,
    /// Pages with a form, by what the form must bring along.
    pub(crate) waiting: Once<Waiting>,
    /// By `state`.
    pub(crate) under_way: Once<UnderWay>,
    pub(crate) networks: Networks,
    heard: Mutex<HashMap<String, Timestamp>>,
}

/// A page with a form.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The browser that was shown it.
    pub(crate) browser: Mark,
    pub(crate) form: Form,
}

/// Which form it is.
#[derive(Debug)]
pub(crate) enum Form {
    /// To sign in, and see one's account.
    SignIn,
    /// To sign in, and approve the call that this link is for.
    Approve(Secret<String>),
    /// To sign in anew, as this link wants it.
    StepUp(Secret<String>),
    /// The owner signs in with a link, which has this digest.
    Link(Mark),
    /// The owner signs in with a passkey, if there is one, or has done so with a link meanwhile.
    Owner {
        /// What the browser was asked for.
        asked: Option<owner::Asked>,
        next: Next,
    },
    /// The owner adds a passkey.
    NewPasskey(owner::Asked),
    /// To say which device it is.
    Device,
    /// To agree; with the session of whoever was signed in.
    Consent(Box<Asked>, Option<BrowserSession>),
}

/// A sign-in that is under way.
pub(crate) struct UnderWay {
    pub(crate) transaction: Transaction,
    pub(crate) next: Next,
}

/// What follows when a user has signed in.
#[derive(Debug)]
pub(crate) enum Next {
    /// The user sees the account.
    Account,
    /// The owner sees the passkeys.
    Passkeys,
    /// The user sees the call that this link is for.
    Approval(Secret<String>),
    /// The user sees what this link wants a new sign-in for.
    StepUp(Secret<String>),
    /// The user has agreed to this before, in the same browser.
    Asked(Box<Asked>),
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Front(..)")
    }
}

impl Front {
    /// Whether this id of a logout token is new; from then on it is not.
    pub(crate) fn hears(&self, id: &str, until: Timestamp, now: Timestamp) -> bool {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|_, until| *until > now);
        heard.len() < MAX_HEARD && heard.insert(id.to_owned(), until).is_none()
    }
}
