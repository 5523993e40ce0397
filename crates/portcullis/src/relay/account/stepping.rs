//! The page on which whoever calls signs in anew, since the login behind a token is not good enough for a call.

use super::coming::arrived;
use super::{Ended, Targets, Visit, ended, known, name_of, provider, refused};
use crate::authority::browser::BrowserSession;
use crate::authority::front::{Form, Next};
use crate::authority::shown::{shown, told};
use crate::clock;
use crate::record::Exchange;
use crate::relay::Gateway;
use crate::relay::asks::PLACE_ANEW;
use portcullis_authority::Form as Fields;
use portcullis_authority::page::{Found, Page, StepUpPage, StepUpSignIn};
use portcullis_authority::user::User;
use portcullis_core::authenticate::{Authentication, MAX_SKEW};
use portcullis_core::authorize::{Login, NotAnew, Wanted};
use portcullis_core::refusal::Refusal;
use portcullis_core::secret::Secret;
use portcullis_core::time::Timestamp;
use std::sync::Arc;

pub(super) const OVER: &str = "There is nothing to sign in for here any more: it is too old, was done, or never was. Ask your app again.";
const NOT_YOURS: &str = "This is not yours to do. Whoever began it has to open it themselves.";
const NOT_ENOUGH: &str = "You have signed in, but not in the way that this needs. Open the link again to sign in in another way.";
const YES: &str = "Your sign-in counts for this app from now on. Go back to it.";
const NO: &str = "Nothing has changed for the app. You can close this page.";

impl Gateway {
    /// The page, for whoever has begun it; others are told that it is not theirs, and strangers sign in first.
    pub(super) fn shows_step_up(
        &self,
        visit: Visit<'_>,
        text: &str,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let Some((user, session)) = self.who(visit.authority, visit.headers)? else {
            return self.asks_who_anew(visit, text);
        };
        known(&user, exchange);
        let wanted = match self.own_step_up(&user, text, exchange) {
            Ok(wanted) => wanted,
            Err(ended) => return Ok(*ended),
        };
        let key = user.key();
        let login = login(visit, &user, &key, session.began);
        let found = match wanted.check(&login, clock::now()) {
            Ok(()) => Found::Enough,
            Err(_) => Found::Before,
        };
        let page = page(visit, (&user, &session), (&wanted, text), found);
        Ok(ended("step_up.shown", None, shown(200, page)))
    }

    /// Nobody is signed in: nothing of the call is shown.
    fn asks_who_anew(&self, visit: Visit<'_>, text: &str) -> Result<Ended, Refusal> {
        let form = Form::StepUp(Secret::new(text.to_owned()));
        self.signs_in_first(visit, (form, "step_up.sign_in_needed"), |token, targets| {
            let provider = visit.authority.signs_in_at();
            let page = StepUpSignIn {
                token,
                provider,
                targets,
            };
            page.page()
        })
    }

    /// What the link wants, if it is for this user.
    fn own_step_up(
        &self,
        user: &User,
        text: &str,
        exchange: &mut Exchange,
    ) -> Result<Wanted, Box<Ended>> {
        let Some(wanted) = self.state.anew.wanted(text, clock::now()) else {
            return Err(refused("step_up.refused", "link", (404, OVER)).into());
        };
        tell(&wanted, exchange);
        match wanted.expect(&user.key()) {
            Ok(()) => Ok(wanted),
            Err(why) => Err(refused("step_up.refused", why.reason(), (403, NOT_YOURS)).into()),
        }
    }

    /// Somebody comes back from signing in. What counts is said on the page, where they see what it is for.
    pub(super) fn came_anew(
        &self,
        visit: Visit<'_>,
        link: &Secret<String>,
        user: &User,
        exchange: &mut Exchange,
    ) -> Ended {
        let now = clock::now();
        let wanted = match self.own_step_up(user, link.expose(), exchange) {
            Ok(wanted) => wanted,
            Err(ended) => return *ended,
        };
        match wanted.check(&login(visit, user, &user.key(), now), now) {
            Ok(()) => arrived(&format!("{PLACE_ANEW}{}", link.expose())),
            Err(why) => no(why),
        }
    }

    /// The user has said yes or no.
    pub(super) async fn steps_up(
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
        if let Err(ended) = self.own_step_up(&user, text, exchange) {
            return Ok(*ended);
        }
        let (anew, now, key) = (&self.state.anew, clock::now(), user.key());
        match fields.value("decision") {
            Some("allow") => match anew.make(text, login(visit, &user, &key, session.began), now) {
                Ok(()) => {
                    self.listening.finished(text);
                    Ok(ended(
                        "step_up.done",
                        None,
                        told(200, "Signed in anew", YES),
                    ))
                }
                Err(why) => Ok(no(why)),
            },
            Some("anew") => {
                let next = Next::StepUp(Secret::new(text.to_owned()));
                self.leaves(visit, next, exchange).await
            }
            Some("deny") if anew.refuse(text, now) => {
                self.listening.finished(text);
                Ok(ended("step_up.denied", None, told(200, "Refused", NO)))
            }
            Some("deny") => Ok(no(NotAnew::Link)),
            _ => Ok(refused("step_up.refused", "decision", (400, OVER))),
        }
    }
}

fn no(why: NotAnew) -> Ended {
    let said = match why {
        NotAnew::Link => (404, OVER),
        NotAnew::NotTheirs(_) => (403, NOT_YOURS),
        NotAnew::Lacks(_) => (403, NOT_ENOUGH),
    };
    refused("step_up.refused", why.reason(), said)
}

/// What records say of a link.
fn tell(wanted: &Wanted, exchange: &mut Exchange) {
    let grant = wanted.grant();
    exchange.server = Some(Arc::clone(grant.server()));
    exchange.trail.target = grant.tool().map(portcullis_core::inspect::name);
    exchange.fact("asked_by", grant.subject());
    exchange.fact("client", grant.client().unwrap_or_default());
    exchange.fact("required", &wanted.required().to_string());
}

fn login<'a>(visit: Visit<'_>, user: &User, key: &'a str, began: Timestamp) -> Login<'a> {
    let skew = provider(visit).map(|_| MAX_SKEW);
    Login {
        skew: skew.unwrap_or_default(),
        key,
        authentication: Authentication {
            class: user.acr.clone(),
            methods: Some(user.amr.clone()),
            time: Some(Timestamp::from_seconds(user.auth_time)),
            is_anew: true,
        },
        began,
    }
}

fn page(
    visit: Visit<'_>,
    (user, session): (&User, &BrowserSession),
    (wanted, text): (&Wanted, &str),
    found: Found,
) -> Page {
    let (grant, targets) = (wanted.grant(), Targets::of(visit));
    let page = StepUpPage {
        user: name_of(user),
        at: visit.authority.signs_in_at(),
        client: grant.client(),
        server: grant.server(),
        tool: grant.tool(),
        found,
        token: session.token().expose(),
        link: text,
        targets: &targets.list(),
    };
    page.page()
}
