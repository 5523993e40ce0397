//! Browsers that are signed in: a random handle in a cookie here, everything else in a bounded table there.
//!
//! What a cookie holds is never believed, only looked up. MCP endpoints neither set nor read cookies.

use crate::random;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};
use portcullis_authority::user::User;
use portcullis_core::secret::Secret;
use portcullis_core::time::{Span, Timestamp};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a browser stays signed in without being used, and in all.
pub(crate) const IDLE: Duration = Duration::from_mins(30);
pub(crate) const ABSOLUTE: Duration = Duration::from_hours(8);
/// The most browsers that are signed in, and of one user. One more ends the one that was not used for the longest time.
const MAX_SESSIONS: usize = 8192;
const MAX_OF_ONE: usize = 16;
/// Characters of a handle: 256 bits in base64url.
const HANDLE: usize = 43;

/// What cannot be guessed is looked up by its digest.
pub(crate) type Mark = [u8; 32];

/// The browsers that are signed in.
#[derive(Default)]
pub(crate) struct Browsers(Mutex<HashMap<Mark, Held>>);

struct Held {
    user: Arc<User>,
    there: There,
    token: Secret<String>,
    began: Timestamp,
    used: Timestamp,
}

/// What a session is called at the provider, if it has told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct There {
    /// The provider's own session (`sid`).
    pub(crate) session: Option<String>,
    /// The user, as its logout tokens name them (`sub`).
    pub(crate) subject: Option<String>,
}

/// A browser that is signed in, as one request of it shows.
#[derive(Clone)]
pub(crate) struct BrowserSession {
    mark: Mark,
    /// Must come with every form of this session.
    token: Secret<String>,
    /// When it began.
    pub(crate) began: Timestamp,
}

/// Our two cookies. Both hold a handle and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// The browser that is signed in: `SameSite=Strict`.
    Session,
    /// The browser that has begun something: `Lax`, since the provider sends it back to us across sites. Short-lived.
    Browser,
}

impl Cookie {
    /// Over `https` no other host can set it (RFC 6265bis section 4.1.3.2). Plain `http` is for loopback only, where some
    /// browsers take neither the prefix nor `Secure`.
    pub(crate) const fn name(self, is_https: bool) -> &'static str {
        match (self, is_https) {
            (Self::Session, true) => "__Host-portcullis-session",
            (Self::Session, false) => "portcullis-session",
            (Self::Browser, true) => "__Host-portcullis-browser",
            (Self::Browser, false) => "portcullis-browser",
        }
    }

    const fn attributes(self) -> &'static str {
        match self {
            Self::Session => "Path=/; HttpOnly; SameSite=Strict",
            Self::Browser => "Path=/; Max-Age=1200; HttpOnly; SameSite=Lax",
        }
    }

    /// Its value, if there is just one, of the form that ours have.
    pub(crate) fn read(self, headers: &HeaderMap, is_https: bool) -> Option<&str> {
        let name = self.name(is_https);
        let all = headers.get_all(COOKIE).iter();
        let texts = all.filter_map(|value| value.to_str().ok());
        let mut values = texts
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(own, _)| *own == name)
            .map(|(_, value)| value);
        let value = values.next()?;
        let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_handle = value.len() == HANDLE && value.bytes().all(is_ours);
        (is_handle && values.next().is_none()).then_some(value)
    }

    /// Sets it.
    pub(crate) fn set(self, headers: &mut HeaderMap, is_https: bool, value: &Secret<String>) {
        let (name, attributes) = (self.name(is_https), self.attributes());
        let secure = if is_https { "; Secure" } else { "" };
        let cookie = format!("{name}={}; {attributes}{secure}", value.expose());
        append(headers, &cookie);
    }

    /// Takes it away.
    pub(crate) fn clear(self, headers: &mut HeaderMap, is_https: bool) {
        let secure = if is_https { "; Secure" } else { "" };
        let cookie = format!(
            "{}=; Path=/; Max-Age=0; HttpOnly{secure}",
            self.name(is_https)
        );
        append(headers, &cookie);
    }
}

