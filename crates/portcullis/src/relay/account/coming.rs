//! Signing in at the identity provider, and coming back from there in the same browser.

use super::asking::tell;
use super::stepping::OVER;
use super::{ELSEWHERE, Ended, STALE, Visit, ended, known, provider, refused};
use crate::authority::browser::{Cookie, There, mark};
use crate::authority::front::{Form, Next, UnderWay};
use crate::authority::provider::NoUser;
use crate::authority::shown::{moved, onward, told};
use crate::clock;
use crate::record::{Exchange, note_in_turn};
use crate::relay::Gateway;
use crate::relay::asks::PLACE;
use portcullis_audit::Record;
use portcullis_authority::Form as Fields;
use portcullis_authority::user::User;
use portcullis_core::openid::NotSignedIn;
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_core::sign_in::{Callback, Disbelieved};

const UNSUCCESSFUL: &str =
    "The sign-in did not succeed. The operator finds the reason in the audit log.";

impl Gateway {
    /// The user wants to see the account.
    pub(super) async fn signs_in(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        match self.awaited(visit, fields) {
            Ok(Form::SignIn) => self.leaves(visit, Next::Account, exchange).await,
            Ok(Form::Approve(link)) => self.leaves(visit, Next::Approval(link), exchange).await,
            Ok(Form::StepUp(link)) => self.leaves(visit, Next::StepUp(link), exchange).await,
            Ok(
                Form::Consent(..)
                | Form::Device
                | Form::Link(_)
                | Form::Owner { .. }
                | Form::NewPasskey(_),
            ) => Ok(refused("form.refused", "token", (403, STALE))),
            Err(ended) => Ok(*ended),
        }
    }

    /// Off to the provider. What is asked for there is made now: after the user has agreed, and for this browser alone.
    pub(super) async fn leaves(
        &self,
        visit: Visit<'_>,
        next: Next,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let Some(relying) = provider(visit) else {
            return self.asks_owner(visit, next, None).await;
        };
        let Some(browser) = visit.browser() else {
            return Ok(refused("form.refused", "browser", (403, ELSEWHERE)));
        };
        let transaction = match relying.begin(browser).await {
            Ok(transaction) => transaction,
            Err(error) => return Ok(unsuccessful(&error, exchange)),
        };
        let (classes, is_anew) = match &next {
            Next::Account | Next::Passkeys | Next::Approval(_) => Default::default(),
            Next::StepUp(link) => match self.state.anew.wanted(link.expose(), clock::now()) {
                Some(wanted) => (wanted.required().classes.join(" "), true),
                None => return Ok(refused("step_up.refused", "link", (404, OVER))),
            },
            Next::Asked(asked) => {
                let is_anew = asked.prompt().login || asked.max_age().is_some();
                (asked.classes().join(" "), is_anew)
            }
        };
        let kept = UnderWay {
            transaction: transaction.clone(),
            next,
        };
        let Some(state) = self.front.under_way.keep(kept, clock::now()) else {
            return Ok(unsuccessful(&NoUser::Full, exchange));
        };
        exchange.fact("transaction", &transaction_id(state.expose()));
        let url = relying.url(&transaction, &state, (&classes, is_anew));
        Ok(ended("login.started", None, moved(&url)))
    }

