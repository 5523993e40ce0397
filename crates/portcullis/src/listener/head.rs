//! What of a request's head counts: read once, by name, and nothing else is ever looked at.

use crate::credentials::Ledger;
use crate::export::Parent;
use crate::random;
use crate::upstream::Carried;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::request::Parts;
use portcullis_core::authenticate::{Credentials, Thumbprint};
use portcullis_core::protocol::{Headers, PARAM, Revision};
use portcullis_core::refusal::{Refusal, Unacceptable};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const PROOF: HeaderName = HeaderName::from_static("dpop");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The most mirrored arguments that are carried.
const MAX_PARAMS: usize = 64;

/// A request's head.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    /// What it brought to show who sent it.
    pub(crate) credentials: Credentials<'a>,
    /// `Mcp-Session-Id` and a hash of `User-Agent`; none in the stateless era, which has no sessions.
    pub(crate) session: Option<(&'a str, u64)>,
    /// A hash of `User-Agent`.
    pub(crate) agent: u64,
    /// `Last-Event-ID`.
    pub(crate) last_event: Option<&'a str>,
    /// What mirrors the body.
    pub(crate) mirrors: Headers<'a>,
    /// Where it stands in its trace.
    pub(crate) trace: Trace,
    /// What goes up beside the message.
    pub(crate) carried: Carried,
}

/// Reads a request's head.
///
/// # Errors
/// [`Unacceptable::Broken`] where a header that counts is no visible ASCII or comes twice.
pub(crate) fn seen(parts: &Parts) -> Result<Seen<'_>, Refusal> {
    let headers = &parts.headers;
    let version = text(headers, &VERSION)?;
    let is_stateless = version
        .and_then(Revision::parse)
        .is_some_and(Revision::is_stateless);
    let mirrors = Headers {
        version,
        method: mirrored(headers, &METHOD).0,
        name: mirrored(headers, &NAME).0,
        params: params(headers, is_stateless),
        is_absent: false,
        is_ambiguous: is_stateless
            && (mirrored(headers, &METHOD).1
                || mirrored(headers, &NAME).1
                || has_ambiguous_params(headers)),
    };
    let agent = BuildHasherDefault::<DefaultHasher>::default().hash_one(
        headers
            .get(USER_AGENT)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default(),
    );
    let session = if is_stateless {
        None
    } else {
        text(headers, &SESSION)?
    };
    let mut trace = trace(headers)?;
    let traceparent = std::mem::take(&mut trace.header);
    Ok(Seen {
        credentials: credentials(parts),
        session: session.map(|session| (session, agent)),
        agent,
        last_event: if is_stateless {
            None
        } else {
            text(headers, &LAST_EVENT)?
        },
        mirrors,
        trace,
        carried: Carried {
            traceparent,
            network: None,
            opens_urls: None,
            ledger: Ledger::default(),
            version: version.map(str::to_owned),
            mirrored: if is_stateless {
                to_carry(headers)
            } else {
                Vec::new()
            },
        },
    })
}

/// What a request brought to show who sent it.
pub(crate) fn credentials(parts: &Parts) -> Credentials<'_> {
    let headers = &parts.headers;
    let query = parts.uri.query();
    Credentials {
        authorization: headers.get(AUTHORIZATION).map(HeaderValue::as_bytes),
        count: headers.get_all(AUTHORIZATION).iter().count(),
        in_query: query.is_some_and(|query| query.contains("access_token")),
        proof: headers.get(PROOF).map(HeaderValue::as_bytes),
        proofs: headers.get_all(PROOF).iter().count(),
        certificate: parts.extensions.get::<Thumbprint>().copied(),
        method: parts.method.as_str(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| Unacceptable::Broken.into()),
        (Some(_), Some(_)) => Err(Unacceptable::Broken.into()),
    }
}

/// A mirrored header, and whether it is ambiguous.
fn mirrored<'a>(headers: &'a HeaderMap, name: &HeaderName) -> (Option<&'a str>, bool) {
    let value = headers.get(name).map(HeaderValue::to_str);
    let is_twice = headers.get_all(name).iter().count() > 1;
    (
        value
            .as_ref()
            .and_then(|value| value.as_ref().ok().copied()),
        is_twice || matches!(value, Some(Err(_))),
    )
}

/// The mirrored arguments; whether they agree with the body is not known here.
fn params(headers: &HeaderMap, is_stateless: bool) -> Vec<(&str, &[u8])> {
    let params = headers
        .iter()
        .filter(|(name, _)| is_stateless && name.as_str().starts_with(PARAM));
    params
        .take(MAX_PARAMS)
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

/// Whether a mirrored argument comes twice, or there are more of them than are carried.
fn has_ambiguous_params(headers: &HeaderMap) -> bool {
    let params = || {
        let names = headers.keys();
        names.filter(|name| name.as_str().starts_with(PARAM))
    };
    params().count() > MAX_PARAMS
        || params().any(|name| headers.get_all(name).iter().nth(1).is_some())
}

fn to_carry(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let is_mirror =
        |name: &HeaderName| *name == METHOD || *name == NAME || name.as_str().starts_with(PARAM);
    let mirrors = headers.iter().filter(|(name, _)| is_mirror(name));
    mirrors
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Where a request stands in its trace.
#[derive(Debug)]
pub(crate) struct Trace {
    /// The W3C trace id, the client's or a new one.
    pub(crate) id: String,
    /// The client's span, if it named one.
    pub(crate) parent: Option<Parent>,
    /// The `traceparent` for the upstream.
    pub(crate) header: String,
}

/// The trace of a request, and the `traceparent` for the upstream (W3C Trace Context level 1, section 3.2).
pub(crate) fn trace(headers: &HeaderMap) -> Result<Trace, Refusal> {
    let own: [u8; 24] = random::bytes()?;
    let hex: String = hex(&own);
    let (fresh, span) = hex.split_at_checked(32).unwrap_or_default();
    let came = headers
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok())
        .and_then(trace_id);
    let id = came.map_or(fresh, |(id, ..)| id).to_owned();
    let flags = came.map_or("00", |(.., flags)| flags);
    let header = format!("00-{id}-{span}-{flags}");
    let parent = came.and_then(|(_, span, flags)| {
        Some(Parent {
            span: u64::from_str_radix(span, 16).ok()?,
            is_sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        })
    });
    Ok(Trace { id, parent, header })
}

/// Trace, span and flags of the header of another.
fn trace_id(value: &str) -> Option<(&str, &str, &str)> {
    let mut parts = value.split('-');
    let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_some = |text: &str| text.bytes().any(|byte| byte != b'0');
    let fits = version == "00"
        && is_hex(id, 32)
        && is_some(id)
        && is_hex(span, 16)
        && is_some(span)
        && is_hex(flags, 2);
    (fits && parts.next().is_none()).then_some((id, span, flags))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| {
        DIGITS
            .get(usize::from(nibble))
            .copied()
            .map_or('0', char::from)
    };
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
