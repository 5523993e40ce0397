//! A client's file becomes a `portcullis.toml`.

use super::entries::{Entry, Format, entries};
use super::names::Names;
use super::wrap::unwrapped;
use super::{Imported, NotImportable, quoted};
use crate::config::{HttpUrl, Secret, header, interpolate, suspect, veil};
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Who signs tokens for what was imported.
const ISSUER: &str = "[issuers.local]\nembedded = true";

/// Keys of an entry that are read; the others are named in a note.
const KNOWN: &[&str] = &[
    "type",
    "command",
    "args",
    "env",
    "cwd",
    "url",
    "serverUrl",
    "headers",
    "disabled",
    "enabled",
];

/// Translates the file of Claude, Cursor, Windsurf, VS Code, Zed or Codex.
///
/// `secrets` is the directory into which the caller will write the secrets, as the new file shall name it.
/// Nothing is granted: the new file says how.
///
/// # Errors
/// [`NotImportable`].
pub(crate) fn import(
    text: &str,
    format: Format,
    secrets: &Path,
) -> Result<Imported, NotImportable> {
    let entries = entries(text, format)?;
    let mut import = Import::new(secrets);
    import.line(
        "# Nothing is allowed until a server has `allow`, or a [[grants]] or a policy names it.",
    );
    import.line(ISSUER);
    for entry in &entries {
        import.entry(&entry.name, &entry.settings);
    }
    Ok(import.done())
}

/// The same of one entry.
pub(crate) fn import_one(entry: &Entry, secrets: &Path) -> Imported {
    let mut import = Import::new(secrets);
    import.line(ISSUER);
    import.entry(&entry.name, &entry.settings);
    import.done()
}

/// A translation under way.
pub(super) struct Import<'a> {
    pub(super) directory: &'a Path,
    toml: String,
    /// The same, without what seems to be a secret.
    shown: String,
    pub(super) secrets: BTreeMap<String, Secret<String>>,
    notes: Vec<String>,
    names: Names,
}

