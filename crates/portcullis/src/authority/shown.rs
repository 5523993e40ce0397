//! Pages as answers, and the ways on from them.

use crate::listener::Body;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, REFRESH, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use portcullis_authority::page::{Page, notice};

/// Keeps windows that others have opened from holding on to ours.
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const STILL: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// A page.
pub(crate) fn shown(status: u16, page: Page) -> Response<Body> {
    let mut response = Response::new(Body::whole(page.html.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let policy = HeaderValue::from_str(&page.policy).unwrap_or(STILL);
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(CONTENT_TYPE, html);
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    private(&mut response);
    response
}

/// A page that says one thing.
pub(crate) fn told(status: u16, title: &'static str, text: &'static str) -> Response<Body> {
    shown(status, notice(title, text))
}

/// The one page that another site may frame, and nobody but this one. It says nothing, and holds nothing.
pub(crate) fn framed(by: &str) -> Response<Body> {
    let mut response = told(200, "Signed out", "You are signed out here.");
    let policy = format!("default-src 'none'; frame-ancestors {by}");
    let policy = HeaderValue::from_str(&policy).unwrap_or(STILL);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.remove(X_FRAME_OPTIONS);
    response
}

/// Sends the browser on to where a client or the provider is.
pub(crate) fn moved(url: &str) -> Response<Body> {
    let Ok(url) = HeaderValue::from_str(url) else {
        return told(502, "Not done", "The next page has no usable address.");
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, url);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, STILL);
    private(&mut response);
    response
}

/// Sends the browser on to a page of ours, from a page of ours: what comes from elsewhere by way of redirects would not
/// bring along a cookie that is `SameSite=Strict`.
pub(crate) fn onward(title: &'static str, path: &str) -> Response<Body> {
    let mut response = shown(200, portcullis_authority::page::onward(title, path));
    let refresh = HeaderValue::from_str(&format!("0; url={path}"));
    if let Ok(refresh) = refresh {
        response.headers_mut().insert(REFRESH, refresh);
    }
    response
}

fn private(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(CACHE_CONTROL, fixed("no-store"));
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(X_FRAME_OPTIONS, fixed("DENY"));
    headers.insert(OPENER, fixed("same-origin"));
}
