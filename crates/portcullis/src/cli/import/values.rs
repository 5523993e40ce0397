//! A client's values: text, references, secrets.

use super::quoted;
use super::translate::Import;
use crate::config::interpolate::{self, Part};
use crate::config::{Secret, suspect};

impl Import<'_> {
    /// A value as TOML: text with references, or the file to which a secret goes.
    pub(super) fn text(
        &mut self,
        name: &str,
        path: &[&str],
        value: &str,
        is_secret: bool,
    ) -> String {
        let (mut text, mut plain) = (String::new(), String::new());
        for part in parts(value) {
            let reference = match part {
                Part::Plain(part) => {
                    plain.push_str(part);
                    continue;
                }
                Part::Reference(reference) => reference,
            };
            // A dollar before the brace would make it plain.
            let variable = if plain.ends_with('$') {
                None
            } else {
                self.variable(name, reference)
            };
            if let Some(variable) = variable {
                self.judge_plain(name, &plain);
                text = [&text, &interpolate::escape(&plain), "${", &variable, "}"].concat();
                plain.clear();
            } else {
                self.note(name, "a reference is not known here; kept as plain text");
                plain = [&plain, "${", reference, "}"].concat();
            }
        }
        if text.is_empty() && is_secret {
            return format!("{{ file = {} }}", quoted(&self.put_away(name, path, value)));
        }
        if !text.is_empty() {
            self.judge_plain(name, &plain);
        }
        quoted(&(text + &interpolate::escape(&plain)))
    }

    /// Text beside a reference cannot be moved out with it.
    fn judge_plain(&mut self, name: &str, plain: &str) {
        if suspect::is_secret_value(plain) {
            self.note(
                name,
                "text beside a variable seems to be a secret; move it by hand",
            );
        }
    }

    /// The environment variable that a client's reference means.
    fn variable(&mut self, name: &str, reference: &str) -> Option<String> {
        if let Some(input) = reference.strip_prefix("input:") {
            let variable: String = input
                .to_ascii_uppercase()
                .replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
            let variable = if interpolate::is_variable(&variable) {
                variable
            } else {
                format!("INPUT_{variable}")
            };
            self.note(
                name,
                &format!(
                    "the input {} is not asked for; set the environment variable `{variable}`",
                    quoted(input)
                ),
            );
            return Some(variable);
        }
        let (variable, default) = match reference.split_once(":-") {
            Some((variable, default)) => (variable, Some(default)),
            None => (reference.strip_prefix("env:").unwrap_or(reference), None),
        };
        if !interpolate::is_variable(variable) {
            return None;
        }
        if default.is_some() {
            self.note(
                name,
                &format!("the default of `{variable}` is left out; set the environment variable"),
            );
        }
        Some(if variable == "userHome" {
            "HOME".to_owned()
        } else {
            variable.to_owned()
        })
    }

    /// Moves a secret out, and says by which path it will be found.
    fn put_away(&mut self, name: &str, path: &[&str], value: &str) -> String {
        let letter = |letter: char| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let words: Vec<String> = path
            .iter()
            .map(|word| word.chars().map(letter).take(64).collect())
            .collect();
        let base = words.join(".");
        let mut file = base.clone();
        let mut count = 1_u32;
        while self.secrets.contains_key(&file) {
            count += 1;
            file = format!("{base}-{count}");
        }
        self.secrets
            .insert(file.clone(), Secret::new(value.trim().to_owned()));
        self.note(
            name,
            &format!("a secret was moved out of the file, to `{file}`"),
        );
        self.directory.join(file).display().to_string()
    }
}

/// Splits a client's text at its references; clients know no escape.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, (name, after))) = rest
        .split_once("${")
        .and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        parts.extend([Part::Plain(before), Part::Reference(name)]);
        rest = after;
    }
    parts.push(Part::Plain(rest));
    parts
}
