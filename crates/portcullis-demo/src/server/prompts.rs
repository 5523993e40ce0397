//! `prompts/*`: two prompts that put notes or a text before a model.

use serde_json::{Value, json};

use super::{Server, check_no_cursor, text};
use crate::answer::{Cache, Refusal, Reply};
use crate::wire::Object;

/// The number of notes that a prompt quotes.
const MAX_QUOTED: usize = 20;

/// What `review_text` may look at.
pub(super) const FOCUSES: [&str; 4] = ["brevity", "clarity", "grammar", "tone"];

pub(super) fn list(params: &Object) -> Result<Reply, Refusal> {
    check_no_cursor(params)?;
    let prompts = json!([
        {
            "name": "summarize_notes",
            "description": "Summarise the notes",
            "arguments": [
                {"name": "topic", "description": "Only notes with these words", "required": false},
            ],
        },
        {
            "name": "review_text",
            "description": "Review a text",
            "arguments": [
                {"name": "text", "description": "The text to review", "required": true},
                {
                    "name": "focus",
                    "description": "What to look at: brevity, clarity, grammar or tone",
                    "required": false,
                },
            ],
        },
    ]);
    Ok(Reply::new(json!({"prompts": prompts}), Cache::Public))
}

impl Server {
    pub(super) fn get_prompt(&mut self, params: &Object) -> Result<Reply, Refusal> {
        let name = text(params, "name", "`name` must be the name of a prompt")?;
        let empty = Object::new();
        let arguments = match params.get("arguments") {
            None => &empty,
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return Err(Refusal::Params("`arguments` must be an object")),
        };
        let (description, prompt) = match name {
            "summarize_notes" => ("Summarise the notes", self.summarize_notes(arguments)?),
            "review_text" => ("Review a text", review_text(arguments)?),
            _ => return Err(Refusal::Params("unknown prompt")),
        };
        let content = json!({"type": "text", "text": prompt});
        let messages = json!([{"role": "user", "content": content}]);
        let result = json!({"description": description, "messages": messages});
        Ok(Reply::new(result, Cache::Never))
    }

    fn summarize_notes(&mut self, arguments: &Object) -> Result<String, Refusal> {
        let [topic] = read(arguments, ["topic"])?;
        let ids: Vec<u64> = match topic {
            Some(topic) => self
                .notes
                .search(topic, MAX_QUOTED)?
                .iter()
                .map(|found| found.id)
                .collect(),
            None => self
                .notes
                .all()?
                .iter()
                .rev()
                .take(MAX_QUOTED)
                .map(|note| note.id)
                .collect(),
        };
        let mut prompt = "Summarise these notes in a few sentences.\n".to_owned();
        for note in self
            .notes
            .all()?
            .iter()
            .filter(|note| ids.contains(&note.id))
        {
            for part in ["\n# ", &note.title, "\n", &note.text, "\n"] {
                prompt.push_str(part);
            }
        }
        Ok(prompt)
    }
}

fn review_text(arguments: &Object) -> Result<String, Refusal> {
    let [text, focus] = read(arguments, ["text", "focus"])?;
    let text = text.ok_or(Refusal::Params("the argument `text` is missing"))?;
    let focus = focus.unwrap_or("clarity");
    if !FOCUSES.contains(&focus) {
        return Err(Refusal::Params(
            "`focus` must be brevity, clarity, grammar or tone",
        ));
    }
    Ok(format!(
        "Review this text and look at its {focus} above all.\n\n{text}\n"
    ))
}

/// Takes the arguments of these names, and no other ones.
fn read<'a, const COUNT: usize>(
    arguments: &'a Object,
    names: [&str; COUNT],
) -> Result<[Option<&'a str>; COUNT], Refusal> {
    let is_known =
        |(name, value): (&String, &Value)| names.contains(&name.as_str()) && value.is_string();
    if !arguments.iter().all(is_known) {
        return Err(Refusal::Params(
            "an argument is unknown to this prompt or no string",
        ));
    }
    Ok(names.map(|name| arguments.get(name).and_then(Value::as_str)))
}
