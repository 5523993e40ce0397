//! Whoever sits at the terminal in which `up` runs is asked about what a server shows for the first time, once.
//!
//! What has changed, and what something grave was found in, is told there and approved by name only.

use super::out;
use super::revoke::operator;
use super::up::quoted;
use crate::clock;
use crate::judged::{Judged, text};
use crate::relay::Gateway;
use portcullis_core::catalog::analyse::Finding;
use portcullis_core::catalog::{Deed, Definition, Digest, Kind, Needed, Thing, visible};
use portcullis_state::{Decision, Failed, Standings};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{QueueSelector, tcflush, tcgetpgrp};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often it is looked what waits; what is seen meanwhile is one question.
const LOOK: Duration = Duration::from_secs(1);
/// How long it is waited for an answer before it is looked whether we end.
const WAIT: Duration = Duration::from_millis(250);
/// The most things that a question names.
const MAX_NAMED: usize = 20;
/// Why it is approved.
const REASON: &str = "asked in the terminal";

/// Asks until the process ends, if there is anybody to be asked.
pub(super) fn keep_asking(gateway: &Arc<Gateway>, data: &Path) {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        tracing::info!("nobody is asked what is approved, as there is no terminal");
        return;
    }
    let mut asker = Asker {
        gateway: Arc::clone(gateway),
        place: format!("--data {}", quoted(data)),
        epoch: None,
        waiting: BTreeMap::new(),
        asked: BTreeSet::new(),
    };
    let drain = gateway.drain.clone();
    gateway.tasks.spawn(async move {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = drain.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = asker.turn().await {
                tracing::warn!(%error, "what waits to be approved was not read");
            }
        }
    });
}

struct Asker {
    gateway: Arc<Gateway>,
    /// Where commands find this gateway.
    place: String,
    epoch: Option<u64>,
    /// What waits, and whether it is seen for the first time.
    waiting: BTreeMap<Thing, (Digest, bool)>,
    /// INVARIANT: each version that was ever seen at most once; of those, the database has a bound.
    asked: BTreeSet<(Thing, Digest)>,
}

/// One version that waits.
struct Waiting {
    thing: Thing,
    definition: Definition,
    judged: Judged,
    /// Why it is not approved here.
    why: Option<String>,
}

impl Asker {
    async fn turn(&mut self) -> Result<(), Failed> {
        if let Some(standings) = self.gateway.catalog.news(self.epoch).await? {
            self.epoch = Some(standings.epoch);
            self.waiting = waiting(&standings);
            return Ok(()); // more of it may come
        }
        if !is_in_front() {
            return Ok(());
        }
        let live = self.gateway.live.load_full();
        let servers = &live.rules.servers;
        let is_held = |server: &str| {
            servers
                .get(server)
                .is_some_and(|own| own.terms.is_binding())
        };
        let open = |(thing, (digest, _)): &(&Thing, &(Digest, bool))| {
            is_held(&thing.server) && !self.asked.contains(&((*thing).clone(), *digest))
        };
        let Some((first, _)) = self.waiting.iter().find(open) else {
            return Ok(());
        };
        let server = Arc::clone(&first.server);
        let all = self.waiting.iter().filter(open);
        let own = all.filter(|(thing, _)| thing.server == server);
        let own: Vec<_> = own.map(|(thing, what)| (thing.clone(), *what)).collect();
        let asked = own
            .iter()
            .map(|(thing, (digest, _))| (thing.clone(), *digest));
        self.asked.extend(asked);
        self.ask(&server, own).await
    }

    async fn ask(&self, server: &str, all: Vec<(Thing, (Digest, bool))>) -> Result<(), Failed> {
        let mut texts = Vec::new();
        for (thing, (digest, is_first)) in all {
            let text = self.gateway.catalog.text(thing.kind, digest).await?;
            texts.extend(text.map(|definition| (thing, definition, is_first)));
        }
        let approved = self.gateway.state.pinned.approved();
        let others = approved.others(server);
        let found = texts.into_iter().map(|(thing, definition, is_first)| {
            let judged = Judged::of(&definition, &others);
            waits(thing, (definition, judged), is_first)
        });
        let (clean, kept): (Vec<Waiting>, Vec<Waiting>) = found.partition(|one| one.why.is_none());
        let server = visible(server);
        let mut told = format!("\n{server} shows what nobody has approved; it is withheld:\n");
        told.extend(kept.iter().chain(&clean).take(MAX_NAMED).map(line));
        let more = (kept.len() + clean.len()).saturating_sub(MAX_NAMED);
        told.extend((more > 0).then(|| format!("  and {more} more\n")));
        told.extend((!kept.is_empty()).then(|| {
            let place = &self.place;
            format!("Look by itself at what something is said of: portcullis tools approve {server} NAME {place}\n")
        }));
        out::print(&told);
        if clean.is_empty() {
            return Ok(());
        }
        self.decide(&server, &clean).await
    }

