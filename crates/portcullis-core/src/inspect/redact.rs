//! What the audit record may hold of a call's arguments: a digest, and a view without secrets.

use bytes::Bytes;
use serde_json::{Map, Value};

/// Arguments over so many bytes are recorded by digest alone.
const MAX_VIEW_BYTES: usize = 2048;
/// The longest text in a view, in characters.
const MAX_TEXT_CHARS: usize = 256;
/// Names of members whose value is never shown, in lower case without separators.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
    "cookie",
    "credential",
    "sessionid",
    "bearer",
    "pin",
    "cvv",
    "otp",
];
/// How well-known kinds of secrets begin.
const SECRET_PREFIXES: &[&str] = &[
    "sk-",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xox",
    "AKIA",
    "ASIA",
    "eyJ",
    "AIza",
    "npm_",
    "pypi-",
];

/// What stands before a secret, wherever it stands in a text.
const SECRET_MARKS: &[&str] = &["-----BEGIN", "Bearer "];

/// How much of the arguments a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Digest and redacted view.
    Redacted,
    /// Digest alone.
    Digest,
}

/// What a record holds of one call's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The arguments as they came, to be recorded by their digest.
    pub bytes: Bytes,
    /// The arguments without secrets.
    pub view: Option<Value>,
}

/// Sums up the arguments' bytes. Cost: one parse of at most 2 KiB.
pub fn summarize(arguments: Bytes, view: View) -> Summary {
    let shown = view == View::Redacted && arguments.len() <= MAX_VIEW_BYTES;
    let value = if shown {
        serde_json::from_slice(&arguments).ok()
    } else {
        None
    };
    Summary {
        view: value.map(redact),
        bytes: arguments,
    }
}

/// Replaces what looks like a secret by a mark; idempotent.
pub(super) fn redact(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(redact_member)
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(redact).collect()),
        Value::String(text) => Value::String(redact_text(text)),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
    }
}

fn redact_member((name, value): (String, Value)) -> (String, Value) {
    let value = if is_secret_name(&name) {
        Value::from("[redacted]")
    } else {
        redact(value)
    };
    (name, value)
}

/// Whether the value of a member with this name is never shown.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SECRET_NAMES.iter().any(|secret| plain.contains(secret))
}

/// A tool's, prompt's or resource's name as a record may hold it: of a URI, no user and no query.
pub fn name(name: &str) -> String {
    let without_query = name
        .split_once(['?', '#'])
        .map(|(before, _)| format!("{before}?[redacted]"));
    let name = without_query.unwrap_or_else(|| name.to_owned());
    let without_user = name.split_once("://").and_then(|(scheme, rest)| {
        let (user, _) = rest
            .split_once('/')
            .unwrap_or((rest, ""))
            .0
            .rsplit_once('@')?;
        Some(format!("{scheme}://[redacted]{}", rest.get(user.len()..)?))
    });
    redact_text(without_user.unwrap_or(name))
}

/// Whether a text looks like a secret, or holds one.
pub(crate) fn is_secret_text(text: &str) -> bool {
    text.split([' ', '=', ':', '"', '\'', '\n', ','])
        .any(looks_secret)
        || SECRET_MARKS.iter().any(|mark| text.contains(mark))
}

fn redact_text(text: String) -> String {
    if is_secret_text(&text) {
        return "[redacted]".to_owned();
    }
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn looks_secret(word: &str) -> bool {
    SECRET_PREFIXES
        .iter()
        .any(|prefix| word.len() > prefix.len() + 8 && word.starts_with(prefix))
}
