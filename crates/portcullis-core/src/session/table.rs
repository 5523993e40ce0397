//! The sessions of this process: bounded, expiring, keyed by owner.

use super::{NoSession, OUTGROWN, Open, Session, SessionId};
use crate::authenticate::{Principal, Trust};
use crate::protocol::Revision;
use crate::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long sessions live, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Ends a session that nobody used for so long.
    pub idle: Duration,
    /// Ends a session however much it is used.
    pub absolute: Duration,
    /// The most sessions in all; one more is refused.
    pub most: usize,
    /// The most sessions of one principal; one more ends that principal's oldest.
    pub most_per_principal: usize,
}

/// A session that has ended, for the record and for whoever holds resources of it.
#[derive(Debug)]
pub struct Closed {
    /// Which.
    pub id: SessionId,
    /// Whose: [`crate::authenticate::Identity::key`].
    pub owner: Arc<str>,
    /// With which server.
    pub server: Arc<str>,
    /// The id that the upstream gave.
    pub upstream: Option<Arc<str>>,
    /// Whoever opened it, by the token of that moment.
    pub opener: Principal,
    /// `idle`, `absolute`, `evicted`, `deleted`, `upstream`, `reloaded`, `revoked`, `rights_changed`, `operator` or
    /// `stopped`.
    pub reason: &'static str,
}

/// An open session, as operators see it.
#[derive(Debug)]
pub struct Listed {
    /// What records call it.
    pub fingerprint: String,
    /// Whoever opened it, by the token of that moment.
    pub opener: Principal,
    /// With which server.
    pub server: Arc<str>,
    /// The revision that was settled.
    pub revision: Revision,
    /// When it began.
    pub opened: Timestamp,
    /// When it was last used.
    pub used: Timestamp,
}

struct Record {
    server: Arc<str>,
    upstream: Option<Arc<str>>,
    revision: Revision,
    /// Whoever opened it, by the token of that moment.
    opener: Principal,
    agent: u64,
    opens_urls: bool,
    opened: Timestamp,
    used: Timestamp,
}

/// `<principal>:<id>`, the storage key of SES-08.
type Key = (Arc<str>, SessionId);

#[derive(Default)]
struct Table {
    records: HashMap<Key, Record>,
    /// Oldest first; also answers "is it somebody else's?" for the audit record alone.
    by_owner: HashMap<Arc<str>, VecDeque<SessionId>>,
    owners: HashMap<SessionId, Arc<str>>,
}

/// All open sessions.
pub struct Sessions {
    table: Mutex<Table>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            table: Mutex::new(Table::default()),
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({})", self.len())
    }
}

/// What opens a session: settled by the upstream's answer to `initialize`.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) server: Arc<str>,
    pub(crate) upstream: Option<Arc<str>>,
    pub(crate) revision: Revision,
    pub(crate) agent: u64,
    pub(crate) opens_urls: bool,
}

impl Sessions {
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.table().records.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Binds a request to its session: looked up under the caller's own key, for that server only.
    ///
    /// `presented` is the `Mcp-Session-Id` header as it came; `agent` a hash of the client's `User-Agent`.
    ///
    /// # Errors
    /// [`NoSession::Unknown`] or [`NoSession::NotYours`], which the client cannot tell apart.
    pub fn bind(
        &self,
        principal: Principal,
        server: &Arc<str>,
        presented: Option<(&str, u64)>,
        (limits, now): (&Limits, Timestamp),
    ) -> Result<Session, NoSession> {
        let Some((text, agent)) = presented else {
            return Ok(Session {
                principal,
                server: Arc::clone(server),
                open: None,
                is_outgrown: false,
            });
        };
        let id = SessionId::parse(text).ok_or(NoSession::Unknown)?;
        let mut table = self.table();
        let Some(record) = table.records.get_mut(&(Arc::clone(&principal.key), id)) else {
            let is_foreign = table.owners.contains_key(&id);
            return Err(if is_foreign {
                NoSession::NotYours
            } else {
                NoSession::Unknown
            });
        };
        if record.opener.client != principal.client || record.opener.bound != principal.bound {
            return Err(NoSession::NotYours);
        }
        if record.server != *server || record.expiry(limits, now).is_some() {
            return Err(NoSession::Unknown);
        }
        record.used = now;
        let open = Open {
            id,
            upstream: record.upstream.clone(),
            revision: record.revision,
            opens_urls: record.opens_urls,
            changed: std::mem::replace(&mut record.agent, agent) != agent,
        };
        let is_outgrown = !record.opener.has_rights_of(&principal);
        drop(table);
        Ok(Session {
            principal,
            server: Arc::clone(server),
            open: Some(open),
            is_outgrown,
        })
    }

    /// Opens a session under an id just drawn; ends the principal's oldest if it has too many.
    ///
    /// # Errors
    /// [`NoSession::Full`] if the table is.
    pub(crate) fn open(
        &self,
        principal: &Principal,
        id: SessionId,
        opening: Opening,
        (limits, now): (&Limits, Timestamp),
    ) -> Result<Option<Closed>, NoSession> {
        let mut table = self.table();
        let oldest = table
            .by_owner
            .get(&principal.key)
            .filter(|own| own.len() >= limits.most_per_principal)
            .and_then(|own| own.front().copied());
        // Looked at before anything ends, so that a refusal ends nothing.
        if table.records.len() - usize::from(oldest.is_some()) >= limits.most {
            return Err(NoSession::Full);
        }
        let evicted = oldest
            .and_then(|oldest| table.remove(&(Arc::clone(&principal.key), oldest), "evicted"));
        let Opening {
            server,
            upstream,
            revision,
            agent,
            opens_urls,
        } = opening;
        let record = Record {
            server,
            upstream,
            revision,
            opener: principal.clone(),
            agent,
            // There are no such URLs before.
            opens_urls: opens_urls && revision == Revision::V2025_11_25,
            opened: now,
            used: now,
        };
        table
            .records
            .insert((Arc::clone(&principal.key), id), record);
        table
            .by_owner
            .entry(Arc::clone(&principal.key))
            .or_default()
            .push_back(id);
        table.owners.insert(id, Arc::clone(&principal.key));
        Ok(evicted)
    }

