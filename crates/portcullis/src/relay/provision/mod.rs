//! Users of whom an issuer's directory tells (SCIM 2.0, RFC 7644): read in the core, kept with what they revoke.

mod rows;

use super::hear::is_agreed;
use super::{Gateway, Live, intake};
use crate::listener::{Body, advise, plain, scim, trace};
use crate::record::{Came, Exchange};
use crate::secrets::Lease;
use crate::{clock, random};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use portcullis_core::quota::{Networks, Rate};
use portcullis_core::refusal::{Refusal, Unacceptable, Unavailable};
use portcullis_core::scim::{
    self as directory, Asked, Attribute, MAX_BODY_BYTES, Problem, Search, Step, User,
};
use portcullis_core::secret::Secret;
use portcullis_state::{Failed, Provision, Sought};
use rows::{Meaning, take_down};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// What one network may ask for with the secret: a first synchronisation is many requests.
const RATE: Rate = Rate {
    per_minute: 6000,
    burst: 500,
};
/// And how often it may try one that is wrong.
const GUESSES: Rate = Rate {
    per_minute: 60,
    burst: 20,
};

/// What networks have asked for; apart, so that guesses take nothing from the directory.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    known: Networks,
    guesses: Networks,
}

/// The directory of one issuer.
#[derive(Debug)]
pub(crate) struct Directory {
    /// The issuer of its users' tokens.
    pub(crate) issuer: String,
    /// The URL of its service here.
    pub(crate) base: String,
    /// What it sends.
    pub(crate) bearer: Secret<String>,
    /// What holds while that is believed.
    pub(crate) lease: Lease,
    /// The attribute that tokens name.
    pub(crate) by: Attribute,
    /// The claim in which they do, if not that of the subject.
    pub(crate) claim: Option<String>,
}

/// Why a request changes nothing.
enum Dismissed {
    Refused(Refusal),
    Problem(Problem),
}

/// What a request has come to.
struct Told {
    event: &'static str,
    status: u16,
    document: Option<Value>,
    location: Option<String>,
}

impl From<Refusal> for Dismissed {
    fn from(refusal: Refusal) -> Self {
        if refusal == Refusal::Unacceptable(Unacceptable::TooLarge) {
            return Self::Problem(Problem::TooLarge);
        }
        Self::Refused(refusal)
    }
}

impl From<Unavailable> for Dismissed {
    fn from(why: Unavailable) -> Self {
        Self::Refused(why.into())
    }
}

impl From<Problem> for Dismissed {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Gateway {
    /// Takes what a directory tells, or says why not. Whatever comes is recorded.
    pub(super) async fn provision(
        &self,
        live: &Live,
        (parts, body): (&Parts, Incoming),
        ((name, resource), peer): ((&str, &str), SocketAddr),
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Refusal> {
        exchange.trace = trace(&parts.headers)?.id;
        let directory = live.directories.get(name).ok_or(Unacceptable::Path)?;
        exchange.fact("issuer", &directory.issuer);
        let asked = (parts, body, resource);
        let read = self.read((live, directory), asked, peer, exchange).await;
        let told = match read {
            Ok(asked) => self.tell(directory, asked, exchange).await,
            Err(why) => Err(why),
        };
        match told {
            Ok(told) => {
                let came = Came {
                    event: told.event,
                    reason: None,
                    status: told.status,
                    code: None,
                };
                exchange.settle(came).await.map_err(Refusal::Unavailable)?;
                Ok(answer(told))
            }
            Err(Dismissed::Problem(problem)) => {
                let came = Came {
                    event: "scim.rejected",
                    reason: Some(problem.reason()),
                    status: problem.status(),
                    code: None,
                };
                exchange.settle(came).await.map_err(Refusal::Unavailable)?;
                Ok(refused(problem))
            }
            Err(Dismissed::Refused(refusal)) => {
                self.counters.refused(&refusal);
                let recorded = exchange.refuse(&refusal, false).await;
                recorded.map_err(Refusal::Unavailable)?;
                Ok(unserved(&refusal))
            }
        }
    }

    async fn read(
        &self,
        (live, directory): (&Live, &Directory),
        (parts, body, resource): (&Parts, Incoming, &str),
        peer: SocketAddr,
        exchange: &mut Exchange,
    ) -> Result<Asked, Dismissed> {
        let (rates, now) = (&self.directories, clock::now());
        if !directory.lease.holds() {
            return Err(Refusal::from(Unavailable::Secret).into());
        }
        if !is_agreed(&parts.headers, Some(&directory.bearer)) {
            let taken = rates.guesses.take(peer.ip(), GUESSES, now);
            taken.map_err(Refusal::from)?;
            return Err(Problem::Bearer.into());
        }
        exchange.vouch();
        let taken = rates.known.take(peer.ip(), RATE, now);
        taken.map_err(Refusal::from)?;
        let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method);
        if has_body && !is_json(&parts.headers) {
            return Err(Problem::Media.into());
        }
        let body = intake::read_most(body, MAX_BODY_BYTES, live.body_timeout).await?;
        exchange.bytes_in = intake::length(&body);
        Ok(directory::read(&directory::Request {
            method: parts.method.as_str(),
            path: resource,
            query: parts.uri.query(),
            body: &body,
        })?)
    }

