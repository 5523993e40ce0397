//! What can be called? The tools, their schemas, and what each one does.

mod arguments;
mod clock;
mod hostile;
mod table;

use std::time::Duration;

use serde_json::{Value, json};

use crate::caller::Revision;
use crate::files::{self, Files};
use crate::notes::{self, MAX_TEXT_BYTES, MAX_TITLE_BYTES, Note, Notes};
use crate::wire::Object;

pub(crate) use arguments::Wrong;
pub(crate) use clock::rfc3339;
pub(crate) use table::{Name, describe};

use arguments::Arguments;

const MAX_QUERY_BYTES: usize = 1024;
const MAX_PATH_BYTES: usize = 1024;
const MAX_ECHO_BYTES: usize = 512 * 1024;
const MAX_LISTED: u64 = 100;
const MAX_WAIT_SECONDS: u32 = 60;

/// What a tool works on.
#[derive(Debug)]
pub(crate) struct Workplace<'a> {
    pub(crate) notes: &'a mut Notes,
    pub(crate) files: &'a Files,
    pub(crate) now_ms: u64,
}

/// What a call leads to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A text.
    Text(String),
    /// A value of the tool's output schema.
    Structured(Value),
    /// A note was added.
    Added { id: u64, value: Value },
    /// A note was deleted.
    Deleted(Note),
    /// The user is to confirm that this note is deleted.
    Question(Note),
    /// The answer comes later.
    Wait(Duration),
}

/// Why a call failed; told to the model, so that it can do better.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Arguments(#[from] Wrong),
    #[error(transparent)]
    Notes(#[from] notes::Error),
    #[error(transparent)]
    Files(#[from] files::Error),
}

/// Calls a tool.
pub(crate) fn call(
    name: Name,
    arguments: &Object,
    place: &mut Workplace<'_>,
) -> Result<Outcome, Failed> {
    let arguments = Arguments::of(name, arguments)?;
    match name {
        Name::NotesAdd => add(&arguments, place),
        Name::NotesSearch => search(&arguments, place),
        Name::NotesList => list(&arguments, place),
        Name::NotesDelete => delete(&arguments, place),
        Name::FilesRead => {
            let path = arguments.text("path", MAX_PATH_BYTES)?;
            Ok(Outcome::Text(place.files.read(path)?))
        }
        Name::FilesList => {
            let path = arguments
                .optional_text("path", MAX_PATH_BYTES)?
                .unwrap_or_default();
            let entries: Vec<Value> = place.files.list(path)?.iter().map(entry).collect();
            Ok(Outcome::Structured(json!({"entries": entries})))
        }
        Name::Clock => Ok(Outcome::Structured(json!({"now": rfc3339(place.now_ms)}))),
        Name::Slow => {
            let seconds = arguments.number("seconds", MAX_WAIT_SECONDS)?;
            Ok(Outcome::Wait(
                Duration::try_from_secs_f64(seconds).unwrap_or_default(),
            ))
        }
        Name::Echo => Ok(Outcome::Text(
            arguments.text("text", MAX_ECHO_BYTES)?.to_owned(),
        )),
        Name::Hostile => {
            let kind = arguments.text("kind", MAX_TITLE_BYTES)?;
            let kind = hostile::Kind::parse(kind).ok_or(Wrong::NotAKind("kind"))?;
            Ok(Outcome::Text(kind.text()))
        }
    }
}

fn add(arguments: &Arguments<'_>, place: &mut Workplace<'_>) -> Result<Outcome, Failed> {
    let title = arguments.text("title", MAX_TITLE_BYTES)?;
    let text = arguments.text("text", MAX_TEXT_BYTES)?;
    let id = place.notes.add(title, text, place.now_ms)?;
    let created = rfc3339(place.now_ms);
    Ok(Outcome::Added {
        id,
        value: json!({"id": id, "title": title, "created": created}),
    })
}

fn search(arguments: &Arguments<'_>, place: &mut Workplace<'_>) -> Result<Outcome, Failed> {
    let query = arguments.text("query", MAX_QUERY_BYTES)?;
    let limit = limit(arguments, 10)?;
    let matches: Vec<Value> = place
        .notes
        .search(query, limit)?
        .into_iter()
        .map(|found| {
            json!({
                "id": found.id,
                "title": found.title,
                "snippet": found.snippet,
                "score": found.score,
            })
        })
        .collect();
    Ok(Outcome::Structured(json!({"matches": matches})))
}

fn list(arguments: &Arguments<'_>, place: &mut Workplace<'_>) -> Result<Outcome, Failed> {
    let limit = limit(arguments, 50)?;
    let after = arguments
        .optional_integer("after", 0, u64::MAX)?
        .unwrap_or_default();
    let notes = place.notes.all()?;
    let listed: Vec<Value> = notes
        .iter()
        .filter(|note| note.id > after)
        .take(limit)
        .map(|note| {
            let created = rfc3339(note.created_ms);
            json!({"id": note.id, "title": note.title, "created": created})
        })
        .collect();
    Ok(Outcome::Structured(
        json!({"notes": listed, "total": notes.len()}),
    ))
}

fn delete(arguments: &Arguments<'_>, place: &mut Workplace<'_>) -> Result<Outcome, Failed> {
    let id = arguments.integer("id", 1, u64::MAX)?;
    if arguments.optional_boolean("confirm")? == Some(true) {
        return Ok(Outcome::Deleted(place.notes.delete(id)?));
    }
    Ok(Outcome::Question(place.notes.find(id)?.clone()))
}

fn limit(arguments: &Arguments<'_>, otherwise: usize) -> Result<usize, Wrong> {
    let limit = arguments.optional_integer("limit", 1, MAX_LISTED)?;
    Ok(limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(otherwise))
}

fn entry(entry: &files::Entry) -> Value {
    let kind = match entry.kind {
        files::Kind::File => "file",
        files::Kind::Folder => "folder",
    };
    json!({"name": entry.name, "kind": kind, "size": entry.size_bytes})
}

/// A tool's result: a text for every revision, and its value for those that know values.
pub(crate) fn structured(value: Value, revision: Revision) -> Value {
    let mut result = text(&value.to_string());
    if let (true, Some(result)) = (revision >= Revision::V2025_06_18, result.as_object_mut()) {
        result.insert("structuredContent".to_owned(), value);
    }
    result
}

/// A tool's result that is a text.
pub(crate) fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": false})
}

/// A tool's result that says why there is none.
pub(crate) fn failure(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": true})
}