    async fn decide(&self, server: &str, clean: &[Waiting]) -> Result<(), Failed> {
        loop {
            // What was typed before the question is no answer to it.
            if tcflush(std::io::stdin(), QueueSelector::IFlush).is_err() {
                return Ok(());
            }
            out::print(&format!(
                "Approve {} of {server}? [y/N/show] ",
                counted(clean)
            ));
            let drain = self.gateway.drain.clone();
            let answer = tokio::task::spawn_blocking(move || answer(&drain)).await;
            let answer = answer.ok().flatten();
            match answer.as_deref() {
                Some("y" | "yes") => return self.approve(clean).await,
                Some("s" | "show") => out::print(&in_full(clean)),
                Some(_) | None => {
                    out::print(&format!(
                        "It stays withheld, until: portcullis tools approve {server} --all {}\n",
                        self.place
                    ));
                    return Ok(());
                }
            }
        }
    }

    async fn approve(&self, clean: &[Waiting]) -> Result<(), Failed> {
        let live = self.gateway.live.load_full();
        for one in clean {
            let server = live.rules.servers.get(&one.thing.server);
            let needed = server.map_or(Needed::One, |server| server.terms.approvals);
            let decision = Decision {
                by: operator(),
                person: None,
                reason: Some(REASON.to_owned()),
                needed,
                at: clock::now(),
            };
            let (thing, digest) = (one.thing.clone(), one.definition.digest());
            let catalog = &self.gateway.catalog;
            match catalog.approve(thing, digest, decision).await? {
                Ok(outcome) if outcome.deed == Deed::Endorsed => {
                    let thing = named(&one.thing);
                    out::print(&format!("{thing}: a second person has to approve it too\n"));
                }
                Ok(_) => {}
                Err(why) => {
                    out::print(&format!("{}: not approved: {why}\n", named(&one.thing)));
                }
            }
        }
        out::print(
            "Approved. A client that has asked for its list already sees it when it asks again.\n",
        );
        Ok(())
    }
}

fn waiting(standings: &Standings) -> BTreeMap<Thing, (Digest, bool)> {
    let all = standings.standing.iter();
    let waiting = all.filter_map(|(thing, standing)| {
        let what = (standing.pending()?, standing.is_undecided());
        Some((thing.clone(), what))
    });
    waiting.collect()
}

fn waits(thing: Thing, (definition, judged): (Definition, Judged), is_first: bool) -> Waiting {
    let why = match judged.gravest() {
        Some(finding) => Some(said(finding)),
        None if !is_first => Some("is not what was decided about before".to_owned()),
        None => None,
    };
    Waiting {
        thing,
        definition,
        judged,
        why,
    }
}

fn said(finding: &Finding) -> String {
    let place = visible(&finding.pointer);
    format!(
        "{} ({}, {place})",
        visible(&finding.reason),
        finding.severity
    )
}

fn line(one: &Waiting) -> String {
    let name = named(&one.thing);
    match &one.why {
        Some(why) => format!("  {name}: {why}\n"),
        None => format!("  {name}\n"),
    }
}

fn in_full(all: &[Waiting]) -> String {
    let texts = all
        .iter()
        .map(|one| text(&one.thing, (None, &one.definition), &one.judged) + "\n");
    texts.collect()
}

fn named(thing: &Thing) -> String {
    match thing.kind {
        Kind::Server => "what it says of itself".to_owned(),
        Kind::Tool | Kind::Prompt | Kind::Resource | Kind::Template => {
            format!("{} \"{}\"", thing.kind, visible(&thing.name))
        }
    }
}

/// How many there are of each kind.
fn counted(all: &[Waiting]) -> String {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    for one in all {
        *counts.entry(one.thing.kind).or_default() += 1;
    }
    let words = counts.into_iter().map(|(kind, count)| match (kind, count) {
        (Kind::Server, _) => "what it says of itself".to_owned(),
        (kind, 1) => format!("1 {kind}"),
        (kind, count) => format!("{count} {kind}s"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Whether what is typed is meant for us: to read in the background would stop the process.
fn is_in_front() -> bool {
    tcgetpgrp(std::io::stdin()).is_ok_and(|front| front == getpgrp())
}

/// One line; none if nobody answers until the end.
fn answer(ends: &CancellationToken) -> Option<String> {
    let stdin = std::io::stdin();
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: WAIT.subsec_nanos().into(),
    };
    while !ends.is_cancelled() {
        if !is_in_front() {
            std::thread::sleep(WAIT);
            continue;
        }
        let mut read = [PollFd::new(&stdin, PollFlags::IN)];
        if poll(&mut read, Some(&wait)).ok()? == 0 {
            continue;
        }
        let mut line = String::new();
        let length = stdin.lock().read_line(&mut line).ok()?;
        return (length > 0).then(|| line.trim().to_ascii_lowercase());
    }
    None
}
