//! An exchange in the words of the other era: for a server that does not speak its client's.
//!
//! Up to 2025-11-25 a client shakes hands and keeps a session; since 2026-07-28 every request stands alone.
//! Whatever goes up belongs to an exchange that was decided: each function takes its [`Dispatch`].

mod introduced;
mod offer;
mod asking;

use super::remap::{self, Chosen};
use super::{Dispatch, Ticket};
use crate::protocol::{
    Call, Envelope, Headers, META_SUBSCRIPTION, Members, Method, Revision, field_range, splice,
    with_params,
};
use crate::session::Open;
use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::sync::Arc;

pub use asking::{BadState, Bound, Pending, Retry, input_required, may_ask};
pub use introduced::Introduced;
pub use offer::Offer;

/// The revision in which servers with sessions are spoken to.
pub const WITH_SESSIONS: Revision = Revision::V2025_11_25;
/// The revision in which servers without are.
pub const STATELESS: Revision = Revision::V2026_07_28;

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";
const META_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// `Resource not found` up to 2025-11-25; 2026-07-28 says [`INVALID_PARAMS`].
const RESOURCE_NOT_FOUND: i64 = -32002;
/// `URL elicitation required` up to 2025-11-25; 2026-07-28 has no such error.
const ELICITATION_REQUIRED: i64 = -32042;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;

impl Dispatch {
    /// Another message of the same exchange.
    fn instead(&self, body: impl Into<Bytes>, session: Option<Open>) -> Option<Self> {
        let headers = Headers::absent();
        let settled = session.as_ref().map(|open| open.revision);
        Some(Self {
            server: Arc::clone(&self.server),
            call: Call::parse(body.into(), &headers, settled).ok()?,
            session,
            principal: self.principal.clone(),
        })
    }
}

/// The dispatch of a stream that is opened to listen, to make messages of.
pub fn listening(ticket: &Ticket, open: &Open) -> Option<Dispatch> {
    let headers = Headers::absent();
    let body = message("ping", &json!({}), 0);
    let call = Call::parse(body, &headers, Some(open.revision)).ok()?;
    Some(super::reply(ticket, open.clone(), call))
}

/// `initialize` in our own name. We offer the server what the client can be asked, and nothing else.
pub fn initialize(asked: &Dispatch, offer: Offer) -> Option<Dispatch> {
    let params = json!({
        "protocolVersion": WITH_SESSIONS.name(),
        "capabilities": offer.capabilities(),
        "clientInfo": {"name": "portcullis", "version": env!("CARGO_PKG_VERSION")},
    });
    asked.instead(message("initialize", &params, 0), None)
}

/// What `initialize` settled: the revision, and the answer to `server/discover` that it makes.
pub fn settled(answer: &[u8]) -> Option<(Revision, Box<RawValue>)> {
    let envelope = Envelope::parse(answer).ok()?;
    let mut result: Members = serde_json::from_str(envelope.result?.get()).ok()?;
    let version: String = serde_json::from_str(result.remove("protocolVersion")?.get()).ok()?;
    let revision = Revision::parse(&version).filter(|revision| !revision.is_stateless())?;
    let mut discovered = Members::new();
    discovered.insert(
        "supportedVersions".to_owned(),
        raw(&json!([STATELESS.name()]))?,
    );
    discovered.insert(
        "capabilities".to_owned(),
        result.remove("capabilities").or_else(|| raw(&json!({})))?,
    );
    discovered.extend(
        result
            .remove("instructions")
            .map(|text| ("instructions".to_owned(), text)),
    );
    if let Some(info) = result.remove("serverInfo") {
        let meta = Members::from([(META_SERVER.to_owned(), info)]);
        discovered.insert("_meta".to_owned(), to_raw_value(&meta).ok()?);
    }
    Some((revision, to_raw_value(&discovered).ok()?))
}

/// The answer to `initialize` of a server that knows 2024-11-05 only, as one of 2025-03-26: that revision asks
/// nothing of a server which the older one did not. `None` for every other message.
pub fn raised(message: &[u8]) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct Old<'a> {
        #[serde(borrow, rename = "protocolVersion")]
        version: &'a RawValue,
    }
    let envelope = Envelope::parse(message).ok()?;
    let old: Old<'_> = serde_json::from_str(envelope.result?.get()).ok()?;
    let is_old = old.version.get() == r#""2024-11-05""#;
    let new = json!(Revision::V2025_03_26.name()).to_string();
    is_old.then(|| {
        splice(
            message,
            &[(field_range(message, old.version), new.as_bytes())],
        )
    })
}

