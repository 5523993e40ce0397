//! What was revoked: read from the database as it changes, held in memory, and carried out at once.

use crate::clock;
use crate::record::{note, note_closed_in_turn};
use crate::relay::Gateway;
use crate::reviews::NotTaken;
use futures_util::future::join_all;
use portcullis_audit::{Principal as Named, Record, time_text};
use portcullis_core::authenticate::{Cause, Identity, Principal, Revoked, key_of};
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::review::check_held;
use portcullis_core::route::Ticket;
use portcullis_core::scim::{Problem, Search, User};
use portcullis_core::time::Timestamp;
use portcullis_state::{
    Durable, Failed, Heard, Kind, News, NotOpened, Page, Provision, Revocation, Sought, Told, Whom,
};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// How often it is looked whether another process has changed anything.
const LOOK: Duration = Duration::from_millis(250);
/// How long what was read last is believed. After that nobody is: somebody may have been revoked meanwhile.
const BELIEVED: Duration = Duration::from_secs(5);
/// How often what can matter no more is removed.
const PRUNE: Duration = Duration::from_hours(1);

/// What is known of the database of revocations.
#[derive(Debug)]
pub(crate) struct Revocations {
    durable: Durable,
    began: Instant,
    /// In milliseconds after `began`.
    believed_until: AtomicU64,
    /// The state of the database that is in effect.
    epoch: watch::Sender<u64>,
}

impl Revocations {
    /// Opens the database; nothing is known yet.
    pub(crate) async fn open(file: &Path) -> Result<Self, NotOpened> {
        Ok(Self {
            durable: Durable::open(file).await?,
            began: Instant::now(),
            believed_until: AtomicU64::new(0),
            epoch: watch::Sender::new(0),
        })
    }

    /// Whether it is known what is revoked. Cost: one load and one look at the clock.
    ///
    /// # Errors
    /// [`Unavailable::State`]: then nobody's token can be believed.
    pub(crate) fn known(&self) -> Result<(), Unavailable> {
        if self.after(Instant::now()) < self.believed_until.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(Unavailable::State)
        }
    }

    /// The database, for what else must outlive the process.
    pub(crate) const fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Tells of every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// Lets whatever is open look again who has access.
    pub(crate) fn wake(&self) {
        self.epoch.send_modify(|_| {});
    }

    /// Takes what an issuer tells; it is in effect after the next look.
    ///
    /// # Errors
    /// [`Failed`]; then nothing has changed.
    pub(crate) async fn hear(&self, told: Told, now: Timestamp) -> Result<Heard, Failed> {
        self.durable.hear(told, now).await
    }

    /// Takes what a directory tells of a user; it is in effect after the next look.
    ///
    /// # Errors
    /// [`Failed`], or what `decide` says; then nothing has changed.
    pub(crate) async fn provision(
        &self,
        sought: Sought,
        now: Timestamp,
        decide: impl FnOnce(Option<User>) -> Result<Provision, Problem> + Send + 'static,
    ) -> Result<Result<Provision, Problem>, Failed> {
        self.durable
            .provision(sought, now, Problem::Taken, decide)
            .await
    }

    /// The users of whom an issuer's directory has told.
    ///
    /// # Errors
    /// [`Failed`].
    pub(crate) async fn users(&self, issuer: String, search: Search) -> Result<Page, Failed> {
        self.durable.users(issuer, search).await
    }

    /// What was asked for at that moment has been read and is in effect.
    fn believe(&self, asked: Instant) {
        let until = self.after(asked + BELIEVED);
        self.believed_until.store(until, Ordering::Relaxed);
    }

    fn after(&self, moment: Instant) -> u64 {
        let after = moment.saturating_duration_since(self.began);
        u64::try_from(after.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Takes up what is revoked, and from then on every change, until the process ends.
pub(crate) async fn keep_up(gateway: &Arc<Gateway>) -> Result<(), NotTaken> {
    let seen = gateway.look(None).await?;
    gateway.end_strangers().await;
    gateway.tasks.spawn(watch(Arc::clone(gateway), seen));
    Ok(())
}

/// Does not end with a drain: exchanges that are still under way need to know too.
async fn watch(gateway: Arc<Gateway>, mut seen: Option<u64>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut is_told, mut pruned) = (false, None::<Instant>);
    loop {
        ticks.tick().await;
        let looked = {
            let mut looking = pin!(gateway.look(seen));
            tokio::select! {
                looked = &mut looking => looked,
                // It hangs: that is told now, and waited for all the same.
                () = sleep(BELIEVED) => {
                    gateway.unreadable(&mut is_told, "no answer");
                    looking.await
                }
            }
        };
        match looked {
            Ok(epoch) => {
                seen = epoch;
                if std::mem::take(&mut is_told) {
                    tracing::info!("the database of revocations can be read again");
                    note(&gateway.recorder, Record::new("state.readable"));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "cannot read the database of revocations");
                if gateway.revocations.known().is_err() {
                    gateway.unreadable(&mut is_told, &error.to_string());
                }
                continue;
            }
        }
        gateway.keep_reviews().await;
        if pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNE) {
            pruned = Some(Instant::now());
            if let Err(error) = gateway.revocations.durable.prune(clock::now()).await {
                tracing::warn!(%error, "old revocations were not removed");
            }
        }
    }
}

