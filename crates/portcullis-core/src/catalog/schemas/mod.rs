//! Do the arguments of a call, and what comes back, fit the schemas that were approved?
//!
//! Schemas are of JSON Schema 2020-12 or of the draft that their `$schema` names. Nothing is fetched for them, `format`
//! is an annotation, and one that could cost more than a bounded number of steps holds nothing: what cannot be checked
//! is refused.

mod weight;

use super::Definition;
use jsonschema::{PatternOptions, Validator};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The most versions whose schemas are kept ready.
const MAX_READY: usize = 4096;
/// The most steps that one value may cost: its own values times the subschemas that each is held against.
const MAX_STEPS: usize = 5_000_000;
/// How many bytes of a text cost as much as a value.
const STEP_BYTES: usize = 64;
/// How often a pattern may go back before it counts as not matched.
const MAX_BACK: usize = 10_000;
/// The most memory of one compiled pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// The longest place that is told, in bytes.
const MAX_PLACE_BYTES: usize = 256;
/// Whatever may allow members that `properties` does not name.
const OPENING: [&str; 12] = [
    "$dynamicRef",
    "$recursiveRef",
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "dependentSchemas",
    "if",
    "not",
    "oneOf",
    "patternProperties",
    "unevaluatedProperties",
];

/// Why a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The schema is none, or one that could cost too much.
    #[error("a schema that cannot be held")]
    Schema,
    /// The value is too large for its schema to be held.
    #[error("too much to be checked")]
    TooLarge,
    /// A member that the schema does not name.
    #[error("not declared: {place}")]
    Undeclared {
        /// A JSON pointer (RFC 6901).
        place: String,
    },
    /// A keyword of the schema says no.
    #[error("{keyword} at {place:?}")]
    Misfit {
        /// A JSON pointer (RFC 6901).
        place: String,
        /// The keyword.
        keyword: String,
    },
}

impl Unfit {
    /// The audit record's word for it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Schema => "unusable_schema",
            Self::TooLarge => "too_large",
            Self::Undeclared { .. } => "undeclared",
            Self::Misfit { .. } => "misfit",
        }
    }

    /// What of it the client is told, beside the place and the keyword.
    pub(crate) const fn public(&self) -> &'static str {
        match self {
            Self::Schema => {
                "the tool's input schema is not valid, or costs too much to be checked: its server has to mend it"
            }
            Self::TooLarge => "arguments too large to be held against the tool's input schema",
            Self::Undeclared { .. } => "an argument that the tool does not declare",
            Self::Misfit { .. } => "arguments that do not fit the tool's input schema",
        }
    }

    /// Where, as a JSON pointer, where that is known.
    pub fn place(&self) -> Option<&str> {
        match self {
            Self::Schema | Self::TooLarge => None,
            Self::Undeclared { place } | Self::Misfit { place, .. } => Some(place),
        }
    }

    /// The keyword that says no, where one does.
    pub fn keyword(&self) -> Option<&str> {
        match self {
            Self::Schema | Self::TooLarge | Self::Undeclared { .. } => None,
            Self::Misfit { keyword, .. } => Some(keyword),
        }
    }
}

/// The schemas of one version of a tool. What it does not have, holds nothing.
#[derive(Debug)]
pub struct Schemas {
    input: Option<Result<Schema, Unfit>>,
    output: Option<Result<Schema, Unfit>>,
}

/// What of a tool's definition is a schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Both {
    input_schema: Option<Value>,
    output_schema: Option<Value>,
}

/// What of a result is held against a schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    #[serde(borrow)]
    structured_content: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    is_error: bool,
}

impl Schemas {
    /// Those of a tool.
    pub fn of(tool: &Definition) -> Self {
        let both = serde_json::from_str(tool.canonical());
        let both = both.unwrap_or(Both {
            input_schema: None,
            output_schema: None,
        });
        Self {
            input: both.input_schema.as_ref().map(Schema::of),
            output: both.output_schema.as_ref().map(Schema::of),
        }
    }

    /// Holds the arguments of a call against `inputSchema`; without arguments, it is an empty object.
    ///
    /// # Errors
    /// [`Unfit`]
    pub fn expect_arguments(&self, arguments: Option<&RawValue>) -> Result<(), Unfit> {
        let Some(schema) = &self.input else {
            return Ok(());
        };
        let schema = schema.as_ref().map_err(Unfit::clone)?;
        let written = arguments.map_or("{}", RawValue::get);
        let value = serde_json::from_str(written).map_err(|_| Unfit::Schema)?;
        schema.expect_declared(&value)?;
        schema.hold(&value)
    }