/// `notifications/initialized`.
pub fn initialized(asked: &Dispatch, open: &Open) -> Option<Dispatch> {
    let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    asked.instead(body, Some(open.clone()))
}

/// The client's own request under our number, in the session that we keep with the server.
pub fn in_session(asked: &Dispatch, open: &Open, number: u64) -> Option<(Dispatch, Chosen)> {
    let (body, chosen) = remap::inward(asked.call(), number);
    // What the client says of itself in each request was settled by our handshake.
    let body = with_params(&body, |params| {
        let Some(meta) = params.get("_meta") else {
            return Some(());
        };
        let mut meta: Members = serde_json::from_str(meta.get()).ok()?;
        for name in [META_VERSION, META_CAPABILITIES, META_CLIENT, META_LEVEL] {
            meta.remove(name);
        }
        if meta.is_empty() {
            params.remove("_meta");
        } else {
            params.insert("_meta".to_owned(), to_raw_value(&meta).ok()?);
        }
        Some(())
    })?;
    Some((asked.instead(body, Some(open.clone()))?, chosen))
}

/// `resources/subscribe`.
pub fn subscribe(asked: &Dispatch, open: &Open, uri: &str, number: u64) -> Option<Dispatch> {
    let body = message("resources/subscribe", &json!({ "uri": uri }), number);
    asked.instead(body, Some(open.clone()))
}

/// `notifications/cancelled` for the request of that number.
pub fn cancel(asked: &Dispatch, open: &Open, number: u64) -> Option<Dispatch> {
    asked.instead(remap::cancellation(number), Some(open.clone()))
}

/// The answer to a request of the server's: `{}` to `ping`, and else that we have not what it wants.
pub fn answer(asked: &Dispatch, open: &Open, method: &Method, id: &RawValue) -> Option<Dispatch> {
    let said = if *method == Method::Ping {
        r#""result":{}"#
    } else {
        r#""error":{"code":-32601,"message":"not offered"}"#
    };
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},{said}}}"#, id.get());
    asked.instead(body, Some(open.clone()))
}

