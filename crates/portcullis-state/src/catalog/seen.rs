//! What servers were seen to define: what is new of it gets its place in the history.

use super::{MAX_EVENTS, MAX_THINGS, Notary, rows};
use crate::durable::Failed;
use crate::revocations::begin;
use portcullis_core::catalog::{Deed, Definition, Digest, History, Kind, Provenance, Said, Thing};
use portcullis_core::time::Timestamp;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Definitions that are taken up in one transaction.
const PART: usize = 64;

/// What a server was seen to define, all at one time.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// What.
    pub definitions: Vec<Definition>,
    /// The kinds of which this is all that there is: what else was there before is removed.
    pub whole: Vec<Kind>,
    /// What else is not there any more.
    pub gone: Vec<(Kind, Arc<str>)>,
    /// Where.
    pub provenance: Provenance,
    /// For whom the server was asked.
    pub by: String,
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// What.
    pub thing: Thing,
    /// Seen, changed or removed.
    pub deed: Deed,
    /// The version before, if there was one.
    pub old: Option<Digest>,
    /// The version now, if there is one.
    pub new: Option<Digest>,
}

impl Sighting {
    /// What was seen there, besides others that may be there too.
    pub const fn new(definitions: Vec<Definition>, provenance: Provenance, by: String) -> Self {
        Self {
            definitions,
            whole: Vec::new(),
            gone: Vec::new(),
            provenance,
            by,
        }
    }

    /// The same in parts: those that wait to write wait for one part only. What is gone is found with the last.
    pub(super) fn parts(self) -> Vec<Part> {
        let (provenance, by) = (Arc::new(self.provenance), self.by);
        let named: BTreeSet<_> = self.definitions.iter().map(key).collect();
        let (whole, named_gone) = (self.whole, self.gone);
        let part = |definitions: Vec<Definition>, gone| Part {
            definitions,
            gone,
            provenance: Arc::clone(&provenance),
            by: by.clone(),
        };
        let mut parts: Vec<Part> = self
            .definitions
            .chunks(PART)
            .map(|chunk| part(chunk.to_vec(), None))
            .collect();
        if !whole.is_empty() || !named_gone.is_empty() {
            let gone = Gone {
                whole,
                named,
                others: named_gone,
            };
            parts.push(part(Vec::new(), Some(gone)));
        }
        parts
    }
}

/// Kinds that are whole, all that there is of them, and what else is gone.
struct Gone {
    whole: Vec<Kind>,
    named: BTreeSet<(Kind, Arc<str>)>,
    others: Vec<(Kind, Arc<str>)>,
}

pub(super) struct Part {
    definitions: Vec<Definition>,
    gone: Option<Gone>,
    provenance: Arc<Provenance>,
    by: String,
}

pub(super) fn take_up(
    connection: &mut Connection,
    notary: &Notary,
    (server, part): (&Arc<str>, &Part),
    now: Timestamp,
) -> Result<Vec<Noticed>, Failed> {
    let change = begin(connection)?;
    let mut noticed = Vec::new();
    let room = MAX_THINGS.saturating_sub(rows::count(&change, server)?);
    let (mut room, writing) = (room, (&*change, notary));
    for definition in &part.definitions {
        let thing = Thing {
            server: Arc::clone(server),
            kind: definition.kind(),
            name: Arc::clone(definition.name()),
        };
        let Some(history) = believed(writing, &thing)? else {
            continue;
        };
        let (is_new, old) = (history.events().is_empty(), history.standing().listed);
        let deed = match old {
            Some(old) if old == definition.digest() => continue,
            Some(_) => Deed::Changed,
            None if is_new && room == 0 => continue,
            None => Deed::Seen,
        };
        room = room.saturating_sub(u64::from(is_new));
        rows::keep(&change, definition)?;
        let said = said((deed, Some(definition.digest())), part, now);
        noticed.extend(note(writing, history, said)?);
    }
    for (kind, name) in missing(&change, server, part)? {
        let thing = Thing {
            server: Arc::clone(server),
            kind,
            name,
        };
        let history = believed(writing, &thing)?;
        let history = history.filter(|history| history.standing().listed.is_some());
        if let Some(history) = history {
            noticed.extend(note(
                writing,
                history,
                said((Deed::Removed, None), part, now),
            )?);
        }
    }
    if !noticed.is_empty() {
        change.commit()?;
    }
    Ok(noticed)
}

fn key(definition: &Definition) -> (Kind, Arc<str>) {
    (definition.kind(), Arc::clone(definition.name()))
}

/// What was there before of kinds of which this is all, and what is named as gone.
fn missing(
    change: &Connection,
    server: &str,
    part: &Part,
) -> rusqlite::Result<Vec<(Kind, Arc<str>)>> {
    let Some(gone) = &part.gone else {
        return Ok(Vec::new());
    };
    let mut missing = gone.others.clone();
    for kind in &gone.whole {
        let names = rows::names(change, server, *kind)?.into_iter();
        let all = names.map(|name| (*kind, name));
        missing.extend(all.filter(|key| !gone.named.contains(key)));
    }
    Ok(missing)
}

/// The history of something, or none if that is not believed: then nothing is added to it.
fn believed(
    (change, notary): (&Connection, &Notary),
    thing: &Thing,
) -> Result<Option<History>, Failed> {
    let kept = rows::one(change, thing)?;
    if kept.is_nothing() {
        return Ok(Some(History::new(thing.clone())));
    }
    let sound = kept.sound(thing, (notary, None));
    Ok(sound.ok().map(|(history, _)| history))
}

fn said((deed, digest): (Deed, Option<Digest>), part: &Part, now: Timestamp) -> Said {
    Said {
        deed,
        digest,
        by: part.by.clone(),
        reason: None,
        at: now,
        provenance: Some(Provenance::clone(&part.provenance)),
    }
}

fn note(
    (change, notary): (&Connection, &Notary),
    mut history: History,
    said: Said,
) -> Result<Option<Noticed>, Failed> {
    let seen = history.events().iter();
    let seen = seen.filter(|event| event.said.provenance.is_some());
    if u64::try_from(seen.count()).unwrap_or(u64::MAX) >= MAX_EVENTS {
        return Ok(None);
    }
    let noticed = Noticed {
        thing: history.thing().clone(),
        deed: said.deed,
        old: history.standing().listed,
        new: said.digest,
    };
    history.add(said);
    rows::append(change, notary, &history)?;
    Ok(Some(noticed))
}
