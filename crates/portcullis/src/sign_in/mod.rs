//! Servers that need their user's consent: the gateway is their OAuth client, for each principal by itself.
//!
//! A message goes up with the principal's own token, or without one. Where the server then asks for one, the principal
//! gets a link, and what its browser brings back becomes a token for this principal at this server.

mod discover;
mod clients;
mod flows;
mod keyring;
mod page;
mod stored;

use crate::config::HttpUrl;
use crate::credentials::{Issued, Shown};
use crate::egress::Egress;
use crate::lifecycle::Home;
use crate::revocations::Revocations;
use crate::tls::Client as Tls;
use crate::upstream::{Carried, Notice, Report};
use clients::Clients;
use flows::{Flows, Place, Wanted};
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::WWW_AUTHENTICATE;
use keyring::{Given, Keyring};
use portcullis_core::authenticate::Principal;
use portcullis_core::egress::Target;
use portcullis_core::elicit::{Consent, Purpose, Way};
use portcullis_core::refusal::Unanswered;
use portcullis_core::secret::Secret;
use portcullis_core::sign_in::{Challenge, challenge};
use portcullis_state::{Durable, NotSealed, Sealer, WrappingKeys};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::task::TaskTracker;

pub(crate) use discover::NoSignIn;
pub(crate) use flows::{Browser, Flow, Link};
pub(crate) use page::{connected, cookie_name, failed, invitation, moved, set_cookie};

/// How long one request to an authorization server may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What all servers share, and reloads keep.
pub(crate) struct SignIns {
    flows: Flows,
    keyring: Keyring,
    clients: Clients,
    report: Report,
    tasks: TaskTracker,
}

/// How one server is signed in to.
pub(crate) struct SignIn {
    pub(crate) server: Arc<str>,
    /// The server, as the operator wrote it and as others read it.
    pub(crate) url: HttpUrl,
    pub(crate) target: Target,
    /// Where browsers find us.
    pub(crate) public: HttpUrl,
    /// The client that the operator has registered, and where.
    pub(crate) client: Option<Registered>,
    /// Where else what we say of ourselves is published.
    pub(crate) document: Option<String>,
    /// Whether we may register ourselves.
    pub(crate) may_register: bool,
    /// Whether of a server that says nothing of itself is assumed what 2025-03-26 says.
    pub(crate) may_assume: bool,
    /// Scopes that are always asked for.
    pub(crate) scopes: Vec<String>,
    pub(crate) tls: Option<Tls>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) shared: Arc<SignIns>,
}

/// A client that the operator has registered.
#[derive(Clone)]
pub(crate) struct Registered {
    /// At which authorization server.
    pub(crate) issuer: HttpUrl,
    /// The same, byte for byte.
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) secret: Option<Secret<String>>,
}

impl fmt::Debug for SignIns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignIns(..)")
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignIn({})", self.server)
    }
}

impl SignIns {
    /// Opens what was granted before.
    ///
    /// # Errors
    /// [`NotSealed`]: the database cannot be read. What does not open is left out, and told.
    async fn open(
        durable: &Durable,
        sealer: Sealer,
        (report, tasks): (Report, TaskTracker),
    ) -> Result<Self, NotSealed> {
        Ok(Self {
            clients: Clients::open(durable.clone(), sealer.clone(), &report).await?,
            keyring: Keyring::open(durable.clone(), sealer, &report).await?,
            flows: Flows::default(),
            report,
            tasks,
        })
    }

    /// The same, from the database of an installation. Where that is not in our own directory, nothing was granted: the
    /// keys to it are elsewhere.
    pub(crate) async fn at(
        revocations: &Revocations,
        (shared, home): (&Home, &Home),
        wrapping: WrappingKeys,
        (report, tasks): (&Report, &TaskTracker),
    ) -> Result<Arc<Self>, NotSealed> {
        if shared.0 != home.0 {
            return Ok(Arc::new(Self::nowhere()));
        }
        let durable = revocations.durable();
        let sealer = Sealer::open(durable, wrapping).await?;
        let opened = Self::open(durable, sealer, (report.clone(), tasks.clone()));
        opened.await.map(Arc::new)
    }

    /// The key that wraps others cannot be used: no key that it wraps is kept in memory.
    pub(crate) fn lock_up(&self) {
        self.keyring.lock_up();
    }

    /// Another key wraps those under which something is sealed.
    ///
    /// # Errors
    /// [`NotSealed`]; then the old one does.
    pub(crate) async fn rewrap(&self) -> Result<(), NotSealed> {
        self.keyring.rewrap().await
    }

