//! The pages on which users sign in, see what they have allowed, take it back, and sign out.

mod asking;
mod device;
mod coming;
mod owner;
mod passkeys;
mod leaving;
mod allowed;
mod approving;
mod deciding;
mod stepping;

use super::{Gateway, Live, intake};
use crate::authority::browser::{BrowserSession, Cookie, Mark, mark, secret};
use crate::authority::front::{Form, RATE, Waiting};
use crate::authority::shown::{shown, told};
use crate::authority::{Authority, Relying};
use crate::clock;
use crate::listener::{Body, trace};
use crate::record::{Came, Exchange};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Response, Uri};
use portcullis_authority::Form as Fields;
use portcullis_authority::page::Page;
use portcullis_authority::user::User;
use portcullis_core::authorize::Visitor;
use portcullis_core::refusal::{Refusal, Unacceptable, Unavailable};
use portcullis_core::secret::Secret;
use portcullis_state::Failed;
use std::net::SocketAddr;
use std::sync::Arc;

/// The largest form, in bytes.
const MAX_FORM_BYTES: usize = 32 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

/// What a page comes to, for its record.
pub(super) struct Ended {
    pub(super) event: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) page: Response<Body>,
}

/// What each of these pages needs.
#[derive(Clone, Copy)]
pub(super) struct Visit<'a> {
    pub(super) live: &'a Live,
    pub(super) authority: &'a Authority,
    pub(super) headers: &'a HeaderMap,
}

impl Visit<'_> {
    fn is_https(&self) -> bool {
        self.authority.public.is_https()
    }

    /// The browser that has begun something, by its cookie.
    fn browser(&self) -> Option<Mark> {
        Cookie::Browser
            .read(self.headers, self.is_https())
            .map(mark)
    }

    /// The same with a cookie of its own if it has none.
    fn marked(&self) -> Result<(Mark, Option<Secret<String>>), Refusal> {
        if let Some(known) = self.browser() {
            return Ok((known, None));
        }
        let fresh = secret().ok_or(Unavailable::Entropy)?;
        Ok((mark(fresh.expose()), Some(fresh)))
    }
}

/// Where the forms of a page may lead: to apps, and to the user's provider, as the policy of the page writes it.
struct Targets(Option<String>);

impl Targets {
    fn of(visit: Visit<'_>) -> Self {
        Self(provider(visit).map(|relying| relying.written.origin()))
    }

    fn list(&self) -> Vec<&str> {
        std::iter::once("https:").chain(self.0.as_deref()).collect()
    }
}

/// Whoever is signed in, as those are who may decide.
fn visitor(user: &User) -> Visitor<'_> {
    Visitor {
        issuer: &user.issuer,
        subject: &user.subject,
        roles: &user.roles,
        groups: &user.groups,
    }
}

