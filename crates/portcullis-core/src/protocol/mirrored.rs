//! Arguments that go into headers too: which ones a tool's schema names, and whether both say the same.
//!
//! 2026-07-28 basic/transports/streamable-http, SEP-2243 (`x-mcp-header`).

use super::{Call, Envelope, Headers, Malformed, Target, decode_mirrored};
use serde_json::value::RawValue;
use serde_json::{Number, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// How the headers of mirrored arguments begin.
pub const PARAM: &str = "mcp-param-";

/// The most tools of one server whose headers are remembered, and the most servers.
const MAX_TOOLS: usize = 1024;
const MAX_SERVERS: usize = 4096;
/// The most headers of one tool, the deepest argument, and the most bytes of all their names.
const MAX_HEADERS: usize = 64;
const MAX_DEPTH: usize = 16;
const MAX_BYTES: usize = 4096;
/// Integers below this are the same in every reader of JSON numbers.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The arguments of one tool that its schema wants in headers.
#[derive(Debug)]
pub struct Designated(Vec<Mirrored>);

/// The way to an argument, and the lower-case name of the header that it goes into.
#[derive(Debug)]
struct Mirrored {
    way: Vec<String>,
    header: String,
}

impl Designated {
    /// What a schema names; none if it names nothing, or anything that no client may send.
    fn of_schema(schema: &Value) -> Option<Self> {
        let mut found = Vec::new();
        find(schema, &mut Vec::new(), &mut found)?;
        let mut names: Vec<&str> = found.iter().map(|one| one.header.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let bytes: usize = found.iter().map(Mirrored::bytes).sum();
        let is_clear = names.len() == found.len() && found.len() <= MAX_HEADERS;
        (is_clear && !found.is_empty() && bytes <= MAX_BYTES).then_some(Self(found))
    }

    /// The headers that a call with these arguments needs, and what goes into each before it is encoded.
    pub fn headers(&self, arguments: Option<&RawValue>) -> Vec<(&str, String)> {
        let arguments = read(arguments);
        let wanted = self.0.iter().filter_map(|one| {
            let text = match one.value(&arguments)? {
                Value::String(text) => text.clone(),
                value @ (Value::Bool(_) | Value::Number(_)) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            Some((one.header.as_str(), text))
        });
        wanted.collect()
    }

    /// Whether each of these headers says what the arguments say, and none is missing.
    fn agrees(&self, arguments: Option<&RawValue>, params: &[(&str, &[u8])]) -> bool {
        let arguments = read(arguments);
        self.0.iter().all(|one| {
            let came = params.iter().find(|(name, _)| *name == one.header);
            let Some((_, came)) = came else {
                return matches!(
                    one.value(&arguments),
                    None | Some(Value::Null | Value::Array(_) | Value::Object(_))
                );
            };
            let text = std::str::from_utf8(came).ok().and_then(decode_mirrored);
            text.is_some_and(|text| is_same(one.value(&arguments), &text))
        })
    }
}

impl Mirrored {
    fn value<'a>(&self, arguments: &'a Value) -> Option<&'a Value> {
        self.way
            .iter()
            .try_fold(arguments, |value, step| value.get(step))
    }

    fn bytes(&self) -> usize {
        self.header.len() + self.way.iter().map(String::len).sum::<usize>()
    }
}

/// Which arguments the tools of one server want in headers, as its lists said last: bounded.
#[derive(Debug, Default)]
pub struct ToolHeaders(RwLock<HashMap<Box<str>, Arc<Designated>>>);

impl ToolHeaders {
    /// Learns from an answer to `tools/list`; gives the cursor of the next page.
    pub fn learn(&self, answer: &[u8]) -> Option<String> {
        let result = Envelope::parse(answer).ok()?.result?;
        let result: Value = serde_json::from_str(result.get()).ok()?;
        let tools = result.get("tools").and_then(Value::as_array);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for tool in tools.into_iter().flatten() {
            let Some(name) = tool.get("name").and_then(Value::as_str) else {
                continue;
            };
            let schema = tool.get("inputSchema").unwrap_or(&Value::Null);
            match Designated::of_schema(schema) {
                None => drop(known.remove(name)),
                Some(named) if known.len() < MAX_TOOLS || known.contains_key(name) => {
                    known.insert(name.into(), Arc::new(named));
                }
                Some(_) => {}
            }
        }
        result.get("nextCursor")?.as_str().map(str::to_owned)
    }

    /// What is known of a tool; none if it wants nothing in headers, or was in no list.
    pub fn of(&self, tool: &str) -> Option<Arc<Designated>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(tool).cloned()
    }
}

/// The same for all servers, by name.
#[derive(Debug, Default)]
pub struct ServerHeaders {
    /// Whether there is anything to compare at all.
    is_used: AtomicBool,
    servers: RwLock<HashMap<Arc<str>, Arc<ToolHeaders>>>,
}