/// An answer of a server with sessions as a stateless client is to read it, and its HTTP status.
pub fn stateless_answer(method: &Method, message: &[u8]) -> Option<(Bytes, u16)> {
    let envelope = Envelope::parse(message).ok()?;
    if let Some(error) = envelope.error {
        return stateless_error(message, error);
    }
    let result = envelope.result?;
    let has: Hints<'_> = serde_json::from_str(result.get()).ok()?;
    let mut added = String::new();
    if has.kind.is_none() {
        added.push_str(r#""resultType":"complete","#);
    }
    if is_cacheable(method) && has.ttl.is_none() && has.scope.is_none() {
        added.push_str(r#""ttlMs":0,"cacheScope":"private","#);
    }
    let at = field_range(message, result).start + 1;
    if result.get().trim_start_matches('{').trim_start() == "}" {
        added.pop();
    }
    Some((splice(message, &[(at..at, added.as_bytes())]), 200))
}

#[derive(Deserialize)]
struct Hints<'a> {
    #[serde(borrow, rename = "resultType")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, rename = "ttlMs")]
    ttl: Option<&'a RawValue>,
    #[serde(borrow, rename = "cacheScope")]
    scope: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Coded<'a> {
    #[serde(borrow)]
    code: &'a RawValue,
}

fn stateless_error(message: &[u8], error: &RawValue) -> Option<(Bytes, u16)> {
    let coded: Coded<'_> = serde_json::from_str(error.get()).ok()?;
    let code: i64 = coded.code.get().parse().ok()?;
    let (code, status) = match code {
        RESOURCE_NOT_FOUND => (INVALID_PARAMS, 200),
        ELICITATION_REQUIRED => (INTERNAL_ERROR, 200),
        // An unknown method is HTTP's 404 since 2026-07-28.
        -32601 => (code, 404),
        // Nobody but the specification gives codes here.
        -32099..=-32020 => (INTERNAL_ERROR, 200),
        other => (other, 200),
    };
    let place = field_range(message, coded.code);
    Some((
        splice(message, &[(place, code.to_string().as_bytes())]),
        status,
    ))
}

/// The six results that say how long they may be kept (2026-07-28 server/utilities/caching).
const fn is_cacheable(method: &Method) -> bool {
    matches!(
        method,
        Method::Discover
            | Method::ToolsList
            | Method::PromptsList
            | Method::ResourcesList
            | Method::ResourceTemplatesList
            | Method::ResourcesRead
    )
}

/// `server/discover` in our own name: does the server speak the stateless revision?
pub fn discover(asked: &Dispatch) -> Option<Dispatch> {
    Introduced::us()?.ask(asked, &Method::Discover, &json!({}))
}

/// Whether this is a stateless server's answer to `server/discover`.
pub fn is_discovered(answer: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Discovered {
        #[serde(rename = "supportedVersions")]
        versions: Vec<String>,
    }
    let discovered = Envelope::parse(answer)
        .ok()
        .and_then(|envelope| serde_json::from_str::<Discovered>(envelope.result?.get()).ok());
    discovered.is_some_and(|found| found.versions.iter().any(|name| name == STATELESS.name()))
}

/// The code of an error answer.
pub fn error_code(answer: &[u8]) -> Option<i64> {
    // Most answers are none, which shows without reading them. A name may be written with escapes.
    memmem::find(answer, b"error").or_else(|| memmem::find(answer, b"\\u"))?;
    let envelope = Envelope::parse(answer).ok()?;
    let coded: Coded<'_> = serde_json::from_str(envelope.error?.get()).ok()?;
    coded.code.get().parse().ok()
}

/// The answer to `initialize` that a stateless server's answer to `server/discover` makes.
pub fn welcome(asked: &Dispatch, revision: Revision, discovered: &[u8]) -> Option<Bytes> {
    let envelope = Envelope::parse(discovered).ok()?;
    let mut found: Members = serde_json::from_str(envelope.result?.get()).ok()?;
    let meta = found.remove("_meta");
    let info = meta.and_then(|meta| {
        serde_json::from_str::<Members>(meta.get())
            .ok()?
            .remove(META_SERVER)
    });
    let info = match info {
        Some(info) => info,
        None => raw(&json!({"name": &*asked.server, "version": ""}))?,
    };
    let mut result = Members::from([
        ("protocolVersion".to_owned(), raw(&json!(revision.name()))?),
        (
            "capabilities".to_owned(),
            found.remove("capabilities").or_else(|| raw(&json!({})))?,
        ),
        ("serverInfo".to_owned(), info),
    ]);
    result.extend(
        found
            .remove("instructions")
            .map(|text| ("instructions".to_owned(), text)),
    );
    answered(asked, to_raw_value(&result).ok()?.get())
}

/// Our own answer to a request: this result.
pub fn answered(asked: &Dispatch, result: &str) -> Option<Bytes> {
    let id = asked.call().id()?.json();
    Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into())
}

/// The answer to a `subscriptions/listen` that is over.
pub fn ended(asked: &Dispatch) -> Option<Bytes> {
    let id = asked.call().id()?.json();
    let meta = format!(r#"{{"{META_SUBSCRIPTION}":{id}}}"#);
    answered(
        asked,
        &format!(r#"{{"resultType":"complete","_meta":{meta}}}"#),
    )
}

/// Our own answer to a request: this error.
pub fn failed(asked: &Dispatch, code: i64, text: &str) -> Option<Bytes> {
    let id = asked.call().id()?.json();
    let error = json!({"code": code, "message": text});
    Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#).into())
}

/// What the client answered to a question ([`crate::protocol::Question`]): its result, or none if it gave an error.
pub fn response(call: &Call) -> Option<Box<RawValue>> {
    let envelope = Envelope::parse(call.body()).ok()?;
    envelope.result.map(ToOwned::to_owned)
}

/// The value of a member of a call's `params` that is a text.
pub fn text_param(call: &Call, name: &str) -> Option<String> {
    let envelope = Envelope::parse(call.body()).ok()?;
    let params: Members = serde_json::from_str(envelope.params?.get()).ok()?;
    serde_json::from_str(params.get(name)?.get()).ok()
}

fn raw(value: &Value) -> Option<Box<RawValue>> {
    to_raw_value(value).ok()
}

fn message(method: &str, params: &Value, id: u64) -> Bytes {
    let method = json!(method);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#).into()
}

#[cfg(test)]
mod tests {
    use super::error_code;

    #[test]
    fn an_error_has_its_code_however_its_name_is_written() {
        let code = |name: &str| {
            let error = r#"{"code":-32601,"message":"no"}"#;
            error_code(format!(r#"{{"jsonrpc":"2.0","id":1,"{name}":{error}}}"#).as_bytes())
        };
        assert_eq!(code("error"), Some(-32601));
        assert_eq!(code(r"\u0065rr\u006fr"), Some(-32601));
        assert_eq!(code("result"), None);
        assert_eq!(code("Error"), None);
    }
}
