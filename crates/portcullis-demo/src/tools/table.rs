//! The names of the tools and how each describes itself.

use serde_json::{Value, json};

use super::hostile;
use super::{
    MAX_ECHO_BYTES, MAX_LISTED, MAX_PATH_BYTES, MAX_QUERY_BYTES, MAX_TEXT_BYTES, MAX_TITLE_BYTES,
    MAX_WAIT_SECONDS,
};
use crate::caller::Revision;

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    NotesAdd,
    NotesSearch,
    NotesList,
    NotesDelete,
    FilesRead,
    FilesList,
    Clock,
    Slow,
    Echo,
    Hostile,
}

/// What a tool may do (2025-11-25 schema, `ToolAnnotations`).
#[derive(Clone, Copy)]
enum Effect {
    Reads,
    Adds,
    Deletes,
}

/// All tools, in the order in which they are listed.
const ALL: [Name; 10] = [
    Name::NotesAdd,
    Name::NotesSearch,
    Name::NotesList,
    Name::NotesDelete,
    Name::FilesRead,
    Name::FilesList,
    Name::Clock,
    Name::Slow,
    Name::Echo,
    Name::Hostile,
];

/// The list of all tools for a client of this revision.
pub(crate) fn describe(revision: Revision) -> Vec<Value> {
    ALL.into_iter()
        .map(|name| name.describe(revision))
        .collect()
}

impl Name {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        ALL.into_iter().find(|name| name.as_str() == text)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::NotesAdd => "notes_add",
            Self::NotesSearch => "notes_search",
            Self::NotesList => "notes_list",
            Self::NotesDelete => "notes_delete",
            Self::FilesRead => "files_read",
            Self::FilesList => "files_list",
            Self::Clock => "clock",
            Self::Slow => "slow",
            Self::Echo => "echo",
            Self::Hostile => "hostile",
        }
    }

    /// The names of the arguments that the tool has.
    pub(crate) const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::NotesAdd => &["title", "text"],
            Self::NotesSearch => &["query", "limit"],
            Self::NotesList => &["limit", "after"],
            Self::NotesDelete => &["id", "confirm"],
            Self::FilesRead | Self::FilesList => &["path"],
            Self::Clock => &[],
            Self::Slow => &["seconds"],
            Self::Echo => &["text"],
            Self::Hostile => &["kind"],
        }
    }

    fn describe(self, revision: Revision) -> Value {
        let (title, text) = self.words();
        let mut tool = json!({
            "name": self.as_str(),
            "description": text,
            "inputSchema": {
                "type": "object",
                "properties": self.properties(),
                "required": self.required(),
                "additionalProperties": false,
            },
            "annotations": self.effect().annotations(title),
        });
        if let (true, Some(tool)) = (revision >= Revision::V2025_06_18, tool.as_object_mut()) {
            tool.insert("title".to_owned(), json!(title));
            if let Some(output) = self.output() {
                tool.insert("outputSchema".to_owned(), output);
            }
        }
        tool
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotesAdd => ("Add a note", "Stores a note and returns its id."),
            Self::NotesSearch => (
                "Search notes",
                "Finds notes that contain any word of the query, whatever the case; best first.",
            ),
            Self::NotesList => (
                "List notes",
                "Lists notes by id, oldest first. To go on, pass the last id as `after`.",
            ),
            Self::NotesDelete => (
                "Delete a note",
                "Deletes one note for good. Asks the user first, unless `confirm` is true.",
            ),
            Self::FilesRead => (
                "Read a file",
                "Returns the text of one file of the demo folder, at most 256 KiB.",
            ),
            Self::FilesList => (
                "List files",
                "Lists the demo folder or a folder in it, at most 500 entries.",
            ),
            Self::Clock => ("Clock", "Returns the current time in UTC (RFC 3339)."),
            Self::Slow => (
                "Wait",
                "Waits, reports progress every second, and can be cancelled. To try timeouts.",
            ),
            Self::Echo => ("Echo", "Returns its argument unchanged. To try inspection."),
            Self::Hostile => (
                "Hostile text",
                "Returns a harmless sample of a text that tries to hijack an agent. To try \
                 whether a gate finds it.",
            ),
        }
    }

    const fn effect(self) -> Effect {
        match self {
            Self::NotesAdd => Effect::Adds,
            Self::NotesDelete => Effect::Deletes,
            Self::NotesSearch
            | Self::NotesList
            | Self::FilesRead
            | Self::FilesList
            | Self::Clock
            | Self::Slow
            | Self::Echo
            | Self::Hostile => Effect::Reads,
        }
    }

    const fn required(self) -> &'static [&'static str] {
        match self {
            Self::NotesAdd => &["title", "text"],
            Self::NotesSearch => &["query"],
            Self::NotesDelete => &["id"],
            Self::FilesRead => &["path"],
            Self::Slow => &["seconds"],
            Self::Echo => &["text"],
            Self::Hostile => &["kind"],
            Self::NotesList | Self::FilesList | Self::Clock => &[],
        }
    }

    fn properties(self) -> Value {
        match self {
            Self::NotesAdd => json!({
                "title": string("A few words", MAX_TITLE_BYTES),
                "text": string("The note itself", MAX_TEXT_BYTES),
            }),
            Self::NotesSearch => json!({
                "query": string("Words to look for", MAX_QUERY_BYTES),
                "limit": limit(10),
            }),
            Self::NotesList => json!({
                "limit": limit(50),
                "after": {"type": "integer", "minimum": 0, "description": "List notes with a greater id"},
            }),
            Self::NotesDelete => json!({
                "id": {"type": "integer", "minimum": 1, "description": "The id of the note"},
                "confirm": {"type": "boolean", "description": "True to delete without asking the user"},
            }),
            Self::FilesRead => json!({
                "path": string("A path relative to the demo folder", MAX_PATH_BYTES),
            }),
            Self::FilesList => json!({
                "path": {
                    "type": "string",
                    "maxLength": MAX_PATH_BYTES,
                    "description": "A folder relative to the demo folder; that folder itself without",
                },
            }),
            Self::Clock => json!({}),
            Self::Slow => json!({
                "seconds": {
                    "type": "number",
                    "minimum": 0,
                    "maximum": MAX_WAIT_SECONDS,
                    "description": "How long to wait",
                },
            }),
            Self::Echo => json!({"text": string("What to return", MAX_ECHO_BYTES)}),
            Self::Hostile => json!({
                "kind": {
                    "type": "string",
                    "enum": hostile::Kind::ALL.map(hostile::Kind::as_str),
                    "description": "Which kind of attack to return",
                },
            }),
        }
    }

    fn output(self) -> Option<Value> {
        let integer = json!({"type": "integer"});
        let text = json!({"type": "string"});
        let note = object(&json!({"id": integer, "title": text, "created": text}));
        match self {
            Self::NotesAdd => Some(note),
            Self::NotesSearch => {
                let found = object(
                    &json!({"id": integer, "title": text, "snippet": text, "score": integer}),
                );
                Some(object(
                    &json!({"matches": {"type": "array", "items": found}}),
                ))
            }
            Self::NotesList => Some(object(&json!({
                "notes": {"type": "array", "items": note},
                "total": integer,
            }))),
            Self::NotesDelete => Some(object(
                &json!({"id": integer, "deleted": {"type": "boolean"}}),
            )),
            Self::FilesList => {
                let kind = json!({"type": "string", "enum": ["file", "folder"]});
                let entry = object(&json!({"name": text, "kind": kind, "size": integer}));
                Some(object(
                    &json!({"entries": {"type": "array", "items": entry}}),
                ))
            }
            Self::Clock => Some(object(
                &json!({"now": {"type": "string", "format": "date-time"}}),
            )),
            Self::FilesRead | Self::Slow | Self::Echo | Self::Hostile => None,
        }
    }
}

