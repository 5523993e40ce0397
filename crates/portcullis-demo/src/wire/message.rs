//! JSON-RPC 2.0 messages as MCP restricts them (2025-11-25 basic, "Messages").

use serde_json::{Map, Value};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// The identifier of a request: a string or an integer, never null.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RequestId(Value);

impl RequestId {
    /// Takes a value that may be an identifier.
    pub(crate) fn parse(value: &Value) -> Option<Self> {
        let is_identifier = value.is_string() || value.is_i64() || value.is_u64();
        is_identifier.then(|| Self(value.clone()))
    }

    /// The identifier of a request that this server sends.
    pub(crate) fn of_ours(number: u64) -> Self {
        Self(Value::String(format!("ask-{number}")))
    }

    pub(crate) fn to_value(&self) -> Value {
        self.0.clone()
    }
}

/// A message that wants an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) method: String,
    pub(crate) params: Object,
}

/// A message from the client.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    Request(Request),
    Notification {
        method: String,
        params: Object,
    },
    /// The answer to a request of ours; no result if the client answered with an error.
    Response {
        id: RequestId,
        result: Option<Value>,
    },
}

/// Why a JSON value is no message; with the identifier to answer to, if it could be read.
#[derive(Debug, PartialEq)]
pub(crate) struct Malformed {
    pub(crate) id: Option<RequestId>,
}

impl Message {
    /// Reads one message.
    pub(crate) fn parse(value: Value) -> Result<Self, Malformed> {
        let Value::Object(mut message) = value else {
            return Err(Malformed { id: None });
        };
        let has_id = message.contains_key("id");
        let id = message.get("id").and_then(RequestId::parse);
        let malformed = || Malformed { id: id.clone() };
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") || has_id != id.is_some() {
            return Err(malformed());
        }
        let Some(method) = message.remove("method") else {
            return Self::response(id, &mut message);
        };
        let Value::String(method) = method else {
            return Err(malformed());
        };
        let params = match message.remove("params") {
            None => Object::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(malformed()),
        };
        Ok(match id {
            Some(id) => Self::Request(Request { id, method, params }),
            None => Self::Notification { method, params },
        })
    }

    fn response(id: Option<RequestId>, message: &mut Object) -> Result<Self, Malformed> {
        let result = message.remove("result");
        // Not answered to its identifier: an answer to an answer is no answer.
        let Some(id) = id else {
            return Err(Malformed { id: None });
        };
        if result.is_some() == message.contains_key("error") {
            return Err(Malformed { id: None });
        }
        Ok(Self::Response { id, result })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(message: Value, is_message: bool, id: Option<&Value>) {
        match Message::parse(message) {
            Ok(_) => assert!(is_message),
            Err(malformed) => {
                assert!(!is_message);
                assert_eq!(malformed.id.map(|id| id.to_value()).as_ref(), id);
            }
        }
    }

    #[test]
    fn reads_messages_only() {
        check(
            json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}),
            true,
            None,
        );
        check(
            json!({"jsonrpc": "2.0", "id": "a", "method": "ping", "params": {}}),
            true,
            None,
        );
        check(
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            true,
            None,
        );
        check(json!({"jsonrpc": "2.0", "id": 1, "result": {}}), true, None);
        check(
            json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}),
            false,
            Some(&json!(1)),
        );
        check(
            json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
            false,
            None,
        );
        check(
            json!({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}),
            false,
            None,
        );
        check(
            json!({"jsonrpc": "1.0", "id": 1, "method": "ping"}),
            false,
            Some(&json!(1)),
        );
        check(
            json!({"jsonrpc": "2.0", "id": 1, "method": 1}),
            false,
            Some(&json!(1)),
        );
        check(
            json!({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}),
            false,
            None,
        );
        check(json!({"jsonrpc": "2.0", "id": 1}), false, None);
        check(json!("text"), false, None);
    }
}
