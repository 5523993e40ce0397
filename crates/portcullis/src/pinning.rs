//! What servers define, beside the data path: what is new of it is recorded and written down, and what is approved
//! comes into force.

use crate::cataloguing::is_by_another;
use crate::clock;
use crate::keys::Signer;
use crate::record::note;
use crate::relay::Gateway;
use portcullis_audit::Record;
use portcullis_core::catalog::shadow::Others;
use portcullis_core::catalog::{
    Approved, Digest, Kind, Mode, Needed, News, Provenance, Thing, Undecided, What, gravest,
    visible,
};
use portcullis_state::{Decision, Failed, Forged, NotDecided, Outcome, Sighting, Standings};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked whether anything is new, here or in the database.
const LOOK: Duration = Duration::from_millis(250);
/// Who says what nobody has said, in histories.
const OURSELVES: &str = "portcullis";
/// Why what was learned is approved.
const FIRST_SIGHT: &str = "first_sight";
/// No state has that number: what is in the database is put in force again, though nothing may have changed.
const ANEW: Option<u64> = Some(u64::MAX);

/// Takes up what is approved, and from then on every change, until the process ends.
///
/// Until the database was read nothing is approved, and nothing is learned.
pub(crate) async fn keep_up(gateway: &Arc<Gateway>, signer: &Arc<Signer>) {
    let mut keeper = Keeper {
        gateway: Arc::clone(gateway),
        signer: Arc::clone(signer),
        epoch: None,
        signed_by: None,
        full: BTreeSet::new(),
        forged: BTreeSet::new(),
    };
    keeper.turn().await;
    gateway.tasks.spawn(async move {
        // Does not end with a drain: calls that are still under way are held to what is approved too.
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            keeper.turn().await;
        }
    });
}

struct Keeper {
    gateway: Arc<Gateway>,
    signer: Arc<Signer>,
    /// The state of the database that is in force.
    epoch: Option<u64>,
    /// The key by which everything is signed.
    signed_by: Option<String>,
    /// Servers of which nothing more is taken up.
    full: BTreeSet<Arc<str>>,
    /// What was told to be forged.
    forged: BTreeSet<Thing>,
}

impl Keeper {
    /// Writes down what is new and puts in force what has changed. What fails is tried again at the next turn; what was
    /// approved until then stays so, and if the database is lost for long nobody is served.
    async fn turn(&mut self) {
        self.write_news().await;
        if let Err(error) = self.look().await {
            tracing::warn!(%error, "what is approved of what servers define was not read");
        }
    }

    async fn write_news(&mut self) {
        let mut by_server: BTreeMap<Arc<str>, Vec<News>> = BTreeMap::new();
        for news in self.gateway.state.pinned.take_news() {
            let own = by_server.entry(Arc::clone(&news.server)).or_default();
            own.push(news);
        }
        for (server, news) in by_server {
            match self.write(&server, &news).await {
                Ok(()) => {
                    tell_withheld(&server, &news);
                    let approved = self.gateway.state.pinned.approved();
                    let others = approved.others(&server);
                    let records = news.iter().filter_map(|news| record_of(news, &others));
                    records.for_each(|record| note(&self.gateway.recorder, record));
                }
                Err(error) => {
                    tracing::warn!(%error, %server, "what a server defines was not written down");
                    self.gateway.state.pinned.keep_news(news);
                }
            }
        }
    }

