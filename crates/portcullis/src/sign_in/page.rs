//! What a browser is shown: plain pages without script, style or picture, in which every foreign word is escaped.

use crate::listener::Body;
use html_escape::{encode_double_quoted_attribute, encode_safe};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use portcullis_core::authenticate::Principal;

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Letters of a foreign text that are shown.
const MAX_LETTERS: usize = 128;

/// Asks whether this is really wanted. `go` is a path of ours.
pub(crate) fn invitation(
    server: &str,
    host: &str,
    principal: &Principal,
    go: &str,
) -> Response<Body> {
    let client = principal.client.as_deref().unwrap_or("an unnamed client");
    let text = format!(
        "<p>Somebody who signed in as <b><bdi>{}</bdi></b> (at <bdi>{}</bdi>, with <bdi>{}</bdi>) wants to use the server \
<b>{}</b> at <b>{}</b>. It needs consent.</p>\
<p><b>If that was not you, close this page.</b> Whoever it was would use the server in your name.</p>\
<p>If it was you, go on to the server's own sign-in page: <a rel=\"noreferrer\" href=\"{}\">continue</a>.</p>",
        shown(&principal.subject),
        shown(principal.vouched_by()),
        shown(client),
        shown(server),
        shown(host),
        encode_double_quoted_attribute(go),
    );
    page(200, "Consent", &text)
}

/// The end of it.
pub(crate) fn connected(server: &str) -> Response<Body> {
    let text = format!(
        "<p>The server <b>{}</b> can be used now. You can close this page.</p>",
        shown(server)
    );
    page(200, "Done", &text)
}

/// Another end of it; `why` is a text of ours.
pub(crate) fn failed(status: u16, why: &'static str) -> Response<Body> {
    page(status, "Not done", &format!("<p>{why}</p>"))
}

/// Sends the browser on.
pub(crate) fn moved(url: &str) -> Response<Body> {
    let mut response = page(303, "Consent", "<p>Going on.</p>");
    match HeaderValue::from_str(url) {
        Ok(url) => {
            response.headers_mut().insert(LOCATION, url);
            response
        }
        Err(_) => failed(502, "The server's sign-in page has no usable address."),
    }
}

/// The name of the cookie that binds a link to a browser; over `https` no other host can set it (RFC 6265bis 4.1.3.2).
pub(crate) const fn cookie_name(is_https: bool) -> &'static str {
    if is_https {
        "__Host-portcullis-connect"
    } else {
        "portcullis-connect"
    }
}

/// Sets that cookie. `Lax`, as the authorization server sends the browser back to us.
pub(crate) fn set_cookie(response: &mut Response<Body>, is_https: bool, value: &str) {
    let secure = if is_https { "; Secure" } else { "" };
    let name = cookie_name(is_https);
    let cookie = format!("{name}={value}; Path=/; Max-Age=1200; HttpOnly; SameSite=Lax{secure}");
    if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}

/// A foreign text: escaped, not too long, and without letters that nobody sees.
fn shown(text: &str) -> String {
    let is_plain = |letter: &char| {
        let is_hidden = matches!(*letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        !letter.is_control() && !is_hidden
    };
    let plain: String = text.chars().filter(is_plain).take(MAX_LETTERS).collect();
    encode_safe(&plain).into_owned()
}

fn page(status: u16, title: &str, body: &str) -> Response<Body> {
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>{title} - Portcullis</title></head>\
<body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    let mut response = Response::new(Body::whole(html.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(CONTENT_TYPE, fixed("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(CACHE_CONTROL, fixed("no-store"));
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(X_FRAME_OPTIONS, fixed("DENY"));
    response
}
