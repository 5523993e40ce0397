//! What is approved, and what servers list now, as exchanges look at it.

use super::asked::stands_for;
use super::schemas::{Ready, Schemas};
use super::{Approved, Definition, Digest, Kind, News, Terms, Unreadable, What};
use crate::time::Timestamp;
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most that is remembered of what one server lists of one kind.
pub(super) const MAX_LISTED: usize = 10_000;
/// What may wait to be written down; what finds no room is told again by the next list, and withheld until then.
const MAX_NEWS: usize = 20_000;

/// Why something is not called or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unapproved {
    /// Nobody has approved it.
    #[error("not approved")]
    New,
    /// The server defines it otherwise than it was approved.
    #[error("changed since it was approved")]
    Changed,
    /// The server does not list it any more.
    #[error("not listed any more")]
    Removed,
}

impl Unapproved {
    /// The audit record's word for a call of it.
    pub(crate) const fn event(self) -> &'static str {
        match self {
            Self::New => "tool.quarantined",
            Self::Changed => "tool.definition_changed",
            Self::Removed => "tool.removed",
        }
    }

    /// What of it the client is told.
    pub(crate) const fn public(self) -> &'static str {
        match self {
            Self::New => {
                "not approved yet: an operator can look at it and approve it with `portcullis tools approve SERVER NAME`"
            }
            Self::Changed => {
                "changed since it was approved: an operator can look at the change and approve it with `portcullis tools approve SERVER NAME`"
            }
            Self::Removed => "approved, but its server does not list it any more",
        }
    }
}

/// What a server has listed of one kind.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// When its whole list was asked for last.
    at: Option<Timestamp>,
    pub(super) now: HashMap<Arc<str>, Digest>,
    /// What is approved and was not in the last whole list.
    absent: BTreeSet<Arc<str>>,
    /// What is not learned, as something grave was found in it.
    pub(super) grave: BTreeSet<Digest>,
    /// What is new and found no room to be told.
    untold: BTreeSet<Arc<str>>,
    unreadable: usize,
    last: Option<Same>,
}

/// The last list, to know it again.
#[derive(Debug)]
struct Same {
    written: Digest,
    is_whole: bool,
    approved: Arc<Approved>,
    served: Vec<Option<Arc<str>>>,
}

/// One list, or one page of it.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Of which server.
    pub server: &'a Arc<str>,
    /// How it is held to what was approved.
    pub terms: Terms,
    /// Of what.
    pub kind: Kind,
    /// When it was asked for, if this is all that there is.
    pub whole: Option<Timestamp>,
}

/// What is approved and what servers list; bounded by the number of servers.
#[derive(Debug, Default)]
pub struct Pinned {
    pub(super) approved: ArcSwap<Approved>,
    listed: Mutex<HashMap<(Arc<str>, Kind), Listed>>,
    news: Mutex<Vec<News>>,
    has_news: AtomicBool,
    ready: Ready,
    /// Held while what is approved is replaced.
    pub(super) replacing: Mutex<()>,
}

impl Pinned {
    /// Replaces what is approved; what was learned and is not written down yet stays.
    pub fn put(&self, approved: Approved) {
        let mut approved = approved;
        approved.rate(&self.approved.load());
        let _replacing = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        for one in news.iter() {
            if let (What::Learned(definition), true) = (&one.what, approved.is_known) {
                approved.add(&one.server, definition.clone());
            }
        }
        drop(news);
        approved.rate(&self.approved.load());
        self.approved.store(Arc::new(approved));
    }

    /// What is approved now.
    pub fn approved(&self) -> Arc<Approved> {
        self.approved.load_full()
    }

