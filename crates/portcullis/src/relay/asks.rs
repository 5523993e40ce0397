//! Asking somebody to open a page of ours, in the client's way: to sign in at a server, or to approve a call.

use super::{Gateway, Live};
use crate::authority::browser::secret;
use crate::clock;
use bytes::Bytes;
use portcullis_core::authorize::{By, Forbidden, Lack, Needed, StepUp};
use portcullis_core::elicit::{Consent, Purpose, Way};
use portcullis_core::refusal::{Refusal, Unanswered, Unavailable};
use portcullis_core::secret::Secret;
use portcullis_core::session::SessionId;
use std::sync::Arc;

/// Where a call is approved, before the text of its link.
pub(super) const PLACE: &str = "/account/approve/";
/// Where whoever calls signs in anew, likewise.
pub(super) const PLACE_ANEW: &str = "/account/step-up/";

/// What a client has sent, and has said of itself.
pub(super) struct Client<'a> {
    pub(super) message: &'a Bytes,
    /// The session of this message, if it has said there that it opens URLs for its user.
    pub(super) opens_urls: Option<SessionId>,
}

impl Client<'_> {
    fn way(&self) -> Way {
        match self.opens_urls {
            Some(_) => Way::Elicited,
            None => Way::of(self.message),
        }
    }
}

impl Gateway {
    /// The refusal as this client is told it: where a call has to be approved, or a better login is needed and this client
    /// opens pages for its user, with a link to that.
    pub(super) fn told_to(&self, live: &Live, refusal: Refusal, client: &Client<'_>) -> Refusal {
        let refusal = if let Refusal::Forbidden(Forbidden::Approval(needed)) = refusal {
            self.asks_for(live, needed)
        } else if let Refusal::Forbidden(Forbidden::StepUp { lack, detail }) = refusal {
            let asked = self.asks_anew(live, (lack, &detail), client);
            asked.unwrap_or_else(|| Forbidden::StepUp { lack, detail }.into())
        } else {
            refusal
        };
        let refusal = refusal.in_way(|| client.way());
        if let (Refusal::Unanswered(Unanswered::Consent(consent)), Some(session)) =
            (&refusal, client.opens_urls)
            && consent.way == Way::Elicited
        {
            self.listening.sent_to(consent.id(), session);
        }
        refusal
    }

    /// A link for whoever can use it: a client that opens it for its user, a token of which we know the grant, and a user who
    /// can sign in here as is needed. Everybody else is told what RFC 9470 says.
    fn asks_anew(
        &self,
        live: &Live,
        (lack, detail): (Lack, &StepUp),
        client: &Client<'_>,
    ) -> Option<Refusal> {
        match (client.way(), client.opens_urls) {
            // Nobody has settled yet what a client can do that opens its session just now.
            (Way::Told, _) | (Way::Elicited, None) => return None,
            (Way::Elicited, Some(_)) | (Way::AskedBack, _) => {}
        }
        let (authority, grant) = (live.authority.as_ref()?, detail.grant.as_ref()?);
        let can_be = authority.relying.is_some() || detail.required.classes.is_empty();
        if !can_be || !authority.vouches(grant.vouched_by()) {
            return None;
        }
        let fresh = (secret()?, clock::now());
        let text = self.state.anew.ask(grant, &detail.required, fresh)?;
        let path = format!("{PLACE_ANEW}{}", text.expose());
        let consent = Consent {
            url: Secret::new(authority.public.below(&path)),
            server: Arc::clone(grant.server()),
            purpose: Purpose::StepUp {
                lack,
                detail: Box::new(detail.clone()),
            },
            way: Way::Told,
        };
        Some(Unanswered::Consent(consent).into())
    }

    fn asks_for(&self, live: &Live, needed: Box<Needed>) -> Refusal {
        let Some(authority) = &live.authority else {
            return Forbidden::Approval(needed).into();
        };
        let Some(text) = secret() else {
            return Unavailable::Entropy.into();
        };
        let text = match self.state.approvals.ask(&needed, text, clock::now()) {
            Ok(text) => text,
            Err(why) => return why.into(),
        };
        let path = format!("{PLACE}{}", text.expose());
        Refusal::Unanswered(Unanswered::Consent(Consent {
            url: Secret::new(authority.public.below(&path)),
            server: Arc::clone(needed.server()),
            purpose: match needed.rule().by {
                By::Caller => Purpose::Approval { needed },
                By::Others(_) => Purpose::SecondPerson { needed },
            },
            way: Way::Told,
        }))
    }
}