    /// One that keeps nothing, to judge a configuration by.
    pub(crate) fn nowhere() -> Self {
        Self {
            keyring: Keyring::nowhere(),
            flows: Flows::default(),
            clients: Clients::nowhere(),
            report: Report::new(|_| ()),
            tasks: TaskTracker::new(),
        }
    }

    /// The link of this text, and the server that it is for.
    pub(crate) fn link(&self, text: &str) -> Option<Link> {
        self.flows.link(text)
    }

    /// Opens a link in this browser; the first may, and no other.
    pub(crate) fn open_link(&self, link: &Link, browser: &Browser) -> bool {
        self.flows.open(link, browser)
    }

    /// What was begun with this `state`; once.
    pub(crate) fn flow(&self, state: &str) -> Option<Flow> {
        self.flows.finish(state)
    }

    /// What only one browser knows.
    pub(crate) fn new_cookie() -> Option<Secret<String>> {
        flows::secret()
    }

    /// Forgets what these principals have granted, and gives it back to whoever issued it.
    pub(crate) fn dismiss(
        self: &Arc<Self>,
        live: &BTreeMap<Arc<str>, Arc<SignIn>>,
        owners: &[Arc<str>],
    ) {
        self.flows.dismiss(owners);
        for (server, principal, grant) in self.keyring.take(owners) {
            let by = live.get(&server).cloned();
            let gone = Arc::clone(self).forgotten((server, principal), grant, by);
            self.tasks.spawn(gone);
        }
    }

    async fn forgotten(self: Arc<Self>, place: Place, grant: Given, by: Option<Arc<SignIn>>) {
        let (server, principal) = place;
        self.keyring.forget(&server, &principal).await;
        self.tell("oauth.revoked", "revoked", &server, &principal);
        if let Some(by) = by {
            by.give_back(&grant).await;
        }
    }

    fn tell(&self, event: &'static str, reason: &'static str, server: &str, owner: &str) {
        self.report.tell(&Notice {
            event,
            reason,
            server: Some(server),
            owner: Some(owner),
            detail: &[],
        });
    }
}

impl SignIn {
    /// What a message of this principal shows; nothing, if there is no token yet. Then the server says what it wants.
    ///
    /// # Errors
    /// [`Unanswered::Credentials`]: the token has ended, and there is no other one now.
    pub(crate) async fn shown(
        self: &Arc<Self>,
        principal: &Principal,
        carried: &Carried,
    ) -> Result<Option<Shown>, Unanswered> {
        let Some(shown) = self.fresh(principal).await? else {
            return Ok(None);
        };
        let issued = Issued {
            id: String::new(),
            audience: self.target.to_string().into(),
        };
        carried.ledger.enter(issued);
        Ok(Some(shown))
    }

    /// What the answer of the server asks for, if it asks for consent.
    pub(crate) fn asked(status: StatusCode, headers: &HeaderMap) -> Option<Challenge> {
        let said = headers.get_all(WWW_AUTHENTICATE);
        let said = challenge(said.iter().filter_map(|value| value.to_str().ok()));
        match status {
            StatusCode::UNAUTHORIZED => Some(said),
            StatusCode::FORBIDDEN if said.is_insufficient => Some(said),
            _ => None,
        }
    }

    /// What becomes of a message that the server wants more for.
    pub(crate) async fn needed(
        self: &Arc<Self>,
        principal: &Principal,
        (challenge, had): (Challenge, Option<&Shown>),
    ) -> Unanswered {
        let held = self.shared.keyring.scopes(&self.server, &principal.key);
        let is_over = match had {
            None => false,
            Some(_) if challenge.is_insufficient => {
                !self.shared.flows.may_step(&self.server, &principal.key)
            }
            // There may be another one now: then whoever asks again is served.
            Some(had) => self.rejected(principal, had).await,
        };
        if is_over {
            return Unanswered::Credentials;
        }
        let wanted = Wanted {
            scopes: [held, challenge.scopes.clone()].concat(),
            challenge,
        };
        match self.shared.flows.invite(principal, &self.server, wanted) {
            Some(text) => Unanswered::Consent(Consent {
                url: Secret::new(self.public.below(&format!("/connect/{}", text.expose()))),
                server: Arc::clone(&self.server),
                purpose: Purpose::SignIn,
                way: Way::Told,
            }),
            None => Unanswered::Credentials,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
