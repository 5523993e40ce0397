//! The headers that mirror a stateless request (2026-07-28 basic/transports/streamable-http, SEP-2243).

use super::Carried;
use hyper::header::{HeaderName, HeaderValue};
use portcullis_core::protocol::{Envelope, Target, encode_mirrored};
use portcullis_core::route::Dispatch;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// The most tools whose headers are remembered.
const MAX_TOOLS: usize = 4096;

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
        version: is_settled.then(|| call.revision().name().to_owned()),
        mirrored,
    }
}

fn header(name: HeaderName, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name, HeaderValue::from_str(&encode_mirrored(value)).ok()?))
}

/// For each tool, the arguments that go into headers.
#[derive(Debug, Default)]
pub(super) struct Mirrors(Mutex<HashMap<String, Vec<Mirrored>>>);

/// The way to an argument, and the header that it goes into.
type Mirrored = (Vec<String>, HeaderName);

impl Mirrors {
    /// Learns from an answer to `tools/list`; gives the cursor of the next page.
    pub(super) fn learn(&self, answer: &[u8]) -> Option<String> {
        let result = Envelope::parse(answer).ok()?.result?;
        let result: Value = serde_json::from_str(result.get()).ok()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tools = result.get("tools").and_then(Value::as_array);
        for tool in tools.into_iter().flatten() {
            let name = tool.get("name").and_then(Value::as_str);
            let Some(name) = name.filter(|_| known.len() < MAX_TOOLS) else {
                continue;
            };
            let mut found = Vec::new();
            let schema = tool.get("inputSchema").unwrap_or(&Value::Null);
            find(schema, &mut Vec::new(), &mut found);
            known.insert(name.to_owned(), found);
        }
        result.get("nextCursor")?.as_str().map(str::to_owned)
    }

    /// The headers that a call of a tool needs beside the usual ones.
    pub(super) fn add(&self, dispatch: &Dispatch, carried: &mut Carried) {
        let Target::Tool(tool) = dispatch.call().target() else {
            return;
        };
        let wanted = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&**tool).cloned().unwrap_or_default()
        };
        if wanted.is_empty() {
            return;
        }
        let Some(arguments) = dispatch.call().arguments() else {
            return;
        };
        let arguments: Value = serde_json::from_str(arguments.get()).unwrap_or_default();
        for (way, name) in wanted {
            let value = way
                .iter()
                .try_fold(&arguments, |value, step| value.get(step));
            let text = match value {
                Some(Value::String(text)) => text.clone(),
                Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
                Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => continue,
            };
            carried.mirrored.extend(header(name, &text));
        }
    }
}

/// Every property of a schema, however deep, that says into which header it goes.
fn find(schema: &Value, way: &mut Vec<String>, found: &mut Vec<Mirrored>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        way.push(name.clone());
        let header = property
            .get("x-mcp-header")
            .and_then(Value::as_str)
            .and_then(|name| format!("mcp-param-{name}").parse().ok());
        found.extend(header.map(|header| (way.clone(), header)));
        find(property, way, found);
        way.pop();
    }
}
