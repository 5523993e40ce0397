//! `portcullis.lock`: what servers defined when somebody looked, one line for each definition.
//!
//! The first line says which format it is. The others stand in the order of server, kind and name, so that the same
//! definitions always make the same file, and a change of one of them is a change of one line.

use super::visible::escaped_but;
use super::{Definition, Digest, Kind};
use crate::protocol::read_strict;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

/// The largest lock file that is read, in bytes.
pub const MAX_LOCK_BYTES: usize = 64 << 20;
/// The first line of the one format that there is.
const FIRST: &str = r#"{"portcullis.lock":1}"#;

/// Which definition of which server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pinned {
    /// What the server was called.
    pub server: String,
    /// What the definition is of.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// What servers defined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock(BTreeMap<Pinned, Definition>);

/// Why a text is no lock file; lines count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLock {
    /// More than [`MAX_LOCK_BYTES`].
    #[error("it has more than {MAX_LOCK_BYTES} bytes")]
    TooLarge,
    /// Another first line: a later format, or no lock file.
    #[error("line 1 is not {FIRST}: it is of another version, or no lock file")]
    Format,
    /// A line that is not one definition, as it is written here.
    #[error("line {0} is not a definition as it is written by `scan --lock`")]
    Line(usize),
    /// A line whose digest is not that of its definition.
    #[error("the digest in line {0} is not that of its definition")]
    Digest(usize),
    /// A line that does not stand where it belongs, or stands twice.
    #[error("line {0} is not in order")]
    Order(usize),
}

/// A line, in the order of its members.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    server: String,
    kind: String,
    name: String,
    digest: String,
    definition: Box<RawValue>,
}

impl Lock {
    /// Pins a definition of a server. Of two with one name the last counts.
    pub fn pin(&mut self, server: &str, definition: &Definition) {
        let pinned = Pinned {
            server: server.to_owned(),
            kind: definition.kind(),
            name: definition.name().to_string(),
        };
        self.0.insert(pinned, definition.clone());
    }

    /// What is pinned, in order.
    pub fn pinned(&self) -> impl Iterator<Item = (&Pinned, &Definition)> {
        self.0.iter()
    }

    /// The definition that is pinned there.
    pub fn of(&self, pinned: &Pinned) -> Option<&Definition> {
        self.0.get(pinned)
    }

    /// Reads a lock file. Exactly what [`Lock::write`] writes is read, so that no change of the file goes unseen.
    ///
    /// # Errors
    /// [`BadLock`]
    pub fn read(text: &str) -> Result<Self, BadLock> {
        if text.len() > MAX_LOCK_BYTES {
            return Err(BadLock::TooLarge);
        }
        let rest = text.strip_prefix(FIRST).ok_or(BadLock::Format)?;
        let rest = rest.strip_prefix('\n').ok_or(BadLock::Format)?;
        let mut lock = Self::default();
        for (index, text) in rest.split_inclusive('\n').enumerate() {
            let number = index + 2;
            let (pinned, definition) = read_line(text, number)?;
            let last = lock.0.last_key_value();
            if last.is_some_and(|(last, _)| *last >= pinned) {
                return Err(BadLock::Order(number));
            }
            lock.0.insert(pinned, definition);
        }
        Ok(lock)
    }

    /// The file's text.
    pub fn write(&self) -> String {
        let mut text = format!("{FIRST}\n");
        for (pinned, definition) in &self.0 {
            text.extend(line(pinned, definition));
        }
        text
    }
}

/// A line with its end; `None` cannot happen, for a canonical definition is JSON.
fn line(pinned: &Pinned, definition: &Definition) -> Option<String> {
    let line = Line {
        server: pinned.server.clone(),
        kind: pinned.kind.name().to_owned(),
        name: pinned.name.clone(),
        digest: definition.digest().to_string(),
        definition: RawValue::from_string(definition.canonical().to_string()).ok()?,
    };
    let raw = to_raw_value(&line).ok()?;
    Some(in_ascii(raw.get()) + "\n")
}

