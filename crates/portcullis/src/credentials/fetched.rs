//! Tokens from an authorization server: one question at a time for each, asked again before one is over, never shown after.

use super::endpoint::Endpoint;
use super::kept::{Held, Kept, Known};
use super::proof::Prover;
use crate::keys::Signer;
use crate::upstream::{Notice, Report};
use crate::{clock, random};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use portcullis_core::credentials::{Exchange, IdentityGrant, Jag, NoCredential, Place, Want};
use portcullis_core::time::Timestamp;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// What comes of asking.
pub(super) type Outcome = Result<Arc<Held>, NoCredential>;
/// A question under way, for whoever wants to know.
pub(super) type Flight = Shared<BoxFuture<'static, Outcome>>;

/// Where the tokens for one server come from.
pub(crate) struct Fetching {
    /// What the server is called.
    pub(crate) server: Arc<str>,
    pub(crate) report: Report,
    pub(crate) exchange: Exchange,
    pub(crate) at: Endpoint,
    /// What its tokens are bound to, where they are.
    pub(crate) prover: Option<Prover>,
    pub(crate) beside: Beside,
    /// Where questions are asked that nobody waits for.
    pub(crate) tasks: TaskTracker,
    pub(crate) kept: Kept,
}

/// What is shown beside our own name.
pub(crate) enum Beside {
    Nothing,
    /// Who asks for the caller, where the authorization server is told: our name and our key.
    Actor(Actor, Arc<Signer>),
    /// What the caller's identity provider has said for that authorization server.
    Grant(Box<Granting>),
}

/// Where such grants come from.
pub(crate) struct Granting {
    pub(crate) jag: Jag,
    pub(crate) at: Endpoint,
}

/// Who we are to an authorization server.
pub(crate) struct Actor {
    pub(crate) issuer: String,
    pub(crate) name: String,
}

impl Fetching {
    /// A token that may be shown now; whether it was waited for.
    pub(super) async fn token(
        self: &Arc<Self>,
        want: &Want,
    ) -> Result<(Arc<Held>, bool), NoCredential> {
        let (place, now) = (self.exchange.place(want), clock::now());
        match self.kept.find(&place, now) {
            Known::Fresh(held) => Ok((held, false)),
            Known::Ageing(held) => {
                // The old one is good until the new one is there.
                if let Ok((flight, _)) = self.kept.fly(place, want, now, |number| {
                    self.flight((place, number), want)
                }) {
                    self.tasks.spawn(flight);
                }
                Ok((held, false))
            }
            Known::Nothing => {
                let (flight, is_first) = self.kept.fly(place, want, now, |number| {
                    self.flight((place, number), want)
                })?;
                if is_first {
                    // It ends even if all who wait for it leave.
                    self.tasks.spawn(flight.clone());
                }
                let held = flight.await?;
                if held.until <= clock::now() {
                    return Err(NoCredential::Lifetime);
                }
                Ok((held, true))
            }
        }
    }

    fn flight(self: &Arc<Self>, (place, number): (Place, u64), want: &Want) -> Flight {
        let (own, want) = (Arc::clone(self), want.clone());
        let asking = async move {
            let outcome = own.ask(&want).await;
            if let Ok(held) = &outcome {
                own.tell(&want, held);
            }
            // So that not all tokens are fetched again at the same moment.
            let jitter = random::bytes::<1>().map_or(0, |[byte]| byte);
            let now = (clock::now(), jitter);
            own.kept.landed((&place, number), &outcome, now);
            outcome
        };
        asking.boxed().shared()
    }

    /// Records that a token was issued.
    fn tell(&self, want: &Want, held: &Held) {
        let owner = &want.principal().key;
        self.report.tell(&Notice {
            event: "token.issued",
            reason: "fetched",
            server: Some(&self.server),
            owner: self.exchange.grant.takes_token().then_some(owner),
            detail: &[
                ("issued_jti", held.id.as_str()),
                ("issued_aud", &held.audience),
                ("issued_scope", want.scope()),
                ("parent_jti", want.parent()),
                ("grant_jti", held.grant.as_deref().unwrap_or_default()),
            ],
        });
    }

    pub(super) fn forget(&self, want: &Want) {
        self.kept.forget(&self.exchange.place(want));
    }

    async fn ask(&self, want: &Want) -> Outcome {
        let now = clock::now();
        let (beside, grant) = match &self.beside {
            Beside::Nothing => (None, None),
            Beside::Actor(actor, signer) => {
                let whose = (actor.issuer.as_str(), actor.name.as_str());
                (Some(self.at.sign(whose, signer, now).await?), None)
            }
            Beside::Grant(granting) => {
                let grant = granting.grant(want, now).await?;
                (Some(grant.text), grant.id)
            }
        };
        let form = self.exchange.form(want, beside.as_ref(), now)?;
        let answer = match &self.prover {
            None => self.at.ask(&form, now).await?,
            Some(prover) => self.at.ask_bound(&form, prover, now).await?,
        };
        let token = self.exchange.believe(want, &answer, clock::now())?;
        Held::new(token, grant, &self.exchange).map(Arc::new)
    }
}

impl Granting {
    /// The identity provider's word for this caller. Its no is told apart from that of the authorization server.
    async fn grant(&self, want: &Want, now: Timestamp) -> Result<IdentityGrant, NoCredential> {
        let form = self.jag.form(want, now)?;
        let answer = self.at.ask(&form, now).await;
        let answer = answer.map_err(|why| {
            if why == NoCredential::Refused {
                NoCredential::Ungranted
            } else {
                why
            }
        })?;
        self.jag.believe(want, &answer, clock::now())
    }
}
