//! The tokens of each principal at each server: in memory for every message, sealed on the disk for the next start.

use super::discover::NoSignIn;
use super::flows::Place;
use super::stored::Grant;
use super::{SignIn, lock};
use crate::credentials::Shown;
use crate::upstream::{Notice, Report};
use crate::{clock, random};
use arc_swap::ArcSwapOption;
use hyper::header::HeaderValue;
use portcullis_core::authenticate::Principal;
use portcullis_core::refusal::Unanswered;
use portcullis_core::secret::Secret;
use portcullis_core::sign_in::Tokens;
use portcullis_core::time::Timestamp;
use portcullis_state::{Durable, Grant as Row, NotSealed, Sealer, Slot};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

/// Whose key seals grants, and for what.
const TENANT: &str = "gateway";
const PURPOSE: &str = "upstream.grant";
/// How long a message waits for a token that somebody else fetches.
const TURN: Duration = Duration::from_secs(12);
/// How long a token that could not be renewed is used on before the next attempt.
const AGAIN: Duration = Duration::from_secs(10);
/// How long a token is fresh: a server that refuses each causes no more renewals than that.
const FRESH: Duration = Duration::from_secs(1);

pub(super) struct Keyring {
    held: Mutex<HashMap<Place, Arc<Entry>>>,
    kept: Option<(Durable, Sealer)>,
}

struct Entry {
    now: ArcSwapOption<Now>,
    /// One renewal at a time.
    grant: Arc<tokio::sync::Mutex<Grant>>,
    scopes: Vec<String>,
}

/// What messages show at this moment.
struct Now {
    shown: Shown,
    url: String,
    made: Timestamp,
    renew: Timestamp,
    expires: Timestamp,
}

impl Now {
    /// Renewal begins when an eighth to a quarter of the lifetime is left: not for all in the same moment.
    fn of(grant: &Grant) -> Option<Self> {
        let text = Secret::new(format!("Bearer {}", grant.access.expose()));
        let mut shown = HeaderValue::from_str(text.expose()).ok()?;
        shown.set_sensitive(true);
        let [share] = random::bytes::<1>().ok()?;
        let left = grant.expires.since(clock::now());
        let margin = left / 8 + left * u32::from(share) / (8 * 256);
        Some(Self {
            shown,
            url: grant.url.clone(),
            made: clock::now(),
            renew: clock::now().plus(left.saturating_sub(margin)),
            expires: grant.expires,
        })
    }
}

impl Entry {
    fn new(grant: Grant) -> Arc<Self> {
        Arc::new(Self {
            now: ArcSwapOption::new(Now::of(&grant).map(Arc::new)),
            scopes: grant.scopes.clone(),
            grant: Arc::new(tokio::sync::Mutex::new(grant)),
        })
    }
}

fn slot(row: &str) -> Slot<'_> {
    Slot {
        tenant: TENANT,
        purpose: PURPOSE,
        row,
    }
}

/// The name of a row: no two places have the same, as a server's name has no space.
fn row(server: &str, principal: &str) -> String {
    format!("{server} {principal}")
}

impl Keyring {
    pub(super) async fn open(
        durable: Durable,
        sealer: Sealer,
        report: &Report,
    ) -> Result<Self, NotSealed> {
        let mut held = HashMap::new();
        for found in durable.grants().await? {
            let row = row(&found.server, &found.principal);
            let opened = sealer.reveal(slot(&row), &found.sealed).await;
            let Some(grant) = opened.ok().and_then(|written| Grant::read(&written)) else {
                report.tell(&Notice {
                    event: "oauth.grant_unreadable",
                    reason: "sealed",
                    server: Some(&found.server),
                    owner: Some(&found.principal),
                    detail: &[],
                });
                continue;
            };
            held.insert(
                (found.server.into(), found.principal.into()),
                Entry::new(grant),
            );
        }
        Ok(Self {
            held: Mutex::new(held),
            kept: Some((durable, sealer)),
        })
    }

    pub(super) fn nowhere() -> Self {
        Self {
            held: Mutex::default(),
            kept: None,
        }
    }

    fn find(&self, server: &Arc<str>, principal: &Arc<str>) -> Option<Arc<Entry>> {
        let place = (Arc::clone(server), Arc::clone(principal));
        lock(&self.held).get(&place).cloned()
    }

    /// What a principal's token is good for.
    pub(super) fn scopes(&self, server: &Arc<str>, principal: &Arc<str>) -> Vec<String> {
        let entry = self.find(server, principal);
        entry.map(|entry| entry.scopes.clone()).unwrap_or_default()
    }