impl ServerHeaders {
    /// Learns from a server's answer to `tools/list`.
    pub fn learn(&self, server: &Arc<str>, answer: &[u8]) {
        // A name that is written with escapes is no reason to look away.
        let may_name = |part: &[u8]| memchr::memmem::find(answer, part).is_some();
        let known = self.of(server);
        if known.is_none() && !may_name(b"x-mcp-header") && !may_name(b"\\u") {
            return;
        }
        let Some(tools) = known.or_else(|| self.enter(server)) else {
            return;
        };
        tools.learn(answer);
        self.is_used.store(true, Ordering::Release);
    }

    /// Forgets a server that is another one now.
    pub fn forget(&self, server: &str) {
        let mut servers = self.servers.write().unwrap_or_else(PoisonError::into_inner);
        servers.remove(server);
    }

    /// Compares the headers of a tool call with its arguments, where the tool is known to want any.
    ///
    /// # Errors
    /// [`Malformed::HeaderMismatch`] if one disagrees with the body, or is missing for what is in the body.
    pub(crate) fn check(
        &self,
        server: &str,
        call: &Call,
        headers: &Headers<'_>,
    ) -> Result<(), Malformed> {
        let is_mirrored = call.revision().is_stateless() && !headers.is_absent;
        if !is_mirrored || !self.is_used.load(Ordering::Acquire) {
            return Ok(());
        }
        let Target::Tool(tool) = call.target() else {
            return Ok(());
        };
        let designated = self.of(server).and_then(|tools| tools.of(tool));
        if designated.is_none_or(|named| named.agrees(call.arguments(), &headers.params)) {
            return Ok(());
        }
        let id = call.id().cloned();
        Err(Malformed::HeaderMismatch { id })
    }

    fn of(&self, server: &str) -> Option<Arc<ToolHeaders>> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        servers.get(server).cloned()
    }

    fn enter(&self, server: &Arc<str>) -> Option<Arc<ToolHeaders>> {
        let mut servers = self.servers.write().unwrap_or_else(PoisonError::into_inner);
        if servers.len() >= MAX_SERVERS && !servers.contains_key(server) {
            return None;
        }
        Some(Arc::clone(servers.entry(Arc::clone(server)).or_default()))
    }
}

/// Every property of a schema, however deep, that says into which header it goes; none if one says so wrongly.
fn find(schema: &Value, way: &mut Vec<String>, found: &mut Vec<Mirrored>) -> Option<()> {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        way.push(name.clone());
        if let Some(named) = property.get("x-mcp-header") {
            let named = named.as_str().filter(|name| is_token(name))?;
            found.push(Mirrored {
                way: way.clone(),
                header: format!("{PARAM}{}", named.to_ascii_lowercase()),
            });
        }
        if way.len() < MAX_DEPTH && found.len() <= MAX_HEADERS {
            find(property, way, found)?;
        }
        way.pop();
    }
    Some(())
}

/// A token of RFC 9110 section 5.6.2.
fn is_token(name: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_char)
}

fn read(arguments: Option<&RawValue>) -> Value {
    let read = arguments.and_then(|arguments| serde_json::from_str(arguments.get()).ok());
    read.unwrap_or_default()
}

/// Whether a header's text is this argument; texts letter by letter, integers as numbers.
fn is_same(value: Option<&Value>, text: &str) -> bool {
    match value {
        Some(Value::String(own)) => own == text,
        Some(Value::Bool(own)) => text == if *own { "true" } else { "false" },
        Some(Value::Number(own)) => is_same_number(own, text),
        None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => false,
    }
}

