//! What a client asks for in a user's name: by the user's browser, or pushed beforehand (RFC 9126).

use super::{Asking, Ended, Gateway, Live, back, ended, error, form, page, resources, terms};
use crate::authority::{Authority, Documents, LIFETIME, mark, voucher};
use crate::listener::oauth;
use crate::record::Exchange;
use crate::relay::account::Visit;
use crate::{authority, clock};
use hyper::Method;
use portcullis_authority::Form;
use portcullis_authority::client::{Client, Kind};
use portcullis_authority::consent::Approved;
use portcullis_authority::grant::{Bound, CODE, Granted};
use portcullis_authority::request::{Asked, Challenge, NotAsked, Return, Wrong, location};
use portcullis_core::quota::Rate;
use portcullis_core::refusal::{Refusal, Unavailable};
use portcullis_state::{Family, NewCode};
use serde_json::json;

/// How fast one network may push requests: few of all that can wait at once.
const PUSHES: Rate = Rate {
    per_minute: 300,
    burst: 300,
};

const UNREADABLE: &str = "The application has sent you here with a request that cannot be read.";
const UNKNOWN: &str = "The application that has sent you here is not known, or what it says of itself is not believed.";
const REDIRECT: &str = "The application that has sent you here wants the answer at a place that is not its own. \
Nothing was sent there.";
const WRONG: &str = "The application that has sent you here asks for something that it cannot have. Nothing was sent to it.";
const GONE: &str =
    "The application's request is too old, or was used already. Begin again in the application.";

impl Gateway {
    pub(super) async fn authorize(
        &self,
        live: &Live,
        authority: &Authority,
        asking: Asking<'_>,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let Asking { parts, body, peer } = asking;
        let visit = Visit {
            live,
            authority,
            headers: &parts.headers,
        };
        let form = if parts.method == Method::GET {
            if let Some(told) = Self::bounced(visit, &parts.uri) {
                return Ok(ended(told.event, told.reason, told.page));
            }
            let query = parts.uri.query().unwrap_or_default();
            match Form::read(query.as_bytes()) {
                Ok(form) => form,
                Err(why) => return Ok(page("oauth.request_refused", why.reason(), UNREADABLE)),
            }
        } else {
            match form(live, parts, body, exchange).await? {
                Ok(form) => form,
                Err(told) => {
                    let reason = told.reason.unwrap_or_default();
                    return Ok(page("oauth.request_refused", reason, UNREADABLE));
                }
            }
        };
        let Some(id) = form.value("client_id") else {
            return Ok(page("oauth.request_refused", "client", UNKNOWN));
        };
        if let Some(name) = form.value("request_uri") {
            let pushed = self.authority.pushed.take(name, id, clock::now());
            return match pushed {
                Some(asked) => self.considered(visit, asked, exchange).await,
                None => Ok(page("oauth.request_refused", "request_uri", GONE)),
            };
        }
        let client = match self.client(authority, (id, peer), exchange).await? {
            Ok(client) => client,
            Err(why) => {
                let (event, reason) = why.event();
                return Ok(page(event, reason, UNKNOWN));
            }
        };
        let resources = resources(live);
        let asked = Asked::admit(&form, &client, &terms(authority, &resources), None);
        Ok(match asked {
            Ok(asked) => return self.considered(visit, asked, exchange).await,
            Err(NotAsked::Page(why)) => page("oauth.redirect_rejected", why.reason(), REDIRECT),
            Err(NotAsked::Back(place, wrong)) if may_move(authority, &client, &place) => {
                let location = place.refused(wrong, &authority.issuer);
                back(event(wrong), wrong.reason(), &location)
            }
            Err(NotAsked::Back(_, wrong)) => page(event(wrong), wrong.reason(), WRONG),
        })
    }

    /// The user is asked, unless that was done before.
    async fn considered(
        &self,
        visit: Visit<'_>,
        asked: Asked,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let told = self.consider(visit, asked, exchange).await?;
        Ok(ended(told.event, told.reason, told.page))
    }

