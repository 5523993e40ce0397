//! Asking somebody to open a page of ours, in the client's way: to sign in at a server, to approve a call, or to decide
//! about what a server defines.

use super::{Gateway, Live};
use crate::authority::browser::secret;
use crate::clock;
use bytes::Bytes;
use portcullis_core::authorize::{By, Forbidden, Lack, Needed, StepUp, Visitor};
use portcullis_core::catalog::{self, Question, Thing, Unapproved};
use portcullis_core::elicit::{Consent, Purpose, Way};
use portcullis_core::refusal::{Refusal, Unanswered, Unavailable};
use portcullis_core::route::Dispatch;
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

    /// The same for what is withheld: whoever calls it and may decide about it gets a link to that.
    pub(super) fn told_of_withheld(
        &self,
        (live, dispatch): (&Live, &Dispatch),
        refusal: Refusal,
        client: &Client<'_>,
    ) -> Refusal {
        let Refusal::Unapproved(why @ (Unapproved::New | Unapproved::Changed)) = refusal else {
            return refusal;
        };
        let asked = self.asks_about(live, dispatch, why);
        asked.map_or(refusal, |asked| self.told_to(live, asked, client))
    }

    fn asks_about(&self, live: &Live, dispatch: &Dispatch, why: Unapproved) -> Option<Refusal> {
        let authority = live.authority.as_ref()?;
        let (server, call) = (dispatch.server(), dispatch.call());
        let principal = dispatch.principal();
        let visitor = Visitor {
            issuer: principal.vouched_by(),
            subject: &principal.subject,
            roles: &principal.roles,
            groups: &principal.groups,
        };
        let approvers = &live.rules.servers.get(server)?.approvers;
        visitor.expect_named(approvers).ok()?;
        let (kind, name) = catalog::needed(call.method(), call.target())?;
        let digest = self.state.pinned.defines(server, kind, name)?;
        let thing = Thing {
            server: Arc::clone(server),
            kind,
            name: name.into(),
        };
        let question = Question {
            owner: Arc::clone(&principal.key),
            thing,
            digest,
        };
        let Some(text) = secret() else {
            return Some(Unavailable::Entropy.into());
        };
        let text = match self.state.questions.ask(question, text, clock::now()) {
            Ok(text) => text,
            Err(why) => return Some(why.into()),
        };
        let path = format!("{PLACE}{}", text.expose());
        let name = name.into();
        Some(Refusal::Unanswered(Unanswered::Consent(Consent {
            url: Secret::new(authority.public.below(&path)),
            server: Arc::clone(server),
            purpose: Purpose::Definition { why, kind, name },
            way: Way::Told,
        })))
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
