//! The pages by which a principal lets the gateway use a server in its name.

use super::{Gateway, Live};
use crate::listener::{Body, document, trace};
use crate::record::{Came, Exchange};
use crate::sign_in::{
    Browser, Link, NoSignIn, SignIn, SignIns, connected, cookie_name, failed, invitation, moved,
    set_cookie,
};
use hyper::header::COOKIE;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use portcullis_core::refusal::{Refusal, Unacceptable, Unavailable};
use portcullis_core::sign_in::{Callback, client_document};
use std::sync::Arc;

/// What a page comes to, for its record.
struct Ended {
    event: &'static str,
    reason: Option<&'static str>,
    page: Response<Body>,
}

const STALE: &str =
    "This link is too old, or was used already. Ask your client again to get another one.";
const ELSEWHERE: &str =
    "This was begun in another browser. Ask your client again to get another link.";

impl Gateway {
    /// `rest` is what follows `/connect/` in the path.
    pub(super) async fn connect(
        &self,
        live: &Live,
        parts: &Parts,
        rest: &str,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Refusal> {
        exchange.trace = trace(&parts.headers)?.id;
        let first = live.sign_ins.values().next().ok_or(Unacceptable::Path)?;
        if parts.method != Method::GET {
            return Err(Unacceptable::Method.into());
        }
        let ended = match rest {
            "client.json" => {
                let url = first.document_url().ok_or(Unacceptable::Path)?;
                let page = document(client_document(&url, &first.redirect()));
                ended("metadata.served", None, page)
            }
            "callback" => self.called_back(live, parts, exchange).await,
            text => match text.strip_suffix("/go") {
                Some(text) => self.go(live, parts, text, exchange).await,
                None => self.opened(live, parts, text, exchange)?,
            },
        };
        let came = Came {
            event: ended.event,
            reason: ended.reason,
            status: ended.page.status().as_u16(),
            code: None,
        };
        exchange.settle(came).await.map_err(Refusal::Unavailable)?;
        Ok(ended.page)
    }

    /// The user goes on: off to the authorization server.
    async fn go(&self, live: &Live, parts: &Parts, text: &str, exchange: &mut Exchange) -> Ended {
        let Some((sign_in, link)) = self.found(live, text) else {
            return refused("link", 404, STALE);
        };
        known(&link, exchange);
        let browser = cookie(parts, sign_in);
        let Some(browser) = browser else {
            return refused("browser", 403, ELSEWHERE);
        };
        if self.admits(&link.principal).is_err() {
            return refused("revoked", 403, STALE);
        }
        match sign_in.begin(link, &Browser::of(browser)).await {
            Ok(url) => ended("oauth.started", None, moved(&url)),
            Err(NoSignIn::Link) => refused("browser", 403, ELSEWHERE),
            Err(error) => unsuccessful(&error, exchange),
        }
    }

    /// The browser comes back.
    async fn called_back(&self, live: &Live, parts: &Parts, exchange: &mut Exchange) -> Ended {
        let callback = Callback::read(parts.uri.query().unwrap_or_default());
        let state = callback.state.as_deref();
        let flow = state.and_then(|state| self.sign_ins.flow(state));
        let Some(flow) = flow else {
            return refused("state", 400, STALE);
        };
        known(&flow.link, exchange);
        let Some(sign_in) = live.sign_ins.get(&flow.link.server) else {
            return refused("state", 400, STALE);
        };
        let browser = cookie(parts, sign_in).map(Browser::of);
        if browser.as_ref() != Some(&flow.browser) {
            return refused("browser", 403, ELSEWHERE);
        }
        if self.admits(&flow.link.principal).is_err() {
            return refused("revoked", 403, STALE);
        }
        let (server, principal) = (Arc::clone(&flow.link.server), flow.link.principal.clone());
        let page = flow.link.text.clone();
        match sign_in.finish(flow, callback).await {
            // Access may have ended meanwhile, and its tokens with it.
            Ok(()) if self.admits(&principal).is_err() => {
                let gone = std::slice::from_ref(&principal.key);
                self.sign_ins.dismiss(&live.sign_ins, gone);
                refused("revoked", 403, STALE)
            }
            Ok(()) => {
                self.listening.finished(page.expose());
                ended("oauth.connected", None, connected(&server))
            }
            Err(error) => unsuccessful(&error, exchange),
        }
    }

    /// A link is opened: what it is for, and for whom.
    fn opened(
        &self,
        live: &Live,
        parts: &Parts,
        text: &str,
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let Some((sign_in, link)) = self.found(live, text) else {
            return Ok(refused("link", 404, STALE));
        };
        known(&link, exchange);
        let fresh = SignIns::new_cookie().ok_or(Unavailable::Entropy)?;
        let value = cookie(parts, sign_in).unwrap_or(fresh.expose());
        if !self.sign_ins.open_link(&link, &Browser::of(value)) {
            return Ok(refused("browser", 403, ELSEWHERE));
        }
        let go = sign_in.public.below(&format!("/connect/{text}/go"));
        let host = sign_in.url.authority();
        let mut page = invitation(&link.server, &host, &link.principal, &go);
        set_cookie(&mut page, sign_in.public.is_https(), value);
        Ok(ended("oauth.link_opened", None, page))
    }

    fn found<'a>(&self, live: &'a Live, text: &str) -> Option<(&'a Arc<SignIn>, Link)> {
        let link = self.sign_ins.link(text)?;
        let sign_in = live.sign_ins.get(&link.server)?;
        Some((sign_in, link))
    }
}

/// Whoever has the link was given it by us.
fn known(link: &Link, exchange: &mut Exchange) {
    exchange.vouch();
    exchange.server = Some(Arc::clone(&link.server));
    exchange.fact("for", &link.principal.key);
}

/// What the browser's cookie holds, if it is one of ours.
fn cookie<'a>(parts: &'a Parts, sign_in: &SignIn) -> Option<&'a str> {
    let name = cookie_name(sign_in.public.is_https());
    let all = parts.headers.get_all(COOKIE).iter();
    let texts = all.filter_map(|value| value.to_str().ok());
    let mut values = texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(own, _)| *own == name)
        .map(|(_, value)| value);
    let value = values.next()?;
    let is_ours = value.len() == 43
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (is_ours && values.next().is_none()).then_some(value)
}

const fn ended(event: &'static str, reason: Option<&'static str>, page: Response<Body>) -> Ended {
    Ended {
        event,
        reason,
        page,
    }
}

fn refused(reason: &'static str, status: u16, why: &'static str) -> Ended {
    ended("oauth.refused", Some(reason), failed(status, why))
}

/// The page says nothing of what another party said; the record says why.
fn unsuccessful(error: &NoSignIn, exchange: &mut Exchange) -> Ended {
    tracing::warn!(%error, "no sign-in");
    for (name, fact) in error.facts() {
        exchange.fact(name, &fact);
    }
    let why =
        "The server's sign-in did not succeed. The operator finds the reason in the audit log.";
    ended(error.event(), Some(error.reason()), failed(502, why))
}
