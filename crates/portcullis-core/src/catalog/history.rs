//! What became of one definition: a chain of events, each with the hash of the one before it.
//!
//! How things stand is what the events say and nothing else. Whoever deletes, adds or rewrites one breaks the chain, or
//! the signature over its end ([`Head`]).

use super::{Digest, Kind};
use crate::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What a server defines, whichever version of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thing {
    /// The server, as the configuration names it.
    pub server: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// Its name; empty for what a server says of itself.
    pub name: Arc<str>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The server defines it for the first time, or again.
    Seen,
    /// The server defines it otherwise than before.
    Changed,
    /// The server defines it no more.
    Removed,
    /// The first of two persons says yes.
    Endorsed,
    /// It is served from now on.
    Approved,
    /// It is not served.
    Rejected,
    /// An earlier version that was approved is served again.
    RolledBack,
}

/// A word that is no [`Deed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no word for an event of a definition")]
pub struct NoDeed;

impl Deed {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Seen,
        Self::Changed,
        Self::Removed,
        Self::Endorsed,
        Self::Approved,
        Self::Rejected,
        Self::RolledBack,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Endorsed => "endorsed",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::RolledBack => "rolled_back",
        }
    }
}

impl FromStr for Deed {
    type Err = NoDeed;

    fn from_str(word: &str) -> Result<Self, NoDeed> {
        let mut all = Self::ALL.into_iter();
        all.find(|deed| deed.word() == word).ok_or(NoDeed)
    }
}

/// Where a definition was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The era of the protocol, or its revision.
    pub era: String,
    /// `stdio`, `http` or `sse`.
    pub transport: String,
    /// The URL or the command of the server.
    pub origin: String,
}

/// What an event says, before it has its place in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What happened.
    pub deed: Deed,
    /// With which version; none where it was removed.
    pub digest: Option<Digest>,
    /// Who did it, or for whom the server was asked.
    pub by: String,
    /// Why, in the words of whoever did it.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Where it was seen; nothing for what somebody decided.
    pub provenance: Option<Provenance>,
}

/// An event in its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place, from 1.
    pub place: u64,
    /// What it says.
    pub said: Said,
    /// The hash of the one before it; none for the first.
    pub parent: Option<Digest>,
    /// Its own.
    pub hash: Digest,
}

/// The end of a chain, and what is served by it: what the gateway signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Of what.
    pub thing: Thing,
    /// How many events there are.
    pub place: u64,
    /// The hash of the last.
    pub hash: Digest,
    /// What is approved.
    pub approved: Option<Digest>,
}

/// Why a chain is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An event is missing, or there is one too many.
    #[error("event {0} is missing")]
    Missing(u64),
    /// An event does not name the one before it.
    #[error("event {0} does not follow from the one before it")]
    Parent(u64),
    /// An event is not what it was.
    #[error("event {0} was rewritten")]
    Rewritten(u64),
    /// The end of the chain is not signed as it is.
    #[error("the signature over its end does not hold")]
    Signature,
    /// The text of a version is not there, or is another.
    #[error("a version is missing or was rewritten")]
    Text,
}

/// What is signed and hashed, in the order of RFC 8785, as all members are.
#[derive(Serialize)]
struct Hashed<'a> {
    at: String,
    by: &'a str,
    deed: &'static str,
    digest: Option<String>,
    era: Option<&'a str>,
    kind: &'static str,
    name: &'a str,
    origin: Option<&'a str>,
    parent: Option<String>,
    place: String,
    reason: Option<&'a str>,
    server: &'a str,
    transport: Option<&'a str>,
}

impl Event {
    /// What is hashed of it: JSON in its canonical form (RFC 8785), with numbers as texts.
    fn hashed(thing: &Thing, place: u64, (said, parent): (&Said, Option<Digest>)) -> Digest {
        let from = said.provenance.as_ref();
        let hashed = Hashed {
            at: said.at.micros().to_string(),
            by: &said.by,
            deed: said.deed.word(),
            digest: said.digest.map(|digest| digest.to_string()),
            era: from.map(|from| from.era.as_str()),
            kind: thing.kind.name(),
            name: &thing.name,
            origin: from.map(|from| from.origin.as_str()),
            parent: parent.map(|parent| parent.to_string()),
            place: place.to_string(),
            reason: said.reason.as_deref(),
            server: &thing.server,
            transport: from.map(|from| from.transport.as_str()),
        };
        // Texts and nothing are all that is in there: it cannot fail, and if it did, nothing would have that hash.
        let canonical = serde_json_canonicalizer::to_vec(&hashed).unwrap_or_default();
        Digest::of(&canonical)
    }
}

