//! Who has signed in anew, at a page of ours, since the login behind a token was not good enough: it counts in place of what the
//! token says, at the server and for the grant that it was made for, and for a while (DYN-01, ATK-070).

use super::{Lack, NotTheirs, Strength};
use crate::authenticate::{Authentication, Principal};
use crate::hexadecimal::mark;
use crate::protocol::Target;
use crate::secret::Secret;
use crate::time::{Span, Timestamp};
use aws_lc_rs::digest::{Context, SHA256};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// How long somebody may take to sign in.
const OPEN: Duration = Duration::from_mins(10);
/// For how long a login counts that nobody wants to be recent, and any at most.
const LASTS: Duration = Duration::from_hours(1);
const LASTS_AT_MOST: Duration = Duration::from_hours(12);
/// What may wait at once in all, and for one caller; and the logins that count.
const MAX_OPEN: usize = 4096;
const MAX_OPEN_OF_ONE: usize = 16;
const MAX_MADE: usize = 4096;
/// The claim of whoever keeps grants apart: all tokens that came of one code, however often they were renewed.
const GRANT: &str = "grant_id";

/// Links that are open, and logins that were made by them. Bounded.
#[derive(Default)]
pub struct Anew {
    /// By digest of the text.
    open: Mutex<HashMap<[u8; 32], Open>>,
    /// By digest of the grant.
    made: RwLock<HashMap<[u8; 32], (Span, Authentication)>>,
}

struct Open {
    wanted: Wanted,
    text: Secret<String>,
    span: Span,
}

/// Whose login is not good enough: one caller, by one client with one grant, at one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    digest: [u8; 32],
    caller: Arc<str>,
    vouched_by: String,
    subject: String,
    client: Option<String>,
    server: Arc<str>,
    tool: Option<Box<str>>,
}

/// What a link is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    grant: Grant,
    required: Strength,
    since: Timestamp,
}

/// Somebody who has signed in at a page of ours.
#[derive(Debug, Clone)]
pub struct Login<'a> {
    /// The server-side key.
    pub key: &'a str,
    /// What their provider says of it.
    pub authentication: Authentication,
    /// When they came back from there, by our clock.
    pub began: Timestamp,
    /// By how much the clock of whoever says so may be behind ours.
    pub skew: Duration,
}

/// Why a login does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnew {
    /// The link is too old, was used, or never was.
    #[error("no such link")]
    Link,
    /// Somebody else has begun it.
    #[error(transparent)]
    NotTheirs(#[from] NotTheirs),
    /// It is of before, or not as it must be.
    #[error("the login is not good enough")]
    Lacks(Lack),
}

impl NotAnew {
    /// The audit record's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::NotTheirs(why) => why.reason(),
            Self::Lacks(lack) => lack.reason(),
        }
    }
}

impl Grant {
    /// None if nothing tells the tokens of one grant from others.
    pub(super) fn of(principal: &Principal, server: &Arc<str>, target: &Target) -> Option<Self> {
        Some(Self {
            digest: digest(principal, server)?,
            caller: Arc::clone(&principal.key),
            vouched_by: principal.vouched_by().to_owned(),
            subject: principal.subject.clone(),
            client: principal.client.clone(),
            server: Arc::clone(server),
            tool: match target {
                Target::Tool(tool) => Some((**tool).into()),
                Target::Resource(_) | Target::Prompt(_) | Target::Task(_) | Target::Server => None,
            },
        })
    }

    /// Who vouches for the caller.
    pub fn vouched_by(&self) -> &str {
        &self.vouched_by
    }

    /// At which server.
    pub const fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// For which tool, if it is one.
    pub fn tool(&self) -> Option<&str> {
        self.tool.as_deref()
    }

    /// The program that calls.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// Who calls, as their issuer names them.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl Wanted {
    /// For whom.
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// What is needed of the login.
    pub const fn required(&self) -> &Strength {
        &self.required
    }

    /// Whether it is for this visitor, by the server-side key.
    ///
    /// # Errors
    /// [`NotTheirs::AnotherUser`].
    pub fn expect(&self, key: &str) -> Result<(), NotTheirs> {
        if *self.grant.caller == *key {
            Ok(())
        } else {
            Err(NotTheirs::AnotherUser)
        }
    }

