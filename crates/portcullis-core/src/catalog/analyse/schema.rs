//! Schemas that cost more than they say, that want to be fetched, or that no client may use.

use super::{Finding, Rule, Severity, show};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// How deep an honest schema goes.
const MAX_DEPTH: usize = 32;
/// The most subschemas of an honest schema.
const MAX_NODES: usize = 2_000;
/// The most subschemas after every reference is followed.
const MAX_EXPANDED: u64 = 100_000;
/// The most values of an enumeration.
const MAX_ENUM: usize = 1_000;
/// The longest pattern.
const MAX_PATTERN: usize = 1_000;

const BOMB: Rule = Rule::new("schema-bomb", "AML.T0029", Severity::High);
const REMOTE: Rule = Rule::new("schema-remote-ref", "AML.T0049", Severity::High);
const HEADER: Rule = Rule::new("schema-header", "SAFE-T1001", Severity::High);
const SHAPE: Rule = Rule::new("schema-shape", "SAFE-T1001", Severity::Low);
const PATTERN: Rule = Rule::new("schema-pattern", "AML.T0029", Severity::Medium);

/// Looks at the schemas of a tool.
pub(super) fn look(definition: &Value, found: &mut Vec<Finding>) {
    for member in ["inputSchema", "outputSchema"] {
        let Some(schema) = definition.get(member) else {
            continue;
        };
        let mut seen = Seen {
            member,
            ..Seen::default()
        };
        seen.node(schema, &format!("/{member}"), Reached::Statically);
        seen.expansion();
        seen.shape(schema);
        found.append(&mut seen.found);
    }
}

/// Whether a property is reached by `properties` alone, where headers may be named (2026-07-28, `x-mcp-header`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Statically,
    Otherwise,
}

#[derive(Debug, Default)]
struct Seen<'a> {
    member: &'static str,
    nodes: usize,
    depth: usize,
    headers: BTreeSet<String>,
    /// For each definition: its own subschemas, and what it refers to.
    definitions: BTreeMap<&'a str, (u64, Vec<&'a str>)>,
    inside: Option<&'a str>,
    is_told: bool,
    found: Vec<Finding>,
}

impl<'a> Seen<'a> {
    fn node(&mut self, schema: &'a Value, pointer: &str, reached: Reached) {
        self.nodes += 1;
        if self.nodes > MAX_NODES || self.depth > MAX_DEPTH {
            self.bomb(
                pointer,
                "more subschemas, or deeper ones, than an honest tool needs",
            );
            return;
        }
        let Some(members) = schema.as_object() else {
            return;
        };
        self.depth += 1;
        self.definitions
            .entry(self.inside.unwrap_or_default())
            .or_default()
            .0 += 1;
        self.reference(members, pointer);
        self.header(members, pointer, reached);
        self.pattern(members, pointer);
        let is_schema = |key: &str| !matches!(key, "default" | "enum" | "const" | "examples");
        for (key, value) in members.iter().filter(|(key, _)| is_schema(key)) {
            self.below(key, value, pointer, reached);
        }
        self.depth -= 1;
    }

    fn below(&mut self, key: &'a str, value: &'a Value, pointer: &str, reached: Reached) {
        let at = || format!("{pointer}/{}", escaped(key));
        match (key, value) {
            ("$defs" | "definitions", Value::Object(named)) => {
                let outside = self.inside;
                for (name, schema) in named {
                    self.inside = Some(name);
                    let at = format!("{}/{}", at(), escaped(name));
                    self.node(schema, &at, Reached::Otherwise);
                }
                self.inside = outside;
            }
            ("properties", Value::Object(named)) => self.named(named, &at(), reached),
            ("patternProperties" | "dependentSchemas", Value::Object(named)) => {
                self.named(named, &at(), Reached::Otherwise);
            }
            (_, Value::Object(_)) => self.node(value, &at(), Reached::Otherwise),
            (_, Value::Array(items)) => {
                let schemas = items
                    .iter()
                    .enumerate()
                    .filter(|(_, item)| item.is_object());
                for (index, item) in schemas {
                    self.node(item, &format!("{}/{index}", at()), Reached::Otherwise);
                }
            }
            (_, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {}
        }
    }

    fn named(&mut self, named: &'a Map<String, Value>, pointer: &str, reached: Reached) {
        for (name, schema) in named {
            self.node(schema, &format!("{pointer}/{}", escaped(name)), reached);
        }
    }

    fn reference(&mut self, members: &'a Map<String, Value>, pointer: &str) {
        for key in ["$ref", "$dynamicRef"] {
            let Some(target) = members.get(key).and_then(Value::as_str) else {
                continue;
            };
            if !target.starts_with('#') {
                let reason =
                    "a reference to another document, which whoever validates would have to fetch";
                let at = format!("{pointer}/{key}");
                self.found
                    .push(REMOTE.finding(&at, show::excerpt(target, 0), reason));
            }
            let name = target.rsplit('/').next().unwrap_or_default();
            let inside = self.inside.unwrap_or_default();
            self.definitions.entry(inside).or_default().1.push(name);
        }
    }

    fn header(&mut self, members: &Map<String, Value>, pointer: &str, reached: Reached) {
        let Some(named) = members.get("x-mcp-header") else {
            return;
        };
        let name = named.as_str().unwrap_or_default();
        let kind = members
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let reason = if name.is_empty() || !name.bytes().all(is_token) {
            "x-mcp-header is no token"
        } else if !matches!(kind, "string" | "integer" | "boolean") {
            "x-mcp-header stands at what is no string, integer or boolean"
        } else if reached == Reached::Otherwise {
            "x-mcp-header stands where properties alone do not lead"
        } else if !self.headers.insert(name.to_ascii_lowercase()) {
            "x-mcp-header names a header twice"
        } else {
            return;
        };
        let at = format!("{pointer}/x-mcp-header");
        self.found
            .push(HEADER.finding(&at, show::excerpt(&named.to_string(), 0), reason));
    }

    fn pattern(&mut self, members: &Map<String, Value>, pointer: &str) {
        let pattern = members
            .get("pattern")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if pattern.len() > MAX_PATTERN || is_nested(pattern) {
            let reason = "a pattern that takes some engines exponential time";
            let at = format!("{pointer}/pattern");
            self.found
                .push(PATTERN.finding(&at, show::excerpt(pattern, 0), reason));
        }
        let values = members
            .get("enum")
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        if values > MAX_ENUM {
            self.bomb(
                &format!("{pointer}/enum"),
                "more values than an honest tool lists",
            );
        }
    }

    /// Follows every reference in arithmetic only: what doubles forty times has a size, too.
    fn expansion(&mut self) {
        let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
        for _ in 0..=MAX_DEPTH {
            for (name, (own, references)) in &self.definitions {
                let below = references.iter().filter(|other| *other != name);
                let below = below.map(|other| sizes.get(other).copied().unwrap_or(0));
                let size = below.fold(*own, u64::saturating_add).min(MAX_EXPANDED + 1);
                sizes.insert(name, size);
            }
        }
        // A schema that is recursive by way of another grows by a sum each round; what doubles is over long before.
        let is_recursive = self.definitions.len() <= 2;
        if !is_recursive && sizes.values().any(|size| *size > MAX_EXPANDED) {
            let pointer = format!("/{}", self.member);
            self.bomb(
                &pointer,
                "references that grow beyond all bounds when they are followed",
            );
        }
    }

    fn shape(&mut self, schema: &Value) {
        let kind = schema.get("type").and_then(Value::as_str);
        if schema.as_object().is_none() || kind.is_some_and(|kind| kind != "object") {
            let pointer = format!("/{}", self.member);
            let reason = "the schema is of something else than an object";
            self.found
                .push(SHAPE.finding(&pointer, String::new(), reason));
        }
    }

    fn bomb(&mut self, pointer: &str, reason: &str) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.found
                .push(BOMB.finding(pointer, String::new(), reason));
        }
    }
}

