//! Many servers as one: tools and prompts are called `SERVER__NAME`, resources `SERVER+URI`.
//!
//! A server's name has neither `__` nor `+` in it, so the first of them ends it.

use super::Dispatch;
use crate::protocol::{
    Call, Envelope, Filter, Members, Method, Target, field_range, replace, splice, with_params,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;

/// The name of all servers together, which no server can have.
pub const AGGREGATE: &str = "*";

const TOOL: &str = "__";
const URI: &str = "+";

/// The server that a call is for, and the call in that server's own names; `None` if it names none.
pub fn addressed(call: &Call) -> Option<(&str, Bytes)> {
    let between = match call.target() {
        Target::Tool(_) | Target::Prompt(_) => TOOL,
        Target::Resource(_) => URI,
        Target::Task(_) | Target::Server => return None,
    };
    let (server, own) = call.target().name().split_once(between)?;
    let place = call.places().target.clone()?;
    let body = replace(call.body(), place, json!(own).to_string().as_bytes());
    Some((server, body))
}

/// A request for a list, from that cursor on.
pub fn page(call: &Call, cursor: Option<&str>) -> Option<Bytes> {
    with_params(call.body(), |params| {
        params.remove("cursor");
        if let Some(cursor) = cursor {
            params.insert("cursor".to_owned(), to_raw_value(cursor).ok()?);
        }
        Some(())
    })
}

/// What of a subscription is for that server, in its own names.
pub fn subscription(call: &Call, filter: &Filter, server: &str) -> Option<Bytes> {
    let own = Filter {
        resource_subscriptions: filter
            .resource_subscriptions
            .iter()
            .filter_map(|uri| uri.split_once(URI))
            .filter(|(name, _)| *name == server)
            .map(|(_, uri)| uri.to_owned())
            .collect(),
        task_ids: Vec::new(),
        ..*filter
    };
    with_params(call.body(), |params| {
        params.insert("notifications".to_owned(), to_raw_value(&own.json()).ok()?);
        Some(())
    })
}

/// The entries of a server's list under their names here, and where the next page begins.
pub fn entries(
    method: &Method,
    server: &str,
    answer: &[u8],
) -> Option<(Vec<String>, Option<String>)> {
    let result = Envelope::parse(answer).ok()?.result?;
    let mut result: Members = serde_json::from_str(result.get()).ok()?;
    let (list, name, between) = shape(method)?;
    let cursor = result
        .remove("nextCursor")
        .and_then(|cursor| serde_json::from_str(cursor.get()).ok());
    let list = result.remove(list)?;
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    let renamed = list
        .into_iter()
        .filter_map(|entry| prefixed(entry, name, server, between))
        .collect();
    Some((renamed, cursor))
}

/// The answer to a request for a list: all these entries.
pub fn listed(asked: &Dispatch, entries: &[String]) -> Option<Bytes> {
    let (list, ..) = shape(asked.call().method())?;
    let entries = entries.join(",");
    super::bridge::answered(
        asked,
        &format!(
            r#"{{"resultType":"complete","ttlMs":0,"cacheScope":"private","{list}":[{entries}]}}"#
        ),
    )
}

/// What all servers together say of themselves.
pub fn discovered(asked: &Dispatch) -> Option<Bytes> {
    let result = json!({
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
        "supportedVersions": [super::bridge::STATELESS.name()],
        "capabilities": {
            "tools": {"listChanged": true},
            "prompts": {"listChanged": true},
            "resources": {"listChanged": true, "subscribe": true},
            "completions": {},
            "logging": {},
        },
        "instructions": "The tools and prompts of several servers, each named SERVER__NAME, and their resources.",
        "_meta": {
            "io.modelcontextprotocol/serverInfo": {
                "name": "portcullis", "version": env!("CARGO_PKG_VERSION"),
            },
        },
    });
    super::bridge::answered(asked, &result.to_string())
}

/// A server's message with its resources under their names here.
pub fn renamed(method: &Method, server: &str, message: Bytes) -> Bytes {
    rename(method, server, &message).unwrap_or(message)
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    contents: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    messages: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
}

fn rename(method: &Method, server: &str, message: &[u8]) -> Option<Bytes> {
    let envelope = Envelope::parse(message).ok()?;
    let mut uris: Vec<&RawValue> = Vec::new();
    if envelope.method.as_deref() == Some("notifications/resources/updated") {
        let updated: Named<'_> = serde_json::from_str(envelope.params?.get()).ok()?;
        uris.extend(updated.uri);
    } else if let Some(result) = envelope.result
        && matches!(
            method,
            Method::ToolsCall | Method::ResourcesRead | Method::PromptsGet
        )
    {
        let parts: Parts<'_> = serde_json::from_str(result.get()).ok()?;
        for part in [parts.contents, parts.messages, parts.content]
            .into_iter()
            .flatten()
            .flatten()
        {
            collect(part, &mut uris);
        }
    }
    if uris.is_empty() {
        return None;
    }
    let edits: Vec<_> = uris
        .into_iter()
        .filter_map(|uri| {
            let own: Cow<'_, str> = serde_json::from_str(uri.get()).ok()?;
            let place = field_range(message, uri);
            Some((place, json!(format!("{server}{URI}{own}")).to_string()))
        })
        .collect();
    let edits: Vec<_> = edits
        .iter()
        .map(|(place, new)| (place.clone(), new.as_bytes()))
        .collect();
    Some(splice(message, &edits))
}

/// Finds the URIs of one content block, which may stand in a message or hold a resource.
fn collect<'a>(part: &'a RawValue, uris: &mut Vec<&'a RawValue>) {
    let Ok(named) = serde_json::from_str::<Named<'a>>(part.get()) else {
        return;
    };
    uris.extend(named.uri);
    for inner in [named.resource, named.content].into_iter().flatten() {
        collect(inner, uris);
    }
}