    /// Keeps a grant on the disk, and uses it from then on.
    pub(super) async fn keep(
        &self,
        server: &Arc<str>,
        principal: &Arc<str>,
        grant: Grant,
    ) -> Result<(), NotSealed> {
        self.write(server, principal, &grant).await?;
        let place = (Arc::clone(server), Arc::clone(principal));
        lock(&self.held).insert(place, Entry::new(grant));
        Ok(())
    }

    async fn write(&self, server: &str, principal: &str, grant: &Grant) -> Result<(), NotSealed> {
        let Some((durable, sealer)) = &self.kept else {
            return Ok(());
        };
        let text = grant.write().ok_or(NotSealed::Unfit)?;
        let bytes = sealer.seal(slot(&row(server, principal)), &text).await?;
        let kept = Row {
            server: server.to_owned(),
            principal: principal.to_owned(),
            sealed: bytes,
        };
        Ok(durable.keep_grant(kept).await?)
    }

    /// No key under which grants are sealed is kept in memory.
    pub(super) fn lock_up(&self) {
        if let Some((_, sealer)) = &self.kept {
            sealer.forget();
        }
    }

    /// Another key wraps those under which grants are sealed.
    ///
    /// # Errors
    /// [`NotSealed`]; then the old one does.
    pub(super) async fn rewrap(&self) -> Result<(), NotSealed> {
        match &self.kept {
            Some((_, sealer)) => sealer.rewrap().await.map(drop),
            None => Ok(()),
        }
    }

    /// Forgets a grant on the disk.
    pub(super) async fn forget(&self, server: &str, principal: &str) {
        let Some((durable, _)) = &self.kept else {
            return;
        };
        if let Err(error) = durable.forget_grant(server, principal).await {
            tracing::error!(server, %error, "a grant stays in the database");
        }
    }

    /// Takes away all that these principals have.
    pub(super) fn take(&self, owners: &[Arc<str>]) -> Vec<(Arc<str>, Arc<str>, Given)> {
        let mut held = lock(&self.held);
        let taken = held.extract_if(|(_, principal), _| owners.contains(principal));
        taken
            .map(|((server, principal), entry)| (server, principal, Given(entry)))
            .collect()
    }

    fn holds(&self, server: &Arc<str>, principal: &Arc<str>, entry: &Arc<Entry>) -> bool {
        let found = self.find(server, principal);
        found.is_some_and(|own| Arc::ptr_eq(&own, entry))
    }

    fn remove(&self, server: &Arc<str>, principal: &Arc<str>, entry: &Arc<Entry>) {
        let place = (Arc::clone(server), Arc::clone(principal));
        let mut held = lock(&self.held);
        if held.get(&place).is_some_and(|own| Arc::ptr_eq(own, entry)) {
            held.remove(&place);
        }
    }
}

/// A grant that is not used any more.
pub(super) struct Given(Arc<Entry>);

impl Given {
    pub(super) async fn grant(&self) -> Grant {
        self.0.grant.lock().await.clone()
    }
}

impl SignIn {
    /// The token of this moment; none if there is none for this server at this URL.
    pub(super) async fn fresh(
        self: &Arc<Self>,
        principal: &Principal,
    ) -> Result<Option<Shown>, Unanswered> {
        let Some(entry) = self.shared.keyring.find(&self.server, &principal.key) else {
            return Ok(None);
        };
        let now = clock::now();
        let Some(current) = entry.now.load_full() else {
            return Ok(None);
        };
        if current.url != self.url.to_string() {
            return Ok(None);
        }
        if now < current.renew {
            return Ok(Some(current.shown.clone()));
        }
        Box::pin(self.in_turn(principal, &entry, &current)).await
    }

    /// Renews a token: who comes meanwhile goes on with the old one, or waits if that has ended.
    async fn in_turn(
        self: &Arc<Self>,
        principal: &Principal,
        entry: &Arc<Entry>,
        current: &Arc<Now>,
    ) -> Result<Option<Shown>, Unanswered> {
        let is_good = clock::now() < current.expires;
        let grant = Arc::clone(&entry.grant);
        let grant = if is_good {
            let Ok(grant) = grant.try_lock_owned() else {
                return Ok(Some(current.shown.clone()));
            };
            grant
        } else {
            let turn = timeout(TURN, grant.lock_owned()).await;
            turn.map_err(|_| Unanswered::Timeout)?
        };
        let old = is_good.then(|| Arc::clone(current));
        self.renewed(principal, entry, grant, old).await
    }

