//! Compares a file with the schema: unknown keys and wrong types, all of them at once.

use super::bounds::{MAX_ENTRIES, MAX_PROBLEMS};
use super::nearest::nearest;
use super::problem::{Place, Problem, Source, type_words};
use serde_json::Value;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Removes from `tree` what the schema does not know, so that the rest can be judged too.
///
/// `tree` is a copy of the tree of `source`, which stays whole for its positions.
pub(super) fn prune(
    tree: &mut Spanned<DeTable<'_>>,
    source: &Source<'_>,
    schema: &Value,
) -> Vec<Problem> {
    let mut walk = Walk {
        source,
        schema,
        problems: Vec::new(),
    };
    let span = tree.span();
    walk.table(tree.get_mut(), span, schema, &Place::default());
    walk.problems
}

struct Walk<'a> {
    source: &'a Source<'a>,
    schema: &'a Value,
    problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    /// Whether the value may stay.
    fn value(
        &mut self,
        value: &mut Spanned<DeValue<'_>>,
        schema: &'a Value,
        place: &Place,
    ) -> bool {
        let span = value.span();
        let Some(schema) = self.alternative(value.get_ref(), schema) else {
            self.refuse_type(value, schema, place);
            return false;
        };
        match value.get_mut() {
            DeValue::Table(table) => self.table(table, span, schema, place),
            DeValue::Array(array) => self.array(array, span, schema, place),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => true,
        }
    }

    /// Whether every item may stay; an array with holes would be counted wrongly.
    fn array(
        &mut self,
        array: &mut DeArray<'_>,
        span: Range<usize>,
        schema: &'a Value,
        place: &Place,
    ) -> bool {
        if !self.bound(array.len(), span, place) {
            return false;
        }
        let items = schema.get("items").unwrap_or(&Value::Null);
        let mut keep = true;
        for (index, item) in array.iter_mut().enumerate() {
            keep &= self.value(item, items, &place.at(index));
        }
        keep
    }

    fn table(
        &mut self,
        table: &mut DeTable<'_>,
        span: Range<usize>,
        schema: &'a Value,
        place: &Place,
    ) -> bool {
        if !self.bound(table.len(), span, place) {
            return false;
        }
        let known = schema.get("properties").and_then(Value::as_object);
        let other = schema
            .get("additionalProperties")
            .filter(|other| other.is_object());
        let mut doomed = Vec::new();
        for (name, value) in table.iter_mut() {
            let key = name.get_ref().as_ref();
            let here = place.key(key);
            let keep = if let Some(schema) = known.and_then(|known| known.get(key)).or(other) {
                self.value(value, schema, &here)
            } else {
                let names = known
                    .into_iter()
                    .flat_map(|known| known.keys())
                    .map(String::as_str);
                self.refuse_key(name.span(), &here, key, names);
                false
            };
            if !keep {
                doomed.push(name.clone());
            }
        }
        for name in doomed {
            table.remove(&name);
        }
        true
    }

    fn bound(&mut self, count: usize, span: Range<usize>, place: &Place) -> bool {
        if count > MAX_ENTRIES {
            self.refuse(
                span,
                place,
                &format!("too many entries: at most {MAX_ENTRIES}"),
                None,
            );
        }
        count <= MAX_ENTRIES
    }

    fn refuse(&mut self, span: Range<usize>, place: &Place, reason: &str, fix: Option<&str>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems
                .push(self.source.problem_at(span, place, reason, fix));
        }
    }

    /// The schema, without references and alternatives, that speaks of the type of `value`.
    fn alternative(&self, value: &DeValue<'_>, schema: &'a Value) -> Option<&'a Value> {
        let schema = self.resolve(schema);
        if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
            return alternatives
                .iter()
                .find_map(|schema| self.alternative(value, schema));
        }
        let name = match value {
            DeValue::String(_) => "string",
            DeValue::Integer(_) => "integer",
            DeValue::Float(_) => "number",
            DeValue::Boolean(_) => "boolean",
            DeValue::Datetime(_) => "date",
            DeValue::Array(_) => "array",
            DeValue::Table(_) => "object",
        };
        (schema.get("type").and_then(Value::as_str) == Some(name)).then_some(schema)
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.strip_prefix('#'))
            .and_then(|pointer| self.schema.pointer(pointer))
            .unwrap_or(schema)
    }

    fn refuse_key<'n>(
        &mut self,
        span: Range<usize>,
        place: &Place,
        key: &str,
        names: impl Iterator<Item = &'n str>,
    ) {
        let names: Vec<&str> = names.collect();
        let fix = match nearest(key, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("the keys here are {}", names.join(", ")),
        };
        self.refuse(span, place, "unknown key", Some(&fix));
    }

    fn refuse_type(&mut self, value: &Spanned<DeValue<'_>>, schema: &'a Value, place: &Place) {
        let expected = self.expected(schema);
        let reason = format!(
            "expected {}, found {}",
            expected,
            type_words(value.get_ref())
        );
        let fix = (expected == "a duration" && value.get_ref().is_integer())
            .then_some("write the unit, as in \"10s\"");
        self.refuse(value.span(), place, &reason, fix);
    }

    fn expected(&self, schema: &'a Value) -> String {
        let named = schema.get("x-type").and_then(Value::as_str);
        let kind = self.resolve(schema).get("type").and_then(Value::as_str);
        match (named, kind) {
            (Some(name), _) => format!("a {name}"),
            (None, Some("string")) => "a string".to_owned(),
            (None, Some("integer")) => "an integer".to_owned(),
            (None, Some("boolean")) => "a boolean".to_owned(),
            (None, Some("array")) => "an array".to_owned(),
            (None, Some(_) | None) => "a table".to_owned(),
        }
    }
}
