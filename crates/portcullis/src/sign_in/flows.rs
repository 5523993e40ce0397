//! Links that principals were given, and what their browsers are about to bring back: few, short-lived, used once.

use super::lock;
use crate::{clock, random};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::authenticate::Principal;
use portcullis_core::secret::Secret;
use portcullis_core::sign_in::{Authority, Challenge, Client};
use portcullis_core::time::Span;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a link is good, and a browser may take.
const LIFETIME: Duration = Duration::from_mins(10);
/// The most of each at once; one of each for a principal and a server.
const MAX_LINKS: usize = 4096;
/// How often a server may want more scopes of one principal, within this time.
const MAX_STEPS: u32 = 2;
const STEPS_WITHIN: Duration = Duration::from_mins(10);

/// What cannot be guessed is looked up by its digest.
type Mark = [u8; 32];
/// A server and a principal.
pub(super) type Place = (Arc<str>, Arc<str>);

#[derive(Default)]
pub(super) struct Flows {
    links: Mutex<HashMap<Place, Held>>,
    under_way: Mutex<HashMap<Place, (Mark, Flow)>>,
    steps: Mutex<HashMap<Place, (Span, u32)>>,
}

/// What is asked for in somebody's name.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) challenge: Challenge,
    pub(super) scopes: Vec<String>,
}

/// The browser that follows a link, by what its cookie holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Browser(Mark);

/// A link that is good.
#[derive(Clone)]
pub(crate) struct Link {
    /// What is in it and cannot be guessed.
    pub(crate) text: Secret<String>,
    pub(crate) principal: Principal,
    pub(crate) server: Arc<str>,
    pub(super) wanted: Wanted,
}

struct Held {
    mark: Mark,
    link: Link,
    span: Span,
    /// Whoever opened it first.
    browser: Option<Browser>,
}

/// What was asked of an authorization server, to be held against the answer.
pub(crate) struct Flow {
    pub(crate) link: Link,
    pub(crate) browser: Browser,
    pub(super) authority: Authority,
    pub(super) client: Client,
    pub(super) resource: String,
    pub(super) scope: String,
    pub(super) verifier: Secret<String>,
    span: Span,
}

/// What a flow is made of.
pub(super) struct Begun {
    pub(super) authority: Authority,
    pub(super) client: Client,
    pub(super) resource: String,
    pub(super) scope: String,
    pub(super) verifier: Secret<String>,
}

impl Browser {
    /// By the value of its cookie.
    pub(crate) fn of(cookie: &str) -> Self {
        Self(mark(cookie))
    }
}

impl Flows {
    /// A link for this principal; the one that there is, if it was not opened. None if there is no room or no entropy.
    pub(super) fn invite(
        &self,
        principal: &Principal,
        server: &Arc<str>,
        wanted: Wanted,
    ) -> Option<Secret<String>> {
        let now = clock::now();
        let place = (Arc::clone(server), Arc::clone(&principal.key));
        let mut links = lock(&self.links);
        if let Some(held) = links.get_mut(&place)
            && held.span.has(now)
            && held.browser.is_none()
        {
            held.link.wanted = wanted;
            return Some(held.link.text.clone());
        }
        links.retain(|_, held| held.span.has(now));
        if links.len() >= MAX_LINKS {
            return None;
        }
        let text = secret()?;
        let held = Held {
            mark: mark(text.expose()),
            link: Link {
                text: text.clone(),
                principal: principal.clone(),
                server: Arc::clone(server),
                wanted,
            },
            span: Span::new(now, LIFETIME),
            browser: None,
        };
        links.insert(place, held);
        Some(text)
    }

    pub(super) fn link(&self, text: &str) -> Option<Link> {
        let (now, asked) = (clock::now(), mark(text));
        let links = lock(&self.links);
        let mut good = links.values().filter(|held| held.span.has(now));
        let held = good.find(|held| held.mark == asked)?;
        Some(held.link.clone())
    }

    /// Opens a link in this browser; says whether it may go on. The first one may, and no other.
    pub(super) fn open(&self, link: &Link, browser: &Browser) -> bool {
        let place = (Arc::clone(&link.server), Arc::clone(&link.principal.key));
        let mut links = lock(&self.links);
        let Some(held) = links.get_mut(&place) else {
            return false;
        };
        held.browser.get_or_insert_with(|| browser.clone()) == browser
    }

    /// Uses a link up; says whether it was this browser's to use.
    pub(super) fn take(&self, link: &Link, browser: &Browser) -> bool {
        let place = (Arc::clone(&link.server), Arc::clone(&link.principal.key));
        let (now, mut links) = (clock::now(), lock(&self.links));
        let is_theirs = |held: &Held| held.span.has(now) && held.browser.as_ref() == Some(browser);
        links.get(&place).is_some_and(is_theirs) && links.remove(&place).is_some()
    }

    /// Keeps what is under way; gives its `state`.
    pub(super) fn begin(
        &self,
        link: Link,
        browser: &Browser,
        begun: Begun,
    ) -> Option<Secret<String>> {
        let place = (Arc::clone(&link.server), Arc::clone(&link.principal.key));
        let (now, state) = (clock::now(), secret()?);
        let mut under_way = lock(&self.under_way);
        under_way.retain(|_, (_, flow)| flow.span.has(now));
        if under_way.len() >= MAX_LINKS {
            return None;
        }
        let flow = Flow {
            link,
            browser: browser.clone(),
            authority: begun.authority,
            client: begun.client,
            resource: begun.resource,
            scope: begun.scope,
            verifier: begun.verifier,
            span: Span::new(now, LIFETIME),
        };
        under_way.insert(place, (mark(state.expose()), flow));
        Some(state)
    }

    /// What was begun with this `state`; it is not there again.
    pub(super) fn finish(&self, state: &str) -> Option<Flow> {
        let (now, asked) = (clock::now(), mark(state));
        let mut under_way = lock(&self.under_way);
        let (place, _) = under_way.iter().find(|(_, (mark, _))| *mark == asked)?;
        let place = place.clone();
        let (_, flow) = under_way.remove(&place)?;
        (flow.span.has(now)).then_some(flow)
    }

    /// Whether a server may once more want more scopes of this principal.
    pub(super) fn may_step(&self, server: &Arc<str>, principal: &Arc<str>) -> bool {
        let now = clock::now();
        let mut steps = lock(&self.steps);
        steps.retain(|_, (span, _)| span.has(now));
        if steps.len() >= MAX_LINKS {
            return false;
        }
        let place = (Arc::clone(server), Arc::clone(principal));
        let (_, count) = steps
            .entry(place)
            .or_insert((Span::new(now, STEPS_WITHIN), 0));
        *count = count.saturating_add(1);
        *count <= MAX_STEPS
    }

    /// Forgets what these principals have begun.
    pub(super) fn dismiss(&self, owners: &[Arc<str>]) {
        lock(&self.links).retain(|(_, principal), _| !owners.contains(principal));
        lock(&self.under_way).retain(|(_, principal), _| !owners.contains(principal));
    }
}

/// 256 random bits as text.
pub(super) fn secret() -> Option<Secret<String>> {
    let bytes: [u8; 32] = random::bytes().ok()?;
    Some(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

fn mark(text: &str) -> Mark {
    let mut mark = [0; 32];
    mark.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    mark
}
