//! The catalogue as it stands in the database.

use super::Notary;
use crate::durable::Failed;
use crate::revocations::Micros;
use portcullis_core::catalog::{
    Broken, Deed, Definition, Digest, Event, Head, History, Kind, Provenance, Said, Thing,
};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use std::collections::BTreeMap;
use std::sync::Arc;

const COLUMNS: &str =
    "place, deed, digest, by, reason, at, era, transport, origin, parent, hash, server, kind, name";

/// A chain as it was read; nobody has looked yet whether it holds.
#[derive(Default)]
pub(super) struct Kept {
    /// An event that is no event is the first that is not what it was.
    events: Vec<Option<Event>>,
    pub(super) signature: Option<String>,
}

impl Kept {
    /// Nobody has heard of it.
    pub(super) const fn is_nothing(&self) -> bool {
        self.events.is_empty() && self.signature.is_none()
    }

    /// The history, if it is what was signed, and the signature that holds. One that is known to hold is not asked about.
    pub(super) fn sound(
        self,
        thing: &Thing,
        (notary, known): (&Notary, Option<&(Head, String)>),
    ) -> Result<(History, (Head, String)), Broken> {
        let mut events = Vec::with_capacity(self.events.len());
        for event in self.events {
            let place = u64::try_from(events.len()).unwrap_or(u64::MAX);
            events.push(event.ok_or(Broken::Rewritten(place.saturating_add(1)))?);
        }
        let history = History::read(thing.clone(), events)?;
        let (Some(head), Some(signature)) = (history.head(), self.signature) else {
            return Err(Broken::Signature);
        };
        let signed = (head, signature);
        if known != Some(&signed) && !(notary.holds)(&signed.0, &signed.1) {
            return Err(Broken::Signature);
        }
        Ok((history, signed))
    }
}

pub(super) fn epoch(look: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT epoch FROM catalog_changes";
    let epoch: i64 = look.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(epoch).unwrap_or_default())
}

/// All chains.
pub(super) fn all(look: &Connection) -> rusqlite::Result<BTreeMap<Thing, Kept>> {
    let mut all: BTreeMap<Thing, Kept> = BTreeMap::new();
    let sql = format!("SELECT {COLUMNS} FROM catalog_events ORDER BY server, kind, name, place");
    let mut statement = look.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(thing) = thing(row, 11)? {
            all.entry(thing).or_default().events.push(event(row)?);
        }
    }
    let mut statement = look.prepare("SELECT server, kind, name, signature FROM catalog_heads")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(thing) = thing(row, 0)? {
            all.entry(thing).or_default().signature = Some(row.get(3)?);
        }
    }
    Ok(all)
}

/// One chain.
pub(super) fn one(look: &Connection, thing: &Thing) -> rusqlite::Result<Kept> {
    let key = named_params! {
        ":server": &*thing.server, ":kind": thing.kind.name(), ":name": &*thing.name,
    };
    let of = "server = :server AND kind = :kind AND name = :name";
    let sql = format!("SELECT {COLUMNS} FROM catalog_events WHERE {of} ORDER BY place");
    let mut statement = look.prepare(&sql)?;
    let events = statement.query_map(key, event)?;
    let events = events.collect::<Result<_, _>>()?;
    let sql = format!("SELECT signature FROM catalog_heads WHERE {of}");
    let mut statement = look.prepare(&sql)?;
    let signature = statement.query_row(key, |row| row.get(0)).optional()?;
    Ok(Kept { events, signature })
}

/// The names of a server's things of a kind.
pub(super) fn names(
    look: &Connection,
    server: &str,
    kind: Kind,
) -> rusqlite::Result<Vec<Arc<str>>> {
    let sql = "SELECT name FROM catalog_heads WHERE server = ? AND kind = ?";
    let mut statement = look.prepare(sql)?;
    let names = statement.query_map((server, kind.name()), |row| {
        Ok(row.get::<_, String>(0)?.into())
    })?;
    names.collect()
}