    /// Whether this login is the one that is wanted: made since, by whoever calls, and as it must be.
    ///
    /// # Errors
    /// [`NotAnew`].
    pub fn check(&self, login: &Login<'_>, now: Timestamp) -> Result<(), NotAnew> {
        self.expect(login.key)?;
        let said = &login.authentication;
        // A provider's clock may be behind ours, but what a browser brought before is no login for this.
        let since = Timestamp::from_seconds(self.since.seconds());
        let is_of_now = said.time.is_some_and(|time| time.plus(login.skew) >= since);
        if login.began < self.since || !is_of_now {
            return Err(NotAnew::Lacks(Lack::Age));
        }
        self.required.check(said, now).map_err(NotAnew::Lacks)
    }
}

impl Anew {
    /// Gives the text of the link by which whoever calls signs in; one that is open stays as it is. None if there is no room.
    pub fn ask(
        &self,
        grant: &Grant,
        required: &Strength,
        (text, now): (Secret<String>, Timestamp),
    ) -> Option<Secret<String>> {
        let mut open = self.open();
        open.retain(|_, one| one.span.has(now));
        let same = |one: &&Open| one.wanted.grant == *grant && one.wanted.required == *required;
        if let Some(one) = open.values().find(same) {
            return Some(one.text.clone());
        }
        let theirs = |one: &&Open| one.wanted.grant.caller == grant.caller;
        if open.len() >= MAX_OPEN || open.values().filter(theirs).count() >= MAX_OPEN_OF_ONE {
            return None;
        }
        let wanted = Wanted {
            grant: grant.clone(),
            required: required.clone(),
            since: now,
        };
        let one = Open {
            wanted,
            text: text.clone(),
            span: Span::new(now, OPEN),
        };
        open.insert(mark(text.expose()), one);
        Some(text)
    }

    /// What the link of this text is for, while it is open.
    pub fn wanted(&self, text: &str, now: Timestamp) -> Option<Wanted> {
        let open = self.open();
        let one = open.get(&mark(text)).filter(|one| one.span.has(now))?;
        Some(one.wanted.clone())
    }

    /// Has this login count from now on, if it is the one that the link wants; the link is used up by that.
    ///
    /// # Errors
    /// [`NotAnew`]; then the link stays.
    pub fn make(&self, text: &str, login: Login<'_>, now: Timestamp) -> Result<(), NotAnew> {
        let mut open = self.open();
        let one = open.get(&mark(text)).filter(|one| one.span.has(now));
        let wanted = one.map(|one| one.wanted.clone()).ok_or(NotAnew::Link)?;
        wanted.check(&login, now)?;
        open.remove(&mark(text));
        drop(open);
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        made.retain(|_, (span, _)| span.has(now));
        if made.len() >= MAX_MADE {
            let oldest = made.iter().min_by_key(|(_, (span, _))| span.made());
            let oldest = oldest.map(|(digest, _)| *digest);
            oldest.and_then(|oldest| made.remove(&oldest));
        }
        let lasts = wanted.required.max_age.unwrap_or(LASTS);
        let span = Span::new(now, lasts.min(LASTS_AT_MOST));
        let authentication = Authentication {
            is_anew: true,
            ..login.authentication
        };
        made.insert(wanted.grant.digest, (span, authentication));
        Ok(())
    }

    /// Ends a link that is open; says whether it was.
    pub fn refuse(&self, text: &str, now: Timestamp) -> bool {
        let gone = self.open().remove(&mark(text));
        gone.is_some_and(|one| one.span.has(now))
    }