    /// What is new since the last time; empty at hardly any cost if nothing is.
    pub fn take_news(&self) -> Vec<News> {
        if !self.has_news.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut news)
    }

    /// Takes back what could not be written down, as far as there is room.
    pub fn keep_news(&self, kept: Vec<News>) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_NEWS.saturating_sub(news.len());
        news.extend(kept.into_iter().take(room));
        self.has_news.store(true, Ordering::Release);
    }

    /// What is served for each entry of a list, in order: the approved version, or nothing.
    pub fn compare(&self, page: &Page<'_>, entries: &[&str]) -> Vec<Option<Arc<str>>> {
        let written = Digest::of(entries.join("\n").as_bytes());
        if let Some(served) = self.same(page, written) {
            return served;
        }
        let read = entries
            .iter()
            .map(|entry| Definition::read(page.kind, entry));
        let read: Vec<Result<Definition, Unreadable>> = read.collect();
        let approved = self.learn(page, &read);
        let is_told = self.note(page, &approved, &read);
        let mut names = BTreeSet::new();
        let served = read.iter().map(|read| {
            let read = read.as_ref().ok()?;
            if !names.insert(read.name()) {
                return None;
            }
            let found = approved.find(page.server, page.kind, read.name())?;
            Some(Arc::clone(found.canonical()))
        });
        let served: Vec<Option<Arc<str>>> = served.collect();
        let key = (Arc::clone(page.server), page.kind);
        if let Some(listed) = self.listed().get_mut(&key) {
            listed.last = is_told.then(|| Same {
                written,
                is_whole: page.whole.is_some(),
                approved,
                served: served.clone(),
            });
        }
        served
    }

    /// What is served of a list that is the one before it, while the same is approved.
    fn same(&self, page: &Page<'_>, written: Digest) -> Option<Vec<Option<Arc<str>>>> {
        let mut all = self.listed();
        let listed = all.get_mut(&(Arc::clone(page.server), page.kind))?;
        let same = listed.last.as_ref()?;
        let is_same = same.written == written && same.is_whole == page.whole.is_some();
        if !is_same || !Arc::ptr_eq(&same.approved, &self.approved.load()) {
            return None;
        }
        if page.whole.is_some() {
            listed.at = page.whole;
        }
        Some(same.served.clone())
    }

    /// Whether a server's list of a kind must be asked for anew before a call that came at that moment.
    pub fn is_stale(&self, server: &Arc<str>, kind: Kind, terms: Terms, came: Timestamp) -> bool {
        let listed = self.listed();
        let at = listed
            .get(&(Arc::clone(server), kind))
            .and_then(|listed| listed.at);
        at.is_none_or(|at| at.plus(terms.recheck) < came)
    }

    /// What the server lists has changed, as it says itself.
    pub fn forget(&self, server: &Arc<str>, kind: Kind) {
        if let Some(listed) = self.listed().get_mut(&(Arc::clone(server), kind)) {
            listed.at = None;
        }
    }

    /// The version under which something may be called or read; none if there is no definition of it by itself.
    ///
    /// # Errors
    /// [`Unapproved`]
    pub fn check(
        &self,
        server: &Arc<str>,
        kind: Kind,
        name: &str,
    ) -> Result<Option<Digest>, Unapproved> {
        let approved = self.approved.load();
        let found = approved.find(server, kind, name);
        let all = self.listed();
        let listed = all.get(&(Arc::clone(server), kind));
        let now = listed.and_then(|listed| listed.now.get(name));
        let is_absent = listed.is_some_and(|listed| listed.absent.contains(name));
        match (found, now) {
            (Some(found), Some(now)) if *now != found.digest() => Err(Unapproved::Changed),
            // What is read may be there without being listed; what is called is not.
            (Some(_), None) if is_absent && is_called(kind) => Err(Unapproved::Removed),
            (Some(found), Some(_) | None) => Ok(Some(found.digest())),
            // A resource that is not listed may be one of those that a template stands for.
            (None, None) if kind == Kind::Resource => {
                let templates = approved.shelf(server, Kind::Template);
                let mut templates = templates.into_iter().flat_map(HashMap::keys);
                let is_meant = templates.any(|template| stands_for(template, name));
                is_meant.then_some(None).ok_or(Unapproved::New)
            }
            (None, Some(_) | None) => Err(Unapproved::New),
        }
    }

    /// The version that the server listed last, if it lists it.
    pub fn defines(&self, server: &Arc<str>, kind: Kind, name: &str) -> Option<Digest> {
        let listed = self.listed();
        let listed = listed.get(&(Arc::clone(server), kind))?;
        listed.now.get(name).copied()
    }

    /// The schemas of a tool as it is approved now; none if it is not.
    pub fn schemas(&self, server: &Arc<str>, name: &str) -> Option<Arc<Schemas>> {
        let approved = self.approved.load();
        let tool = approved.find(server, Kind::Tool, name)?;
        Some(self.ready.of(tool))
    }

    pub(super) fn listed(&self) -> MutexGuard<'_, HashMap<(Arc<str>, Kind), Listed>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what is listed, and what of it is new; tells whether there was room for all that is new.
    fn note(
        &self,
        page: &Page<'_>,
        approved: &Approved,
        read: &[Result<Definition, Unreadable>],
    ) -> bool {
        let mut all = self.listed();
        let listed = all.entry((Arc::clone(page.server), page.kind)).or_default();
        let known = |name: &str| approved.find(page.server, page.kind, name);
        let is_as_approved = |definition: &&Definition| {
            known(definition.name()).map(Definition::digest) == Some(definition.digest())
        };
        // Of what is listed twice, the one that differs counts.
        let (same, others): (Vec<&Definition>, Vec<_>) =
            read.iter().flatten().partition(is_as_approved);
        for definition in same.into_iter().chain(others) {
            let name = definition.name();
            self.note_one(page, (known(name), listed), definition);
        }
        let flaws: Vec<Unreadable> = read.iter().filter_map(|read| read.clone().err()).collect();
        if flaws.len() != listed.unreadable {
            listed.unreadable = flaws.len();
            if let Some(flaw) = flaws.first() {
                self.push(page, &"".into(), What::Unreadable(*flaw));
            }
        }
        if let Some(at) = page.whole {
            self.note_absent(page, (approved, listed), read);
            listed.at = Some(at);
        }
        listed.untold.is_empty()
    }

    fn note_one(
        &self,
        page: &Page<'_>,
        (known, listed): (Option<&Definition>, &mut Listed),
        definition: &Definition,
    ) {
        let (name, digest) = (definition.name(), definition.digest());
        listed.absent.remove(name);
        let last = listed.now.get(name).copied();
        let is_full = last.is_none() && listed.now.len() >= MAX_LISTED;
        let is_told = last == Some(digest) && !listed.untold.contains(name);
        if is_told || (is_full && known.is_none()) {
            return;
        }
        let new = definition.clone();
        let what = match known.map(Definition::digest).or(last) {
            None => What::New(new),
            Some(old) if old == digest => What::Known(new),
            Some(old) => What::Changed { old, new },
        };
        // It holds calls back whether or not it can be told of now.
        listed.now.insert(Arc::clone(name), digest);
        if self.push(page, name, what) {
            listed.untold.remove(name);
        } else {
            listed.untold.insert(Arc::clone(name));
        }
    }

    fn note_absent(
        &self,
        page: &Page<'_>,
        (approved, listed): (&Approved, &mut Listed),
        read: &[Result<Definition, Unreadable>],
    ) {
        let here: BTreeSet<&Arc<str>> = read.iter().flatten().map(Definition::name).collect();
        let mut gone: BTreeMap<Arc<str>, Digest> = BTreeMap::new();
        let known = |name: &str| approved.find(page.server, page.kind, name);
        let all = approved.shelf(page.server, page.kind).into_iter().flatten();
        gone.extend(all.map(|(name, definition)| (Arc::clone(name), definition.digest())));
        let seen = listed.now.iter();
        gone.extend(seen.map(|(name, digest)| (Arc::clone(name), *digest)));
        // INVARIANT: only of what is approved it is remembered that it is gone.
        listed.absent.retain(|name| known(name).is_some());
        let is_told =
            |name: &Arc<str>| listed.absent.contains(name) && !listed.untold.contains(name);
        gone.retain(|name, _| !here.contains(name) && !is_told(name));
        for (name, old) in gone {
            let is_told = self.push(page, &name, What::Removed { old });
            // It holds calls back whether or not it can be told of now.
            if known(&name).is_some() {
                listed.now.remove(&name);
                listed.absent.insert(Arc::clone(&name));
            }
            if is_told {
                listed.now.remove(&name);
                listed.untold.remove(&name);
            } else {
                listed.untold.insert(name);
            }
        }
    }

    /// Whether there was room to tell of it.
    pub(super) fn push(&self, page: &Page<'_>, name: &Arc<str>, what: What) -> bool {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if news.len() >= MAX_NEWS {
            return false;
        }
        news.push(News {
            server: Arc::clone(page.server),
            kind: page.kind,
            name: Arc::clone(name),
            what,
            mode: page.terms.mode,
        });
        self.has_news.store(true, Ordering::Release);
        true
    }
}

/// Whether what is of that kind is called by its name, so that it has to be listed.
const fn is_called(kind: Kind) -> bool {
    match kind {
        Kind::Tool | Kind::Prompt => true,
        Kind::Resource | Kind::Template | Kind::Server => false,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
