//! The operators' listener: health, readiness and metrics; always on loopback.

use super::Body;
use crate::record::note_stranger;
use crate::relay::Gateway;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use portcullis_core::refusal::Refusal;
use std::net::SocketAddr;

/// Answers one request of an operator's.
pub(crate) fn answer(
    gateway: &Gateway,
    request: &Request<Incoming>,
    peer: SocketAddr,
) -> Response<Body> {
    let live = gateway.live.load();
    if let Err(why) = live.admin_edge.check(request.uri(), request.headers()) {
        let why = ("admin.rejected", Refusal::from(why).event().1);
        note_stranger(&gateway.recorder, &gateway.floods, why, peer);
        return text(
            StatusCode::FORBIDDEN,
            "host or origin not allowed\n".to_owned(),
        );
    }
    if request.headers().contains_key(AUTHORIZATION) {
        // Nobody is asked who they are here, and a client's token has no business on this listener.
        let why = ("admin.rejected", "credentials");
        note_stranger(&gateway.recorder, &gateway.floods, why, peer);
        return text(
            StatusCode::FORBIDDEN,
            "credentials are not taken here\n".to_owned(),
        );
    }
    if request.method() != Method::GET {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "method not allowed\n".to_owned(),
        );
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => readiness(gateway),
        "/metrics" => {
            let mut response = text(StatusCode::OK, gateway.counters.text());
            let kind = HeaderValue::from_static(
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            );
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    }
}

fn readiness(gateway: &Gateway) -> Response<Body> {
    let faults = faults(gateway);
    if faults.is_empty() {
        return text(StatusCode::OK, "ready\n".to_owned());
    }
    text(StatusCode::SERVICE_UNAVAILABLE, faults.concat())
}

/// Why the gateway is not ready, a line each.
pub(crate) fn faults(gateway: &Gateway) -> Vec<&'static str> {
    [
        (
            !gateway.recorder.is_healthy(),
            "the audit log takes no records\n",
        ),
        (
            gateway.recorder.is_unsigned(),
            "the key of the audit log does not sign\n",
        ),
        (
            !gateway.issuers.is_ready(),
            "the keys of an issuer are missing\n",
        ),
        (
            gateway.revocations.known().is_err(),
            "the database of revocations cannot be read\n",
        ),
        (gateway.drain.is_cancelled(), "draining\n"),
    ]
    .into_iter()
    .filter_map(|(is_so, fault)| is_so.then_some(fault))
    .collect()
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::whole(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
