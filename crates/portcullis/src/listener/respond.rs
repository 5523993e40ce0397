//! Answers: built from what was released or refused, never from what was received.

use super::Body;
use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use portcullis_core::authenticate::{
    BadProof, Resource, Scheme, Unauthenticated, challenges, metadata as resource_document,
    step_up_challenges, wanted,
};
use portcullis_core::authorize::Forbidden;
use portcullis_core::catalog::Unapproved;
use portcullis_core::elicit::{Consent, Purpose, QUESTION, Way};
use portcullis_core::inspect::Released;
use portcullis_core::protocol::{Id, Malformed, Revision};
use portcullis_core::refusal::{Refusal, Unacceptable, Unanswered};
use serde_json::{Value, json};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// One message that was released.
pub(crate) fn message(status: u16, released: Released, session: Option<&str>) -> Response<Body> {
    let mut response = Response::new(Body::whole(released.into_bytes()));
    set_status(&mut response, status);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    set_session(&mut response, session);
    response
}

/// A status without a body.
pub(crate) fn plain(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    set_status(&mut response, status);
    response
}

/// A stream whose events are released one by one.
pub(crate) fn events(body: Body, session: Option<&str>) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENTS);
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    set_session(&mut response, session);
    response
}

/// Our public keys (RFC 7517 section 5), to be kept for a few minutes.
pub(crate) fn jwks(keys: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::whole(keys));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/jwk-set+json");
    headers.insert(header::CONTENT_TYPE, kind);
    let kept = HeaderValue::from_static("public, max-age=300");
    headers.insert(header::CACHE_CONTROL, kept);
    response
}

/// The metadata of a protected resource (RFC 9728).
pub(crate) fn metadata(resource: &Resource) -> Response<Body> {
    let mut response = Response::new(Body::whole(resource_document(resource).to_string().into()));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=300"),
    );
    response
}