fn escaped(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) {
        Cow::Owned(key.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(key)
    }
}

/// Whether a repetition stands in a repetition: `(a+)+`.
fn is_nested(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    let mut repeats: Vec<bool> = Vec::new();
    let mut is_class = false;
    for (index, byte) in bytes.iter().enumerate() {
        let is_escaped = index.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\\');
        match byte {
            _ if is_escaped => {}
            b'[' => is_class = true,
            b']' => is_class = false,
            _ if is_class => {}
            b'(' => repeats.push(false),
            b'+' | b'*' => {
                if let Some(last) = repeats.last_mut() {
                    *last = true;
                }
            }
            b')' => {
                let is_repeated = matches!(bytes.get(index + 1), Some(b'+' | b'*'));
                if repeats.pop() == Some(true) && is_repeated {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(schema: &Value) -> Vec<&'static str> {
        let mut found = Vec::new();
        look(&json!({ "inputSchema": schema }), &mut found);
        found.iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn poi_01_schemas_that_harm_are_found() {
        let property = |schema: Value| json!({ "type": "object", "properties": { "a": schema } });
        let mut deep = json!({});
        for _ in 0..60 {
            deep = json!({ "allOf": [deep] });
        }
        let wide = json!({ "allOf": vec![json!({}); 10_000] });
        let mut doubling = Map::new();
        for level in 0..40 {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            doubling.insert(format!("d{level}"), json!({ "allOf": [next, next] }));
        }
        doubling.insert("d40".to_owned(), json!({ "type": "string" }));
        for (schema, rule) in [
            (
                property(json!({ "$ref": "https://canary.example/s.json" })),
                "schema-remote-ref",
            ),
            (
                property(json!({ "$ref": "file:///etc/passwd" })),
                "schema-remote-ref",
            ),
            (deep, "schema-bomb"),
            (wide, "schema-bomb"),
            (json!({ "$defs": doubling }), "schema-bomb"),
            (
                property(json!({ "type": "string", "pattern": "^(a+)+$" })),
                "schema-pattern",
            ),
            (
                property(json!({ "type": "string", "x-mcp-header": "" })),
                "schema-header",
            ),
            (
                property(json!({ "type": "string", "x-mcp-header": "a b" })),
                "schema-header",
            ),
            (
                property(json!({ "type": "number", "x-mcp-header": "A" })),
                "schema-header",
            ),
            (
                json!({ "allOf": [{ "type": "string", "x-mcp-header": "A" }] }),
                "schema-header",
            ),
            (
                json!({ "properties": {
                    "a": { "type": "string", "x-mcp-header": "Same" },
                    "b": { "type": "string", "x-mcp-header": "same" },
                } }),
                "schema-header",
            ),
            (json!({ "type": "string" }), "schema-shape"),
        ] {
            assert_eq!(rules(&schema), [rule], "{schema:.200}");
        }
    }

    #[test]
    fn honest_schemas_pass() {
        for schema in [
            json!({ "type": "object" }),
            json!({ "type": "object", "properties": { "a": { "type": "string", "x-mcp-header": "Region" } } }),
            json!({ "type": "object", "$defs": { "node": { "properties": { "next": { "$ref": "#/$defs/node" } } } },
                    "properties": { "list": { "$ref": "#/$defs/node" } } }),
            json!({ "type": "object", "properties": { "a": { "type": "string", "pattern": "^[a-z+]+(-[a-z])*$" } } }),
        ] {
            assert_eq!(rules(&schema), Vec::<&str>::new(), "{schema}");
        }
    }
}
