//! What operators are answered: JSON, and problem details (RFC 9457) where something is not done.

use super::{Came, Refusal, Resource, Scheme};
use crate::listener::Body;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use portcullis_core::authenticate::challenges;
use portcullis_core::operate::NoMandate;
use portcullis_core::refusal::{Unacceptable, Unavailable};
use portcullis_state::Failed;
use serde_json::{Value, json};

/// What was done.
pub(super) enum Answer {
    /// With this status and document.
    Done(u16, Value),
    /// What is public.
    Public(Response<Body>),
}

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// By the edge, by who asks, or by how much.
    Refused(Refusal),
    /// By what the caller may.
    NoMandate(NoMandate),
    NoPath,
    NoMethod(Vec<&'static str>),
    /// There is nothing of that name, or nothing that the caller may know of.
    NotFound(&'static str),
    /// The request cannot be read.
    Unreadable(String),
    /// It is not as the request takes it to be.
    Conflict(String),
    /// By a rule about who decides, whose own record says more.
    Objection(String),
    /// Something that is needed does not answer.
    Failed(String),
    Unavailable,
}

impl From<Failed> for Trouble {
    fn from(error: Failed) -> Self {
        if matches!(error, Failed::Unfit) {
            return Self::Unreadable("a name or a reason is too long or missing".to_owned());
        }
        if matches!(error, Failed::ManyOpen) {
            return Self::Conflict(error.to_string());
        }
        Self::Failed(error.to_string())
    }
}

impl Answer {
    pub(super) const fn ok(document: Value) -> Self {
        Self::Done(200, document)
    }

    pub(super) const fn came(&self) -> Came {
        let (event, status) = match self {
            Self::Done(status, _) => ("admin.done", *status),
            Self::Public(_) => ("metadata.served", 200),
        };
        Came {
            event,
            reason: None,
            status,
            code: None,
        }
    }

    pub(super) fn response(self) -> Response<Body> {
        match self {
            Self::Done(status, document) => written(status, "application/json", &document),
            Self::Public(response) => response,
        }
    }
}

impl Trouble {
    fn status(&self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.public(true).status,
            Self::NoMandate(_) | Self::Objection(_) => 403,
            Self::NoPath | Self::NotFound(_) => 404,
            Self::NoMethod(_) => 405,
            Self::Unreadable(_) => 400,
            Self::Conflict(_) => 409,
            Self::Failed(_) => 500,
            Self::Unavailable => 503,
        }
    }

    /// The record of it. What was permitted has failed; what was not, was refused.
    pub(super) fn came(&self, is_decided: bool) -> Came {
        let (event, reason) = match self {
            Self::Refused(refusal @ Refusal::Exhausted(_)) => refusal.event(),
            Self::Refused(refusal) => ("admin.rejected", refusal.event().1),
            Self::NoMandate(why) => ("admin.denied", why.reason()),
            Self::Objection(_) => ("admin.denied", "second_person"),
            Self::NoPath => ("admin.rejected", "path"),
            Self::NoMethod(_) => ("admin.rejected", "method"),
            Self::NotFound(_) => ("admin.failed", "not_found"),
            Self::Unreadable(_) if !is_decided => ("admin.rejected", "broken"),
            Self::Unreadable(_) => ("admin.failed", "unreadable"),
            Self::Conflict(_) => ("admin.failed", "conflict"),
            Self::Failed(_) | Self::Unavailable => ("admin.failed", "unavailable"),
        };
        Came {
            event,
            reason: Some(reason),
            status: self.status(),
            code: None,
        }
    }

    /// A fixed title, and what helps whoever is known.
    fn words(&self) -> (&'static str, Option<String>) {
        match self {
            Self::Refused(refusal) => (refusal.public(true).message, None),
            Self::NoMandate(why) => ("not permitted", Some(why.to_string())),
            Self::Objection(why) => ("not permitted", Some(why.clone())),
            Self::NoPath => ("not found", None),
            Self::NoMethod(_) => ("method not allowed", None),
            Self::NotFound(what) => ("not found", Some((*what).to_owned())),
            Self::Unreadable(why) => ("the request cannot be read", Some(why.clone())),
            Self::Conflict(why) => ("not as things are", Some(why.clone())),
            Self::Failed(why) => ("not done", Some(why.clone())),
            Self::Unavailable => ("temporarily unavailable", None),
        }
    }

    pub(super) fn response(&self, trace: &str) -> Response<Body> {
        let (title, detail) = self.words();
        let mut problem = json!({ "type": "about:blank", "title": title, "status": self.status() });
        if let Some(problem) = problem.as_object_mut() {
            problem.extend(detail.map(|detail| ("detail".to_owned(), json!(detail))));
            if !trace.is_empty() {
                problem.insert("correlationId".to_owned(), json!(trace));
            }
        }
        let mut response = written(self.status(), "application/problem+json", &problem);
        let headers = response.headers_mut();
        if let Self::NoMethod(allowed) = self
            && let Ok(allowed) = HeaderValue::from_str(&allowed.join(", "))
        {
            headers.insert(ALLOW, allowed);
        }
        if let Self::Refused(refusal) = self
            && let Some(after) = refusal.public(true).retry_after
        {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }

    /// Says how to come back (RFC 6750 section 3).
    pub(super) fn challenge(
        &self,
        response: &mut Response<Body>,
        (resource, scheme): (&Resource, Scheme),
    ) {
        let error = if let Self::Refused(Refusal::Unauthenticated(why)) = self {
            why.error(scheme)
        } else if let Self::NoMandate(NoMandate::Scope) = self {
            Some("insufficient_scope")
        } else {
            return;
        };
        for challenge in challenges(resource, scheme, error, &resource.scopes) {
            if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                response.headers_mut().append(WWW_AUTHENTICATE, challenge);
            }
        }
    }
}

impl From<Unavailable> for Trouble {
    fn from(why: Unavailable) -> Self {
        Self::Refused(why.into())
    }
}

impl From<Unacceptable> for Trouble {
    fn from(why: Unacceptable) -> Self {
        Self::Refused(why.into())
    }
}

fn written(status: u16, kind: &'static str, document: &Value) -> Response<Body> {
    let mut response = Response::new(Body::whole(document.to_string().into()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