/// Where a list stands in its result, what names an entry, and what comes between the server's name and that.
fn shape(method: &Method) -> Option<(&'static str, &'static str, &'static str)> {
    if *method == Method::ToolsList {
        return Some(("tools", "name", TOOL));
    }
    if *method == Method::PromptsList {
        return Some(("prompts", "name", TOOL));
    }
    if *method == Method::ResourcesList {
        return Some(("resources", "uri", URI));
    }
    if *method == Method::ResourceTemplatesList {
        return Some(("resourceTemplates", "uriTemplate", URI));
    }
    None
}

fn prefixed(entry: &RawValue, name: &str, server: &str, between: &str) -> Option<String> {
    let members: std::collections::BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(entry.get()).ok()?;
    let value = *members.get(name)?;
    let own: Cow<'_, str> = serde_json::from_str(value.get()).ok()?;
    let new = json!(format!("{server}{between}{own}")).to_string();
    let text = entry.get().as_bytes();
    let changed = replace(text, field_range(text, value), new.as_bytes());
    String::from_utf8(changed.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::{addressed, entries, renamed};
    use crate::protocol::{Call, Headers, Method};
    use bytes::Bytes;

    fn call(body: &str) -> Call {
        let headers = Headers::absent();
        Call::parse(Bytes::copy_from_slice(body.as_bytes()), &headers, None).unwrap()
    }

    #[test]
    fn a_call_goes_to_the_server_that_its_name_begins_with() {
        let tool = call(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__b__c","arguments":{"name":"x__y"}}}"#,
        );
        let (server, body) = addressed(&tool).unwrap();
        assert_eq!(server, "a");
        let own = call(std::str::from_utf8(&body).unwrap());
        assert_eq!(own.target().name(), "b__c");
        assert_eq!(own.arguments().unwrap().get(), r#"{"name":"x__y"}"#);
        let resource = call(
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a+note://x+y"}}"#,
        );
        let (server, body) = addressed(&resource).unwrap();
        assert_eq!(server, "a");
        assert_eq!(
            call(std::str::from_utf8(&body).unwrap()).target().name(),
            "note://x+y"
        );
        for nowhere in ["echo", "_", ""] {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{{"name":"x{nowhere}"}}}}"#
            );
            assert!(addressed(&call(&body)).is_none(), "{nowhere}");
        }
    }

    #[test]
    fn lists_and_links_bear_the_server_s_name_and_nothing_else_changes() {
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"title":"n","name":"e\u0063ho","x":1.50e3}],"nextCursor":"2"}}"#;
        let (found, cursor) = entries(&Method::ToolsList, "s", answer.as_bytes()).unwrap();
        assert_eq!(found, [r#"{"title":"n","name":"s__echo","x":1.50e3}"#]);
        assert_eq!(cursor.as_deref(), Some("2"));
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"resource_link","uri":"note://a"},{"type":"text","text":"uri"},{"type":"resource","resource":{"uri":"note://b","text":"t"}}],"structuredContent":{"uri":"note://c"}}}"#;
        let expected = answer
            .replace("note://a", "s+note://a")
            .replace("note://b", "s+note://b");
        let changed = renamed(&Method::ToolsCall, "s", Bytes::from(answer));
        assert_eq!(changed, expected);
        let read =
            r#"{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"note://a","text":""}]}}"#;
        assert_eq!(
            renamed(&Method::ResourcesRead, "s", Bytes::from(read)),
            read.replace("note", "s+note")
        );
    }
}
