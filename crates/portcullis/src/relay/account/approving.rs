//! The page on which somebody approves a call, or refuses it: whoever it is for, signed in here, and nobody else.

use super::{Ended, Visit, ended, known, name_of, refused, visitor};
use crate::authority::browser::BrowserSession;
use crate::authority::front::Form;
use crate::authority::shown::{shown, told};
use crate::clock;
use crate::record::Exchange;
use crate::relay::Gateway;
use portcullis_authority::Form as Fields;
use portcullis_authority::page::{ApprovalPage, ApprovalSignIn, Stake};
use portcullis_authority::user::User;
use portcullis_core::authorize::{Risk, ToApprove};
use portcullis_core::refusal::Refusal;
use portcullis_core::secret::Secret;
use std::sync::Arc;

pub(super) const OVER: &str = "There is nothing to approve here any more: it is too old, was decided, or never was. Ask your app again.";
pub(super) const NOT_YOURS: &str = "This is not yours to approve. Whoever began it has to open it themselves, or the one whom your \
organisation has named.";

impl Gateway {
    /// The page, for whom it is; others are told that it is not theirs, and strangers sign in first.
    pub(super) fn shows_call(
        &self,
        visit: Visit<'_>,
        text: &str,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let Some((user, session)) = self.who(visit.authority, visit.headers)? else {
            return self.asks_who(visit, text);
        };
        known(&user, exchange);
        let asked = match self.own_call(&user, text, exchange) {
            Ok(asked) => asked,
            Err(ended) => return Ok(*ended),
        };
        let page = page(visit, (&user, &session), (&asked, text), Typed::NotYet);
        Ok(ended("approval.shown", None, shown(200, page)))
    }

    /// Nobody is signed in: nothing of the call is shown.
    pub(super) fn asks_who(&self, visit: Visit<'_>, text: &str) -> Result<Ended, Refusal> {
        let form = Form::Approve(Secret::new(text.to_owned()));
        self.signs_in_first(
            visit,
            (form, "approval.sign_in_needed"),
            |token, targets| {
                let provider = visit.authority.signs_in_at();
                let page = ApprovalSignIn {
                    token,
                    provider,
                    targets,
                };
                page.page()
            },
        )
    }

    /// What the link asks, if it is this user's to decide.
    fn own_call(
        &self,
        user: &User,
        text: &str,
        exchange: &mut Exchange,
    ) -> Result<ToApprove, Box<Ended>> {
        let Some(asked) = self.state.approvals.asked(text, clock::now()) else {
            return Err(refused("approval.refused", "link", (404, OVER)).into());
        };
        let needed = asked.needed();
        exchange.server = Some(Arc::clone(needed.server()));
        exchange.trail.target = Some(portcullis_core::inspect::name(needed.tool()));
        exchange.fact("approval", &needed.id());
        exchange.fact("asked_by", asked.subject());
        match asked.expect(&visitor(user)) {
            Ok(()) => Ok(asked),
            Err(why) => Err(refused("approval.refused", why.reason(), (403, NOT_YOURS)).into()),
        }
    }

    /// The user has said yes or no.
    pub(super) fn decides_call(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let (user, session) = match self.own_form(visit, fields)? {
            Ok(own) => own,
            Err(ended) => return Ok(ended),
        };
        known(&user, exchange);
        let text = fields.value("link").unwrap_or_default();
        let asked = match self.own_call(&user, text, exchange) {
            Ok(asked) => asked,
            Err(ended) => return Ok(*ended),
        };
        let (approvals, now) = (&self.state.approvals, clock::now());
        match fields.value("decision") {
            Some("allow") if !is_typed(&asked, fields) => {
                let page = page(visit, (&user, &session), (&asked, text), Typed::Wrong);
                Ok(ended("approval.refused", Some("typed"), shown(400, page)))
            }
            Some("allow") if approvals.approve(text, now) => {
                self.listening.finished(text);
                Ok(ended("approval.granted", None, told(200, "Approved", YES)))
            }
            Some("deny") if approvals.refuse(text, now) => {
                self.listening.finished(text);
                Ok(ended("approval.denied", None, told(200, "Refused", NO)))
            }
            Some("allow" | "deny") => Ok(refused("approval.refused", "link", (404, OVER))),
            _ => Ok(refused("approval.refused", "decision", (400, OVER))),
        }
    }
}

const YES: &str = "The call may be made once, with just these arguments, in the next few minutes. Go back to the app.";
const NO: &str = "The call will not be made. You can close this page.";

/// What has become of the name that has to be typed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Typed {
    NotYet,
    Wrong,
}

/// Where much is at stake, a click is not enough.
fn is_typed(asked: &ToApprove, fields: &Fields) -> bool {
    match asked.needed().rule().risk {
        Risk::Low => true,
        Risk::High => {
            let typed = fields.value("typed").map(str::trim);
            typed == Some(asked.needed().tool())
        }
    }
}

fn page(
    visit: Visit<'_>,
    (user, session): (&User, &BrowserSession),
    (asked, text): (&ToApprove, &str),
    typed: Typed,
) -> portcullis_authority::page::Page {
    let needed = asked.needed();
    let is_own = asked.subject() == user.subject;
    let page = ApprovalPage {
        user: name_of(user),
        at: visit.authority.signs_in_at(),
        asker: (!is_own).then(|| asked.subject()),
        client: asked.client(),
        server: needed.server(),
        tool: needed.tool(),
        arguments: asked.arguments(),
        stake: match (needed.rule().risk, typed) {
            (Risk::Low, _) => Stake::Low,
            (Risk::High, Typed::NotYet) => Stake::High,
            (Risk::High, Typed::Wrong) => Stake::HighAgain,
        },
        token: session.token().expose(),
        link: text,
    };
    page.page()
}