fn read_line(text: &str, number: usize) -> Result<(Pinned, Definition), BadLock> {
    let bad = || BadLock::Line(number);
    let json = text.strip_suffix('\n').ok_or_else(bad)?;
    let said: Line = read_strict(json.as_bytes()).map_err(|_| bad())?;
    let kind: Kind = said.kind.parse().map_err(|_| bad())?;
    let definition = Definition::read(kind, said.definition.get()).map_err(|_| bad())?;
    let digest: Digest = said.digest.parse().map_err(|_| bad())?;
    if digest != definition.digest() {
        return Err(BadLock::Digest(number));
    }
    let pinned = Pinned {
        server: said.server,
        kind,
        name: definition.name().to_string(),
    };
    // The name in the line is that of the definition, or the line would be another one.
    if line(&pinned, &definition).as_deref() != Some(text) {
        return Err(bad());
    }
    Ok((pinned, definition))
}

/// The same JSON in ASCII: whoever reviews a change sees what a model would read, hidden characters too.
fn in_ascii(json: &str) -> String {
    // JSON has control characters in texts only as escapes; DEL is the exception.
    escaped_but(json, |char| char.is_ascii() && char != '\u{7f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn definition(kind: Kind, value: &Value) -> Definition {
        Definition::read(kind, &value.to_string()).unwrap()
    }

    fn lock() -> Lock {
        let mut lock = Lock::default();
        let add = json!({"name": "add", "description": "a\u{202e}\u{1f600}"});
        lock.pin("notes", &definition(Kind::Tool, &add));
        lock.pin("notes", &definition(Kind::Prompt, &json!({"name": "add"})));
        lock.pin("files", &definition(Kind::Server, &json!({})));
        lock
    }

    #[test]
    fn a_lock_file_is_the_same_for_the_same_definitions() {
        let text = lock().write();
        let digest = definition(Kind::Server, &json!({})).digest();
        assert!(text.starts_with(&format!(
            "{FIRST}\n{{\"server\":\"files\",\"kind\":\"server\",\"name\":\"\",\"digest\":\"{digest}\",\"definition\":{{}}}}\n"
        )));
        assert!(text.contains(r#""description":"a\u202e\ud83d\ude00""#));
        assert!(text.is_ascii());
        assert_eq!(text.lines().count(), 4);
        assert_eq!(Lock::read(&text).unwrap(), lock());
        let empty = Lock::default();
        assert_eq!(Lock::read(&empty.write()).unwrap(), empty);
    }

    #[test]
    fn what_is_not_written_so_is_not_read() {
        let text = lock().write();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.swap(1, 2);
        let swapped = lines.join("\n") + "\n";
        for (changed, expected) in [
            (String::new(), BadLock::Format),
            (text.replace(":1}", ":2}"), BadLock::Format),
            (text.trim_end().to_owned(), BadLock::Line(4)),
            (text.clone() + "\n", BadLock::Line(5)),
            (text.replace("\\u202e", ""), BadLock::Digest(3)),
            (text.replace("\\u202e", "\\u202E"), BadLock::Line(3)),
            (
                text.replace("\"name\":\"\"", "\"name\":\"x\""),
                BadLock::Line(2),
            ),
            (
                text.replace("\"kind\":\"server\"", "\"kind\":\"tools\""),
                BadLock::Line(2),
            ),
            (text.replace("\"digest\"", "\"digests\""), BadLock::Line(2)),
            (swapped, BadLock::Order(3)),
        ] {
            assert_eq!(Lock::read(&changed), Err(expected), "{changed}");
        }
    }

    proptest! {
        #[test]
        fn every_definition_comes_back(server in any::<String>(), name in ".{1,20}", text in any::<String>()) {
            let mut lock = Lock::default();
            lock.pin(&server, &definition(Kind::Tool, &json!({"name": name, "description": text})));
            prop_assert_eq!(Lock::read(&lock.write()), Ok(lock));
        }

        #[test]
        fn what_is_read_is_written_again(text in "\\PC{0,80}") {
            let text = format!("{FIRST}\n{text}\n");
            if let Ok(lock) = Lock::read(&text) {
                prop_assert_eq!(lock.write(), text);
            }
        }
    }
}
