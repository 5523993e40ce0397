//! `portcullis wrap` written into a client's file.

use super::names::Names;
use super::{NotImportable, Wrapped, jsonc, not_json, quoted};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ops::Range;

/// What our own sub-command for one stdio server is called.
const WRAP: &str = "wrap";

/// Writes `program wrap --name NAME -- COMMAND ARGS` in place of each stdio server's command.
///
/// Entries that are so already, and entries with a URL, stay as they are.
///
/// # Errors
/// [`NotImportable`].
pub(crate) fn wrap(text: &str, program: &str) -> Result<Wrapped, NotImportable> {
    let plain = jsonc::plain(text)?;
    let root: Raw<'_> = serde_json::from_str(&plain).map_err(|error| not_json(&error))?;
    let servers = root
        .get("mcpServers")
        .or(root.get("servers"))
        .or(root.get("context_servers"))
        .and_then(|raw| open(raw))
        .or_else(|| open(open(root.get("mcp")?)?.get("servers")?))
        .ok_or(NotImportable::NoServers)?;
    let mut edits = Vec::new();
    let mut notes = Vec::new();
    let mut names = Names::default();
    for (name, raw) in &servers {
        let ours = names.take(name);
        match open(raw).map(|entry| entry_edits(&plain, &entry, &ours, program)) {
            Some(Ok(found)) => edits.extend(found),
            Some(Err(reason)) => notes.push(format!("{}: {reason}; left as it is", quoted(name))),
            None => notes.push(format!("{}: not an object; left as it is", quoted(name))),
        }
    }
    Ok(Wrapped {
        json: edited(text, edits),
        notes,
    })
}

type Edit = (Range<usize>, String);

/// What to change in one entry; nothing if it has no command or runs behind us already.
fn entry_edits(
    plain: &str,
    entry: &Raw<'_>,
    name: &str,
    program: &str,
) -> Result<Vec<Edit>, &'static str> {
    let Some(raw_command) = entry.get("command") else {
        return Ok(Vec::new());
    };
    let command: String =
        serde_json::from_str(raw_command.get()).map_err(|_| "`command` is not a string")?;
    let raw_args = entry.get("args");
    let args: Vec<String> = match raw_args {
        None => Vec::new(),
        Some(raw) => {
            serde_json::from_str(raw.get()).map_err(|_| "`args` is not a list of strings")?
        }
    };
    if unwrapped(&command, &args).is_some() {
        return Ok(Vec::new());
    }
    let words = [WRAP, "--name", name, "--", &command]
        .map(quoted)
        .join(", ");
    let place_of_command = place(plain, raw_command);
    let insertion = match raw_args {
        // Behind the bracket: what is inside stays as it is, with its comments.
        Some(raw) => (
            place(plain, raw).start + 1,
            if args.is_empty() { words } else { words + ", " },
        ),
        None => (place_of_command.end, format!(", \"args\": [{words}]")),
    };
    let (at, new) = insertion;
    Ok(vec![(place_of_command, quoted(program)), (at..at, new)])
}

/// A JSON object whose values know where they stand in the text.
type Raw<'a> = BTreeMap<String, &'a RawValue>;

fn open(raw: &RawValue) -> Option<Raw<'_>> {
    serde_json::from_str(raw.get()).ok()
}

/// Where in `text` a value stands that was borrowed from it.
fn place(text: &str, raw: &RawValue) -> Range<usize> {
    let start = raw
        .get()
        .as_ptr()
        .addr()
        .saturating_sub(text.as_ptr().addr());
    start..start + raw.get().len()
}

fn edited(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut edited = String::new();
    let mut done = 0;
    for (range, new) in edits {
        edited.push_str(text.get(done..range.start).unwrap_or_default());
        edited.push_str(&new);
        done = range.end;
    }
    edited + text.get(done..).unwrap_or_default()
}

/// The command behind `portcullis wrap … -- COMMAND ARGS`, if it is one.
pub(crate) fn unwrapped(command: &str, args: &[String]) -> Option<Vec<String>> {
    let file = command.rsplit(['/', '\\']).next().unwrap_or(command);
    let is_ours = file == "portcullis" || file.eq_ignore_ascii_case("portcullis.exe");
    let at = args.iter().position(|argument| argument == "--")?;
    let behind = args.get(at + 1..).filter(|behind| !behind.is_empty())?;
    (is_ours && args.first().is_some_and(|first| first == WRAP)).then(|| behind.to_vec())
}