    /// Renews to the end, also if whoever waits for it leaves: the authorization server may have replaced the refresh
    /// token by then, and the next one would be lost.
    async fn renewed(
        self: &Arc<Self>,
        principal: &Principal,
        entry: &Arc<Entry>,
        grant: OwnedMutexGuard<Grant>,
        old: Option<Arc<Now>>,
    ) -> Result<Option<Shown>, Unanswered> {
        let (own, principal, entry) = (Arc::clone(self), principal.clone(), Arc::clone(entry));
        let renewal = async move { own.renew(&principal, &entry, grant, old.as_deref()).await };
        let renewed = self.shared.tasks.spawn(renewal).await;
        renewed.map_err(|_| Unanswered::Credentials)?
    }

    async fn renew(
        &self,
        principal: &Principal,
        entry: &Arc<Entry>,
        mut grant: OwnedMutexGuard<Grant>,
        old: Option<&Now>,
    ) -> Result<Option<Shown>, Unanswered> {
        if let Some(current) = entry.now.load_full()
            && clock::now() < current.renew
        {
            return Ok(Some(current.shown.clone()));
        }
        let (keyring, owner) = (&self.shared.keyring, &principal.key);
        match self.refreshed(&grant).await {
            Ok(tokens) => {
                take_over(&mut grant, tokens);
                // The old one is worth nothing now: what is not kept would be lost with the process.
                if let Err(error) = keyring.write(&self.server, owner, &grant).await {
                    tracing::error!(server = &*self.server, %error, "a renewed grant is not on the disk");
                }
                // Access may have ended meanwhile: whoever ended it gives back what is here now.
                if !keyring.holds(&self.server, owner, entry) {
                    keyring.forget(&self.server, owner).await;
                    return Err(Unanswered::Credentials);
                }
                let now = Now::of(&grant).ok_or(Unanswered::Credentials)?;
                let shown = now.shown.clone();
                entry.now.store(Some(Arc::new(now)));
                self.shared
                    .tell("oauth.refreshed", "renewed", &self.server, owner);
                Ok(Some(shown))
            }
            Err(NoSignIn::Spent) => {
                entry.now.store(None);
                keyring.remove(&self.server, owner, entry);
                keyring.forget(&self.server, owner).await;
                self.shared
                    .tell("oauth.refresh_failed", "spent", &self.server, owner);
                Ok(old.map(|old| old.shown.clone()))
            }
            Err(error) => {
                self.refused(&error, principal);
                let Some(old) = old else {
                    return Err(Unanswered::Credentials);
                };
                let later = Now {
                    shown: old.shown.clone(),
                    url: old.url.clone(),
                    made: old.made,
                    renew: clock::now().plus(AGAIN),
                    expires: old.expires,
                };
                entry.now.store(Some(Arc::new(later)));
                Ok(Some(old.shown.clone()))
            }
        }
    }

    /// The server did not take this token: says whether there is another one now, and forgets it if not.
    pub(super) async fn rejected(self: &Arc<Self>, principal: &Principal, had: &Shown) -> bool {
        let keyring = &self.shared.keyring;
        let Some(entry) = keyring.find(&self.server, &principal.key) else {
            return false;
        };
        let is_same = entry.now.load().as_ref().is_none_or(|now| now.shown == had);
        if !is_same {
            return true;
        }
        // One that is fresh and still not taken is not worth renewing.
        let made = entry.now.load().as_ref().map(|now| now.made);
        let is_old = made.is_some_and(|made| clock::now().since(made) > FRESH);
        if is_old
            && let Ok(grant) = timeout(TURN, Arc::clone(&entry.grant).lock_owned()).await
            && grant.refresh.is_some()
        {
            let stale = entry.now.load_full().map(|now| Now {
                shown: now.shown.clone(),
                url: now.url.clone(),
                made: now.made,
                renew: Timestamp::default(),
                expires: Timestamp::default(),
            });
            entry.now.store(stale.map(Arc::new));
            let renewed = self.renewed(principal, &entry, grant, None).await;
            if matches!(&renewed, Ok(Some(shown)) if shown != had) {
                return true;
            }
        }
        keyring.remove(&self.server, &principal.key, &entry);
        keyring.forget(&self.server, &principal.key).await;
        false
    }
}

/// RFC 6749 section 6: a refresh token that is not replaced stays.
fn take_over(grant: &mut Grant, tokens: Tokens) {
    grant.expires = clock::now().plus(tokens.lifetime);
    grant.access = tokens.access;
    if tokens.refresh.is_some() {
        grant.refresh = tokens.refresh;
    }
    if let Some(scopes) = tokens.scopes {
        grant.scopes = scopes;
    }
}