fn is_same_number(own: &Number, text: &str) -> bool {
    let whole = |number: &Number| number.to_string().parse::<i128>().ok();
    let Ok(came) = serde_json::from_str::<Number>(text) else {
        return false;
    };
    match (whole(own), whole(&came)) {
        (Some(own), Some(came)) => own == came,
        _ => own.as_f64().zip(came.as_f64()).is_some_and(|(own, came)| {
            own.abs() < MAX_EXACT && own.total_cmp(&came) == std::cmp::Ordering::Equal
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Designated, MAX_HEADERS, MAX_TOOLS, ServerHeaders, ToolHeaders};
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn schema() -> Value {
        json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "deep": { "type": "object", "properties": {
                "count": { "type": "integer", "x-mcp-header": "Count" },
                "dry": { "type": "boolean", "x-mcp-header": "Dry" },
            } },
            "text": { "type": "string" },
        } })
    }

    /// The headers of a call of which nothing is missing.
    const WHOLE: [(&str, &[u8]); 4] = [
        ("mcp-param-region", b"eu"),
        ("mcp-param-count", b"42"),
        ("mcp-param-dry", b"true"),
        ("mcp-param-other", b"anything"),
    ];

    fn agrees(arguments: &Value, params: &[(&str, &[u8])]) -> bool {
        let named = Designated::of_schema(&schema()).unwrap();
        named.agrees(Some(&to_raw_value(arguments).unwrap()), params)
    }

    #[test]
    fn rs26_03_headers_agree_with_the_arguments_or_are_refused() {
        let full = json!({ "region": "eu", "deep": { "count": 42, "dry": true }, "text": "x" });
        assert!(agrees(&full, &WHOLE));
        for (name, value, expected) in [
            ("region", b"us" as &[u8], false),
            ("region", b"EU", false),
            ("region", b"=?base64?ZXU=?=", true),
            ("region", b"=?base64?dXM=?=", false),
            ("region", b"=?base64?***?=", false),
            ("region", b"\xff", false),
            ("count", b"42.0", true),
            ("count", b"4.2e1", true),
            ("count", b"43", false),
            ("count", b"042", false),
            ("dry", b"false", false),
            ("dry", b"True", false),
            ("other", b"something", true),
        ] {
            let mut params = WHOLE;
            let one = params.iter_mut().find(|(own, _)| own.ends_with(name));
            one.unwrap().1 = value;
            assert_eq!(agrees(&full, &params), expected, "{name} {value:?}");
        }
        for (name, expected) in [("region", false), ("count", false), ("other", true)] {
            let mut params = WHOLE.to_vec();
            params.retain(|(own, _)| !own.ends_with(name));
            assert_eq!(agrees(&full, &params), expected, "without {name}");
        }
    }

    #[test]
    fn rs26_04_expects_a_header_where_there_is_a_value() {
        let eu: &[(&str, &[u8])] = &[("mcp-param-region", b"eu")];
        let empty: &[(&str, &[u8])] = &[("mcp-param-region", b"")];
        for (arguments, params, expected) in [
            (json!({}), &[] as &[_], true),
            (json!({ "region": null, "deep": {} }), &[], true),
            (json!({ "region": null }), eu, false),
            (json!({}), eu, false),
            (json!({ "region": "" }), &[], false),
            (json!({ "region": "" }), empty, true),
        ] {
            let said = agrees(&arguments, params);
            assert_eq!(said, expected, "{arguments} {params:?}");
        }
        let named = Designated::of_schema(&schema()).unwrap();
        assert!(named.agrees(None, &[]) && !named.agrees(None, eu));
    }

    #[test]
    fn rs26_03_takes_integers_for_what_they_are_where_floats_are_not() {
        let named = Designated::of_schema(&schema()).unwrap();
        let big = to_raw_value(&json!({ "deep": { "count": 9_007_199_254_740_993_u64 } })).unwrap();
        let with =
            |text: &'static str| named.agrees(Some(&big), &[("mcp-param-count", text.as_bytes())]);
        assert!(with("9007199254740993"));
        assert!(!with("9007199254740992"));
        assert!(!with("9007199254740993.0"));
    }

    #[test]
    fn rs26_03_names_that_no_client_may_send_name_nothing() {
        let one = |header: Value| json!({ "properties": { "a": { "x-mcp-header": header } } });
        for bad in [
            json!(""),
            json!("a b"),
            json!("a\nb"),
            json!("é"),
            json!(1),
            json!(null),
        ] {
            assert!(Designated::of_schema(&one(bad.clone())).is_none(), "{bad}");
        }
        let twice = json!({ "properties": {
            "a": { "x-mcp-header": "Same" }, "b": { "x-mcp-header": "same" },
        } });
        assert!(Designated::of_schema(&twice).is_none());
        let many = |count: usize| {
            let all =
                (0..count).map(|n| (format!("p{n}"), json!({ "x-mcp-header": format!("h{n}") })));
            json!({ "properties": all.collect::<serde_json::Map<_, _>>() })
        };
        assert!(Designated::of_schema(&many(MAX_HEADERS)).is_some());
        assert!(Designated::of_schema(&many(MAX_HEADERS + 1)).is_none());
    }

    #[test]
    fn rs26_03_remembers_what_lists_said_last_and_not_without_end() {
        let list = |tools: Vec<Value>| {
            json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": tools } }).to_string()
        };
        let tool = |name: &str, schema: Value| json!({ "name": name, "inputSchema": schema });
        let known = ToolHeaders::default();
        known.learn(list(vec![tool("a", schema())]).as_bytes());
        assert!(known.of("a").is_some());
        known.learn(list(vec![tool("a", json!({}))]).as_bytes());
        assert!(known.of("a").is_none());
        let many = (0..=MAX_TOOLS).map(|number| tool(&format!("t{number}"), schema()));
        known.learn(list(many.collect()).as_bytes());
        assert!(known.of(&format!("t{}", MAX_TOOLS - 1)).is_some());
        assert!(known.of(&format!("t{MAX_TOOLS}")).is_none());

        let servers = ServerHeaders::default();
        let notes: Arc<str> = "notes".into();
        servers.learn(&notes, list(vec![tool("a", json!({}))]).as_bytes());
        assert!(
            servers.of("notes").is_none(),
            "nothing is kept of what names nothing"
        );
        let escaped = list(vec![tool("a", schema())]).replace("x-mcp-header", "x-mcp-h\\u0065ader");
        servers.learn(&notes, escaped.as_bytes());
        assert!(
            servers
                .of("notes")
                .is_some_and(|tools| tools.of("a").is_some())
        );
        servers.forget("notes");
        assert!(servers.of("notes").is_none());
    }
}
