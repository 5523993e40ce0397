//! The entries of a client's file in one form, whichever client wrote it.

use super::{MAX_IMPORT_BYTES, NotImportable, jsonc, not_json};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Where clients keep their servers: Claude, Cursor and Windsurf; VS Code's own file; VS Code's settings; Zed.
const PLACES: &[&[&str]] = &[
    &["mcpServers"],
    &["servers"],
    &["mcp", "servers"],
    &["context_servers"],
];
/// Where Codex does.
const IN_TOML: &str = "mcp_servers";
/// Where Claude Code keeps those of single folders.
const PROJECTS: &str = "projects";

/// How a client writes its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON, with comments and trailing commas: all clients but Codex.
    Json,
    /// TOML: Codex.
    Toml,
}

impl Format {
    /// What a file of that name is.
    pub(crate) fn of(file: &Path) -> Self {
        let is_toml = file.extension().is_some_and(|end| end == "toml");
        if is_toml { Self::Toml } else { Self::Json }
    }
}

/// A server in a client's file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// What the client calls it.
    pub(crate) name: String,
    /// For which folder alone, with Claude Code.
    pub(crate) project: Option<String>,
    /// Its settings, in the words of Claude and VS Code.
    pub(crate) settings: Value,
}

/// The entries that a file has for everywhere, by name.
///
/// # Errors
/// [`NotImportable`].
pub(crate) fn entries(text: &str, format: Format) -> Result<Vec<Entry>, NotImportable> {
    own(&root(text, format)?).ok_or(NotImportable::NoServers)
}

/// All entries of a file, those of single folders too.
///
/// # Errors
/// [`NotImportable`].
pub(crate) fn all_entries(text: &str, format: Format) -> Result<Vec<Entry>, NotImportable> {
    let root = root(text, format)?;
    let mut found = own(&root);
    let projects = root.get(PROJECTS).and_then(Value::as_object);
    for (folder, project) in projects.into_iter().flatten() {
        let theirs = own(project).unwrap_or_default().into_iter();
        found
            .get_or_insert_default()
            .extend(theirs.map(|entry| Entry {
                project: Some(folder.clone()),
                ..entry
            }));
    }
    found.ok_or(NotImportable::NoServers)
}

fn root(text: &str, format: Format) -> Result<Value, NotImportable> {
    let mut root: Value = match format {
        Format::Json => {
            serde_json::from_str(&jsonc::plain(text)?).map_err(|error| not_json(&error))?
        }
        Format::Toml if text.len() > MAX_IMPORT_BYTES => return Err(NotImportable::TooLarge),
        Format::Toml => toml::from_str(text).map_err(|error| NotImportable::Toml {
            line: line_of(text, error.span().map_or(0, |span| span.start)),
        })?,
    };
    // By name, as `wrap` does: both give the same names to the same file.
    root.sort_all_objects();
    Ok(root)
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.split(|byte| *byte == b'\n').count()
}

fn own(root: &Value) -> Option<Vec<Entry>> {
    let at = |path: &[&str]| {
        path.iter()
            .try_fold(root, |value, key| value.get(key))?
            .as_object()
    };
    let servers = PLACES
        .iter()
        .find_map(|path| at(path))
        .map(|servers| (servers, false))
        .or_else(|| Some((at(&[IN_TOML])?, true)));
    let (servers, is_codex) = servers?;
    let entries = servers.iter().map(|(name, settings)| Entry {
        name: name.clone(),
        project: None,
        settings: match settings.as_object() {
            Some(own) if is_codex => of_codex(own),
            Some(own) => of_zed(own),
            None => settings.clone(),
        },
    });
    Some(entries.collect())
}

/// Zed's `{"source": "custom", "command": …}`, and its older `{"command": {"path": …, "args": …, "env": …}}`.
fn of_zed(settings: &Map<String, Value>) -> Value {
    let mut own = settings.clone();
    if own.get("source") == Some(&json!("custom")) {
        own.remove("source");
    }
    if let Some(Value::Object(command)) = own.get("command").cloned() {
        own.remove("command");
        for (key, value) in command {
            let key = if key == "path" {
                "command".to_owned()
            } else {
                key
            };
            own.entry(key).or_insert(value);
        }
    }
    Value::Object(own)
}

/// Codex names variables for what goes into headers.
fn of_codex(settings: &Map<String, Value>) -> Value {
    let mut own = settings.clone();
    let mut headers = match own.remove("http_headers") {
        Some(Value::Object(headers)) => headers,
        Some(_) | None => Map::new(),
    };
    if let Some(Value::Object(named)) = own.remove("env_http_headers") {
        let named = named.into_iter().filter_map(|(header, variable)| {
            let reference = format!("${{{}}}", variable.as_str()?);
            Some((header, Value::from(reference)))
        });
        headers.extend(named);
    }
    if let Some(Value::String(variable)) = own.remove("bearer_token_env_var") {
        headers.insert(
            "Authorization".to_owned(),
            Value::from(format!("Bearer ${{{variable}}}")),
        );
    }
    if !headers.is_empty() {
        own.insert("headers".to_owned(), Value::Object(headers));
    }
    Value::Object(own)
}
