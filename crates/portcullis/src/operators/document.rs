//! The description of the API (`OpenAPI` 3.1), made of the table by which requests are routed.

use portcullis_core::operate::{Endpoint, Reach};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// All that can be asked for, and by whom.
pub(crate) fn document() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for endpoint in Endpoint::ALL {
        let path = paths.entry(endpoint.path()).or_default();
        path.insert(endpoint.method().to_ascii_lowercase(), operation(*endpoint));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis admin API",
            "version": "1",
            "description": "For operators. See docs/admin-api.md.",
        },
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
            "schemas": { "Problem": problem() },
        },
        "paths": paths,
    })
}

fn operation(endpoint: Endpoint) -> Value {
    let roles: Vec<&str> = endpoint.roles().iter().map(|role| role.word()).collect();
    let named = endpoint.path().split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        )
    });
    let asked = endpoint
        .query()
        .iter()
        .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }));
    let is_made = matches!(
        endpoint,
        Endpoint::Revoke | Endpoint::StartReview | Endpoint::AskElevation
    );
    let done = if is_made {
        "201"
    } else if endpoint == Endpoint::Reload {
        "202"
    } else {
        "200"
    };
    let refused = json!({
        "description": "Not done.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let mut operation = json!({
        "operationId": format!("{endpoint:?}"),
        "summary": endpoint.summary(),
        "parameters": named.chain(asked).collect::<Vec<_>>(),
        "x-roles": roles,
        "x-tenant-role-is-enough": endpoint.reach() == Reach::Tenant,
        "responses": {
            done: { "description": "Done.", "content": { "application/json": {} } },
            "default": refused,
        },
    });
    if let (Some(operation), Some(body)) = (operation.as_object_mut(), body(endpoint)) {
        let content = json!({ "content": { "application/json": { "schema": body } } });
        operation.insert("requestBody".to_owned(), content);
    }
    operation
}

/// What a request tells, where it tells anything.
fn body(endpoint: Endpoint) -> Option<Value> {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    let whom = |more: Value| {
        let kinds = ["token", "subject", "client", "claim"];
        let mut properties = json!({
            "kind": { "type": "string", "enum": kinds }, "issuer": text, "name": text,
        });
        if let (Some(properties), Value::Object(more)) = (properties.as_object_mut(), more) {
            properties.extend(more);
        }
        object(&properties, &["kind", "issuer", "name"])
    };
    match endpoint {
        Endpoint::Revoke | Endpoint::Reinstate => Some(whom(
            json!({ "reason": text, "until": { "type": "string", "format": "date-time" } }),
        )),
        Endpoint::DecideReview => Some(object(
            &json!({ "keep": texts, "revoke": texts, "reason": text }),
            &[],
        )),
        Endpoint::AskElevation => Some(object(
            &json!({ "server": text, "tool": text, "reason": text }),
            &["server", "tool"],
        )),
        Endpoint::DecideElevation => Some(object(
            &json!({ "approve": { "type": "boolean" }, "seconds": { "type": "integer" } }),
            &["approve"],
        )),
        Endpoint::DecideTool => Some(tool_decision(&text)),
        Endpoint::Explain => Some(question(&text, &texts)),
        Endpoint::ExplainRecord => Some(object(
            &json!({ "roles": texts, "groups": texts, "scopes": texts, "claims": { "type": "object" }, "arguments": { "type": "object" } }),
            &[],
        )),
        Endpoint::RotateKey => Some(object(
            &json!({ "at_once": { "type": "boolean" }, "server": text }),
            &[],
        )),
        Endpoint::Document
        | Endpoint::Health
        | Endpoint::Servers
        | Endpoint::Server
        | Endpoint::Sessions
        | Endpoint::EndSession
        | Endpoint::Revocations
        | Endpoint::Grants
        | Endpoint::Review
        | Endpoint::StartReview
        | Endpoint::Elevations
        | Endpoint::Tools
        | Endpoint::Tool
        | Endpoint::ToolDiff
        | Endpoint::ToolHistory
        | Endpoint::WithdrawElevation
        | Endpoint::Policy
        | Endpoint::Records
        | Endpoint::Checkpoint
        | Endpoint::Keys
        | Endpoint::Reload => None,
    }
}

/// A request that nobody has made.
fn question(text: &Value, texts: &Value) -> Value {
    let any = json!({ "type": "object" });
    let who = json!({
        "user": text, "issuer": text, "client": text, "roles": texts, "groups": texts, "scopes": texts, "claims": any,
    });
    let score = json!({ "type": "integer", "minimum": 0, "maximum": 100 });
    let properties = json!({
        "server": text, "who": object(&who, &[]), "tool": text, "resource": text, "prompt": text, "ask": text,
        "method": text, "arguments": any, "era": text, "time": { "type": "string", "format": "date-time" },
        "network": text, "anomaly": score, "risk": score, "findings": texts,
    });
    object(&properties, &["server"])
}

fn tool_decision(text: &Value) -> Value {
    let verdicts = ["approve", "reject", "rollback"];
    let verdict = json!({ "type": "string", "enum": verdicts });
    let properties = json!({
        "verdict": verdict, "server": text, "kind": text, "name": text, "digest": text, "reason": text,
    });
    object(&properties, &["verdict", "server", "kind", "name"])
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// RFC 9457 section 3.
fn problem() -> Value {
    let text = json!({ "type": "string" });
    let properties = json!({
        "type": text, "title": text, "status": { "type": "integer" }, "detail": text, "correlationId": text,
    });
    json!({ "type": "object", "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authz_03_the_document_that_is_committed_has_every_route() {
        let written = include_str!("../../../../docs/admin-api.json");
        let written: Value = serde_json::from_str(written).unwrap();
        assert_eq!(
            written,
            document(),
            "write what the API serves at /api/v1/openapi.json"
        );
        for endpoint in Endpoint::ALL {
            let method = endpoint.method().to_ascii_lowercase();
            let operation = &written["paths"][endpoint.path()][&method];
            assert_eq!(operation["operationId"], format!("{endpoint:?}"));
        }
    }
}