    /// The caller as they are at this server: with the login that was made for it, where one was. Cost where nobody has: a look
    /// at an empty table.
    pub(crate) fn raise(
        &self,
        principal: Principal,
        server: &Arc<str>,
        now: Timestamp,
    ) -> Principal {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        if made.is_empty() {
            return principal;
        }
        let own = digest(&principal, server).and_then(|digest| made.get(&digest));
        match own.filter(|(span, _)| span.has(now)) {
            Some((_, login)) => principal.with_login(login.clone()),
            None => principal,
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<[u8; 32], Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tokens of one grant of this caller, at one server. Which issuer says so belongs to it.
fn digest(principal: &Principal, server: &str) -> Option<[u8; 32]> {
    let named = principal.claims.iter().find(|(name, _)| name == GRANT);
    let (kind, grant) = match (named, &principal.token_id) {
        (Some((name, grant)), _) => (name.as_str(), grant.as_str()),
        (None, Some(id)) => ("jti", id.as_str()),
        (None, None) => return None,
    };
    let client = principal.client.as_deref().unwrap_or_default();
    let mut hash = Context::new(&SHA256);
    for part in [
        &*principal.key,
        &principal.issuer,
        client,
        kind,
        grant,
        server,
    ] {
        hash.update(&u64::try_from(part.len()).ok()?.to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finish().as_ref().try_into().ok()
}

impl fmt::Debug for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anew(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authenticate::key_of;

    const NOW: u64 = 1_800_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(NOW + seconds)
    }

    fn grant(caller: &str, number: u8) -> Grant {
        Grant {
            digest: [number; 32],
            caller: key_of("idp", caller),
            vouched_by: "idp".to_owned(),
            subject: caller.to_owned(),
            client: None,
            server: "notes".into(),
            tool: None,
        }
    }

    fn gold() -> Strength {
        Strength {
            classes: vec!["gold".to_owned()],
            max_age: Some(Duration::from_mins(1)),
            ..Strength::default()
        }
    }

    fn asks(anew: &Anew, grant: &Grant, text: &str, now: Timestamp) -> Option<String> {
        let fresh = (Secret::new(text.to_owned()), now);
        let link = anew.ask(grant, &gold(), fresh)?;
        Some(link.expose().clone())
    }

    fn login<'a>(key: &'a str, class: &str, (time, began): (u64, u64)) -> Login<'a> {
        Login {
            key,
            authentication: Authentication {
                class: Some(class.to_owned()),
                time: Some(at(time)),
                ..Authentication::default()
            },
            began: at(began),
            skew: Duration::from_mins(1),
        }
    }

    #[test]
    fn dyn_01_a_login_counts_if_it_is_the_one_that_was_wanted_and_once() {
        let (anew, own) = (Anew::default(), grant("alice", 1));
        assert_eq!(asks(&anew, &own, "a", at(100)).unwrap(), "a");
        assert_eq!(asks(&anew, &own, "b", at(101)).unwrap(), "a");
        let (alice, mallory) = (key_of("idp", "alice"), key_of("idp", "mallory"));
        let lacks = |lack| Err(NotAnew::Lacks(lack));
        for (text, login, expected) in [
            ("b", login(&alice, "gold", (110, 110)), Err(NotAnew::Link)),
            (
                "a",
                login(&mallory, "gold", (110, 110)),
                Err(NotAnew::NotTheirs(NotTheirs::AnotherUser)),
            ),
            ("a", login(&alice, "gold", (110, 99)), lacks(Lack::Age)),
            ("a", login(&alice, "gold", (39, 110)), lacks(Lack::Age)),
            ("a", login(&alice, "tin", (110, 110)), lacks(Lack::Class)),
            ("a", login(&alice, "gold", (41, 110)), lacks(Lack::Age)),
            ("a", login(&alice, "gold", (110, 110)), Ok(())),
            ("a", login(&alice, "gold", (110, 110)), Err(NotAnew::Link)),
        ] {
            let seen = format!("{text} {login:?}");
            assert_eq!(anew.make(text, login, at(120)), expected, "{seen}");
        }
        assert_eq!(asks(&anew, &own, "c", at(130)).unwrap(), "c");
        assert!(anew.wanted("c", at(130)).is_some());
        assert!(anew.wanted("c", at(130).plus(OPEN)).is_none());
        assert!(!anew.refuse("x", at(131)) && anew.refuse("c", at(131)));
        assert!(anew.wanted("c", at(131)).is_none());
    }

    #[test]
    fn dyn_01_links_and_logins_are_bounded() {
        let anew = Anew::default();
        for number in 0..MAX_OPEN_OF_ONE {
            let one = grant("mallory", u8::try_from(number).unwrap());
            assert!(asks(&anew, &one, &format!("m{number}"), at(0)).is_some());
        }
        assert_eq!(asks(&anew, &grant("mallory", 99), "more", at(0)), None);
        assert!(asks(&anew, &grant("alice", 1), "a", at(0)).is_some());
        let held = anew.open().len();
        for number in held..MAX_OPEN {
            let one = grant(&format!("user-{number}"), 1);
            assert!(asks(&anew, &one, &number.to_string(), at(0)).is_some());
        }
        assert_eq!(asks(&anew, &grant("zoe", 1), "z", at(0)), None);
        assert!(asks(&anew, &grant("zoe", 1), "z", at(0).plus(OPEN)).is_some());
        let made = |anew: &Anew| anew.made.read().unwrap().len();
        for number in 0..=MAX_MADE {
            let (caller, text) = (format!("user-{number}"), format!("made-{number}"));
            let mut one = grant(&caller, 0);
            one.digest[..8].copy_from_slice(&(number as u64).to_be_bytes());
            let now = at(1000);
            asks(&anew, &one, &text, now).unwrap();
            let key = key_of("idp", &caller);
            let login = login(&key, "gold", (1000, 1000));
            assert_eq!(anew.make(&text, login, now), Ok(()));
        }
        assert_eq!(made(&anew), MAX_MADE);
    }
}
