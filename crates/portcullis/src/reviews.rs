//! Reviews of grants: what they hold back is put in force here, and what has happened in them is recorded.

use crate::clock;
use crate::lifecycle::Home;
use crate::record::{note, note_in_turn};
use crate::relay::{Gateway, Live};
use portcullis_audit::{Principal as Named, Record, time_text};
use portcullis_core::authenticate::key_of;
use portcullis_core::authorize::Elevations;
use portcullis_core::authorize::policy::PolicyError;
use portcullis_core::route::aggregate::AGGREGATE;
use portcullis_core::time::Timestamp;
use portcullis_state::{Elevation, Event, Failed, HeldGrant, Standing};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Facts of events that are moments, in microseconds since 1970.
const MOMENTS: &[&str] = &["at", "due", "until"];
/// What the log calls events, their reasons and their facts.
const WORDS: &[&str] = &[
    "access.lapsed",
    "access.review_closed",
    "access.review_refused",
    "access.review_started",
    "access.reviewed",
    "at",
    "by",
    "due",
    "elevation",
    "elevation.approved",
    "elevation.refused",
    "elevation.requested",
    "elevation.withdrawn",
    "for",
    "grant",
    "groups_unknown",
    "items",
    "keep",
    "kind",
    "lapse",
    "name",
    "new",
    "not_reviewer",
    "old",
    "own_access",
    "policy",
    "replayed",
    "review",
    "revoke",
    "rule",
    "scope",
    "server",
    "starter",
    "token",
    "tool",
    "tool.approved",
    "tool.endorsed",
    "tool.rejected",
    "tool.rolled_back",
    "unknown",
    "until",
    "why",
];

/// Whose log tells of reviews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    /// That of this process: the database is its own.
    Own,
    /// Another's, with whom this process has the database in common.
    Another,
}

