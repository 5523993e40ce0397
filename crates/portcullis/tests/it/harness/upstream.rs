//! An MCP server of both eras that records every request and misbehaves on command.

use super::STATELESS;
use super::http::{Answer, Host, Seen};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What its tools are called.
pub(crate) const TOOLS: [&str; 4] = ["echo", "read_note", "write_note", "delete_all"];

type Script = Box<dyn Fn(&Seen) -> Option<Answer> + Send>;

pub(crate) struct Upstream {
    host: Host,
    script: Arc<Mutex<Option<Script>>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let script: Arc<Mutex<Option<Script>>> = Arc::default();
        let (scripted, sessions) = (Arc::clone(&script), AtomicUsize::new(0));
        let host = Host::start(move |seen| {
            let scripted = scripted
                .lock()
                .unwrap()
                .as_ref()
                .and_then(|script| script(seen));
            scripted.unwrap_or_else(|| answer(seen, &sessions))
        });
        Self { host, script }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.host.address()
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/mcp", self.host.url())
    }

    /// What was recorded.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.host.seen()
    }

    /// Answers differently from now on, where `script` gives an answer.
    pub(crate) fn misbehave(&self, script: impl Fn(&Seen) -> Option<Answer> + Send + 'static) {
        *self.script.lock().unwrap() = Some(Box::new(script));
    }

    /// Writes to every open stream.
    pub(crate) fn push(&self, text: &str) -> usize {
        self.host.push(text)
    }

    /// Sends a notification with this event id to every open stream; gives how many there are.
    pub(crate) fn notify(&self, id: &str, text: &str) -> usize {
        let params = json!({ "level": "info", "data": text });
        let message =
            json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params });
        self.host.push(&format!("id: {id}\ndata: {message}\n\n"))
    }
}

fn answer(seen: &Seen, sessions: &AtomicUsize) -> Answer {
    match seen.method.as_str() {
        "GET" => Answer::events(": open\n\n"),
        "DELETE" => Answer::status(200),
        _ => {
            let message: Value = serde_json::from_str(&seen.body).unwrap_or_default();
            let Some(id) = message
                .get("id")
                .filter(|_| message.get("method").is_some())
            else {
                return Answer::status(202);
            };
            let session = match message["method"].as_str() {
                Some("initialize") => {
                    format!(
                        "mcp-session-id: upstream-{}\r\n",
                        sessions.fetch_add(1, Ordering::Relaxed)
                    )
                }
                _ => String::new(),
            };
            let mut result = result(&message);
            if seen.header("mcp-protocol-version") == Some(STATELESS) {
                result["resultType"] = json!("complete");
            }
            let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
            Answer::json(200, &session, &answer.to_string())
        }
    }
}

fn result(message: &Value) -> Value {
    let params = &message["params"];
    match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": params["protocolVersion"],
            "capabilities": { "tools": {}, "logging": {} },
            "serverInfo": { "name": "upstream", "version": "1" },
        }),
        "server/discover" => json!({
            "supportedVersions": [STATELESS],
            "capabilities": { "tools": {}, "logging": {} },
        }),
        "tools/list" => {
            let tools =
                TOOLS.map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }));
            json!({ "tools": tools })
        }
        "tools/call" => {
            json!({ "content": [{ "type": "text", "text": format!("{} done", params["name"]) }] })
        }
        _ => json!({}),
    }
}