impl Gateway {
    /// Strangers sign in first, and come back to what `form` is about: nothing of it is shown to them. `page` takes what must
    /// come along, and where its form may lead.
    fn signs_in_first(
        &self,
        visit: Visit<'_>,
        (form, event): (Form, &'static str),
        page: impl FnOnce(&str, &[&str]) -> Page,
    ) -> Result<Ended, Refusal> {
        let (browser, fresh) = visit.marked()?;
        let waiting = Waiting { browser, form };
        let token = self.front.waiting.keep(waiting, clock::now());
        let token = token.ok_or(Unavailable::Entropy)?;
        let mut page = shown(200, page(token.expose(), &Targets::of(visit).list()));
        set_browser(&mut page, visit, fresh.as_ref());
        Ok(ended(event, None, page))
    }

    /// `rest` is what follows `/account` in the path.
    pub(super) async fn account(
        &self,
        live: &Live,
        (parts, body): (&Parts, Incoming),
        (rest, peer): (&str, SocketAddr),
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Refusal> {
        exchange.trace = trace(&parts.headers)?.id;
        let authority = live.authority.as_deref().ok_or(Unacceptable::Path)?;
        let rated = self.front.networks.take(peer.ip(), RATE, clock::now());
        rated.map_err(Refusal::from)?;
        let visit = Visit {
            live,
            authority,
            headers: &parts.headers,
        };
        let is_form = matches!(
            rest,
            "/consent"
                | "/sign-in"
                | "/owner"
                | "/passkey"
                | "/passkeys/add"
                | "/passkeys/remove"
                | "/sign-out"
                | "/revoke"
                | "/approval"
                | "/step-up"
                | "/backchannel-logout"
        );
        let ended = match (is_form, &parts.method) {
            (_, &Method::POST) if rest == "/device" => {
                let fields = fields(live, (parts, body), exchange).await?;
                let typed = (&fields, peer);
                self.types_code(visit, typed, exchange).await?
            }
            (true, &Method::POST) => {
                let fields = fields(live, (parts, body), exchange).await?;
                self.sent(visit, (rest, &fields), exchange).await?
            }
            (false, &Method::GET) => match rest {
                "/device" => self.device_page(visit, parts.uri.query())?,
                "" => self.account_page(visit, exchange).await?,
                "/callback" => {
                    let query = parts.uri.query().unwrap_or_default();
                    self.called_back_here(visit, query, exchange).await?
                }
                "/frontchannel-logout" => {
                    let query = parts.uri.query().unwrap_or_default();
                    self.framed_logout(visit, query, exchange).await?
                }
                "/passkeys" => self.passkeys_page(visit, None, exchange).await?,
                "/passkey.js" => passkeys::script(),
                _ => self.opens(visit, (&parts.uri, rest), exchange).await?,
            },
            _ => return Err(Unacceptable::Method.into()),
        };
        settled(ended, exchange).await
    }

    /// Links that somebody was given.
    async fn opens(
        &self,
        visit: Visit<'_>,
        (uri, rest): (&Uri, &str),
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        if let Some(word) = rest.strip_prefix("/owner/") {
            return self.opens_link(visit, word, exchange).await;
        }
        let (call, anew) = (
            rest.strip_prefix("/approve/"),
            rest.strip_prefix("/step-up/"),
        );
        if call.or(anew).is_none() {
            return Err(Unacceptable::Path.into());
        }
        match (Self::bounced(visit, uri), call) {
            (Some(ended), _) => Ok(ended),
            (None, Some(text)) if self.state.questions.asked(text, clock::now()).is_some() => {
                self.shows_definition(visit, text, exchange).await
            }
            (None, Some(text)) => self.shows_call(visit, text, exchange),
            (None, None) => self.shows_step_up(visit, anew.unwrap_or_default(), exchange),
        }
    }

    async fn sent(
        &self,
        visit: Visit<'_>,
        (rest, fields): (&str, &Fields),
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        match rest {
            "/consent" => self.decided(visit, fields, exchange).await,
            "/sign-in" => self.signs_in(visit, fields, exchange).await,
            "/owner" => self.uses_link(visit, fields, exchange).await,
            "/passkey" => self.uses_passkey(visit, fields, exchange).await,
            "/passkeys/add" => self.adds_passkey(visit, fields, exchange).await,
            "/passkeys/remove" => self.removes_passkey(visit, fields, exchange).await,
            "/sign-out" => self.signs_out(visit, fields, exchange),
            "/revoke" => self.takes_back(visit, fields, exchange).await,
            "/approval" => {
                let link = fields.value("link").unwrap_or_default();
                if self.state.questions.asked(link, clock::now()).is_some() {
                    return self.decides_definition(visit, fields, exchange).await;
                }
                self.decides_call(visit, fields, exchange)
            }
            "/step-up" => self.steps_up(visit, fields, exchange).await,
            _ => self.ended_there(visit, fields, exchange).await,
        }
    }

    /// Who is signed in in this browser, and still may be.
    pub(crate) fn who(
        &self,
        authority: &Authority,
        headers: &HeaderMap,
    ) -> Result<Option<(Arc<User>, BrowserSession)>, Refusal> {
        let is_https = authority.public.is_https();
        let Some(handle) = Cookie::Session.read(headers, is_https) else {
            return Ok(None);
        };
        self.revocations.known()?;
        let Some((user, session)) = self.front.browsers.find(handle, clock::now()) else {
            return Ok(None);
        };
        // Its session is ended, and told, where the change is carried out.
        let is_over = user.is_revoked(session.began, &self.issuers.trust());
        if is_over || !authority.vouches(&user.issuer) {
            return Ok(None);
        }
        Ok(Some((user, session)))
    }

    /// The user whose form it is: signed in, and sent from a page of just this session.
    fn own_form(
        &self,
        visit: Visit<'_>,
        fields: &Fields,
    ) -> Result<Result<(Arc<User>, BrowserSession), Ended>, Refusal> {
        let Some((user, session)) = self.who(visit.authority, visit.headers)? else {
            return Ok(Err(refused("form.refused", "session", (403, SIGNED_OUT))));
        };
        if !session.has_sent(fields.value("token").unwrap_or_default()) {
            return Ok(Err(refused("form.refused", "token", (403, STALE))));
        }
        Ok(Ok((user, session)))
    }

    /// What this form brings along, once, in the browser that was shown it.
    fn awaited(&self, visit: Visit<'_>, fields: &Fields) -> Result<Form, Box<Ended>> {
        let token = fields.value("token").unwrap_or_default();
        let Some(waiting) = self.front.waiting.take(token, clock::now()) else {
            return Err(refused("form.refused", "token", (403, STALE)).into());
        };
        if visit.browser() != Some(waiting.browser) {
            return Err(refused("form.refused", "browser", (403, ELSEWHERE)).into());
        }
        Ok(waiting.form)
    }
}

const STALE: &str =
    "This page is too old, or was used already. Go back to the app and start again.";
const ELSEWHERE: &str =
    "This was begun in another browser. Go back to the app and start again there.";
const SIGNED_OUT: &str = "You are not signed in any more. Go back to where you began.";

/// A name to show for a user.
pub(super) fn name_of(user: &User) -> &str {
    user.name.as_deref().unwrap_or(&user.subject)
}

/// Whoever is signed in is no stranger.
fn known(user: &User, exchange: &mut Exchange) {
    exchange.vouch();
    exchange.fact("for", &user.key());
}

fn set_browser(page: &mut Response<Body>, visit: Visit<'_>, fresh: Option<&Secret<String>>) {
    if let Some(fresh) = fresh {
        Cookie::Browser.set(page.headers_mut(), visit.is_https(), fresh);
    }
}

async fn fields(
    live: &Live,
    (parts, body): (&Parts, Incoming),
    exchange: &mut Exchange,
) -> Result<Fields, Refusal> {
    let media = parts.headers.get(CONTENT_TYPE);
    let media = media
        .and_then(|media| media.to_str().ok())
        .unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case(FORM) {
        return Err(Unacceptable::MediaType.into());
    }
    let body = intake::read_most(body, MAX_FORM_BYTES, live.body_timeout).await?;
    exchange.bytes_in = intake::length(&body);
    Ok(Fields::read(&body).unwrap_or_default())
}

/// Writes the record, then gives the page.
async fn settled(ended: Ended, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    let came = Came {
        event: ended.event,
        reason: ended.reason,
        status: ended.page.status().as_u16(),
        code: None,
    };
    exchange.settle(came).await.map_err(Refusal::Unavailable)?;
    Ok(ended.page)
}

const fn ended(event: &'static str, reason: Option<&'static str>, page: Response<Body>) -> Ended {
    Ended {
        event,
        reason,
        page,
    }
}

fn refused(event: &'static str, reason: &'static str, (status, why): (u16, &'static str)) -> Ended {
    ended(event, Some(reason), told(status, "Not done", why))
}

/// What was not kept did not happen.
fn unkept(error: &Failed) -> Refusal {
    tracing::error!(%error, "what users have agreed to cannot be read or kept");
    Unavailable::State.into()
}

/// Where users sign in, if it is an identity provider.
fn provider(visit: Visit<'_>) -> Option<&Arc<Relying>> {
    visit.authority.relying.as_ref()
}
