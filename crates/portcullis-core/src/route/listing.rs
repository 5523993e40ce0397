//! A request of our own for a server's list, in an exchange that was permitted: what does it define now?

use super::Dispatch;
use crate::protocol::{Call, Envelope, Headers, Id, Members, Method, with_params};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;

/// One page of what a server lists.
#[derive(Debug)]
pub struct Part {
    /// Its entries, as they were written.
    pub entries: Vec<Box<RawValue>>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// The server has no such method, so it defines nothing of that kind.
const UNKNOWN_METHOD: i64 = -32601;

impl Dispatch {
    /// Asks for a page of a list, for the same caller in the same conversation.
    pub fn listing(&self, method: &Method, cursor: Option<&str>, number: u64) -> Option<Self> {
        let id = format!("portcullis-{number}");
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method.name(), "params": {} });
        let meta = self.meta();
        let body = with_params(body.to_string().as_bytes(), |params| {
            if let Some(cursor) = cursor {
                params.insert("cursor".to_owned(), to_raw_value(cursor).ok()?);
            }
            if let Some(meta) = meta {
                params.insert("_meta".to_owned(), to_raw_value(&meta).ok()?);
            }
            Some(())
        })?;
        let settled = self.session.as_ref().map(|open| open.revision);
        Some(Self {
            server: Arc::clone(&self.server),
            call: Call::parse(body, &Headers::absent(), settled).ok()?,
            session: self.session.clone(),
            principal: self.principal.clone(),
        })
    }

    /// What a stateless request says of itself, but for what belongs to that one message.
    fn meta(&self) -> Option<Members> {
        if !self.call.revision().is_stateless() {
            return None;
        }
        let params = Envelope::parse(self.call.body()).ok()?.params?;
        let mut params: Members = serde_json::from_str(params.get()).ok()?;
        let meta = params.remove("_meta")?;
        let mut meta: Members = serde_json::from_str(meta.get()).ok()?;
        meta.retain(|name, _| name.starts_with("io.modelcontextprotocol/"));
        meta.remove("io.modelcontextprotocol/related-task");
        Some(meta)
    }
}

/// Reads an answer to [`Dispatch::listing`]; none if the message is another one.
///
/// # Errors
/// `()` in place of a list that cannot be read.
pub fn listed(asked: &Dispatch, member: &str, message: &[u8]) -> Option<Result<Part, NoList>> {
    let envelope = Envelope::parse(message).ok()?;
    let id = Id::read(envelope.id?).ok()?;
    if envelope.method.is_some() || asked.call().id() != Some(&id) {
        return None;
    }
    Some(read(&envelope, member).ok_or(NoList))
}

/// A list that cannot be read, or an error in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no list")]
pub struct NoList;

fn read(envelope: &Envelope<'_>, member: &str) -> Option<Part> {
    if let Some(error) = envelope.error {
        let error: serde_json::Value = serde_json::from_str(error.get()).ok()?;
        let is_unknown = error.get("code")?.as_i64()? == UNKNOWN_METHOD;
        let (entries, next) = (Vec::new(), None);
        return is_unknown.then_some(Part { entries, next });
    }
    let mut result: Members = serde_json::from_str(envelope.result?.get()).ok()?;
    let next = match result.remove("nextCursor") {
        Some(cursor) => serde_json::from_str(cursor.get()).ok()?,
        None => None,
    };
    let entries = serde_json::from_str(result.remove(member)?.get()).ok()?;
    Some(Part { entries, next })
}