/// Why what the database says of reviews is not in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// It cannot be read.
    #[error(transparent)]
    State(#[from] Failed),
    /// The rules without what is held back do not compile.
    #[error("the rules of now cannot be built: {0}")]
    Rules(#[from] PolicyError),
}

/// What is known of reviews.
#[derive(Debug)]
pub(crate) struct Reviews {
    log: Log,
    /// Held while rules are put in place, so that no reload undoes what a review says.
    standing: Mutex<Standing>,
    has_events: AtomicBool,
    /// Held while events are recorded, so that each is once.
    recording: tokio::sync::Mutex<()>,
    is_overdue: AtomicBool,
}

impl Reviews {
    /// Nothing is known yet. The database is in one place, and the log of this process in another, or in the same.
    pub(crate) fn of((shared, home): (&Home, &Home)) -> Self {
        Self {
            log: if shared.0 == home.0 {
                Log::Own
            } else {
                Log::Another
            },
            standing: Mutex::default(),
            has_events: AtomicBool::new(true),
            recording: tokio::sync::Mutex::default(),
            is_overdue: AtomicBool::new(false),
        }
    }
}

impl Live {
    /// The same without what reviews hold back.
    fn without(self, held: &[HeldGrant]) -> Result<Self, PolicyError> {
        let mut live = self;
        let policy = live.written.policy(held)?;
        live.policy = policy.hash().into();
        live.rules.policy = Arc::new(policy);
        Ok(live)
    }
}

impl Gateway {
    /// Puts rules in place, but for what reviews hold back; gives the hash of the policy.
    ///
    /// # Errors
    /// [`PolicyError`]; then the old ones stay.
    pub(crate) fn put(&self, live: Live) -> Result<Arc<str>, PolicyError> {
        let standing = self.reviews.standing.lock();
        let standing = standing.unwrap_or_else(PoisonError::into_inner);
        let mut live = if standing.held.is_empty() {
            live
        } else {
            live.without(&standing.held)?
        };
        live.rules.elevations = Arc::new(raised(&standing.elevations));
        let policy = Arc::clone(&live.policy);
        self.live.store(Arc::new(live));
        Ok(policy)
    }

    /// Reads how reviews stand, and puts it in force.
    ///
    /// # Errors
    /// [`NotTaken`]; then nobody may believe the rules that are in place.
    pub(crate) async fn take_up_reviews(&self) -> Result<(), NotTaken> {
        let new = self.revocations.durable().standing().await?;
        let standing = self.reviews.standing.lock();
        let mut standing = standing.unwrap_or_else(PoisonError::into_inner);
        let is_held = new.held != standing.held;
        if is_held || new.elevations != standing.elevations {
            // No session id of before may be worth more than it was.
            for raised in added(&standing.elevations, &new.elevations) {
                self.replace_sessions(raised);
            }
            let mut live = Live::clone(&self.live.load());
            if is_held {
                live = live.without(&new.held)?;
            }
            live.rules.elevations = Arc::new(raised(&new.elevations));
            self.live.store(Arc::new(live));
        }
        *standing = new;
        drop(standing);
        self.reviews.has_events.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the sessions of somebody who is about to be raised (SES-12): clients begin new ones, under new ids.
    fn replace_sessions(&self, raised: &Elevation) {
        let person = &raised.person;
        let owner = key_of(&person.issuer, &person.subject);
        let servers = [raised.server.as_str(), AGGREGATE];
        let live = self.live.load_full();
        for closed in self.state.sessions.end_outgrown(&owner, servers) {
            self.ended(&live, closed);
        }
        self.revocations.wake(); // their streams look whether they are open
    }

    /// Lets lapse what is due, records what has happened, and says once if a review is overdue.
    pub(crate) async fn keep_reviews(self: &Arc<Self>) {
        let now = clock::now();
        let (due, last) = {
            let standing = self.reviews.standing.lock();
            let standing = standing.unwrap_or_else(PoisonError::into_inner);
            (standing.due, standing.last)
        };
        let durable = self.revocations.durable();
        if due.is_some_and(|due| due <= now)
            && let Err(error) = durable.lapse(now).await
        {
            // The grants are held back all the same: their rules end by themselves.
            tracing::debug!(%error, "what has lapsed was not written down");
        }
        if self.reviews.log == Log::Another {
            return;
        }
        if self.reviews.has_events.swap(false, Ordering::Relaxed) {
            // A log that is slow must not hold up the next look.
            let gateway = Arc::clone(self);
            self.tasks
                .spawn(async move { gateway.record_reviews().await });
        }
        self.tell_overdue((due, last), now);
    }

    async fn record_reviews(&self) {
        let _recording = self.reviews.recording.lock().await;
        if let Err(error) = self.record_events().await {
            tracing::warn!(%error, "what has happened in reviews is recorded later");
            self.reviews.has_events.store(true, Ordering::Relaxed);
        }
    }

    async fn record_events(&self) -> Result<(), Failed> {
        let durable = self.revocations.durable();
        for (number, event) in durable.review_events().await? {
            let recorded = note_in_turn(&self.recorder, record_of(&event)).await;
            recorded.ok_or(Failed::Interrupted)?;
            durable.review_recorded(number).await?;
        }
        Ok(())
    }

    fn tell_overdue(&self, (due, last): (Option<Timestamp>, Option<Timestamp>), now: Timestamp) {
        let every = self.live.load().review_every;
        let is_overdue = every.is_some_and(|every| {
            let is_late = |last: Timestamp| last.plus(every) <= now;
            due.is_none() && last.is_none_or(is_late)
        });
        let was = self.reviews.is_overdue.swap(is_overdue, Ordering::Relaxed);
        if !is_overdue || was {
            return;
        }
        tracing::warn!("a review of who may do what is overdue: portcullis access review start");
        let mut record = Record::new("access.review_overdue");
        if let Some(last) = last {
            record.detail.set("at", time_text(last.micros()).as_str());
        }
        note(&self.recorder, record);
    }
}

/// What is approved now and was not before.
fn added<'a>(before: &'a [Elevation], now: &'a [Elevation]) -> impl Iterator<Item = &'a Elevation> {
    now.iter().filter(|one| !before.contains(one))
}

/// What was approved, as decisions look at it; what is over, they notice themselves.
fn raised(approved: &[Elevation]) -> Elevations {
    let mut raised = Elevations::default();
    for one in approved {
        let person = (one.person.issuer.as_str(), one.person.subject.as_str());
        if let Some(until) = one.until {
            raised.raise(person, (&one.server, &one.tool), until);
        }
    }
    raised
}

fn record_of(event: &Event) -> Record {
    let mut record = Record::new(word(&event.event));
    record.reason = event.reason.as_deref().map(|reason| word(reason).into());
    record.principal = event.person.as_ref().map(|person| Named {
        iss: person.issuer.as_str().into(),
        sub: person.subject.as_str().into(),
    });
    for (name, value) in &event.facts {
        let name = word(name);
        let moment = MOMENTS.contains(&name).then(|| value.parse().ok());
        let value = moment.flatten().map_or_else(|| value.clone(), time_text);
        record.detail.set(name, value.as_str());
    }
    record
}

/// A word of the database as one of ours; only a later version, or another program, writes others.
fn word(written: &str) -> &'static str {
    let known = WORDS.iter().copied().find(|known| *known == written);
    known.unwrap_or("unknown")
}
