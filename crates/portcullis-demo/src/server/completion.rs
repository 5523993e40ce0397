//! `completion/complete`: the rest of a prompt's argument or of a template's variable.

use serde_json::{Value, json};

use super::{Server, prompts, resources, text};
use crate::answer::{Cache, Refusal, Reply};
use crate::files::Kind;
use crate::wire::Object;

/// The number of values in a result (2025-11-25 completion, "Completion Results").
const MAX_VALUES: usize = 100;

impl Server {
    pub(super) fn complete(&mut self, params: &Object) -> Result<Reply, Refusal> {
        let object = |name| {
            let value = params.get(name).and_then(Value::as_object);
            value.ok_or(Refusal::Params("`ref` and `argument` must be objects"))
        };
        let (reference, argument) = (object("ref")?, object("argument")?);
        let name = text(argument, "name", "`argument.name` must be a string")?;
        let start = text(argument, "value", "`argument.value` must be a string")?.to_lowercase();
        let values: Vec<String> = self
            .values(reference, name)?
            .into_iter()
            .filter(|value| value.to_lowercase().starts_with(&start))
            .collect();
        let completion = json!({
            "values": values.iter().take(MAX_VALUES).collect::<Vec<_>>(),
            "total": values.len(),
            "hasMore": values.len() > MAX_VALUES,
        });
        Ok(Reply::new(json!({"completion": completion}), Cache::Never))
    }

    /// All values that the variable may have.
    fn values(&mut self, reference: &Object, name: &str) -> Result<Vec<String>, Refusal> {
        let of = |member| {
            reference
                .get(member)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        match (of("type"), of("name"), of("uri"), name) {
            ("ref/prompt", "review_text", _, "focus") => {
                Ok(prompts::FOCUSES.map(str::to_owned).into())
            }
            ("ref/prompt", "summarize_notes", _, "topic") => Ok(self
                .notes
                .all()?
                .iter()
                .map(|note| note.title.clone())
                .collect()),
            ("ref/prompt", "review_text", _, "text") => Ok(Vec::new()),
            ("ref/resource", _, "note:///{id}", "id") => Ok(self
                .notes
                .all()?
                .iter()
                .map(|note| note.id.to_string())
                .collect()),
            ("ref/resource", _, "demo://files/{name}", "name") => {
                let entries = self.files.list("").unwrap_or_default();
                let files = entries.into_iter().filter(|entry| entry.kind == Kind::File);
                Ok(files.map(|entry| resources::encode(&entry.name)).collect())
            }
            _ => Err(Refusal::Params(
                "there is no such prompt, template or argument",
            )),
        }
    }
}
