//! What servers define, every version of it, and what is approved.
//!
//! Each thing has a chain of events ([`History`]), of which the end is signed by the gateway's own key. Nothing is
//! believed of a thing whose chain or signature does not hold: it is told as [`Forged`], and nothing of it is approved.

mod rows;
mod seen;
mod decided;

use crate::durable::{Durable, Failed};
use crate::revocations::begin;
use portcullis_core::catalog::{
    Broken, Deed, Definition, Digest, Head, History, Kind, Standing, Thing, Undecided,
};
use portcullis_core::time::Timestamp;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

pub use decided::{Decision, Outcome};
pub use seen::{Noticed, Sighting};

/// Things of one server that are kept; what it defines beyond that is not taken up, and so not approved.
pub const MAX_THINGS: u64 = 20_000;
/// Events of one thing that servers may cause; what changes beyond that is not taken up. People may always decide.
pub const MAX_EVENTS: u64 = 400;

type Sign = Box<dyn Fn(&Head) -> Option<String> + Send + Sync>;
type Holds = Box<dyn Fn(&Head, &str) -> bool + Send + Sync>;

/// Who signs the ends of chains, and tells whether a signature holds.
pub struct Notary {
    sign: Sign,
    holds: Holds,
}

impl fmt::Debug for Notary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notary(..)")
    }
}

impl Notary {
    /// One that signs so, and verifies so.
    pub fn new(
        sign: impl Fn(&Head) -> Option<String> + Send + Sync + 'static,
        holds: impl Fn(&Head, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            sign: Box::new(sign),
            holds: Box::new(holds),
        }
    }
}

/// The catalogue of an installation. Clones share it.
#[derive(Clone)]
pub struct Catalog {
    durable: Durable,
    notary: Arc<Notary>,
    /// Signatures that hold, and the texts of what is approved: so that a look costs what has changed.
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    heads: BTreeMap<Thing, (Head, String)>,
    texts: BTreeMap<Digest, Definition>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Catalog({:?})", self.durable)
    }
}

/// Something that is served as it was approved.
#[derive(Debug, Clone)]
pub struct Approved {
    /// At which server.
    pub server: Arc<str>,
    /// The version.
    pub definition: Definition,
    /// Who had the last word.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Something of which nothing is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forged {
    /// What.
    pub thing: Thing,
    /// Why.
    pub why: Broken,
}

/// What is approved, and what somebody has tampered with.
#[derive(Debug)]
pub struct Standings {
    /// The state that this describes.
    pub epoch: u64,
    /// What is served.
    pub approved: Vec<Approved>,
    /// What is not, whatever the database says.
    pub forged: Vec<Forged>,
    /// How each thing stands that is sound: also those of which nothing is approved.
    pub standing: BTreeMap<Thing, Standing>,
}

impl Catalog {
    /// The catalogue in that database.
    pub fn new(durable: Durable, notary: Notary) -> Self {
        Self {
            durable,
            notary: Arc::new(notary),
            known: Arc::default(),
        }
    }

    /// What has changed since the state `seen`; nothing if nothing has. Cost, if nothing has: one row is read.
    ///
    /// With no state, all is verified anew, whatever was before.
    ///
    /// # Errors
    /// [`Failed`]; then what was approved before stays so for as long as the caller believes it.
    pub async fn news(&self, seen: Option<u64>) -> Result<Option<Standings>, Failed> {
        let (notary, known) = (Arc::clone(&self.notary), Arc::clone(&self.known));
        self.durable
            .run(move |connection| {
                let look = connection.transaction()?; // one state for all that is read
                let epoch = rows::epoch(&look)?;
                if seen == Some(epoch) {
                    return Ok(None);
                }
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                if seen.is_none() {
                    *known = Known::default();
                }
                let (standings, next) = verified(&look, epoch, (&notary, &known))?;
                *known = next;
                Ok(Some(standings))
            })
            .await
    }

    /// Takes up what a server defines; gives what is new of it. What is the same as before costs one look at each.
    ///
    /// # Errors
    /// [`Failed`]; some of it may be taken up then.
    pub async fn seen(
        &self,
        server: &Arc<str>,
        sighting: Sighting,
        now: Timestamp,
    ) -> Result<Vec<Noticed>, Failed> {
        let mut noticed = Vec::new();
        for part in sighting.parts() {
            let (server, notary) = (Arc::clone(server), Arc::clone(&self.notary));
            let more = self
                .durable
                .run(move |connection| seen::take_up(connection, &notary, (&server, &part), now));
            noticed.extend(more.await?);
        }
        Ok(noticed)
    }

