//! What is approved, as exchanges look at it.

use super::shadow::Others;
use super::{Definition, Digest, Kind, Rated, Thing};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

type Shelf = HashMap<Arc<str>, Definition>;

/// What is approved, as one value that is replaced whole.
#[derive(Debug, Clone, Default)]
pub struct Approved {
    pub(super) servers: HashMap<Arc<str>, BTreeMap<Kind, Shelf>>,
    /// The risk of each tool, by its version.
    pub(super) rated: HashMap<Digest, Rated>,
    /// Whether it is known what was approved: if not, nothing is, and nothing is learned.
    pub(super) is_known: bool,
    /// What was seen before and is not approved.
    withheld: BTreeSet<Thing>,
    /// Servers of which nothing more can be written down.
    full: BTreeSet<Arc<str>>,
}

impl Approved {
    /// These, each at its server.
    pub fn of(all: impl IntoIterator<Item = (Arc<str>, Definition)>) -> Self {
        let mut approved = Self {
            is_known: true,
            ..Self::default()
        };
        for (server, definition) in all {
            approved.add(&server, definition);
        }
        approved
    }

    /// The same, where these were seen before: what of them is not approved is for people to decide, and not learned.
    #[must_use]
    pub fn knowing(mut self, seen: impl IntoIterator<Item = Thing>) -> Self {
        let is_open = |thing: &Thing| self.find(&thing.server, thing.kind, &thing.name).is_none();
        self.withheld = seen.into_iter().filter(is_open).collect();
        self
    }

    /// The same, where nothing more can be learned of these servers.
    #[must_use]
    pub fn with_full(mut self, servers: BTreeSet<Arc<str>>) -> Self {
        self.full = servers;
        self
    }

    /// Whether something may be approved because it is seen for the first time.
    pub(super) fn may_learn(&self, server: &Arc<str>, definition: &Definition) -> bool {
        let thing = Thing {
            server: Arc::clone(server),
            kind: definition.kind(),
            name: Arc::clone(definition.name()),
        };
        let is_known = self.find(server, thing.kind, &thing.name).is_some();
        self.is_known && !is_known && !self.withheld.contains(&thing) && !self.full.contains(server)
    }

    /// What is approved of the other servers, by its names.
    pub fn others(&self, server: &str) -> Others<'_> {
        let others = self.servers.iter().filter(|(other, _)| ***other != *server);
        Others::of(others.flat_map(|(other, kinds)| {
            let shelves = kinds.iter();
            shelves.flat_map(|(kind, shelf)| shelf.keys().map(|name| (&**other, *kind, &**name)))
        }))
    }

    /// Of which servers' lists something else is approved than was before.
    pub fn changed_since(&self, before: &Self) -> BTreeSet<(Arc<str>, Kind)> {
        let all = [self, before].into_iter();
        let all = all.flat_map(|approved| &approved.servers);
        let all = all.flat_map(|(server, kinds)| kinds.keys().map(move |kind| (server, *kind)));
        let differs = |(server, kind): &(&Arc<str>, Kind)| {
            let [now, then] = [self, before].map(|approved| approved.shelf(server, *kind));
            !is_same(now, then)
        };
        let changed = all.filter(differs);
        changed
            .map(|(server, kind)| (Arc::clone(server), kind))
            .collect()
    }

    pub(super) fn add(&mut self, server: &Arc<str>, definition: Definition) {
        let all = self.servers.entry(Arc::clone(server)).or_default();
        let own = all.entry(definition.kind()).or_default();
        own.insert(Arc::clone(definition.name()), definition);
    }

    pub(super) fn shelf(&self, server: &str, kind: Kind) -> Option<&Shelf> {
        self.servers.get(server)?.get(&kind)
    }

    pub(super) fn find(&self, server: &str, kind: Kind, name: &str) -> Option<&Definition> {
        self.shelf(server, kind)?.get(name)
    }
}

fn is_same(one: Option<&Shelf>, other: Option<&Shelf>) -> bool {
    let length = |shelf: Option<&Shelf>| shelf.map_or(0, HashMap::len);
    let find = |name: &str| other.and_then(|shelf| shelf.get(name));
    let mut all = one.into_iter().flatten();
    length(one) == length(other)
        && all.all(|(name, own)| find(name).map(Definition::digest) == Some(own.digest()))
}
