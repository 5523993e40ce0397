//! What a server is shown of whoever calls: made for each message, or fetched from an authorization server.
//!
//! The core says for whom and for what; nothing that the client brought is ever shown.

mod ledger;
mod signer;

use crate::upstream::{Carried, Notice, Report};
use crate::{clock, random};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::HeaderValue;
use portcullis_core::authenticate::Principal;
use portcullis_core::credentials::{Assertion, NoCredential, Scopes, Want};
use portcullis_core::route::Dispatch;
use portcullis_core::secret::Secret;
use std::fmt;
use std::sync::Arc;

pub(crate) use ledger::{Issued, Ledger};
pub(crate) use signer::{Signer, Signers, jwks};

/// How one server is shown who calls.
pub(crate) struct Credentials {
    /// What the server is called.
    pub(crate) server: Arc<str>,
    /// For what a credential is asked.
    pub(crate) scopes: Scopes,
    pub(crate) kind: Kind,
    /// Told of what no exchange can tell of.
    pub(crate) report: Report,
}

/// Where its credentials come from.
pub(crate) enum Kind {
    /// We sign them.
    Assertion(Assertion, Arc<Signer>),
}

/// What goes into `Authorization`; its `Debug` shows nothing.
pub(crate) type Shown = HeaderValue;

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
    #[expect(clippy::unused_async, reason = "what others issue is waited for")]
    async fn shown(&self, want: &Want, carried: &Carried) -> Result<Shown, NoCredential> {
        let (token, issued) = match &self.kind {
            Kind::Assertion(assertion, signer) => sign(assertion, signer, want, carried)?,
        };
        if let Some(untold) = carried.ledger.enter(issued) {
            self.tell(want, carried, &untold);
        }
        let text = Secret::new(["Bearer ", token.expose()].concat());
        let mut shown = HeaderValue::from_str(text.expose()).map_err(|_| NoCredential::Unsigned)?;
        shown.set_sensitive(true);
        Ok(shown)
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
                (
                    "parent_jti",
                    want.principal().token_id.as_deref().unwrap_or_default(),
                ),
                ("trace", carried.trace()),
            ],
        });
    }
}

fn sign(
    assertion: &Assertion,
    signer: &Signer,
    want: &Want,
    carried: &Carried,
) -> Result<(Secret<String>, Issued), NoCredential> {
    let id = random::bytes::<16>().map_err(|_| NoCredential::Unsigned)?;
    let id = URL_SAFE_NO_PAD.encode(id);
    let claims = assertion.claims(want, (carried.trace(), &id), clock::now())?;
    let token = signer.sign("at+jwt", &claims)?;
    let audience = Arc::clone(&assertion.audience);
    Ok((token, Issued { id, audience }))
}
