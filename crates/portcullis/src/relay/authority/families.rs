//! Families of tokens that end together: of a user, of a client, of whoever is not vouched for any more.

use super::Gateway;
use crate::clock;
use crate::record::note_in_turn;
use portcullis_audit::Record;
use portcullis_core::authenticate::key_of;
use portcullis_core::refusal::Unavailable;
use portcullis_state::Whose;

impl Gateway {
    /// Ends them, with their access tokens, which `issuer` has issued.
    ///
    /// # Errors
    /// [`Unavailable`]; then none has ended.
    pub(crate) async fn families_end(
        &self,
        whose: Whose,
        (issuer, reason): (&str, &'static str),
    ) -> Result<(), Unavailable> {
        let own = (issuer.to_owned(), reason);
        let durable = self.revocations.durable();
        let gone = durable.end_families(whose, own, clock::now()).await;
        let gone = gone.map_err(|error| {
            tracing::error!(%error, "tokens were not ended");
            Unavailable::State
        })?;
        for family in gone {
            let mut record = Record::new("oauth.family_revoked");
            record.reason = Some(reason.into());
            record.detail.set("family", family.id.as_str());
            let whom = key_of(&family.issuer, &family.subject);
            record.detail.set("for", &*whom);
            note_in_turn(&self.recorder, record).await;
        }
        Ok(())
    }

    /// Ends those of users who could not sign in now: none of them lives again when what they signed in with comes back.
    /// Until that is done, each is refused where it is shown.
    pub(crate) async fn end_strangers(&self) {
        let trust = self.issuers.trust();
        let mut issuers = trust.issuers.values();
        let Some(own) = issuers.find(|issuer| issuer.claims.provider.is_some()) else {
            return;
        };
        // Who may only assert something signs nobody in.
        let live = self.live.load_full();
        let authority = live.authority.as_ref();
        let vouches = authority.map_or(&*own.issuer, |authority| authority.signs_in_with());
        let others = Whose::Others([vouches.to_owned()].into());
        let ending = self.families_end(others, (&own.issuer, "provider_removed"));
        if ending.await.is_err() {
            tracing::warn!("the next start or reload tries it again");
        }
    }
}
