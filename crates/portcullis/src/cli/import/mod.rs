//! Import: what do the files of MCP clients say, in our words? And `wrap`, written into them.

mod jsonc;
mod entries;
mod names;
mod translate;
mod values;
mod wrap;
#[cfg(test)]
mod tests;

pub(crate) use entries::{Entry, Format, all_entries};
pub(crate) use translate::{import, import_one};
pub(crate) use wrap::{unwrapped, wrap};

use crate::config::Secret;
use serde_json::Value;
use std::collections::BTreeMap;

/// Larger files are not lists of servers.
pub(crate) const MAX_IMPORT_BYTES: usize = 4 << 20;

/// A client's file in our words.
#[derive(Debug)]
#[must_use]
pub(crate) struct Imported {
    /// The text of a `portcullis.toml`. A secret is in it only if it stood in an argument.
    pub(crate) toml: String,
    /// The same, to be shown: `***` stands for each of those.
    pub(crate) shown: String,
    /// Secrets that stood in the file, by the name of the file that `toml` says holds each.
    pub(crate) secrets: BTreeMap<String, Secret<String>>,
    /// What the user should know; never the value of a secret.
    pub(crate) notes: Vec<String>,
}

/// A client's file in which every stdio server runs behind `portcullis wrap`.
#[derive(Debug)]
#[must_use]
pub(crate) struct Wrapped {
    /// The file with only `command` and `args` changed; comments and order stay.
    pub(crate) json: String,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

/// Why a text is not a client's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotImportable {
    /// It is not JSON, even without comments.
    #[error("not JSON: line {line}, column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It is not TOML, which is what Codex writes.
    #[error("not TOML: line {line}")]
    Toml {
        /// From 1.
        line: usize,
    },
    /// It has no list of servers.
    #[error(
        "no `mcpServers`, `servers`, `mcp.servers`, `context_servers` or `mcp_servers` in the file"
    )]
    NoServers,
    /// It has more than [`MAX_IMPORT_BYTES`].
    #[error("the file has more than {MAX_IMPORT_BYTES} bytes")]
    TooLarge,
}

/// A string of JSON that is also a basic string of TOML.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn not_json(error: &serde_json::Error) -> NotImportable {
    NotImportable::Json {
        line: error.line(),
        column: error.column(),
    }
}
