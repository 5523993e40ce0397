//! The account page: who is signed in, what this user has allowed, and taking it back.

use super::{
    Ended, SIGNED_OUT, Targets, Visit, ended, known, name_of, refused, set_browser, unkept,
};
use crate::authority::browser::BrowserSession;
use crate::authority::front::{Form, Waiting};
use crate::authority::shown::{shown, told};
use crate::clock;
use crate::listener::Body;
use crate::record::Exchange;
use crate::relay::Gateway;
use hyper::Response;
use portcullis_audit::time_text;
use portcullis_authority::Form as Fields;
use portcullis_authority::page::{Account, Page, Remembered, Visitor};
use portcullis_authority::redirect::shown_host;
use portcullis_authority::user::User;
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::secret::Secret;
use portcullis_state::{Consent, Whose};

const NOT_THERE: &str = "There is nothing like this to take back.";

impl Gateway {
    pub(super) async fn account_page(
        &self,
        visit: Visit<'_>,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let who = self.who(visit.authority, visit.headers)?;
        let (page, fresh) = match &who {
            Some((user, session)) => {
                known(user, exchange);
                (self.page_of(visit, user, session).await?, None)
            }
            None => self.page_for_strangers(visit)?,
        };
        let mut page = shown(200, page);
        set_browser(&mut page, visit, fresh.as_ref());
        Ok(ended("account.shown", None, page))
    }

    async fn page_of(
        &self,
        visit: Visit<'_>,
        user: &User,
        session: &BrowserSession,
    ) -> Result<Page, Refusal> {
        let now = clock::now();
        let given = self
            .revocations
            .durable()
            .consents_of(&user.issuer, &user.subject);
        let given = given.await.map_err(|error| unkept(&error))?;
        let given = given.iter().filter(|one| one.until > now);
        let consents: Vec<Remembered> = given.map(remembered).collect();
        let account = Account {
            visitor: Visitor::User {
                name: name_of(user),
                at: &user.issuer,
                since: &time_text(session.began.micros()),
                token: session.token().expose(),
                consents: &consents,
            },
            provider: visit.authority.signs_in_at(),
            is_here: visit.authority.relying.is_none(),
            targets: &["https:"],
        };
        Ok(account.page())
    }

    fn page_for_strangers(
        &self,
        visit: Visit<'_>,
    ) -> Result<(Page, Option<Secret<String>>), Refusal> {
        let (browser, fresh) = visit.marked()?;
        let form = Form::SignIn;
        let token = self
            .front
            .waiting
            .keep(Waiting { browser, form }, clock::now());
        let token = token.ok_or(Unavailable::Entropy)?;
        let targets = Targets::of(visit);
        let account = Account {
            visitor: Visitor::Stranger {
                token: token.expose(),
            },
            provider: visit.authority.signs_in_at(),
            is_here: visit.authority.relying.is_none(),
            targets: &targets.list(),
        };
        Ok((account.page(), fresh))
    }

    /// Takes back what the user has agreed to: the client's refresh tokens end, and it has to ask again.
    pub(super) async fn takes_back(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let (user, _) = match self.own_form(visit, fields)? {
            Ok(own) => own,
            Err(ended) => return Ok(ended),
        };
        known(&user, exchange);
        let id = fields.value("consent").unwrap_or_default();
        let whose = (user.issuer.as_str(), user.subject.as_str());
        let taken = self
            .revocations
            .durable()
            .take_consent_back(id, whose)
            .await;
        let Some(taken) = taken.map_err(|error| unkept(&error))? else {
            return Ok(refused("consent.refused", "unknown", (404, NOT_THERE)));
        };
        exchange.fact("client", &taken.client);
        exchange.fact("redirect_host", &shown_host(&taken.redirect));
        exchange.fact("scopes", &taken.scopes.join(" "));
        exchange.server = Some(taken.server.as_str().into());
        let user_of = (user.issuer.clone(), user.subject.clone());
        let whose = Whose::UserOf(user_of, taken.client.clone());
        self.families_end(whose, (&visit.authority.issuer, "consent_revoked"))
            .await?;
        let page = self.page_again(visit).await?;
        Ok(ended("consent.revoked", None, page))
    }

    async fn page_again(&self, visit: Visit<'_>) -> Result<Response<Body>, Refusal> {
        let Some((user, session)) = self.who(visit.authority, visit.headers)? else {
            return Ok(told(403, "Not done", SIGNED_OUT));
        };
        Ok(shown(200, self.page_of(visit, &user, &session).await?))
    }
}

fn remembered(consent: &Consent) -> Remembered {
    Remembered {
        id: consent.id.clone(),
        client: consent.name.clone(),
        client_id: consent.client.clone(),
        redirect_host: shown_host(&consent.redirect),
        server: consent.server.clone(),
        scopes: consent.scopes.clone(),
        since: time_text(consent.given.micros()),
        until: time_text(consent.until.micros()),
    }
}