    async fn write(&mut self, server: &Arc<str>, news: &[News]) -> Result<(), Failed> {
        let catalog = &self.gateway.catalog;
        let live = self.gateway.live.load_full();
        let upstream = live.upstreams.get(server);
        let provenance = upstream.map_or_else(nowhere, |upstream| upstream.provenance());
        for step in steps(news, &provenance) {
            catalog.seen(server, step.sighting, clock::now()).await?;
            for (thing, digest) in step.learned {
                let learned = catalog.learn(thing, digest, decision()).await?;
                self.full
                    .extend(is_full(&learned).then(|| Arc::clone(server)));
                // It was served for a moment; from now on it is what the database says.
                self.epoch = self.epoch.filter(|_| !is_undone(&learned)).or(ANEW);
            }
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), Failed> {
        let id = self.signer.id();
        if self.signed_by.as_ref() != Some(&id) {
            let own = id.clone();
            let is_old = move |token: &str| is_by_another(token, &own);
            self.gateway.catalog.sign_anew(is_old).await?;
            self.signed_by = Some(id);
        }
        if let Some(standings) = self.gateway.catalog.news(self.epoch).await? {
            self.put(standings);
        }
        Ok(())
    }

    fn put(&mut self, standings: Standings) {
        let forged: BTreeSet<Thing> = (standings.forged.iter())
            .map(|forged| forged.thing.clone())
            .collect();
        let is_new = |one: &&Forged| !self.forged.contains(&one.thing);
        for one in standings.forged.iter().filter(is_new) {
            note(&self.gateway.recorder, record_of_forged(one));
        }
        let seen = standings.standing.into_keys().chain(forged.iter().cloned());
        let approved = standings.approved.into_iter();
        let approved = Approved::of(approved.map(|one| (one.server, one.definition)));
        let approved = approved.knowing(seen).with_full(self.full.clone());
        let pinned = &self.gateway.state.pinned;
        let before = pinned.approved();
        pinned.put(approved);
        self.tell_changed(&before);
        self.forged = forged;
        self.epoch = Some(standings.epoch);
    }
}

impl Keeper {
    /// Clients hear of lists that are others since, where they are held to what is approved.
    fn tell_changed(&self, before: &Approved) {
        let approved = self.gateway.state.pinned.approved();
        let live = self.gateway.live.load();
        let mut changed: BTreeMap<Arc<str>, Vec<Kind>> = BTreeMap::new();
        for (server, kind) in approved.changed_since(before) {
            changed.entry(server).or_default().push(kind);
        }
        for (server, kinds) in changed {
            let known = live.rules.servers.get(&server);
            if known.is_some_and(|known| known.terms.is_binding()) {
                self.gateway.listening.lists_changed(&server, &kinds);
            }
        }
    }
}

/// Operators who read nothing else are told how to go on.
fn tell_withheld(server: &str, news: &[News]) {
    let is_withheld = |one: &&News| {
        let is_open = matches!(one.what, What::New(_) | What::Changed { .. });
        is_open && one.mode != Mode::Observe
    };
    let count = news.iter().filter(is_withheld).count();
    if count > 0 {
        tracing::warn!(
            server,
            count,
            "withheld until somebody approves it: `portcullis tools list --pending`"
        );
    }
}

type Learned = Result<Outcome, NotDecided>;

/// The server has so many things that this one was not taken up.
fn is_full(learned: &Learned) -> bool {
    learned == &Err(NotDecided::Undecided(Undecided::Unknown))
}

fn is_undone(learned: &Learned) -> bool {
    let is_already = learned == &Err(NotDecided::Undecided(Undecided::Already));
    learned.is_err() && !is_already
}

fn decision() -> Decision {
    Decision {
        by: OURSELVES.to_owned(),
        person: None,
        reason: Some(FIRST_SIGHT.to_owned()),
        needed: Needed::One,
        at: clock::now(),
    }
}

/// Of a server that is not configured any more.
fn nowhere() -> Provenance {
    Provenance {
        era: "unknown".to_owned(),
        transport: "unknown".to_owned(),
        origin: String::new(),
    }
}

/// What was seen of things at one time, and what of it was learned.
struct Step {
    sighting: Sighting,
    learned: Vec<(Thing, Digest)>,
    /// What it tells of: no step tells of the same twice.
    told: BTreeSet<(Kind, Arc<str>)>,
}

/// What was seen, in the order in which it was.
fn steps(news: &[News], provenance: &Provenance) -> Vec<Step> {
    let mut all: Vec<Step> = Vec::new();
    for one in news {
        let (definition, gone) = match &one.what {
            What::New(new) | What::Learned(new) | What::Known(new) | What::Changed { new, .. } => {
                (Some(new), None)
            }
            What::Removed { .. } => (None, Some((one.kind, Arc::clone(&one.name)))),
            What::Unreadable(_) => continue,
        };
        let key = (one.kind, Arc::clone(&one.name));
        if all.last().is_none_or(|last| last.told.contains(&key)) {
            let sighting = Sighting::new(Vec::new(), provenance.clone(), OURSELVES.to_owned());
            all.push(Step {
                sighting,
                learned: Vec::new(),
                told: BTreeSet::new(),
            });
        }
        if let Some(last) = all.last_mut() {
            last.told.insert(key);
            last.sighting.definitions.extend(definition.cloned());
            last.sighting.gone.extend(gone);
            if let What::Learned(definition) = &one.what {
                let thing = Thing {
                    server: Arc::clone(&one.server),
                    kind: one.kind,
                    name: Arc::clone(&one.name),
                };
                last.learned.push((thing, definition.digest()));
            }
        }
    }
    all
}

fn record_of_forged(forged: &Forged) -> Record {
    let Thing { server, kind, name } = &forged.thing;
    let mut record = about("tool.approval_forged", "broken", (server, *kind, name));
    record.detail.set("why", forged.why.to_string().as_str());
    record
}

/// What the log says of it; nothing of what is as it was, nor of first sights where everything passes.
fn record_of(news: &News, others: &Others<'_>) -> Option<Record> {
    let is_observed = news.mode == Mode::Observe;
    let (event, reason, old, new) = match &news.what {
        // The database tells of approvals itself.
        What::Known(_) | What::Learned(_) => return None,
        What::New(_) | What::Unreadable(_) if is_observed => return None,
        What::New(new) => ("tool.quarantined", "not_approved", None, Some(new.digest())),
        What::Unreadable(why) => {
            let mut record = record("tool.quarantined", "unreadable", news);
            record.detail.set("why", why.to_string().as_str());
            return Some(record);
        }
        What::Changed { old, new } => {
            let digests = (Some(*old), Some(new.digest()));
            ("tool.definition_changed", "listed", digests.0, digests.1)
        }
        What::Removed { old } => ("tool.removed", "not_listed", Some(*old), None),
    };
    let mut record = record(event, reason, news);
    let finding = match &news.what {
        What::New(new) => gravest(new)
            .into_iter()
            .chain(others.like(new))
            .max_by_key(|found| found.severity),
        What::Changed { new, .. } => gravest(new),
        What::Learned(_) | What::Known(_) | What::Removed { .. } | What::Unreadable(_) => None,
    };
    if let Some(finding) = finding {
        record.detail.set("rule", finding.rule);
        record.detail.set("pointer", finding.pointer.as_str());
        record.detail.set("why", visible(&finding.reason).as_str());
    }
    let digest = |digest: Digest| digest.to_string();
    if let Some(old) = old.map(digest) {
        record.detail.set("old", old.as_str());
    }
    if let Some(new) = new.map(digest) {
        record.detail.set("new", new.as_str());
    }
    Some(record)
}

fn record(event: &'static str, reason: &'static str, news: &News) -> Record {
    let mut record = about(event, reason, (&news.server, news.kind, &news.name));
    record.detail.set("mode", news.mode.name());
    record
}

fn about(
    event: &'static str,
    reason: &'static str,
    (server, kind, name): (&str, Kind, &str),
) -> Record {
    let mut record = Record::new(event);
    record.reason = Some(reason.into());
    record.server = Some(server.into());
    record.target = Some(portcullis_core::inspect::name(name).as_str().into());
    record.detail.set("kind", kind.name());
    record
}
