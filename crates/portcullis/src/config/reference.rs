//! The schema for editors, and the reference for people: both from `raw`.

use super::raw::Raw;
use serde_json::{Map, Value};

/// The JSON Schema (2020-12) of the file.
pub(crate) fn schema() -> Value {
    let mut schema = schemars::schema_for!(Raw).to_value();
    tidy(&mut schema);
    // One order, whether or not `serde_json` keeps that of insertion.
    schema.sort_all_objects();
    schema
}

/// The reference table of every key, in Markdown.
pub(crate) fn reference() -> String {
    let schema = schema();
    let mut tables = Tables {
        schema: &schema,
        text: String::new(),
    };
    let keys = schema.get("properties").and_then(Value::as_object);
    for name in ORDER {
        if let Some(section) = keys.and_then(|keys| keys.get(*name)) {
            tables.section(name, section);
        }
    }
    tables.text
}

/// The sections in reading order; the schema keeps them by the alphabet.
pub(super) const ORDER: &[&str] = &[
    "gateway",
    "limits",
    "sessions",
    "quota",
    "audit",
    "egress",
    "catalog",
    "misuse",
    "alerts",
    "review",
    "telemetry",
    "secrets",
    "vaults",
    "azure_key_vault",
    "pkcs11",
    "keys",
    "issuers",
    "authority",
    "servers",
    "policy",
    "zones",
    "grants",
    "boundary",
    "tenants",
    "admin",
];

/// TOML has no null, and the width of a number is not the editor's business.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get("type").cloned() {
                let mut types = types.into_iter().filter(|name| name != "null");
                map.insert("type".to_owned(), types.next().unwrap_or_default());
            }
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            map.remove("format");
            if let Some(Value::Array(alternatives)) = map.get_mut("anyOf") {
                alternatives
                    .retain(|alternative| alternative.get("type") != Some(&Value::from("null")));
            }
            unfold(map);
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An alternative that is left alone is none.
fn unfold(map: &mut Map<String, Value>) {
    let single = match map
        .get("anyOf")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        Some([Value::Object(single)]) => single.clone(),
        Some(_) | None => return,
    };
    map.remove("anyOf");
    for (key, value) in single {
        map.entry(key).or_insert(value);
    }
}

struct Tables<'a> {
    schema: &'a Value,
    text: String,
}

impl<'a> Tables<'a> {
    /// A table of the file: `path` is how its heading names it.
    fn section(&mut self, path: &str, section: &'a Value) {
        let section_body = self.resolve(section);
        if let Some(items) = section_body.get("items") {
            return self.table(&format!("[[{path}]]"), path, self.resolve(items));
        }
        if let Some(entry) = section_body
            .get("additionalProperties")
            .filter(|entry| entry.is_object())
        {
            let name = section
                .get("x-name")
                .and_then(Value::as_str)
                .unwrap_or("NAME");
            let path = format!("{path}.{name}");
            return self.table(&format!("[{path}]"), &path, self.resolve(entry));
        }
        self.table(&format!("[{path}]"), path, section_body);
    }

    fn table(&mut self, heading: &str, path: &str, table: &'a Value) {
        let Some(keys) = table.get("properties").and_then(Value::as_object) else {
            return;
        };
        self.line(&format!(
            "### `{heading}`\n\n{}\n",
            text(table, "description")
        ));
        self.line("| Key | Type | Default | Range | Meaning |\n| --- | --- | --- | --- | --- |");
        let mut inner = Vec::new();
        for (key, value) in keys {
            if self.is_table(value) {
                inner.push((key, value));
            } else {
                self.row(key, value);
            }
        }
        self.line("");
        for (key, value) in inner {
            self.section(&format!("{path}.{key}"), value);
        }
    }

    fn row(&mut self, key: &str, value: &Value) {
        let default = match value.get("default") {
            None | Some(Value::Null) => String::new(),
            Some(default) => format!("`{default}`"),
        };
        let row = format!(
            "| `{key}` | {} | {default} | {} | {} |",
            kind(value),
            range(value).replace('|', "\\|"),
            text(value, "description").replace('|', "\\|"),
        );
        self.line(&row);
    }

    /// Whether the value is written as a table of its own, not as a value of a key.
    fn is_table(&self, value: &'a Value) -> bool {
        let value = self.resolve(value);
        let entry = value
            .get("additionalProperties")
            .map(|entry| self.resolve(entry));
        value.get("properties").is_some()
            || entry.is_some_and(|entry| entry.get("properties").is_some())
    }

    fn resolve(&self, value: &'a Value) -> &'a Value {
        value
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| self.schema.pointer(reference.trim_start_matches('#')))
            .unwrap_or(value)
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }
}

fn kind(value: &Value) -> String {
    if let Some(name) = value.get("x-type").and_then(Value::as_str) {
        return name.to_owned();
    }
    let item = value.get("items").map(|item| text(item, "type"));
    match (text(value, "type").as_str(), item) {
        ("array", Some(item)) => format!("list of {item}s"),
        ("object", _) => {
            let entry = value.get("additionalProperties").map(kind);
            format!("table of {}", entry.unwrap_or_default())
        }
        (kind, _) => kind.to_owned(),
    }
}

fn range(value: &Value) -> String {
    if let Some(range) = value.get("x-range").and_then(Value::as_str) {
        return range.to_owned();
    }
    if let (Some(least), Some(most)) = (value.get("minimum"), value.get("maximum")) {
        return format!("{least} to {most}");
    }
    let choices = value
        .get("enum")
        .or(value.pointer("/items/enum"))
        .and_then(Value::as_array);
    choices
        .into_iter()
        .flatten()
        .map(|choice| format!("`{choice}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A text of the schema on one line.
fn text(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
