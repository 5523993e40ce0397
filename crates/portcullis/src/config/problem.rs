//! What is wrong with a file, where, and what to do about it.

use super::bounds::MAX_PROBLEMS;
use super::suspect;
use serde::Serialize;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

/// Everything that is wrong with a file, in the order of the file; never empty.
///
/// JSON: `{"problems":[{"file","line","column","key","reason","fix"}]}`, `fix` may be null.
/// Neither form shows text of the file that looks like a secret.
#[derive(Debug, Serialize)]
pub(crate) struct Problems {
    problems: Vec<Problem>,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
    /// The file as it was named to us.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// Path of the key, such as `grants[1].allow[0]`; empty for the file itself.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) reason: String,
    /// What to write instead.
    pub(crate) fix: Option<String>,
    #[serde(skip)]
    shown: Shown,
}

/// The line as it may be shown, and how much of it is marked.
#[derive(Debug, Clone)]
struct Shown {
    text: String,
    indent: usize,
    width: usize,
}

/// A longer line is not shown: it would fill the terminal.
const MAX_SHOWN_BYTES: usize = 400;

/// The way to a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// A file's text beside what was parsed from it.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
    pub(super) tree: Spanned<DeTable<'a>>,
}

impl Problems {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.truncate(MAX_PROBLEMS);
        Self { problems }
    }

    /// The problems by line and column.
    pub(crate) fn as_slice(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(out, "{problem}")?;
        }
        match self.problems.len() {
            1 => write!(out, "1 problem"),
            count => write!(out, "{count} problems"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(self.shown.indent);
        writeln!(out, "error: {}", self.reason)?;
        writeln!(
            out,
            "{margin}--> {}:{}:{}",
            self.file, self.line, self.column
        )?;
        writeln!(out, "{margin} |")?;
        writeln!(out, "{number} | {}", self.shown.text)?;
        writeln!(out, "{margin} | {indent}{}", "^".repeat(self.shown.width))?;
        if !self.key.is_empty() {
            writeln!(out, "{margin} = key: {}", self.key)?;
        }
        match &self.fix {
            Some(fix) => writeln!(out, "{margin} = help: {fix}"),
            None => Ok(()),
        }
    }
}

impl Place {
    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub(super) fn at(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut place = self.clone();
        place.0.push(step);
        place
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => out.write_str(key)?,
                Step::Key(key) => write!(out, ".{key}")?,
                Step::Index(at) => write!(out, "[{at}]")?,
            }
        }
        Ok(())
    }
}

impl Source<'_> {
    /// A problem with the value at `place` or, if there is none, with the nearest key above it.
    pub(super) fn problem(&self, place: &Place, reason: &str, fix: Option<&str>) -> Problem {
        self.problem_at(self.locate(place), place, reason, fix)
    }

    /// A problem with a part of the text that has been found already.
    pub(super) fn problem_at(
        &self,
        span: Range<usize>,
        place: &Place,
        reason: &str,
        fix: Option<&str>,
    ) -> Problem {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.floor_char_boundary(span.end.max(start));
        let before = self.text.get(..start).unwrap_or_default();
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self
            .text
            .get(begin..)
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        let column = before.get(begin..).unwrap_or_default().chars().count();
        let marked = self
            .text
            .get(start..end)
            .and_then(|marked| marked.lines().next());
        Problem {
            file: self.file.display().to_string(),
            line: before.matches('\n').count() + 1,
            column: column + 1,
            key: place.to_string(),
            reason: reason.to_owned(),
            fix: fix.map(str::to_owned),
            shown: shown(
                line,
                column,
                marked.map_or(1, |marked| marked.chars().count()).max(1),
            ),
        }
    }

    fn locate(&self, place: &Place) -> Range<usize> {
        let mut found = 0..0;
        let (mut table, mut array) = (Some(self.tree.get_ref()), None);
        for step in &place.0 {
            let Some((span, value)) = child(table, array, step) else {
                break;
            };
            found = span;
            table = value.as_table();
            array = value.as_array();
        }
        found
    }
}

/// What `step` leads to, and where that is in the text.
fn child<'t, 'i>(
    table: Option<&'t DeTable<'i>>,
    array: Option<&'t DeArray<'i>>,
    step: &Step,
) -> Option<(Range<usize>, &'t DeValue<'i>)> {
    match step {
        Step::Key(key) => {
            let is_it = |name: &Spanned<DeString<'_>>| name.get_ref().as_ref() == key.as_str();
            let (name, value) = table?.iter().find(|(name, _)| is_it(name))?;
            // A table is named by its key: its own span may be the whole of its lines.
            let is_table = value.get_ref().is_table() || value.get_ref().is_array();
            Some((
                if is_table { name.span() } else { value.span() },
                value.get_ref(),
            ))
        }
        Step::Index(at) => array?.get(*at).map(|value| (value.span(), value.get_ref())),
    }
}

fn shown(line: &str, indent: usize, width: usize) -> Shown {
    if line.len() > MAX_SHOWN_BYTES {
        return Shown {
            text: "(a long line)".to_owned(),
            indent: 0,
            width: 1,
        };
    }
    Shown {
        text: veil(line),
        indent,
        width,
    }
}

/// Hides the values of a line that mentions a secret: the text goes to terminals and logs.
fn veil(line: &str) -> String {
    let is_inside = |letter: char| letter.is_alphanumeric() || "_-".contains(letter);
    let names = line.split(|letter: char| !is_inside(letter));
    let values = line.split(|letter: char| letter.is_whitespace() || "\"',=[]{}".contains(letter));
    let known = ["key", "token_types"];
    let is_suspect = names
        .into_iter()
        .any(|name| !known.contains(&name) && suspect::is_secret_name(name))
        || values.into_iter().any(suspect::is_secret_value)
        || suspect::has_password(line);
    match line.find(['=', '"', '\'']) {
        Some(at) if is_suspect => {
            let (clear, rest) = line.split_at_checked(at).unwrap_or((line, ""));
            let hide = |letter: char| {
                if letter.is_alphanumeric() {
                    '*'
                } else {
                    letter
                }
            };
            clear.chars().chain(rest.chars().map(hide)).collect()
        }
        None if is_suspect => "*".repeat(line.chars().count()),
        Some(_) | None => line.to_owned(),
    }
}

/// The name of a value's type, with its article.
pub(super) const fn type_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::veil;

    #[test]
    fn a_line_with_a_secret_is_veiled() {
        for line in [
            r#"X-Api-Key = "hunter2""#,
            r#"headers = { Authorization = "Bearer hunter2" }"#,
            r#"env = { A = "sk-hunter2", TOKEN = 3 }"#,
            "password = hunter2",
            r#"command = "x" # sk-hunter2"#,
        ] {
            assert!(!veil(line).contains("hunter2"), "{line}");
            assert_eq!(veil(line).chars().count(), line.chars().count());
        }
        for line in [
            r#"listen = "127.0.0.1:1""#,
            r#"key = "key.pem""#,
            r#"token_types = ["JWT"]"#,
        ] {
            assert_eq!(veil(line), line);
        }
    }
}
