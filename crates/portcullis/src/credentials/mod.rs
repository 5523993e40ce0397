//! What a server is shown of whoever calls: made for each message, or fetched from an authorization server.
//!
//! The core says for whom and for what; nothing that the client brought is ever shown.

mod endpoint;
mod fetched;
mod kept;
mod ledger;
mod proof;

use crate::keys::{Signer, Unsigned};
use crate::upstream::{Carried, Inner, Notice, Report};
use crate::{clock, random};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::HeaderValue;
use portcullis_core::authenticate::Principal;
use portcullis_core::credentials::{Assertion, NoCredential, Scopes, Want};
use portcullis_core::route::Dispatch;
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use std::fmt;
use std::sync::Arc;

pub(crate) use endpoint::{Endpoint, Identification};
pub(crate) use fetched::{Actor, Beside, Fetching, Granting};
pub(crate) use kept::Kept;
pub(crate) use ledger::{Issued, Ledger};
pub(crate) use proof::{Prover, To};

/// How one server is shown who calls.
pub(crate) struct Credentials {
    /// What the server is called.
    pub(crate) server: Arc<str>,
    /// For what a credential is asked.
    pub(crate) scopes: Scopes,
    pub(crate) kind: Kind,
    /// What knows who still has access.
    pub(crate) inside: Arc<dyn Inner>,
    /// Told of what no exchange can tell of.
    pub(crate) report: Report,
}

/// Where its credentials come from.
pub(crate) enum Kind {
    /// We sign them.
    Assertion(Assertion, Arc<Signer>),
    /// An authorization server issues them.
    Fetched(Arc<Fetching>),
}

/// What goes into `Authorization`; its `Debug` shows nothing.
pub(crate) type Shown = HeaderValue;

impl From<Unsigned> for NoCredential {
    fn from(_: Unsigned) -> Self {
        Self::Unsigned
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.server)
    }
}

impl Credentials {
    /// The credential that goes up with a message.
    ///
    /// # Errors
    /// [`NoCredential`]: then the message does not go up.
    pub(crate) async fn for_message(
        &self,
        dispatch: &Dispatch,
        carried: &Carried,
    ) -> Result<Shown, NoCredential> {
        self.shown(&self.scopes.for_message(dispatch), carried)
            .await
    }

    /// The credential with which a stream is opened or a session ended.
    ///
    /// # Errors
    /// [`NoCredential`].
    pub(crate) async fn for_other(
        &self,
        principal: &Principal,
        carried: &Carried,
    ) -> Result<Shown, NoCredential> {
        self.shown(&self.scopes.for_other(principal), carried).await
    }

    /// INVARIANT: every way in leads here, so that nothing is shown which is in no record.
    async fn shown(&self, want: &Want, carried: &Carried) -> Result<Shown, NoCredential> {
        let (shown, issued) = match &self.kind {
            Kind::Assertion(assertion, signer) => {
                Box::pin(sign(assertion, signer, want, carried)).await?
            }
            Kind::Fetched(fetching) => Box::pin(self.fetched(fetching, want)).await?,
        };
        if let Some(untold) = carried.ledger.enter(issued) {
            self.tell(want, carried, &untold);
        }
        Ok(shown)
    }

    async fn fetched(
        &self,
        fetching: &Arc<Fetching>,
        want: &Want,
    ) -> Result<(Shown, Issued), NoCredential> {
        let (held, has_waited) = fetching.token(want).await?;
        // The caller's access may have ended meanwhile.
        if has_waited && !self.inside.admits(want.principal()) {
            return Err(NoCredential::Revoked);
        }
        let issued = Issued {
            id: held.id.clone(),
            audience: Arc::clone(&held.audience),
        };
        Ok((held.shown.clone(), issued))
    }

    /// What proves that a token is shown by whom it was given to, where tokens are bound.
    pub(crate) fn prover(&self) -> Option<&Prover> {
        match &self.kind {
            Kind::Assertion(..) => None,
            Kind::Fetched(fetching) => fetching.prover.as_ref(),
        }
    }

    /// The server did not accept what it was shown: another one is fetched the next time.
    pub(crate) fn rejected(&self, dispatch: &Dispatch) {
        if let Kind::Fetched(fetching) = &self.kind {
            fetching.forget(&self.scopes.for_message(dispatch));
        }
    }

    /// Forgets what was fetched for these callers.
    pub(crate) fn dismiss(&self, owners: &[Arc<str>]) {
        if let Kind::Fetched(fetching) = &self.kind {
            fetching.kept.dismiss(owners);
        }
    }

    /// Forgets everything that was fetched.
    pub(crate) fn clear(&self) {
        if let Kind::Fetched(fetching) = &self.kind {
            fetching.kept.clear();
        }
    }

    /// Forgets what is over.
    pub(crate) fn reap(&self, now: Timestamp) {
        if let Kind::Fetched(fetching) = &self.kind {
            fetching.kept.reap(now);
        }
    }

    /// Records what no exchange under way has asked for.
    fn tell(&self, want: &Want, carried: &Carried, issued: &Issued) {
        self.report.tell(&Notice {
            event: "token.issued",
            reason: "beside",
            server: Some(&self.server),
            owner: Some(&want.principal().key),
            detail: &[
                ("issued_jti", issued.id.as_str()),
                ("issued_aud", &issued.audience),
                ("parent_jti", want.parent()),
                ("trace", carried.trace()),
            ],
        });
    }
}

async fn sign(
    assertion: &Assertion,
    signer: &Signer,
    want: &Want,
    carried: &Carried,
) -> Result<(Shown, Issued), NoCredential> {
    let id = random::bytes::<16>().map_err(|_| NoCredential::Unsigned)?;
    let id = URL_SAFE_NO_PAD.encode(id);
    let claims = assertion.claims(want, (carried.trace(), &id), clock::now())?;
    let token = signer.sign("at+jwt", &claims).await?;
    let text = Secret::new(["Bearer ", token.expose()].concat());
    let mut shown = HeaderValue::from_str(text.expose()).map_err(|_| NoCredential::Unsigned)?;
    shown.set_sensitive(true);
    let audience = Arc::clone(&assertion.audience);
    Ok((shown, Issued { id, audience }))
}
