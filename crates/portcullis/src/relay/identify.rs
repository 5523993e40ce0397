//! Who is calling, and whom we have to ask before we know.

use super::Gateway;
use super::walk::Step;
use crate::clock;
use crate::record::Exchange;
use portcullis_core::authenticate::{Credentials, Question, Resource, Trust, Unauthenticated};
use portcullis_core::pipeline::{self, Head};
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::session::Session;
use std::net::IpAddr;
use std::sync::Arc;

impl Gateway {
    /// Who is it? An unknown key may only mean that ours are old: then they are fetched. A token that nobody else can
    /// read is shown to its issuer. Then it is asked once more.
    pub(super) async fn identify(
        &self,
        step: &Step<'_>,
        server: &str,
        exchange: &mut Exchange,
    ) -> Result<Session, Refusal> {
        self.revocations.known()?;
        let head = Head {
            server,
            credentials: step.seen.credentials,
            session: step.seen.session,
        };
        let ask = |trust: &Trust| {
            let (rules, now) = (&step.live.rules, clock::now());
            let trail = &mut exchange.trail;
            pipeline::identify((rules, trust), &self.state, &head, now, trail)
        };
        let resource = &step.live.rules.server(server)?.gate.resource;
        let known = self.known((&step.seen.credentials, resource, step.peer), ask);
        let known = known.await;
        if let Some(closed) = exchange.trail.outgrown.take() {
            self.ended(step.live, closed);
        }
        known
    }

    /// Asks who has these credentials; once more, when keys were fetched or the issuer was asked.
    pub(crate) async fn known<T>(
        &self,
        shown: (&Credentials<'_>, &Resource, IpAddr),
        mut ask: impl FnMut(&Trust) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let trust = self.issuers.trust();
        let mut outcome = ask(&trust);
        if let Err(Refusal::Unauthenticated(Unauthenticated::UnknownKey { issuer })) = &outcome {
            if !self.issuers.refresh(issuer, trust.generation).await {
                return outcome;
            }
            outcome = ask(&self.issuers.trust());
        }
        if let Err(Refusal::Unauthenticated(Unauthenticated::Unasked { issuer })) = &outcome {
            let trust = self.introspect(shown, issuer).await?;
            outcome = ask(&trust);
        }
        match outcome {
            // What was answered a moment ago is forgotten already.
            Err(Refusal::Unauthenticated(Unauthenticated::Unasked { .. })) => {
                Err(Unavailable::Introspection.into())
            }
            outcome => outcome,
        }
    }

    /// Shows the token to its issuer; gives the trust under which its caller is known then.
    async fn introspect(
        &self,
        (credentials, resource, peer): (&Credentials<'_>, &Resource, IpAddr),
        issuer: &str,
    ) -> Result<Arc<Trust>, Refusal> {
        let verified = &self.state.verified;
        let question = Question::new(credentials, resource, issuer, verified)?;
        let asking = (verified, peer);
        self.issuers.introspect(&question, resource, asking).await
    }
}
