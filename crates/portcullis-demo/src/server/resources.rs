//! `resources/*`: notes as `note:///{id}`, files as `demo://files/{name}`, and two pages.

use serde_json::{Value, json};

use super::{Server, check_no_cursor, text};
use crate::answer::{Cache, Refusal, Reply};
use crate::files::Kind;
use crate::tools::rfc3339;
use crate::wire::Object;

/// The number of notes on a page of the list.
const PAGE_NOTES: usize = 100;

const ABOUT: &str = "This is the demo server of Portcullis, a gateway for the Model Context Protocol. It \
    keeps notes and reads files of one folder, so that you can see what passes through the gateway and \
    what does not. Ask it for `hostile` texts to try the inspection of results.\n";

pub(super) fn uri(params: &Object) -> Result<&str, Refusal> {
    text(params, "uri", "`uri` must be a URI")
}

pub(super) fn list_templates(params: &Object) -> Result<Reply, Refusal> {
    check_no_cursor(params)?;
    let templates = json!([
        {
            "uriTemplate": "note:///{id}",
            "name": "note",
            "description": "A note by its id",
            "mimeType": "text/plain",
        },
        {
            "uriTemplate": "demo://files/{name}",
            "name": "file",
            "description": "A file of the demo folder",
            "mimeType": "text/plain",
        },
    ]);
    Ok(Reply::new(
        json!({"resourceTemplates": templates}),
        Cache::Public,
    ))
}

impl Server {
    /// Pages and files first, then the notes; the cursor is the id of the last note before the page.
    pub(super) fn list_resources(&mut self, params: &Object) -> Result<Reply, Refusal> {
        let after: Option<u64> = match params.get("cursor") {
            None => None,
            Some(cursor) => {
                let id = cursor.as_str().and_then(|cursor| cursor.parse().ok());
                Some(id.ok_or(Refusal::Params("unknown cursor"))?)
            }
        };
        let mut resources = if after.is_some() {
            Vec::new()
        } else {
            self.pages_and_files()
        };
        let notes = self.notes.all()?;
        let mut following = notes
            .iter()
            .filter(|note| note.id > after.unwrap_or_default());
        let mut last = None;
        for note in following.by_ref().take(PAGE_NOTES) {
            last = Some(note.id);
            resources.push(json!({
                "uri": format!("note:///{}", note.id),
                "name": format!("note-{}", note.id),
                "title": note.title,
                "mimeType": "text/plain",
                "size": note.text.len(),
            }));
        }
        let mut result = json!({"resources": resources});
        if let (Some(_), Some(last), Some(result)) =
            (following.next(), last, result.as_object_mut())
        {
            result.insert("nextCursor".to_owned(), json!(last.to_string()));
        }
        Ok(Reply::new(result, Cache::Private))
    }

    fn pages_and_files(&self) -> Vec<Value> {
        let page = |uri: &str, name: &str, text: &str| json!({"uri": uri, "name": name, "description": text, "mimeType": "text/plain"});
        let mut resources = vec![
            page("demo://about", "about", "What this server is"),
            page(
                "demo://notes",
                "notes",
                "The ids, times and titles of all notes",
            ),
        ];
        let entries = self.files.list("").unwrap_or_default();
        resources.extend(
            entries
                .iter()
                .filter(|entry| entry.kind == Kind::File)
                .map(|entry| {
                    json!({
                        "uri": format!("demo://files/{}", encode(&entry.name)),
                        "name": entry.name,
                        "mimeType": "text/plain",
                        "size": entry.size_bytes,
                    })
                }),
        );
        resources
    }

    pub(super) fn read_resource(&mut self, params: &Object) -> Result<Reply, Refusal> {
        let uri = uri(params)?;
        let (text, cache) = match uri {
            "demo://about" => (ABOUT.to_owned(), Cache::Public),
            "demo://notes" => (self.index()?, Cache::Private),
            _ => (self.text_of(uri)?, Cache::Private),
        };
        let contents = json!([{"uri": uri, "mimeType": "text/plain", "text": text}]);
        Ok(Reply::new(json!({"contents": contents}), cache))
    }

    fn text_of(&mut self, uri: &str) -> Result<String, Refusal> {
        if let Some(id) = uri.strip_prefix("note:///") {
            let note = self
                .notes
                .find(id.parse().map_err(|_| Refusal::Resource)?)?;
            return Ok(format!("{}\n\n{}", note.title, note.text));
        }
        let name = uri
            .strip_prefix("demo://files/")
            .and_then(decode)
            .ok_or(Refusal::Resource)?;
        self.files.read(&name).map_err(|_| Refusal::Resource)
    }

    fn index(&mut self) -> Result<String, Refusal> {
        let lines = self.notes.all()?.iter().map(|note| {
            let created = rfc3339(note.created_ms);
            format!("{}\t{created}\t{}\n", note.id, note.title)
        });
        Ok(lines.collect())
    }
}

/// Writes a name as a segment of a URI (RFC 3986 section 2.3).
pub(super) fn encode(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segment = name.bytes().map(|byte| {
        if is_plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    segment.collect()
}

/// Reads a segment of a URI; `None` if an escape is cut or the result is no UTF-8.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let code = digit()? * 16 + digit()?;
        decoded.push(u8::try_from(code).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_come_back() {
        for name in ["readme.txt", "a b%c", "übung/..", ""] {
            assert_eq!(decode(&encode(name)).as_deref(), Some(name));
        }
        for broken in ["%", "%2", "%zz", "%ff", "%+1"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}
