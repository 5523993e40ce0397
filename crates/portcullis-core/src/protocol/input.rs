//! What a server wants to know before it answers (2026-07-28 basic/patterns/mrtr).

use super::Envelope;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// An answer that asks (`InputRequiredResult`).
#[derive(Debug, Deserialize)]
pub struct Input {
    /// What it asks the client, by its own names.
    #[serde(rename = "inputRequests", default)]
    pub requests: BTreeMap<String, Question>,
    /// What it wants to be given back.
    #[serde(rename = "requestState")]
    pub state: Option<Box<RawValue>>,
}

/// One thing that it asks.
#[derive(Debug, Deserialize, Serialize)]
pub struct Question {
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// With what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Box<RawValue>>,
}

impl Input {
    /// What an answer asks for; `None` if it asks nothing.
    pub fn of(answer: &[u8]) -> Option<Self> {
        Self::read(Envelope::parse(answer).ok()?.result?.get()).ok()?
    }

    /// What a result asks for; `None` if it asks nothing.
    ///
    /// # Errors
    /// If it asks, but not in a way that can be read.
    pub fn read(result: &str) -> Result<Option<Self>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Asks<'a> {
            #[serde(borrow, rename = "resultType")]
            kind: Option<Cow<'a, str>>,
            #[serde(borrow, rename = "inputRequests")]
            requests: Option<&'a RawValue>,
        }
        let asks: Asks<'_> = serde_json::from_str(result)?;
        if asks.kind.as_deref() == Some("input_required") || asks.requests.is_some() {
            serde_json::from_str(result).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl Question {
    /// The question as a request to the client.
    pub fn request(&self, id: &str) -> Bytes {
        let method = json!(self.method);
        let params = self
            .params
            .as_ref()
            .map(|params| format!(r#","params":{}"#, params.get()))
            .unwrap_or_default();
        format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":{method}{params}}}"#).into()
    }
}
