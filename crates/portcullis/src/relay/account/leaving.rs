//! Signing out: here, or because the identity provider says that a session has ended there.

use super::{Ended, Visit, ended, known, provider};
use crate::authority::browser::{Cookie, There};
use crate::authority::shown::{framed, told};
use crate::clock;
use crate::listener::plain;
use crate::record::{Exchange, note};
use crate::relay::Gateway;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use portcullis_audit::Record;
use portcullis_authority::Form as Fields;
use portcullis_authority::user::User;
use portcullis_core::openid;
use portcullis_core::refusal::{Refusal, Unacceptable};
use portcullis_state::Whose;
use std::sync::Arc;

/// Why families end when somebody signs out at the provider.
const REASON: &str = "provider_logout";

impl Gateway {
    /// The user signs out here.
    pub(super) fn signs_out(
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
        self.front.browsers.close(&session);
        let text = "You are signed out here. At your identity provider you may still be signed in.";
        let mut page = told(200, "Signed out", text);
        Cookie::Session.clear(page.headers_mut(), visit.is_https());
        Ok(ended("logout.done", Some("user"), page))
    }

    /// The provider says that a session has ended (OpenID Connect Back-Channel Logout 1.0 section 2.5).
    pub(super) async fn ended_there(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let relying = provider(visit).ok_or(Unacceptable::Path)?;
        let token = fields.value("logout_token").unwrap_or_default();
        let answer = |status: u16| {
            let mut answer = plain(status);
            let headers = answer.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            answer
        };
        let told = match relying.ended(token, &self.issuers).await {
            Ok(told) => told,
            Err(error) => return Ok(ended("logout.refused", Some(error.reason()), answer(400))),
        };
        exchange.vouch();
        exchange.fact("id", &told.id);
        if !self.front.hears(&told.id, told.until, clock::now()) {
            return Ok(ended("logout.refused", Some("replayed"), answer(400)));
        }
        let is_meant = |user: &User, there: &There, _| {
            let (named, here) = match &told.ended {
                openid::Ended::Session(sid) => (sid, &there.session),
                openid::Ended::Subject(sub) => (sub, &there.subject),
            };
            user.issuer == relying.issuer && here.as_ref() == Some(named)
        };
        let gone = self.front.browsers.close_all(is_meant);
        exchange.fact("sessions", &gone.len().to_string());
        self.all_end(visit, &gone).await?;
        if let openid::Ended::Subject(sub) = &told.ended {
            let whose = Whose::User(relying.issuer.clone(), sub.clone());
            self.families_end(whose, (&visit.authority.issuer, REASON))
                .await?;
        }
        Ok(ended("logout.done", Some("provider"), answer(200)))
    }

    /// The provider's page has loaded this in a frame, as somebody signs out there (OpenID Connect Front-Channel Logout 1.0
    /// section 3). It says which of its sessions has ended, of which only browsers and servers that take part in it know:
    /// our own cookie does not come into a frame of another site. Whatever it says, the answer is the same.
    pub(super) async fn framed_logout(
        &self,
        visit: Visit<'_>,
        query: &str,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let relying = provider(visit).ok_or(Unacceptable::Path)?;
        let page = || framed(&relying.written.origin());
        let fields = Fields::read(query.as_bytes()).unwrap_or_default();
        let named = |name| fields.value(name).filter(|value| !value.is_empty());
        let (Some(iss), Some(sid)) = (named("iss"), named("sid")) else {
            return Ok(ended("logout.refused", Some("missing"), page()));
        };
        if iss != relying.issuer {
            return Ok(ended("logout.refused", Some("issuer"), page()));
        }
        let is_meant = |user: &User, there: &There, _| {
            user.issuer == relying.issuer && there.session.as_deref() == Some(sid)
        };
        let gone = self.front.browsers.close_all(is_meant);
        if gone.is_empty() {
            return Ok(ended("logout.refused", Some("unknown"), page()));
        }
        exchange.vouch();
        exchange.fact("sessions", &gone.len().to_string());
        self.all_end(visit, &gone).await?;
        Ok(ended("logout.done", Some("provider_page"), page()))
    }

    /// Ends all that clients have from these users.
    async fn all_end(&self, visit: Visit<'_>, users: &[Arc<User>]) -> Result<(), Refusal> {
        for user in users {
            let whose = Whose::User(user.issuer.clone(), user.subject.clone());
            self.families_end(whose, (&visit.authority.issuer, REASON))
                .await?;
        }
        Ok(())
    }

    /// Signs out whoever was revoked; called with each change of what is revoked.
    pub(crate) fn sign_out_revoked(&self) {
        let trust = self.issuers.trust();
        let is_revoked = |user: &User, _: &There, began| user.is_revoked(began, &trust);
        let gone = self.front.browsers.close_all(is_revoked);
        for user in gone {
            let mut record = Record::new("logout.done");
            record.reason = Some("revoked".into());
            record.detail.set("for", &*user.key());
            note(&self.recorder, record);
        }
    }
}