impl Gateway {
    /// Whether a caller who was known is still.
    ///
    /// # Errors
    /// [`Refusal`]: revoked meanwhile, or nobody knows.
    pub(crate) fn admits(&self, principal: &Principal) -> Result<(), Refusal> {
        self.revocations.known()?;
        self.feeds.known(&principal.issuer)?;
        if let Some(provider) = &principal.provider {
            self.feeds.known(provider)?;
        }
        Ok(self.issuers.check_revoked(principal)?)
    }

    /// Returns once [`Self::admits`] says no to this caller, or a review to what permitted the exchange.
    pub(crate) async fn until_refused(
        &self,
        ticket: &Ticket,
        changes: &mut watch::Receiver<u64>,
    ) -> Refusal {
        loop {
            changes.mark_unchanged();
            if let Err(refusal) = self.admits(ticket.principal()) {
                return refusal;
            }
            // What permitted it may not permit it any more: the client asks again, and it is decided anew.
            if let Err(why) = self.issuers.check_said(ticket.principal()) {
                return why.into();
            }
            if let Err(why) = check_held(&self.live.load().rules.policy, ticket, clock::now()) {
                return why.into();
            }
            if changes.changed().await.is_err() {
                return Unavailable::State.into();
            }
        }
    }

    /// Looks whether anything has changed, and puts it into effect.
    async fn look(self: &Arc<Self>, seen: Option<u64>) -> Result<Option<u64>, NotTaken> {
        let (asked, durable) = (Instant::now(), &self.revocations.durable);
        let Some(news) = durable.news(seen).await? else {
            self.revocations.believe(asked);
            return Ok(seen);
        };
        let mut revoked = revoked(&news.in_force);
        for one in &news.said {
            let whom = (one.issuer.as_str(), one.name.as_str());
            let what = (one.value.as_str(), one.since);
            revoked.said.say(whom, one.topic, what);
        }
        self.issuers.revoke(revoked);
        self.take_up_reviews().await?;
        self.revocations.believe(asked);
        self.take_up(&news);
        if !news.changed.is_empty() {
            let noted = durable.noted(news.epoch).await;
            if let Err(error) = noted {
                tracing::warn!(%error, "the next start records a revocation again");
            }
        }
        Ok(Some(news.epoch))
    }

    /// Records what has changed, and ends what those who are revoked have open.
    fn take_up(self: &Arc<Self>, news: &News) {
        for change in &news.changed {
            note(&self.recorder, record_of(change));
        }
        self.revocations.epoch.send_replace(news.epoch);
        let made = news.changed.iter().filter(|change| change.lifted.is_none());
        let subjects = made.flat_map(|change| self.subjects(&change.whom));
        let (subjects, gateway): (Vec<_>, _) = (subjects.collect(), Arc::clone(self));
        // What may take long must not hold up the next look.
        self.tasks
            .spawn(async move { gateway.cut(&subjects).await });
    }

