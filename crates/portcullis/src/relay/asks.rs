//! Asking somebody to open a page of ours, in the client's way: to sign in at a server, or to approve a call.

use super::{Gateway, Live};
use crate::authority::browser::secret;
use crate::clock;
use bytes::Bytes;
use portcullis_core::authorize::{By, Forbidden, Needed};
use portcullis_core::elicit::{Consent, Purpose, Way};
use portcullis_core::refusal::{Refusal, Unanswered, Unavailable};
use portcullis_core::secret::Secret;
use portcullis_core::session::SessionId;
use std::sync::Arc;

/// Where a call is approved, before the text of its link.
pub(super) const PLACE: &str = "/account/approve/";

/// What a client has sent, and has said of itself.
pub(super) struct Client<'a> {
    pub(super) message: &'a Bytes,
    /// Whether it has said in its session that it opens URLs for its user.
    pub(super) opens_urls: bool,
    /// The session of this message, if it has one.
    pub(super) session: Option<SessionId>,
}

impl Gateway {
    /// The refusal as this client is told it; where a call has to be approved, with a link to that.
    pub(super) fn told_to(&self, live: &Live, refusal: Refusal, client: &Client<'_>) -> Refusal {
        let refusal = if let Refusal::Forbidden(Forbidden::Approval(needed)) = refusal {
            self.asks_for(live, needed)
        } else {
            refusal
        };
        let refusal = refusal.in_way(|| Way::of(client.message, client.opens_urls));
        if let (Refusal::Unanswered(Unanswered::Consent(consent)), Some(session)) =
            (&refusal, client.session)
            && consent.way == Way::Elicited
        {
            self.listening.sent_to(consent.id(), session);
        }
        refusal
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