    /// The browser comes back from the provider.
    pub(super) async fn called_back_here(
        &self,
        visit: Visit<'_>,
        query: &str,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let callback = Callback::read(query);
        let Some(state) = callback.state.clone() else {
            return Ok(refused("oauth.state_mismatch", "missing", (400, STALE)));
        };
        exchange.fact("transaction", &transaction_id(&state));
        let Some(under_way) = self.front.under_way.take(&state, clock::now()) else {
            return Ok(refused("oauth.state_mismatch", "unknown", (400, STALE)));
        };
        if let Next::Asked(asked) = &under_way.next {
            tell(asked, exchange);
        }
        if visit.browser() != Some(under_way.transaction.browser) {
            return Ok(refused("oauth.state_mismatch", "browser", (403, ELSEWHERE)));
        }
        let Some(relying) = provider(visit) else {
            return Ok(refused("oauth.state_mismatch", "unknown", (400, STALE)));
        };
        self.revocations.known()?;
        let finished = relying
            .finish(&under_way.transaction, callback, &self.issuers)
            .await;
        let signed_in = match finished {
            Ok(signed_in) => signed_in,
            Err(error) => {
                let next = (&under_way.next, &error);
                return self.gave_up(visit, next, exchange).await;
            }
        };
        let user = User::of(&signed_in, &relying.claims);
        let there = There {
            session: signed_in.session().map(str::to_owned),
            subject: signed_in.sub().map(str::to_owned),
        };
        self.signed_in(visit, (user, there), under_way.next, exchange)
            .await
    }

    /// Somebody has signed in: the browser gets a new handle, whatever it had before, and goes on.
    pub(in crate::relay) async fn signed_in(
        &self,
        visit: Visit<'_>,
        (user, there): (User, There),
        next: Next,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        known(&user, exchange);
        self.note_login(&user, exchange).await;
        if let Some((_, before)) = self.who(visit.authority, visit.headers)? {
            self.front.browsers.close(&before);
        }
        let opened = self.front.browsers.open(user.clone(), there, clock::now());
        let handle = opened.ok_or(Unavailable::Entropy)?;
        let mut ended = match next {
            Next::Account => arrived("/account"),
            Next::Passkeys => arrived("/account/passkeys"),
            Next::Approval(link) => arrived(&format!("{PLACE}{}", link.expose())),
            Next::StepUp(link) => self.came_anew(visit, &link, &user, exchange),
            Next::Asked(asked) => self.agreed(visit, user, *asked, exchange).await?,
        };
        let headers = ended.page.headers_mut();
        Cookie::Session.set(headers, visit.is_https(), &handle);
        Ok(ended)
    }

    /// The client is told no where the provider said no, and nothing where something is wrong.
    async fn gave_up(
        &self,
        visit: Visit<'_>,
        (next, error): (&Next, &NoUser),
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let is_no = matches!(
            error,
            NoUser::NotSignedIn(NotSignedIn::Disbelieved(Disbelieved::Refused))
        );
        match next {
            Next::Asked(asked) if is_no => {
                let page = self.declined(visit, asked, exchange).await?;
                Ok(ended("login.refused", Some("refused"), page))
            }
            Next::Asked(_)
            | Next::Account
            | Next::Passkeys
            | Next::Approval(_)
            | Next::StepUp(_) => Ok(unsuccessful(error, exchange)),
        }
    }

    async fn note_login(&self, user: &User, exchange: &Exchange) {
        let mut record = Record::new("login.succeeded");
        record.principal = Some(portcullis_audit::Principal {
            iss: user.issuer.as_str().into(),
            sub: user.subject.as_str().into(),
        });
        record.trace = Some(exchange.trace.as_str().into());
        note_in_turn(&self.recorder, record).await;
    }
}

pub(super) fn arrived(path: &str) -> Ended {
    ended("account.opened", None, onward("You are signed in", path))
}

/// The page says nothing of what another party said; the record says why.
fn unsuccessful(error: &NoUser, exchange: &mut Exchange) -> Ended {
    tracing::warn!(%error, "nobody has signed in");
    exchange.fact("error", &error.to_string());
    let page = told(502, "Not signed in", UNSUCCESSFUL);
    ended(error.event(), Some(error.reason()), page)
}

/// What records call a transaction, of which nobody learns its `state`.
fn transaction_id(state: &str) -> String {
    mark(state)
        .iter()
        .take(8)
        .fold(String::new(), |mut text, byte| {
            use std::fmt::Write as _;
            let _written = write!(text, "{byte:02x}");
            text
        })
}