    /// Says yes to the version that the server defines now.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn approve(
        &self,
        thing: Thing,
        digest: Digest,
        decision: Decision,
    ) -> Result<Result<Outcome, Undone>, Failed> {
        self.decide(thing, decision, move |standing, decision| {
            let deed = standing.approve(digest, (&decision.by, decision.needed))?;
            Ok((deed, digest))
        })
        .await
    }

    /// Says yes to a version that was seen first, where that is enough.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn learn(
        &self,
        thing: Thing,
        digest: Digest,
        decision: Decision,
    ) -> Result<Result<Outcome, Undone>, Failed> {
        self.decide(thing, decision, move |standing, _| {
            Ok((standing.learn(digest)?, digest))
        })
        .await
    }

    /// Says no to a version that waits, or to the one that is served.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn reject(
        &self,
        thing: Thing,
        digest: Digest,
        decision: Decision,
    ) -> Result<Result<Outcome, Undone>, Failed> {
        self.decide(thing, decision, move |standing, _| {
            Ok((standing.reject(digest)?, digest))
        })
        .await
    }

    /// Has an earlier version that was approved served again: the one that is named, or the last before this one.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub async fn rollback(
        &self,
        thing: Thing,
        to: Option<Digest>,
        decision: Decision,
    ) -> Result<Result<Outcome, Undone>, Failed> {
        self.decide(thing, decision, move |standing, _| {
            Ok((Deed::RolledBack, standing.rollback(to)?))
        })
        .await
    }

    /// Everything that is known, with its chain or why that is not believed.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn histories(
        &self,
        server: Option<String>,
    ) -> Result<Vec<(Thing, Result<History, Broken>)>, Failed> {
        let notary = Arc::clone(&self.notary);
        self.durable
            .run(move |connection| {
                let look = connection.transaction()?;
                let is_meant =
                    |thing: &Thing| server.as_ref().is_none_or(|own| **own == *thing.server);
                let kept = rows::all(&look)?.into_iter();
                let kept = kept.filter(|(thing, _)| is_meant(thing));
                let whole = |(thing, kept)| {
                    let history = whole(&look, &notary, (&thing, kept));
                    (thing, history)
                };
                Ok(kept.map(whole).collect())
            })
            .await
    }

    /// The text of a version, if it is what its digest says.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn text(&self, kind: Kind, digest: Digest) -> Result<Option<Definition>, Failed> {
        self.durable
            .run(move |connection| Ok(rows::text(connection, kind, digest)?))
            .await
    }

    /// Signs anew what was signed by a key that will not count for ever; gives how many.
    ///
    /// # Errors
    /// [`Failed`]; then what was signed before counts on.
    pub async fn sign_anew(
        &self,
        is_old: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<usize, Failed> {
        let notary = Arc::clone(&self.notary);
        self.durable
            .run(move |connection| {
                let change = begin(connection)?;
                let mut count = 0;
                let mut all = rows::all(&change)?;
                all.retain(|_, kept| kept.signature.as_deref().is_some_and(&is_old));
                let sound = all.into_iter().filter_map(|(thing, kept)| {
                    let sound = kept.sound(&thing, (&notary, None));
                    sound.ok().map(|(history, _)| history)
                });
                for history in sound {
                    rows::sign(&change, &notary, &history)?;
                    count += 1;
                }
                change.commit()?;
                Ok(count)
            })
            .await
    }
}

/// Why a decision was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// It cannot be taken as things stand.
    #[error(transparent)]
    Undecided(#[from] Undecided),
    /// What is in the database is not believed.
    #[error("its history is not believed: {0}")]
    Broken(#[from] Broken),
}

/// All of it, looked at, and what of it need not be looked at again.
fn verified(
    look: &Connection,
    epoch: u64,
    (notary, known): (&Notary, &Known),
) -> Result<(Standings, Known), Failed> {
    let mut standings = Standings {
        epoch,
        approved: Vec::new(),
        forged: Vec::new(),
        standing: BTreeMap::new(),
    };
    let mut next = Known::default();
    for (thing, kept) in rows::all(look)? {
        let sound = kept.sound(&thing, (notary, known.heads.get(&thing)));
        let sound = sound.and_then(|(history, signed)| {
            let approved = approved(look, &history, known)?;
            Ok((history, signed, approved))
        });
        let (history, signed, approved) = match sound {
            Ok(sound) => sound,
            Err(why) => {
                standings.forged.push(Forged { thing, why });
                continue;
            }
        };
        let texts = approved.iter().map(|approved| &approved.definition);
        next.texts
            .extend(texts.map(|text| (text.digest(), text.clone())));
        standings.approved.extend(approved);
        next.heads.insert(thing.clone(), signed);
        standings.standing.insert(thing, history.standing().clone());
    }
    Ok((standings, next))
}

/// A history with every text that it tells of.
fn whole(
    look: &Connection,
    notary: &Notary,
    (thing, kept): (&Thing, rows::Kept),
) -> Result<History, Broken> {
    let (history, _) = kept.sound(thing, (notary, None))?;
    rows::expect_texts(look, &history)?;
    Ok(history)
}

fn approved(
    look: &Connection,
    history: &History,
    known: &Known,
) -> Result<Option<Approved>, Broken> {
    let (thing, Some(digest)) = (history.thing(), history.standing().approved) else {
        return Ok(None);
    };
    let held = known.texts.get(&digest);
    let held = held.filter(|held| held.kind() == thing.kind);
    let definition = match held {
        Some(held) => held.clone(),
        None => rows::text(look, thing.kind, digest)
            .ok()
            .flatten()
            .ok_or(Broken::Text)?,
    };
    if definition.name() != &thing.name {
        return Err(Broken::Text);
    }
    let approval = history.approval().ok_or(Broken::Text)?;
    Ok(Some(Approved {
        server: Arc::clone(&thing.server),
        definition,
        by: approval.said.by.clone(),
        at: approval.said.at,
    }))
}

#[cfg(test)]
mod tests;