    /// Holds the result of a call against `outputSchema`: its `structuredContent`, which it must have then, unless it
    /// tells of an error (MCP 2025-11-25, server/tools, output schema).
    ///
    /// # Errors
    /// [`Unfit`]
    pub fn expect_result(&self, result: &RawValue) -> Result<(), Unfit> {
        let Some(schema) = &self.output else {
            return Ok(());
        };
        let outcome: Outcome<'_> = serde_json::from_str(result.get()).map_err(|_| Unfit::Schema)?;
        match (outcome.structured_content, outcome.content) {
            (_, _) if outcome.is_error => Ok(()),
            (Some(structured), _) => {
                let schema = schema.as_ref().map_err(Unfit::clone)?;
                let value = serde_json::from_str(structured.get()).map_err(|_| Unfit::Schema)?;
                schema.hold(&value)
            }
            (None, Some(_)) => Err(Unfit::Misfit {
                place: "/structuredContent".to_owned(),
                keyword: "required".to_owned(),
            }),
            // A question to the client, or a task: what comes of it is held when it comes.
            (None, None) => Ok(()),
        }
    }
}

/// A schema that is ready.
#[derive(Debug)]
struct Schema {
    validator: Validator,
    /// How many subschemas one value is held against at most.
    weight: usize,
    /// The only members that a value may have, where nothing but `properties` says so.
    declared: Option<BTreeSet<String>>,
}

impl Schema {
    fn of(schema: &Value) -> Result<Self, Unfit> {
        let weight = weight::of(schema).ok_or(Unfit::Schema)?;
        let patterns = PatternOptions::fancy_regex()
            .backtrack_limit(MAX_BACK)
            .size_limit(MAX_PATTERN_BYTES)
            .dfa_size_limit(MAX_PATTERN_BYTES);
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(patterns)
            .should_validate_formats(false)
            .build(schema)
            .map_err(|_| Unfit::Schema)?;
        let is_closed =
            |keyword: &&str| matches!(schema.get(*keyword), None | Some(Value::Bool(false)));
        let is_closed = OPENING.iter().all(is_closed);
        let named = schema.get("properties").and_then(Value::as_object);
        let declared = named.filter(|_| is_closed);
        Ok(Self {
            validator,
            weight,
            declared: declared.map(|named| named.keys().cloned().collect()),
        })
    }

    fn hold(&self, value: &Value) -> Result<(), Unfit> {
        if size(value).saturating_mul(self.weight) > MAX_STEPS {
            return Err(Unfit::TooLarge);
        }
        self.validator
            .validate(value)
            .map_err(|error| Unfit::Misfit {
                place: told(error.instance_path().as_str()),
                keyword: told(error.kind().keyword()),
            })
    }

    fn expect_declared(&self, value: &Value) -> Result<(), Unfit> {
        let (Some(declared), Some(members)) = (&self.declared, value.as_object()) else {
            return Ok(());
        };
        let mut names = members.keys();
        match names.find(|name| !declared.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(Unfit::Undeclared {
                place: told(&format!("/{}", name.replace('~', "~0").replace('/', "~1"))),
            }),
        }
    }
}

/// How many values it is made of; long texts count as several.
///
/// INVARIANT: recursion ends at `MAX_DEPTH`, for the message was read by `Envelope`.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => 1 + text.len() / STEP_BYTES,
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => {
            let own = members.iter();
            1 + own
                .map(|(name, value)| 1 + name.len() / STEP_BYTES + size(value))
                .sum::<usize>()
        }
    }
}

/// What is told of a place: short, and without what terminals obey.
fn told(place: &str) -> String {
    let mut end = place.len().min(MAX_PLACE_BYTES);
    while !place.is_char_boundary(end) {
        end -= 1;
    }
    let shown = place.get(..end).unwrap_or_default();
    super::visible(shown)
}

/// Schemas that were made ready once, by the version that they are of.
#[derive(Debug, Default)]
pub(super) struct Ready(Mutex<HashMap<super::Digest, Arc<Schemas>>>);

impl Ready {
    /// Those of a version.
    pub(super) fn of(&self, tool: &Definition) -> Arc<Schemas> {
        let known = self.kept().get(&tool.digest()).map(Arc::clone);
        known.unwrap_or_else(|| {
            let schemas = Arc::new(Schemas::of(tool));
            let mut kept = self.kept();
            if kept.len() >= MAX_READY {
                kept.clear();
            }
            kept.insert(tool.digest(), Arc::clone(&schemas));
            schemas
        })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<super::Digest, Arc<Schemas>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
