//! The headers that mirror a stateless request (2026-07-28 basic/transports/streamable-http, SEP-2243).

use super::Carried;
use hyper::header::{HeaderName, HeaderValue};
use portcullis_core::protocol::{Target, ToolHeaders, encode_mirrored};
use portcullis_core::route::Dispatch;

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// What goes up beside a message of ours: the version, and what mirrors it if it has none but that.
pub(crate) fn carried(dispatch: &Dispatch, of: &Carried) -> Carried {
    let call = dispatch.call();
    let mut mirrored = Vec::new();
    if call.revision().is_stateless() {
        mirrored.extend(header(METHOD, call.method().name()));
        if *call.target() != Target::Server {
            mirrored.extend(header(NAME, call.target().name()));
        }
    }
    let is_settled = dispatch.session().is_some() || call.revision().is_stateless();
    Carried {
        traceparent: of.traceparent.clone(),
        network: of.network.clone(),
        opens_urls: of.opens_urls,
        ledger: of.ledger.clone(),
        version: is_settled.then(|| call.revision().name().to_owned()),
        mirrored,
    }
}

fn header(name: HeaderName, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name, HeaderValue::from_str(&encode_mirrored(value)).ok()?))
}

/// The headers that a call of a tool needs beside the usual ones.
pub(super) fn add(known: &ToolHeaders, dispatch: &Dispatch, carried: &mut Carried) {
    let Target::Tool(tool) = dispatch.call().target() else {
        return;
    };
    let Some(designated) = known.of(tool) else {
        return;
    };
    for (name, text) in designated.headers(dispatch.call().arguments()) {
        let name = name.parse().ok();
        let pair = name.and_then(|name| header(name, &text));
        carried.mirrored.extend(pair);
    }
}