    /// The subjects of whom everything ends. Whom a claim means is known of those who came of late.
    fn subjects(&self, whom: &Whom) -> Vec<Arc<str>> {
        match (whom.kind, whom.claim()) {
            (Kind::Subject, _) => {
                // Users of a provider are known by its name, and may be revoked by ours.
                let is_meant = |identity: &Identity| {
                    identity.issuer == whom.issuer && identity.subject == whom.name
                };
                let mut keys = self.state.verified.keys_of(is_meant);
                keys.insert(key_of(&whom.issuer, &whom.name));
                keys.into_iter().collect()
            }
            (Kind::Claim, Some((claim, value))) => {
                let is_meant = |identity: &Identity| {
                    let mut claims = identity.claims.iter();
                    [identity.vouched_by(), &identity.issuer].contains(&&*whom.issuer)
                        && claims.any(|(own, text)| own == claim && text == value)
                };
                let keys = self.state.verified.keys_of(is_meant);
                keys.into_iter().collect()
            }
            (Kind::Token | Kind::Client | Kind::Claim, _) => Vec::new(),
        }
    }

    /// Ends the sessions of those who are revoked, and the processes of these subjects.
    async fn cut(&self, subjects: &[Arc<str>]) {
        let live = self.live.load_full();
        self.sign_out_revoked();
        self.sign_ins.dismiss(&live.sign_ins, subjects);
        let over = self.state.sessions.end_revoked(&self.issuers.trust());
        let sessions = async {
            for closed in over {
                note_closed_in_turn(&self.recorder, &closed).await;
                self.say_goodbye(&live, closed);
            }
        };
        let upstreams = live.upstreams.values();
        let processes = upstreams.map(|upstream| upstream.dismiss(subjects));
        tokio::join!(sessions, join_all(processes));
    }

    /// Records once that nobody is believed.
    fn unreadable(&self, is_told: &mut bool, why: &str) {
        if std::mem::replace(is_told, true) {
            return;
        }
        tracing::error!(
            why,
            "nobody is served: the database of revocations cannot be read"
        );
        let mut record = Record::new("state.unreadable");
        record.detail.set("error", why);
        note(&self.recorder, record);
    }
}

pub(crate) fn revoked(in_force: &[Revocation]) -> Revoked {
    let mut revoked = Revoked::default();
    for one in in_force {
        let Whom { kind, issuer, name } = &one.whom;
        let cause: Cause = one.cause.as_deref().map(Arc::from);
        match kind {
            Kind::Token => revoked.token(issuer, name, cause),
            Kind::Subject => revoked.subject(issuer, name, (one.issued_until, cause)),
            Kind::Client => revoked.client(issuer, name, (one.issued_until, cause)),
            Kind::Claim => {
                if let Some(claim) = one.whom.claim() {
                    revoked.claim(issuer, claim, (one.issued_until, cause));
                }
            }
        }
    }
    revoked
}

fn record_of(change: &Revocation) -> Record {
    let whom = &change.whom;
    let (event, by, at) = match &change.lifted {
        None => ("access.revoked", &change.by, change.made),
        Some(lifted) => ("access.reinstated", &lifted.by, lifted.at),
    };
    let mut record = Record::new(event);
    record.reason = Some(whom.kind.word().into());
    match whom.kind {
        Kind::Token => record.jti = Some(whom.name.as_str().into()),
        Kind::Client => record.client = Some(whom.name.as_str().into()),
        Kind::Claim => record.detail.set("claim", whom.name.as_str()),
        Kind::Subject => {
            record.principal = Some(Named {
                iss: whom.issuer.as_str().into(),
                sub: whom.name.as_str().into(),
            });
        }
    }
    let facts = &mut record.detail;
    facts.set("issuer", whom.issuer.as_str());
    facts.set("by", by.as_str());
    facts.set("at", time_text(at.micros()).as_str());
    if whom.kind != Kind::Token {
        let until = time_text(change.issued_until.micros());
        facts.set("issued_until", until.as_str());
    }
    if let Some(why) = &change.reason {
        facts.set("why", why.as_str());
    }
    if let Some(cause) = &change.cause {
        facts.set("cause", cause.as_str());
    }
    record
}