    async fn tell(
        &self,
        directory: &Directory,
        asked: Asked,
        exchange: &mut Exchange,
    ) -> Result<Told, Dismissed> {
        match asked {
            Asked::Document(document) => Ok(Told::read(document.json(&directory.base))),
            Asked::Search(search) => self.find(directory, search, exchange).await,
            Asked::Step(step) => self.change(directory, step, exchange).await,
        }
    }

    async fn find(
        &self,
        directory: &Directory,
        search: Search,
        exchange: &mut Exchange,
    ) -> Result<Told, Dismissed> {
        let (is_one, skipped) = match &search {
            Search::One(_) => (true, 0),
            Search::Where(..) => (false, 0),
            Search::All(skipped, _) => (false, *skipped),
        };
        let found = self.revocations.users(directory.issuer.clone(), search);
        let page = found.await.map_err(|error| not_kept(&error, exchange))?;
        if !is_one {
            let place = (page.total, skipped);
            let listed = directory::listed(&page.users, place, &directory.base);
            return Ok(Told::read(listed));
        }
        let user = page.users.first().ok_or(Problem::Unknown)?;
        Ok(Told::read(directory::found(user, &directory.base)))
    }

    async fn change(
        &self,
        directory: &Directory,
        step: Step,
        exchange: &mut Exchange,
    ) -> Result<Told, Dismissed> {
        let is_new = step.id().is_none();
        let id = match step.id() {
            Some(id) => id.to_owned(),
            None => new_id()?,
        };
        exchange.fact("user", &id);
        let sought = Sought {
            issuer: directory.issuer.clone(),
            id: id.clone(),
            unique: directory.by,
        };
        let (now, by) = (clock::now(), directory.by);
        let means = Meaning::of(directory, now, &exchange.trace);
        let decide = move |before: Option<User>| {
            let applied = step.apply(before, &id, by)?;
            let changes = means.changes(&applied.effects);
            Ok(Provision {
                user: applied.user,
                changes,
            })
        };
        let provisioned = self.revocations.provision(sought, now, decide).await;
        let done = provisioned.map_err(|error| not_kept(&error, exchange))??;
        let event = take_down(&done.changes, exchange);
        let document = done.user.as_ref();
        let document = document.map(|user| directory::found(user, &directory.base));
        let user = done.user.as_ref().filter(|_| is_new);
        let location = user.map(|user| format!("{}/Users/{}", directory.base, user.id));
        Ok(Told {
            event,
            status: match (&document, is_new) {
                (None, _) => 204,
                (Some(_), true) => 201,
                (Some(_), false) => 200,
            },
            location,
            document,
        })
    }
}

impl Told {
    fn read(document: Value) -> Self {
        Self {
            event: "scim.read",
            status: 200,
            document: Some(document),
            location: None,
        }
    }
}

fn not_kept(error: &Failed, exchange: &mut Exchange) -> Dismissed {
    tracing::error!(%error, "what a directory told was not kept");
    exchange.fact("error", &error.to_string());
    match error {
        Failed::Full | Failed::TooMany | Failed::ManyOpen => Problem::Full.into(),
        Failed::Unfit => Problem::Value.into(),
        Failed::Lost(_) | Failed::Database(_) | Failed::Unsigned | Failed::Interrupted => {
            Unavailable::State.into()
        }
    }
}

fn new_id() -> Result<String, Unavailable> {
    let bytes: [u8; 16] = random::bytes()?;
    let id = bytes.iter().fold(String::new(), |mut id, byte| {
        // INVARIANT: writing to a text never fails.
        let _written = write!(id, "{byte:02x}");
        id
    });
    Ok(id)
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = media.and_then(|media| media.split(';').next());
    essence.is_some_and(|essence| {
        let is = |kind: &str| essence.trim().eq_ignore_ascii_case(kind);
        is("application/scim+json") || is("application/json")
    })
}

fn answer(told: Told) -> Response<Body> {
    let Some(document) = told.document else {
        return plain(told.status);
    };
    let mut response = scim(told.status, &document);
    let location = told
        .location
        .and_then(|url| HeaderValue::from_str(&url).ok());
    if let Some(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn refused(problem: Problem) -> Response<Body> {
    let mut response = scim(problem.status(), &directory::problem(problem));
    let headers = response.headers_mut();
    if problem == Problem::Bearer {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if problem == Problem::Method {
        let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
        headers.insert(ALLOW, methods);
    }
    response
}

/// A refusal that is not about what was asked: too much, or not now.
fn unserved(refusal: &Refusal) -> Response<Body> {
    let public = refusal.public(false);
    let document = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": public.status.to_string(),
        "detail": public.message,
    });
    let mut response = scim(public.status, &document);
    advise(&mut response, refusal, None);
    response
}