/// Why a security event was not taken (RFC 8935 section 2.3); the description is a fixed text.
pub(crate) fn unheard(status: u16, code: &str, description: &str) -> Response<Body> {
    let told = json!({ "err": code, "description": description });
    let mut response = Response::new(Body::whole(told.to_string().into()));
    set_status(&mut response, status);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    if status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// What a client of the authorization server is answered; kept by nobody (RFC 6749 section 5.1).
pub(crate) fn oauth(status: u16, told: &Value) -> Response<Body> {
    let mut response = Response::new(Body::whole(told.to_string().into()));
    set_status(&mut response, status);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// What a directory is answered (RFC 7644 section 3.1).
pub(crate) fn scim(status: u16, document: &Value) -> Response<Body> {
    let mut response = Response::new(Body::whole(document.to_string().into()));
    set_status(&mut response, status);
    let kind = HeaderValue::from_static("application/scim+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The answer to a CORS preflight of an allowed origin.
pub(crate) fn preflight() -> Response<Body> {
    let mut response = plain(204);
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, DELETE"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "authorization, dpop, content-type, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name, last-event-id, traceparent",
        ),
    );
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    response
}

/// What a refusal's answer is built from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    pub(crate) refusal: &'a Refusal,
    /// The request's id, where it is known.
    pub(crate) id: Option<&'a Id>,
    pub(crate) is_stateless: bool,
    /// The resource that was asked for, where there is one, and how the token for it was presented.
    pub(crate) resource: Option<(&'a Resource, Scheme)>,
    /// The trace id, for whoever has to ask the operator.
    pub(crate) trace: &'a str,
}

/// A refusal: status, challenge, and a JSON-RPC error under the request's id.
pub(crate) fn refuse(refused: Refused<'_>) -> Response<Body> {
    let public = refused.refusal.public(refused.is_stateless);
    let mut response = Response::new(Body::whole(error(refused)));
    set_status(&mut response, public.status);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    advise(&mut response, refused.refusal, refused.resource);
    response
}

/// What HTTP tells the client to do about a refusal: which token to get, how long to wait, what else to send.
pub(crate) fn advise(
    response: &mut Response<Body>,
    refusal: &Refusal,
    resource: Option<(&Resource, Scheme)>,
) {
    let headers = response.headers_mut();
    if let Some((resource, scheme)) = resource {
        for text in challenges_for(refusal, resource, scheme) {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.append(header::WWW_AUTHENTICATE, value);
            }
        }
    }
    if let Some(wait) = refusal.public(false).retry_after {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if matches!(refusal, Refusal::Unacceptable(Unacceptable::Method)) {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
    }
}

/// The JSON-RPC error of a refusal; an unknown id is left out (JSON-RPC errors of MCP, `id` is optional).
pub(crate) fn error(refused: Refused<'_>) -> Bytes {
    let public = refused.refusal.public(refused.is_stateless);
    if let Refusal::Unanswered(Unanswered::Consent(consent)) = refused.refusal
        && consent.way == Way::AskedBack
        && let Some(id) = refused.id
    {
        return asks_back(consent, id);
    }
    let mut error = json!({ "code": public.code, "message": public.message });
    let data = match refused.refusal {
        Refusal::Malformed(Malformed::Version {
            requested,
            is_stateless,
            ..
        }) => {
            let same_way = |revision: &&Revision| revision.is_stateless() == *is_stateless;
            let supported: Vec<&str> = Revision::ALL
                .iter()
                .filter(same_way)
                .map(|one| one.name())
                .collect();
            json!({ "supported": supported, "requested": requested })
        }
        Refusal::Unanswered(Unanswered::Consent(consent)) => {
            let (message, data) = consent_needed(consent, refused.trace);
            error = json!({ "code": public.code, "message": message });
            data
        }
        Refusal::Unfit(why) => json!({
            "correlationId": refused.trace, "pointer": why.place(), "keyword": why.keyword(),
        }),
        Refusal::Unacceptable(_)
        | Refusal::Unauthenticated(_)
        | Refusal::NoSession(_)
        | Refusal::NoTask(_)
        | Refusal::Unapproved(_)
        | Refusal::Malformed(_)
        | Refusal::Exhausted(_)
        | Refusal::Forbidden(_)
        | Refusal::Unanswered(_)
        | Refusal::BadAnswer(_)
        | Refusal::Unavailable(_) => json!({ "correlationId": refused.trace }),
    };
    if let Some(error) = error.as_object_mut() {
        error.insert("data".to_owned(), data);
    }
    let id = refused
        .id
        .or(refused.refusal.id())
        .map(|id| format!(r#","id":{}"#, id.json()))
        .unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0"{id},"error":{error}}}"#).into()
}

/// Where to agree: for programs that open URLs (`URLElicitationRequiredError`, 2025-11-25), and for people.
fn consent_needed(consent: &Consent, trace: &str) -> (String, Value) {
    let (text, url) = (words(consent), consent.url.expose());
    let message = format!("{text}: open {url}");
    let asked =
        json!([{ "mode": "url", "elicitationId": consent.id(), "url": url, "message": text }]);
    let data = match consent.way {
        Way::Elicited => json!({ "correlationId": trace, "url": url, "elicitations": asked }),
        Way::Told | Way::AskedBack => json!({ "correlationId": trace, "url": url }),
    };
    (message, data)
}

/// What it is about. The name of a tool is the caller's own word for it.
fn words(consent: &Consent) -> String {
    let server = &consent.server;
    match &consent.purpose {
        Purpose::SignIn => format!("server {server} needs your consent"),
        Purpose::StepUp { .. } => format!("server {server} needs you to sign in anew for this"),
        Purpose::Approval { needed } => format!(
            "this call of {:?} at server {server} needs your approval",
            needed.tool()
        ),
        Purpose::Definition { why, kind, name } => {
            let why = match why {
                Unapproved::New | Unapproved::Removed => "is not approved yet",
                Unapproved::Changed => "has changed since it was approved",
            };
            format!("the {kind} {name:?} of server {server} {why}: look at it and decide")
        }
        Purpose::SecondPerson { needed } => format!(
            "this call of {:?} at server {server} needs somebody else's approval; pass the link on to one who may",
            needed.tool()
        ),
    }
}

/// The result that asks a stateless client's user to open a page (2026-07-28 basic/patterns/mrtr).
fn asks_back(consent: &Consent, id: &Id) -> Bytes {
    let params = json!({ "mode": "url", "url": consent.url.expose(), "message": words(consent) });
    let mut questions = serde_json::Map::new();
    let question = json!({ "method": "elicitation/create", "params": params });
    questions.insert(QUESTION.to_owned(), question);
    let result = json!({ "resultType": "input_required", "inputRequests": questions });
    format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#,
        id.json()
    )
    .into()
}

/// A JSON document that is public.
pub(crate) fn document(text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::whole(text.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    let kept = HeaderValue::from_static("max-age=300");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response
}

fn challenges_for(refusal: &Refusal, resource: &Resource, scheme: Scheme) -> Vec<String> {
    match refusal {
        Refusal::Unauthenticated(Unauthenticated::Proof(BadProof::Full)) => Vec::new(),
        Refusal::Unauthenticated(why) => {
            challenges(resource, scheme, why.error(scheme), &resource.scopes)
        }
        Refusal::Forbidden(Forbidden::Scope { required, held }) => {
            let scopes = wanted(resource, required, held);
            challenges(resource, scheme, Some("insufficient_scope"), &scopes)
        }
        Refusal::Forbidden(Forbidden::StepUp { detail, .. }) => {
            let required = (&*detail.required.classes, detail.required.max_age);
            let scopes = wanted(resource, &detail.scopes, &detail.held);
            step_up_challenges(resource, scheme, required, &scopes)
        }
        Refusal::Unacceptable(_)
        | Refusal::NoSession(_)
        | Refusal::NoTask(_)
        | Refusal::Unapproved(_)
        | Refusal::Unfit(_)
        | Refusal::Malformed(_)
        | Refusal::Exhausted(_)
        | Refusal::Forbidden(_)
        | Refusal::Unanswered(_)
        | Refusal::BadAnswer(_)
        | Refusal::Unavailable(_) => Vec::new(),
    }
}

/// The nonce for the client's next proof (RFC 9449 section 8.2).
pub(crate) fn set_nonce(response: &mut Response<Body>, nonce: &str) {
    if let Ok(nonce) = HeaderValue::from_str(nonce) {
        response.headers_mut().insert("dpop-nonce", nonce);
    }
}

fn set_status(response: &mut Response<Body>, status: u16) {
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
}

fn set_session(response: &mut Response<Body>, session: Option<&str>) {
    if let Some(session) = session.and_then(|session| HeaderValue::from_str(session).ok()) {
        response.headers_mut().insert("mcp-session-id", session);
    }
}
