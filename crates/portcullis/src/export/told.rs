//! What telemetry says of an exchange: words of the protocol, of the configuration and of ours; never content.

use super::names::{Names, OTHER};
use super::place::Place;
use super::span::{Attribute, Value};
use crate::record::{Came, Exchange};
use portcullis_core::protocol::{Id, Method};
use std::convert::identity;

/// JSON-RPC codes that make series of their own: the protocol's, and those that the gateway gives.
const CODES: [i32; 16] = [
    -32700, -32600, -32601, -32602, -32603, -32000, -32001, -32002, -32020, -32021, -32022, 401,
    403, 404, 429, 503,
];
/// The longest text that is told as a request's id, in bytes.
const MAX_ID: usize = 64;

/// What is told of one exchange.
pub(super) struct Told {
    came: Came,
    method: Option<String>,
    target: Option<String>,
    common: Vec<Attribute>,
    transport: Option<&'static str>,
    over: Option<&'static str>,
}

impl Told {
    pub(super) fn of(exchange: &Exchange, place: &Place, came: Came, names: &Names) -> Self {
        let trail = &exchange.trail;
        let server = exchange.server.as_deref().unwrap_or_default();
        // What has no method of the protocol (GET, DELETE, an answer) is told by its event alone.
        let method = trail.method.as_deref();
        let method = method.filter(|name| !matches!(*name, "GET" | "DELETE" | "response"));
        let method = method.map(Method::parse);
        let is = |one: &Method| method.as_ref() == Some(one);
        let tool = is(&Method::ToolsCall).then_some("gen_ai.tool.name");
        let kind = tool.or(is(&Method::PromptsGet).then_some("gen_ai.prompt.name"));
        let has_worked = came.event == "call.completed" && trail.rule.is_some();
        let target = kind.and_then(|_| names.of(server, trail.target.as_deref()?, has_worked));
        let mut common: Vec<Attribute> = Vec::with_capacity(12);
        let method = method.map(|method| {
            let is_known = !matches!(method, Method::Other(_));
            let name = if is_known { method.name() } else { OTHER };
            name.to_owned()
        });
        if let Some(method) = &method {
            common.push(("mcp.method.name", method.clone().into()));
        }
        if let Some(kind) = kind {
            let name = target.clone().unwrap_or_else(|| OTHER.to_owned());
            common.push((kind, name.into()));
        }
        if tool.is_some() {
            common.push(("gen_ai.operation.name", "execute_tool".into()));
        }
        if let Some(revision) = trail.revision {
            common.push(("mcp.protocol.version", revision.name().into()));
        }
        if exchange.server.is_some() {
            common.push(("portcullis.server", server.to_owned().into()));
        }
        Self {
            came,
            method,
            target,
            common,
            transport: place.side.transport(),
            over: place.over,
        }
    }

    /// Whether it is a message of the protocol.
    pub(super) const fn is_mcp(&self) -> bool {
        self.method.is_some()
    }

    /// The span's name.
    pub(super) fn name(&self) -> String {
        match (&self.method, &self.target) {
            (Some(method), Some(target)) => format!("{method} {target}"),
            (Some(method), None) => method.clone(),
            (None, _) => self.came.event.to_owned(),
        }
    }

    /// Why it failed, in our word.
    pub(super) fn why(&self) -> &'static str {
        self.came.reason.unwrap_or(self.came.event)
    }

    /// `error.type` of the exchange, if it failed.
    pub(super) fn error(&self) -> Option<Value> {
        match (self.came.code, self.came.status) {
            (Some(code), _) => Some(code.to_string().into()),
            (None, 0) => Some("abandoned".into()),
            (None, status) => (status >= 400).then(|| status.to_string().into()),
        }
    }

    /// `error.type` of the wait for the upstream, if it failed.
    pub(super) fn error_of_wait(&self) -> Option<Value> {
        if self.came.event.starts_with("upstream.") {
            return Some(self.why().into());
        }
        let has_failed = self.came.event == "call.failed" || self.came.status == 0;
        if has_failed { self.error() } else { None }
    }

    /// The attributes that a measurement of the exchange is kept by.
    pub(super) fn series(&self) -> Vec<Attribute> {
        let mut all = self.common.clone();
        carried_over(self.transport, &mut all);
        self.failed(self.error(), bounded, &mut all);
        all
    }

    /// The same for the wait.
    pub(super) fn series_of_wait(&self) -> Vec<Attribute> {
        let mut all = self.common.clone();
        carried_over(self.over, &mut all);
        self.failed(self.error_of_wait(), bounded, &mut all);
        all
    }

    /// The attributes of the exchange's span.
    pub(super) fn of_exchange(&self, exchange: &Exchange) -> Vec<Attribute> {
        let mut all = self.common.clone();
        carried_over(self.transport, &mut all);
        self.failed(self.error(), identity, &mut all);
        asked(exchange, &mut all);
        // A session's id is a key, so it is told by its fingerprint, as in the record.
        if let Some(session) = &exchange.trail.session {
            all.push(("mcp.session.id", session.clone().into()));
        }
        all.push(("portcullis.event", self.came.event.into()));
        if let Some(reason) = self.came.reason {
            all.push(("portcullis.reason", reason.into()));
        }
        if self.came.status != 0 && self.transport == Some("tcp") {
            let status = Value::Number(self.came.status.into());
            all.push(("http.response.status_code", status));
        }
        all
    }

    /// The attributes of the span of its wait.
    pub(super) fn of_wait(&self, exchange: &Exchange) -> Vec<Attribute> {
        let mut all = self.common.clone();
        carried_over(self.over, &mut all);
        self.failed(self.error_of_wait(), identity, &mut all);
        asked(exchange, &mut all);
        all
    }

    fn failed(&self, error: Option<Value>, told: fn(Value) -> Value, all: &mut Vec<Attribute>) {
        let Some(error) = error else { return };
        let is_code = matches!(&error, Value::Text(text) if is_number(text));
        let error = told(error);
        if is_code && self.came.code.is_some() {
            all.push(("rpc.response.status_code", error.clone()));
        }
        all.push(("error.type", error));
    }
}

/// The request's id, if it is a number or a short plain text.
fn asked(exchange: &Exchange, all: &mut Vec<Attribute>) {
    let id = match &exchange.trail.id {
        Some(Id::Number(number)) => number.to_string(),
        Some(Id::Text(text)) if text.len() <= MAX_ID && text.bytes().all(is_plain) => {
            text.to_string()
        }
        Some(Id::Text(_)) | None => return,
    };
    all.push(("jsonrpc.request.id", id.into()));
}

fn carried_over(transport: Option<&'static str>, all: &mut Vec<Attribute>) {
    let Some(transport) = transport else { return };
    all.push(("network.transport", transport.into()));
    if transport == "tcp" {
        all.push(("network.protocol.name", "http".into()));
    }
}

/// A code may be any number that a server makes up; a series may not.
fn bounded(error: Value) -> Value {
    match &error {
        Value::Text(text) if is_number(text) => {
            let code = text.parse().ok();
            let is_known = code.is_some_and(|code| CODES.contains(&code));
            if is_known { error } else { OTHER.into() }
        }
        Value::Text(_) | Value::Number(_) | Value::Flag(_) => error,
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<i32>().is_ok()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':')
}