impl<'a> Import<'a> {
    fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            toml: String::new(),
            shown: String::new(),
            secrets: BTreeMap::new(),
            notes: Vec::new(),
            names: Names::default(),
        }
    }

    fn done(self) -> Imported {
        Imported {
            toml: self.toml,
            shown: self.shown,
            secrets: self.secrets,
            notes: self.notes,
        }
    }

    fn line(&mut self, text: &str) {
        self.line_shown(text, text);
    }

    /// A line that is shown as another one.
    fn line_shown(&mut self, text: &str, shown: &str) {
        for (whole, text) in [(&mut self.toml, text), (&mut self.shown, shown)] {
            whole.push_str(text);
            whole.push('\n');
        }
    }

    pub(super) fn note(&mut self, name: &str, text: &str) {
        self.notes.push(format!("{}: {text}", quoted(name)));
    }

    fn entry(&mut self, name: &str, entry: &Value) {
        let Some(entry) = entry.as_object() else {
            return self.note(name, "not an object; left out");
        };
        let is_off = entry.get("disabled") == Some(&Value::Bool(true))
            || entry.get("enabled") == Some(&Value::Bool(false));
        if is_off {
            return self.note(name, "switched off; left out");
        }
        for key in entry.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
            self.note(
                name,
                &format!("{} has no counterpart here; left out", quoted(key)),
            );
        }
        let url = entry.get("url").or(entry.get("serverUrl"));
        match (entry.get("command"), url) {
            (Some(Value::String(command)), None) => self.stdio(name, command, entry),
            (None, Some(Value::String(url))) => self.http(name, url, entry),
            _ => self.note(name, "neither one `command` nor one `url`; left out"),
        }
    }

    /// Begins the table of a server under a free name.
    fn begin(&mut self, name: &str) -> String {
        let ours = self.names.take(name);
        if ours != name {
            self.note(name, &format!("is called `{ours}` here"));
        }
        self.line(&format!("\n[servers.{ours}]"));
        ours
    }

    fn http(&mut self, name: &str, url: &str, entry: &Map<String, Value>) {
        let kind = entry
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_sse = match kind.to_ascii_lowercase().as_str() {
            "" => url.trim_end_matches('/').ends_with("/sse"),
            "sse" => true,
            "http" | "streamable-http" | "streamablehttp" | "streamable_http" => false,
            _ => return self.note(name, "its `type` is not known here; left out"),
        };
        if url.contains("${") {
            return self.note(
                name,
                "its URL has a variable in it; left out: write `url` by hand, with `${VARIABLE}` where it stands",
            );
        }
        if let Err(problem) = HttpUrl::parse(url) {
            return self.note(name, &format!("its URL is refused: {problem}; left out"));
        }
        let ours = self.begin(name);
        let shown = veil::url(url);
        let text = self.text(name, &[&ours, "url"], url, shown != url);
        self.line(&format!("url = {text}"));
        if shown != url {
            self.line(&format!("# it is {}", quoted(&shown)));
        }
        if is_sse {
            self.line("transport = \"sse\"");
        }
        self.line("# allow = [\"*\", \"resource:*\", \"prompt:*\"]");
        let lines = self.headers(name, &ours, entry.get("headers"));
        self.table(&format!("servers.{ours}.headers"), &lines);
    }

    fn headers(&mut self, name: &str, ours: &str, headers: Option<&Value>) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut lines = Vec::new();
        for (key, value) in pairs_of(headers) {
            let header = HeaderName::try_from(key)
                .map(|header| header.as_str().to_owned())
                .unwrap_or_default();
            let is_value = value
                .as_deref()
                .is_some_and(|value| HeaderValue::try_from(value).is_ok());
            let value = value.filter(|value| is_value && !value.trim().is_empty());
            let Some(value) = value.filter(|_| !header.is_empty() && !header::is_own(&header))
            else {
                self.note(
                    name,
                    &format!("the header {} cannot be sent; left out", quoted(key)),
                );
                continue;
            };
            if !seen.insert(header.clone()) {
                self.note(
                    name,
                    &format!("the header {} stands twice; left out", quoted(key)),
                );
                continue;
            }
            let is_secret = header == "authorization"
                || suspect::is_secret_name(&header)
                || suspect::is_secret_value(&value);
            lines.push(format!(
                "{} = {}",
                quoted(key),
                self.text(name, &[ours, key], &value, is_secret)
            ));
        }
        lines
    }

    fn stdio(&mut self, name: &str, command: &str, entry: &Map<String, Value>) {
        let args: Option<Vec<String>> = match entry.get("args") {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(args) => args
                .as_array()
                .and_then(|args| args.iter().map(scalar).collect()),
        };
        let Some(args) = args else {
            return self.note(name, "`args` is not a list of texts; left out");
        };
        let mut words =
            unwrapped(command, &args).unwrap_or_else(|| [vec![command.to_owned()], args].concat());
        if words.iter().any(|word| word.contains('\0'))
            || words.first().is_none_or(|word| word.trim().is_empty())
        {
            return self.note(name, "its command cannot be run; left out");
        }
        let ours = self.begin(name);
        let command = words.remove(0);
        let shown = self.judge_args(name, &command, &words);
        self.line(&format!("command = {}", quoted(&command)));
        if !words.is_empty() {
            self.line_shown(&list("args", &words), &list("args", &shown));
        }
        match entry.get("cwd").and_then(Value::as_str) {
            Some(cwd) if cwd.is_empty() || cwd.contains(['\0', '$']) => {
                self.note(name, "`cwd` is not a plain path; left out");
            }
            Some(cwd) => self.line(&format!("cwd = {}", quoted(cwd))),
            None => {}
        }
        let lines = self.variables(name, &ours, entry.get("env"));
        self.line("# allow = [\"*\", \"resource:*\", \"prompt:*\"]");
        self.table(&format!("servers.{ours}.env"), &lines);
    }

    fn variables(&mut self, name: &str, ours: &str, variables: Option<&Value>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut inherited = vec!["HOME", "PATH"];
        for (key, value) in pairs_of(variables) {
            let Some(value) =
                value.filter(|value| interpolate::is_variable(key) && !value.contains('\0'))
            else {
                self.note(
                    name,
                    &format!("the variable {} cannot be set; left out", quoted(key)),
                );
                continue;
            };
            inherited.retain(|name| *name != key);
            let value = if value.trim().is_empty() {
                String::new()
            } else {
                value
            };
            let is_secret = !suspect::is_setting(&value)
                && (suspect::is_secret_name(key) || suspect::is_secret_value(&value));
            lines.push(format!(
                "{key} = {}",
                self.text(name, &[ours, key], &value, is_secret)
            ));
        }
        let inherited: Vec<String> = inherited.into_iter().map(quoted).collect();
        self.line(&format!("inherit_env = [{}]", inherited.join(", ")));
        lines
    }

    /// Arguments are passed as they are: a secret or a variable in them is for the user to move. Gives them as they
    /// may be shown.
    fn judge_args(&mut self, name: &str, command: &str, args: &[String]) -> Vec<String> {
        let shown = veil::arguments(args);
        for (index, (argument, shown)) in args.iter().zip(&shown).enumerate() {
            if argument.contains("${") {
                self.note(
                    name,
                    &format!(
                        "argument {}: a variable in an argument is not replaced; set it in `env`",
                        index + 1
                    ),
                );
            } else if argument != shown {
                self.note(
                    name,
                    &format!(
                        "argument {} seems to be a secret: other users can see it; set it in `env`",
                        index + 1
                    ),
                );
            }
        }
        if command.contains("${") {
            self.note(
                name,
                "a variable in `command` is not replaced; write the path",
            );
        }
        shown
    }

    fn table(&mut self, heading: &str, lines: &[String]) {
        if !lines.is_empty() {
            self.line(&format!("\n[{heading}]\n{}", lines.join("\n")));
        }
    }
}

fn list(key: &str, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("{key} = [{}]", words.join(", "))
}

/// The entries of an object, their scalars as text.
fn pairs_of(object: Option<&Value>) -> impl Iterator<Item = (&String, Option<String>)> {
    object
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| (key, scalar(value)))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
