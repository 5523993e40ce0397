//! Texts of bounded length.

use std::borrow::{Borrow, Cow};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The most bytes of a [`Text`]; what is longer is cut and ends with an ellipsis.
pub const MAX_TEXT_BYTES: usize = 1024;

/// The most bytes of a [`View`]; what is longer is replaced by a note of its length.
pub const MAX_VIEW_BYTES: usize = 16 * 1024;

const ELLIPSIS: &str = "…";

/// A word of ours: an event, a reason or the name of a fact. No caller can choose it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Label(Cow<'static, str>);

impl Label {
    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Label {
    fn from(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }
}

impl Borrow<str> for Label {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A text from outside, at most [`MAX_TEXT_BYTES`] long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(Box<str>);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        if text.len() <= MAX_TEXT_BYTES {
            return Self(text.into());
        }
        let end = text.floor_char_boundary(MAX_TEXT_BYTES - ELLIPSIS.len());
        let (kept, _) = text.split_at(end);
        Self([kept, ELLIPSIS].concat().into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        if text.len() <= MAX_TEXT_BYTES {
            Self(text.into())
        } else {
            Self::from(text.as_str())
        }
    }
}

/// A JSON value on one line, at most [`MAX_VIEW_BYTES`] long. It must have been redacted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct View(Box<RawValue>);

impl View {
    /// The value as JSON.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// INVARIANT: no line feed. Within JSON it can only be white space, so it may be left out.
    fn bounded(json: &str) -> Self {
        let line = if json.contains(['\n', '\r']) {
            Cow::Owned(
                json.chars()
                    .filter(|char| !matches!(char, '\n' | '\r'))
                    .collect(),
            )
        } else {
            Cow::Borrowed(json)
        };
        let raw = match line {
            line if line.len() > MAX_VIEW_BYTES => {
                RawValue::from_string(format!(r#"{{"omitted_bytes":{}}}"#, line.len()))
            }
            line => RawValue::from_string(line.into_owned()),
        };
        Self(raw.unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl From<&serde_json::Value> for View {
    fn from(value: &serde_json::Value) -> Self {
        Self::bounded(&value.to_string())
    }
}

impl From<&RawValue> for View {
    fn from(value: &RawValue) -> Self {
        Self::bounded(value.get())
    }
}

impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for View {}
