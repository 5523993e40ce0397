//! What is wrong with the policies of a configuration, and where.

use std::fmt;

use cedar_policy::ffi::DetailedError;

/// Why policies do not take effect: everything that is wrong with them, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct PolicyError {
    /// At least one problem, in the order of the sources.
    pub problems: Vec<Problem>,
}

/// One problem of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the policy file, or `grant` and the id of the grant.
    pub source: String,
    /// Where in the file, if it is in one.
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
}

/// A place in a policy file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl PolicyError {
    /// One problem alone.
    pub(super) fn of(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl Problem {
    /// A problem of a whole source.
    pub(super) fn new(source: &str, message: impl Into<String>) -> Self {
        Self {
            source: source.to_owned(),
            position: None,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn at(mut self, position: Option<Position>) -> Self {
        self.position = position;
        self
    }

    /// Takes over what Cedar says of `text`, which may be several problems.
    pub(super) fn all_of(source: &str, text: &str, error: DetailedError) -> Vec<Self> {
        let place = error.source_locations.first().map(|label| label.loc.start);
        let own = Self {
            source: source.to_owned(),
            position: place.and_then(|offset| Position::of(text, offset)),
            message: error.message,
            hint: error.help,
        };
        let related = error.related.into_iter();
        std::iter::once(own)
            .chain(related.flat_map(|error| Self::all_of(source, text, error)))
            .collect()
    }
}

impl Position {
    /// The place of the byte `offset`, unless there is none.
    pub(super) fn of(text: &str, offset: usize) -> Option<Self> {
        let before = text.get(..offset)?;
        let line = before.bytes().filter(|byte| *byte == b'\n').count();
        let column = before.chars().rev().take_while(|c| *c != '\n').count();
        Some(Self {
            line: line.saturating_add(1),
            column: column.saturating_add(1),
        })
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