fn append(headers: &mut HeaderMap, cookie: &str) {
    if let Ok(mut cookie) = HeaderValue::from_str(cookie) {
        cookie.set_sensitive(true);
        headers.append(SET_COOKIE, cookie);
    }
}

impl Browsers {
    /// Signs a browser in; gives its new handle. None if there is no entropy.
    pub(crate) fn open(&self, user: User, there: There, now: Timestamp) -> Option<Secret<String>> {
        let (handle, token) = (secret()?, secret()?);
        let held = Held {
            user: Arc::new(user),
            there,
            token,
            began: now,
            used: now,
        };
        let mut sessions = self.held();
        sessions.retain(|_, held| held.lives(now));
        make_room(&mut sessions, &held.user);
        sessions.insert(mark(handle.expose()), held);
        Some(handle)
    }

    /// Who is signed in with this handle; its time begins anew.
    pub(crate) fn find(&self, handle: &str, now: Timestamp) -> Option<(Arc<User>, BrowserSession)> {
        let mark = mark(handle);
        let mut sessions = self.held();
        let held = sessions.get_mut(&mark)?;
        if !held.lives(now) {
            sessions.remove(&mark);
            return None;
        }
        held.used = now.max(held.used);
        let session = BrowserSession {
            mark,
            token: held.token.clone(),
            began: held.began,
        };
        Some((Arc::clone(&held.user), session))
    }

    /// Signs one out.
    pub(crate) fn close(&self, session: &BrowserSession) {
        self.held().remove(&session.mark);
    }

    /// Signs out whoever is meant, by user, by what the provider calls the session, and by when it began; gives who
    /// they were.
    pub(crate) fn close_all(
        &self,
        is_meant: impl Fn(&User, &There, Timestamp) -> bool,
    ) -> Vec<Arc<User>> {
        let mut gone = Vec::new();
        self.held().retain(|_, held| {
            let is_meant = is_meant(&held.user, &held.there, held.began);
            if is_meant {
                gone.push(Arc::clone(&held.user));
            }
            !is_meant
        });
        gone
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Mark, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn lives(&self, now: Timestamp) -> bool {
        Span::new(self.used, IDLE).has(now) && Span::new(self.began, ABSOLUTE).has(now)
    }
}

/// INVARIANT: there is room for one more, of this user too.
fn make_room(sessions: &mut HashMap<Mark, Held>, user: &User) {
    let is_theirs =
        |held: &Held| held.user.issuer == user.issuer && held.user.subject == user.subject;
    let own = sessions.values().filter(|held| is_theirs(held)).count();
    let is_one_too_many = own >= MAX_OF_ONE;
    if !is_one_too_many && sessions.len() < MAX_SESSIONS {
        return;
    }
    let oldest = sessions
        .iter()
        .filter(|(_, held)| !is_one_too_many || is_theirs(held))
        .min_by_key(|(_, held)| held.used)
        .map(|(mark, _)| *mark);
    if let Some(oldest) = oldest {
        sessions.remove(&oldest);
    }
}

impl BrowserSession {
    /// What forms of this session carry.
    pub(crate) const fn token(&self) -> &Secret<String> {
        &self.token
    }

    /// Whether a form is one of this session.
    pub(crate) fn has_sent(&self, token: &str) -> bool {
        verify_slices_are_equal(token.as_bytes(), self.token.expose().as_bytes()).is_ok()
    }

    /// By what it is the same as another.
    pub(crate) const fn mark(&self) -> Mark {
        self.mark
    }
}

impl fmt::Debug for Browsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Browsers(..)")
    }
}

impl fmt::Debug for BrowserSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrowserSession(..)")
    }
}