impl Effect {
    fn annotations(self, title: &str) -> Value {
        let (is_read_only, is_destructive) = match self {
            Self::Reads => (true, false),
            Self::Adds => (false, false),
            Self::Deletes => (false, true),
        };
        json!({
            "title": title,
            "readOnlyHint": is_read_only,
            "destructiveHint": is_destructive,
            "idempotentHint": is_read_only,
            "openWorldHint": false,
        })
    }
}

/// The schema of a text; JSON Schema counts characters, so that it allows no less than the check.
fn string(description: &str, max_bytes: usize) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": max_bytes, "description": description})
}

fn limit(otherwise: u64) -> Value {
    json!({
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_LISTED,
        "default": otherwise,
        "description": "The largest number of notes to return",
    })
}

/// The schema of an object that has all of these properties and no other.
fn object(properties: &Value) -> Value {
    let required: Vec<&String> = properties
        .as_object()
        .into_iter()
        .flat_map(|p| p.keys())
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_list_the_arguments_that_are_read() {
        for name in ALL {
            assert_eq!(Name::parse(name.as_str()), Some(name));
            let properties = name.properties();
            let mut described: Vec<&str> = properties
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            let mut read = name.arguments().to_vec();
            described.sort_unstable();
            read.sort_unstable();
            assert_eq!(described, read);
            assert!(
                name.required()
                    .iter()
                    .all(|argument| read.contains(argument))
            );
        }
    }

    #[test]
    fn the_oldest_revision_gets_no_output_schemas() {
        let has = |revision, member| {
            describe(revision)
                .iter()
                .any(|tool| tool.get(member).is_some())
        };
        assert!(!has(Revision::V2025_03_26, "outputSchema"));
        assert!(has(Revision::V2025_06_18, "outputSchema"));
        assert!(!has(Revision::V2025_03_26, "title"));
    }
}