    /// A client says beforehand what it will ask for (RFC 9126 section 2).
    pub(super) async fn push(
        &self,
        live: &Live,
        authority: &Authority,
        asking: Asking<'_>,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let Asking { parts, body, peer } = asking;
        let rated = self.authority.pushing.take(peer.ip(), PUSHES, clock::now());
        rated.map_err(Refusal::from)?;
        let form = match form(live, parts, body, exchange).await? {
            Ok(form) => form,
            Err(told) => return Ok(told),
        };
        if form.value("request_uri").is_some() {
            let told = error(
                400,
                "invalid_request",
                "request_uri is not for this endpoint",
            );
            return Ok(ended("oauth.request_refused", Some("request_uri"), told));
        }
        let known = self.authenticated(authority, &form, (parts, peer), exchange);
        let client = match known.await? {
            Ok(client) => client,
            Err(told) => return Ok(told),
        };
        let proven = match self.proven(parts, authority, "oauth.request_refused") {
            Ok(proven) => proven,
            Err(told) => return Ok(*told),
        };
        let resources = resources(live);
        let asked = Asked::admit(&form, &client, &terms(authority, &resources), proven);
        let asked = match asked {
            Ok(asked) => asked,
            Err(NotAsked::Page(why)) => {
                let told = error(400, "invalid_request", &why.to_string());
                return Ok(ended("oauth.redirect_rejected", Some(why.reason()), told));
            }
            Err(NotAsked::Back(_, wrong)) => {
                let told = error(400, wrong.code(), &wrong.to_string());
                return Ok(ended(event(wrong), Some(wrong.reason()), told));
            }
        };
        let Some(name) = self.authority.pushed.keep(asked, clock::now()) else {
            return Err(Unavailable::State.into());
        };
        let told = json!({ "request_uri": name, "expires_in": LIFETIME.as_secs() });
        Ok(ended("oauth.pushed", None, oauth(201, &told)))
    }

    /// Makes the code for what was approved; gives where it goes.
    ///
    /// # Errors
    /// [`Unavailable`]: then there is none.
    pub(crate) async fn code(
        &self,
        authority: &Authority,
        (approved, back, challenge): (&Approved, &Return, &Challenge),
        exchange: &mut Exchange,
    ) -> Result<String, Unavailable> {
        let (code, family) = (voucher()?, family(authority, approved)?);
        let bound = Bound::of(approved, back, challenge);
        exchange.fact("family", &family.id);
        let new = NewCode {
            digest: mark(code.expose()),
            bound: serde_json::to_string(&bound).map_err(|_| Unavailable::State)?,
            until: family.made.plus(CODE),
            family,
        };
        let kept = self.revocations.durable().keep_code(new).await;
        kept.map_err(|error| {
            tracing::error!(%error, "a code was not kept");
            Unavailable::State
        })?;
        let code = [("code", code.expose().as_str())];
        Ok(location(back, &code, &authority.issuer))
    }
}

/// Whether the browser may go there although nobody has been asked: not to a place on the net that only a stranger's own
/// document names, for which we would be an open redirector (RFC 9700 section 4.11.2).
fn may_move(authority: &Authority, client: &Client, place: &Return) -> bool {
    let is_chosen = match client.kind {
        Kind::Registered | Kind::Dynamic => true,
        Kind::Document => {
            let documents = authority.documents.as_ref();
            authority.redirects.hosts.is_some() || documents.is_some_and(Documents::are_named)
        }
    };
    is_chosen || !place.redirect.starts_with("https:")
}

/// What begins with what was approved.
pub(super) fn family(authority: &Authority, approved: &Approved) -> Result<Family, Unavailable> {
    let (granted, now) = (Granted::by(approved), clock::now());
    Ok(Family {
        id: authority::fresh_id()?,
        issuer: granted.user.issuer.clone(),
        subject: granted.user.subject.clone(),
        client: granted.client.clone(),
        granted: serde_json::to_string(&granted).map_err(|_| Unavailable::State)?,
        made: now,
        until: now.plus(if granted.user.is_grouped() {
            authority.grouped_sign_ins
        } else {
            authority.sign_ins
        }),
    })
}

const fn event(wrong: Wrong) -> &'static str {
    if wrong.is_pkce() {
        "oauth.pkce_rejected"
    } else {
        "oauth.request_refused"
    }
}