/// 256 random bits as text.
pub(crate) fn secret() -> Option<Secret<String>> {
    let bytes: [u8; 32] = random::bytes().ok()?;
    Some(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// The digest of what cannot be guessed.
pub(crate) fn mark(text: &str) -> Mark {
    let mut mark = [0; 32];
    mark.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_authority::user::Person;

    fn user(subject: &str) -> User {
        User::signed_in(Person {
            subject: subject.to_owned(),
            issuer: "https://idp.example".to_owned(),
            ..Person::default()
        })
    }

    const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn trn_02_a_session_ends_when_idle_and_in_any_case() {
        let browsers = Browsers::default();
        let handle = browsers
            .open(user("alice"), There::default(), START)
            .unwrap();
        let is_there =
            |browsers: &Browsers, at: Timestamp| browsers.find(handle.expose(), at).is_some();
        let mut now = START;
        while now.since(START) + IDLE / 2 < ABSOLUTE {
            now = now.plus(IDLE / 2);
            assert!(is_there(&browsers, now), "{now:?}");
        }
        assert!(!is_there(&browsers, START.plus(ABSOLUTE)));
        let handle = browsers
            .open(user("alice"), There::default(), START)
            .unwrap();
        assert!(browsers.find(handle.expose(), START.plus(IDLE)).is_none());
        assert!(browsers.find("guess", START).is_none());
        // Nor does it live longer since the clock was set back: its user signs in again.
        let back = Timestamp::from_seconds(START.seconds() - 3600);
        let handle = browsers.open(user("alice"), There::default(), START);
        assert!(browsers.find(handle.unwrap().expose(), back).is_none());
        let handle = browsers.open(user("alice"), There::default(), back);
        assert!(browsers.find(handle.unwrap().expose(), back).is_some());
    }

    #[test]
    fn trn_02_the_table_is_bounded_and_the_longest_unused_goes_first() {
        let browsers = Browsers::default();
        let open = |subject: &str, later: u64| {
            let at = START.plus(Duration::from_millis(later));
            browsers.open(user(subject), There::default(), at).unwrap()
        };
        let bob = open("bob", 0);
        let own: Vec<_> = (0..=MAX_OF_ONE as u64)
            .map(|later| open("alice", later))
            .collect();
        let now = START.plus(Duration::from_secs(1));
        assert!(browsers.find(own[0].expose(), now).is_none());
        assert!(browsers.find(own[1].expose(), now).is_some());
        for number in 0..MAX_SESSIONS as u64 {
            open(&format!("user-{number}"), 2000);
        }
        assert_eq!(browsers.held().len(), MAX_SESSIONS);
        assert!(browsers.find(bob.expose(), now).is_none());
    }

    #[test]
    fn trn_02_a_cookie_has_one_reading() {
        let good = "a".repeat(HANDLE);
        let read = |cookies: &[&str], is_https: bool| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
            }
            Cookie::Session.read(&headers, is_https).map(str::to_owned)
        };
        let host = format!("__Host-portcullis-session={good}");
        let plain = format!("portcullis-session={good}");
        assert_eq!(read(&[&format!("a=b; {host}")], true), Some(good.clone()));
        assert_eq!(read(&[&plain], false), Some(good.clone()));
        // A neighbour's host could have set it.
        assert_eq!(read(&[&plain], true), None);
        assert_eq!(read(&[&host, &host], true), None);
        assert_eq!(read(&[&format!("{host}; {host}")], true), None);
        assert_eq!(read(&[&format!("{host}a")], true), None);
        assert_eq!(read(&["__Host-portcullis-session=../x"], true), None);
        let mut headers = HeaderMap::new();
        Cookie::Session.set(&mut headers, true, &Secret::new(good.clone()));
        Cookie::Browser.set(&mut headers, true, &Secret::new(good));
        for set in headers.get_all(SET_COOKIE) {
            let set = set.to_str().unwrap();
            for attribute in [
                "__Host-",
                "; Path=/;",
                "; HttpOnly",
                "; Secure",
                "; SameSite=",
            ] {
                assert!(set.contains(attribute), "{set}");
            }
            assert!(!set.contains("Domain"), "{set}");
        }
    }
}