/// How many things of a server there are.
pub(super) fn count(look: &Connection, server: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM catalog_heads WHERE server = ?";
    let count: i64 = look.query_row(sql, [server], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Writes the last event of a chain, and signs that it is the last.
pub(super) fn append(
    change: &Connection,
    notary: &Notary,
    history: &History,
) -> Result<(), Failed> {
    let (Some(event), thing) = (history.events().last(), history.thing()) else {
        return Err(Failed::Unfit);
    };
    let from = event.said.provenance.as_ref();
    let sql = "INSERT INTO catalog_events (server, kind, name, place, deed, digest, by, reason, at, era, transport,
         origin, parent, hash) VALUES (:server, :kind, :name, :place, :deed, :digest, :by, :reason, :at, :era,
         :transport, :origin, :parent, :hash)";
    let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
    change.prepare(sql)?.execute(named_params! {
        ":server": &*thing.server,
        ":kind": thing.kind.name(),
        ":name": &*thing.name,
        ":place": i64::try_from(event.place).unwrap_or(i64::MAX),
        ":deed": event.said.deed.word(),
        ":digest": text(event.said.digest),
        ":by": event.said.by,
        ":reason": event.said.reason,
        ":at": Micros(event.said.at),
        ":era": from.map(|from| &from.era),
        ":transport": from.map(|from| &from.transport),
        ":origin": from.map(|from| &from.origin),
        ":parent": text(event.parent),
        ":hash": event.hash.to_string(),
    })?;
    sign(change, notary, history)
}

/// Signs the end of a chain.
pub(super) fn sign(change: &Connection, notary: &Notary, history: &History) -> Result<(), Failed> {
    let head = history.head().ok_or(Failed::Unfit)?;
    let signature = (notary.sign)(&head).ok_or(Failed::Unsigned)?;
    let thing = history.thing();
    let sql = "INSERT INTO catalog_heads (server, kind, name, signature) VALUES (?, ?, ?, ?)
         ON CONFLICT (server, kind, name) DO UPDATE SET signature = excluded.signature";
    let row = (&*thing.server, thing.kind.name(), &*thing.name, signature);
    change.prepare(sql)?.execute(row)?;
    Ok(())
}

/// Keeps the text of a version, once.
pub(super) fn keep(change: &Connection, definition: &Definition) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO catalog_texts (digest, canonical) VALUES (?, ?)";
    let row = (definition.digest().to_string(), &**definition.canonical());
    change.prepare(sql)?.execute(row).map(drop)
}

/// The text of a version; nothing if it is missing, or is another.
pub(super) fn text(
    look: &Connection,
    kind: Kind,
    digest: Digest,
) -> rusqlite::Result<Option<Definition>> {
    let sql = "SELECT canonical FROM catalog_texts WHERE digest = ?";
    let mut statement = look.prepare(sql)?;
    let found = statement.query_row([digest.to_string()], |row| row.get::<_, String>(0));
    let read = found.optional()?;
    let read = read.and_then(|text| Definition::read(kind, &text).ok());
    Ok(read.filter(|read| read.digest() == digest))
}

/// Every version of which a chain tells is there and is what its digest says.
pub(super) fn expect_texts(look: &Connection, history: &History) -> Result<(), Broken> {
    let digests = history.events().iter();
    for digest in digests.filter_map(|event| event.said.digest) {
        let text = text(look, history.thing().kind, digest).ok().flatten();
        text.ok_or(Broken::Text)?;
    }
    Ok(())
}

/// What a row is of; nothing for a kind that nobody knows.
fn thing(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Thing>> {
    let kind: String = row.get(first + 1)?;
    let (server, name): (String, String) = (row.get(first)?, row.get(first + 2)?);
    Ok(kind.parse().ok().map(|kind| Thing {
        server: server.into(),
        kind,
        name: name.into(),
    }))
}

/// An event, unless the row cannot be one.
fn event(row: &Row<'_>) -> rusqlite::Result<Option<Event>> {
    let digest = |column: usize| {
        let text = row.get::<_, Option<String>>(column)?;
        Ok::<_, rusqlite::Error>(text.map(|text| text.parse::<Digest>()))
    };
    let origin = row.get::<_, Option<String>>(8)?;
    let from = row
        .get::<_, Option<String>>(6)?
        .zip(row.get(7)?)
        .zip(origin);
    let deed = row.get::<_, String>(1)?.parse::<Deed>();
    let (own, parent, hash) = (digest(2)?, digest(9)?, digest(10)?);
    let (Ok(deed), Ok(own), Ok(parent), Some(Ok(hash))) =
        (deed, own.transpose(), parent.transpose(), hash)
    else {
        return Ok(None);
    };
    Ok(Some(Event {
        place: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
        said: Said {
            deed,
            digest: own,
            by: row.get(3)?,
            reason: row.get(4)?,
            at: row.get::<_, Micros>(5)?.0,
            provenance: from.map(|((era, transport), origin)| Provenance {
                era,
                transport,
                origin,
            }),
        },
        parent,
        hash,
    }))
}