/// One thing's chain, verified but for its signature, and how things stand by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    thing: Thing,
    events: Vec<Event>,
    standing: Standing,
}

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What the server defines now.
    pub listed: Option<Digest>,
    /// What is served.
    pub approved: Option<Digest>,
    /// What the first of two has said yes to, and who that is.
    pub endorsed: Option<(Digest, String)>,
    /// What was approved at any time, the last at the end.
    pub once: Vec<Digest>,
    rejected: BTreeSet<Digest>,
    left: BTreeSet<Digest>,
}

impl Standing {
    /// What waits for somebody to decide.
    pub fn pending(&self) -> Option<Digest> {
        let is_open = |digest: &Digest| {
            self.approved != Some(*digest)
                && !self.rejected.contains(digest)
                && !self.left.contains(digest)
        };
        self.listed.filter(is_open)
    }

    /// Whether nobody has ever said anything about it, yes or no.
    pub fn is_undecided(&self) -> bool {
        self.once.is_empty() && self.rejected.is_empty()
    }

    /// Whether somebody has said no to that version.
    pub fn is_rejected(&self, digest: Digest) -> bool {
        self.rejected.contains(&digest)
    }

    pub(super) fn has_rejected(&self) -> bool {
        !self.rejected.is_empty()
    }

    fn take(&mut self, said: &Said) {
        match (said.deed, said.digest) {
            (Deed::Seen | Deed::Changed, listed) => self.listed = listed,
            (Deed::Removed, _) => self.listed = None,
            (Deed::Endorsed, Some(digest)) => self.endorsed = Some((digest, said.by.clone())),
            (Deed::Approved, Some(digest)) => self.serve(digest),
            (Deed::RolledBack, Some(digest)) => {
                self.left.extend(self.approved);
                self.serve(digest);
            }
            (Deed::Rejected, Some(digest)) => {
                self.rejected.insert(digest);
                self.endorsed = None;
                self.approved = self.approved.filter(|own| *own != digest);
            }
            (Deed::Endorsed | Deed::Approved | Deed::RolledBack | Deed::Rejected, None) => {}
        }
    }

    fn serve(&mut self, digest: Digest) {
        self.approved = Some(digest);
        self.endorsed = None;
        self.rejected.remove(&digest);
        self.left.remove(&digest);
        self.once.retain(|own| *own != digest);
        self.once.push(digest);
    }
}

impl History {
    /// The chain of something that nothing is known of.
    pub fn new(thing: Thing) -> Self {
        Self {
            thing,
            events: Vec::new(),
            standing: Standing::default(),
        }
    }

    /// A chain as it is kept.
    ///
    /// # Errors
    /// [`Broken`]: one of its events is not what it was.
    pub fn read(thing: Thing, events: Vec<Event>) -> Result<Self, Broken> {
        let mut history = Self::new(thing);
        for event in events {
            let place = history.place().saturating_add(1);
            if event.place != place {
                return Err(Broken::Missing(place));
            }
            if event.parent != history.last() {
                return Err(Broken::Parent(place));
            }
            let hash = Event::hashed(&history.thing, place, (&event.said, event.parent));
            if event.hash != hash {
                return Err(Broken::Rewritten(place));
            }
            history.standing.take(&event.said);
            history.events.push(event);
        }
        Ok(history)
    }

    /// Adds an event at the end.
    pub fn add(&mut self, said: Said) -> &Event {
        let (place, parent) = (self.place().saturating_add(1), self.last());
        let event = Event {
            place,
            hash: Event::hashed(&self.thing, place, (&said, parent)),
            said,
            parent,
        };
        self.standing.take(&event.said);
        self.events.push_mut(event)
    }

    /// Of what.
    pub const fn thing(&self) -> &Thing {
        &self.thing
    }

    /// All that happened, the oldest first.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How things stand.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What is signed of it; nothing if nothing happened.
    pub fn head(&self) -> Option<Head> {
        Some(Head {
            thing: self.thing.clone(),
            place: self.place(),
            hash: self.last()?,
            approved: self.standing.approved,
        })
    }

    /// The last event by which a version came to be served.
    pub fn approval(&self) -> Option<&Event> {
        let served = |event: &&Event| matches!(event.said.deed, Deed::Approved | Deed::RolledBack);
        self.standing.approved?;
        self.events.iter().rev().find(served)
    }

    fn place(&self) -> u64 {
        u64::try_from(self.events.len()).unwrap_or(u64::MAX)
    }

    fn last(&self) -> Option<Digest> {
        self.events.last().map(|event| event.hash)
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name, server) = (self.kind, &self.name, &self.server);
        match kind {
            Kind::Server => write!(f, "what {server} says of itself"),
            Kind::Tool | Kind::Prompt | Kind::Resource | Kind::Template => {
                write!(f, "{kind} {name:?} of {server}")
            }
        }
    }
}
