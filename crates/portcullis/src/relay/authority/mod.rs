//! The endpoints of the authorization server that clients see.

mod authorize;
mod clients;
mod device;
mod direct;
mod families;
mod register;
mod token;
mod tell;

use super::place::AuthorityPage;
use super::{Gateway, Live, intake};
use crate::authority::Authority;
use crate::clock;
use crate::listener::{Body, document, jwks, oauth, preflight, set_nonce, trace};
use crate::record::{Came, Exchange};
use crate::sign_in::{failed, moved};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use portcullis_authority::Form;
use portcullis_authority::request::Terms;
use portcullis_core::authenticate::{BadProof, Proved, Resource, Thumbprint, prove};
use portcullis_core::quota::Rate;
use portcullis_core::refusal::{Refusal, Unacceptable};
use serde_json::json;
use std::net::SocketAddr;

/// What one network may ask of all endpoints.
const RATE: Rate = Rate {
    per_minute: 3000,
    burst: 3000,
};
/// The largest form, in bytes; the parser has a bound of its own.
const MAX_BYTES: usize = 64 * 1024;
const PROOF: HeaderName = HeaderName::from_static("dpop");

/// What an endpoint comes to, for its record.
struct Ended {
    event: &'static str,
    reason: Option<&'static str>,
    response: Response<Body>,
}

/// A request, and from where it comes.
struct Asking<'a> {
    parts: &'a Parts,
    body: Incoming,
    peer: SocketAddr,
}

impl Gateway {
    pub(super) async fn authority(
        &self,
        live: &Live,
        (parts, body): (&Parts, Incoming),
        (page, peer): (AuthorityPage<'_>, SocketAddr),
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Refusal> {
        let authority = live.authority.as_deref().ok_or(Unacceptable::Path)?;
        exchange.trace = trace(&parts.headers)?.id;
        let ended = if parts.method == Method::OPTIONS {
            ended("http.preflight", None, preflight())
        } else {
            let rated = self.authority.asked.take(peer.ip(), RATE, clock::now());
            rated.map_err(Refusal::from)?;
            let asking = Asking { parts, body, peer };
            self.ask(live, authority, (asking, page), exchange).await?
        };
        let came = Came {
            event: ended.event,
            reason: ended.reason,
            status: ended.response.status().as_u16(),
            code: None,
        };
        exchange.settle(came).await.map_err(Refusal::Unavailable)?;
        Ok(ended.response)
    }

    async fn ask(
        &self,
        live: &Live,
        authority: &Authority,
        (asking, page): (Asking<'_>, AuthorityPage<'_>),
        exchange: &mut Exchange,
    ) -> Result<Ended, Refusal> {
        let parts = asking.parts;
        match page {
            AuthorityPage::Metadata => {
                expect(parts, &Method::GET)?;
                let response = document(authority.document.clone());
                Ok(ended("metadata.served", None, response))
            }
            AuthorityPage::Keys => {
                expect(parts, &Method::GET)?;
                let response = jwks(authority.signer.document());
                Ok(ended("metadata.served", None, response))
            }
            AuthorityPage::Authorize => self.authorize(live, authority, asking, exchange).await,
            AuthorityPage::Push => self.push(live, authority, asking, exchange).await,
            AuthorityPage::Device => self.device(live, authority, asking, exchange).await,
            AuthorityPage::Token => Box::pin(self.token(live, authority, asking, exchange)).await,
            AuthorityPage::Revoke => self.give_back(live, authority, asking, exchange).await,
            AuthorityPage::Introspect => self.look_into(live, authority, asking, exchange).await,
            AuthorityPage::Register(id) => {
                self.register(live, authority, (asking, id), exchange).await
            }
        }
    }

    /// The key that the sender has proven, if it has sent a proof (RFC 9449 section 5). A bad one is recorded as `event`.
    fn proven(
        &self,
        parts: &Parts,
        authority: &Authority,
        event: &'static str,
    ) -> Result<Option<Thumbprint>, Box<Ended>> {
        let mut proofs = parts.headers.get_all(PROOF).iter();
        let proof = match (proofs.next(), proofs.next()) {
            (None, _) => return Ok(None),
            (Some(proof), None) => proof,
            (Some(_), Some(_)) => return Err(unproven(BadProof::Duplicate, event)),
        };
        let proved = Proved {
            proof: proof.as_bytes(),
            method: parts.method.as_str(),
            url: &authority.at(parts.uri.path()),
        };
        let (proofs, now) = (&self.authority.proofs, clock::now());
        let key = prove(&proved, (proofs, now));
        key.map(Some).map_err(|why| {
            let mut told = unproven(why, event);
            if let (BadProof::Nonce, Some(nonce)) = (why, proofs.nonce(now)) {
                set_nonce(&mut told.response, &nonce);
            }
            told
        })
    }
}

fn unproven(why: BadProof, event: &'static str) -> Box<Ended> {
    let code = if why == BadProof::Nonce {
        "use_dpop_nonce"
    } else {
        "invalid_dpop_proof"
    };
    let told = error(400, code, &why.to_string());
    ended(event, Some(why.reason()), told).into()
}

/// Reads the form of a `POST`.
async fn form(
    live: &Live,
    parts: &Parts,
    body: Incoming,
    exchange: &mut Exchange,
) -> Result<Result<Form, Ended>, Refusal> {
    expect(parts, &Method::POST)?;
    let media = parts.headers.get(CONTENT_TYPE);
    let media = media.and_then(|value| value.to_str().ok());
    let kind = media.and_then(|text| text.split(';').next());
    let is_form = kind.is_some_and(|kind| {
        kind.trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if !is_form {
        return Err(Unacceptable::MediaType.into());
    }
    let body: Bytes = intake::read_most(body, MAX_BYTES, live.body_timeout).await?;
    exchange.bytes_in = intake::length(&body);
    Ok(Form::read(&body).map_err(|why| {
        let told = error(400, "invalid_request", &why.to_string());
        ended("oauth.request_refused", Some(why.reason()), told)
    }))
}

fn expect(parts: &Parts, method: &Method) -> Result<(), Refusal> {
    if parts.method == *method {
        return Ok(());
    }
    Err(Unacceptable::Method.into())
}

const fn ended(
    event: &'static str,
    reason: Option<&'static str>,
    response: Response<Body>,
) -> Ended {
    Ended {
        event,
        reason,
        response,
    }
}

/// Told to a client (RFC 6749 section 5.2); `why` is a text of ours.
fn error(status: u16, code: &str, why: &str) -> Response<Body> {
    oauth(status, &json!({ "error": code, "error_description": why }))
}

/// Told to the user, since nobody else is known: no redirect.
fn page(event: &'static str, reason: &'static str, why: &'static str) -> Ended {
    ended(event, Some(reason), failed(400, why))
}

/// Told to the client by way of the browser.
fn back(event: &'static str, reason: &'static str, location: &str) -> Ended {
    ended(event, Some(reason), moved(location))
}

/// The servers for which there may be tokens.
fn resources(live: &Live) -> Vec<&Resource> {
    let servers = live.rules.servers.values();
    servers.map(|server| &server.gate.resource).collect()
}

/// What requests are held against.
fn terms<'a>(authority: &'a Authority, resources: &'a [&'a Resource]) -> Terms<'a> {
    Terms {
        issuer: &authority.issuer,
        redirects: &authority.redirects,
        resources,
    }
}