    /// Ends the session that the proof is for; `None` if it has none or it just ended.
    pub fn close(&self, session: &Session, reason: &'static str) -> Option<Closed> {
        let open = session.open()?;
        self.table()
            .remove(&(Arc::clone(&session.principal().key), open.id), reason)
    }

    /// Ends a session by its owner's key and id, wherever it came from.
    pub fn end(&self, owner: &Arc<str>, id: SessionId, reason: &'static str) -> Option<Closed> {
        self.table().remove(&(Arc::clone(owner), id), reason)
    }

    /// That session, if it is open.
    pub(crate) fn find(&self, owner: &Arc<str>, id: SessionId) -> Option<Open> {
        let table = self.table();
        let record = table.records.get(&(Arc::clone(owner), id))?;
        Some(Open {
            id,
            upstream: record.upstream.clone(),
            revision: record.revision,
            opens_urls: record.opens_urls,
            changed: false,
        })
    }

    /// Whether that session is open.
    pub fn is_open(&self, owner: &Arc<str>, id: SessionId) -> bool {
        self.table().records.contains_key(&(Arc::clone(owner), id))
    }

    /// Takes out every session there is.
    pub fn end_all(&self, reason: &'static str) -> Vec<Closed> {
        self.end_where(|_| true, reason)
    }

    /// Takes out every session with that server.
    pub fn end_of(&self, server: &str, reason: &'static str) -> Vec<Closed> {
        self.end_where(|record| *record.server == *server, reason)
    }

    /// Takes out every session of a principal with one of two servers, before it may do more there (SES-12).
    pub fn end_outgrown(&self, owner: &str, servers: [&str; 2]) -> Vec<Closed> {
        let is_theirs =
            |record: &Record| *record.opener.key == *owner && servers.contains(&&*record.server);
        self.end_where(is_theirs, OUTGROWN)
    }

    /// Takes out every session that was opened with a token that is revoked now.
    pub fn end_revoked(&self, trust: &Trust) -> Vec<Closed> {
        self.end_where(
            |record| trust.check_revoked(&record.opener).is_err(),
            "revoked",
        )
    }

    /// Takes out the one session with this fingerprint, if `is_meant` says so of whoever opened it and of its server.
    pub fn end_one(
        &self,
        fingerprint: &str,
        is_meant: impl Fn(&Principal, &str) -> bool,
        reason: &'static str,
    ) -> Option<Closed> {
        let mut table = self.table();
        let mut keys = table.records.iter();
        let (key, _) = keys.find(|(key, record)| {
            key.1.fingerprint() == fingerprint && is_meant(&record.opener, &record.server)
        })?;
        let key = key.clone();
        table.remove(&key, reason)
    }

    /// All open sessions, by their fingerprints. Cost: one look at each.
    pub fn listed(&self) -> Vec<Listed> {
        let table = self.table();
        let all = table.records.iter().map(|(key, record)| Listed {
            fingerprint: key.1.fingerprint(),
            opener: record.opener.clone(),
            server: Arc::clone(&record.server),
            revision: record.revision,
            opened: record.opened,
            used: record.used,
        });
        let mut all: Vec<Listed> = all.collect();
        drop(table);
        all.sort_by(|one, other| one.fingerprint.cmp(&other.fingerprint));
        all
    }

    fn end_where(&self, is_over: impl Fn(&Record) -> bool, reason: &'static str) -> Vec<Closed> {
        let mut table = self.table();
        let all = table.records.iter();
        let mut keys: Vec<Key> = all
            .filter(|(_, record)| is_over(record))
            .map(|(key, _)| key.clone())
            .collect();
        keys.sort_by_key(|(_, id)| id.wire());
        keys.into_iter()
            .filter_map(|key| table.remove(&key, reason))
            .collect()
    }

    /// Takes out every session whose time is over. Cost: one look at each.
    pub fn reap(&self, limits: &Limits, now: Timestamp) -> Vec<Closed> {
        let mut table = self.table();
        #[expect(
            clippy::iter_over_hash_type,
            reason = "every entry is looked at; their order decides nothing"
        )]
        let over: Vec<(Key, &'static str)> = {
            let mut over = Vec::new();
            for (key, record) in &table.records {
                over.extend(
                    record
                        .expiry(limits, now)
                        .map(|reason| (key.clone(), reason)),
                );
            }
            over
        };
        over.into_iter()
            .filter_map(|(key, reason)| table.remove(&key, reason))
            .collect()
    }
}

impl Record {
    fn expiry(&self, limits: &Limits, now: Timestamp) -> Option<&'static str> {
        if now.since(self.used) >= limits.idle {
            return Some("idle");
        }
        (now.since(self.opened) >= limits.absolute).then_some("absolute")
    }
}

impl Table {
    fn remove(&mut self, key: &Key, reason: &'static str) -> Option<Closed> {
        let record = self.records.remove(key)?;
        self.owners.remove(&key.1);
        if let Some(own) = self.by_owner.get_mut(&key.0) {
            own.retain(|id| *id != key.1);
            if own.is_empty() {
                self.by_owner.remove(&key.0);
            }
        }
        Some(Closed {
            id: key.1,
            owner: Arc::clone(&key.0),
            server: record.server,
            upstream: record.upstream,
            opener: record.opener,
            reason,
        })
    }
}
