//! The arguments of a call, checked one by one against what the tool wants.

use super::Name;
use crate::wire::Object;

/// What is wrong with an argument; names only arguments that the tool has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("there is an argument that this tool does not have; it has: {0}")]
    Unknown(String),
    #[error("the argument `{0}` is missing")]
    Missing(&'static str),
    #[error("the argument `{0}` must be a string that is not empty, of at most {1} bytes")]
    NotText(&'static str, usize),
    #[error("the argument `{0}` must be an integer from {1} to {2}")]
    NotInteger(&'static str, u64, u64),
    #[error("the argument `{0}` must be a number from 0 to {1}")]
    NotNumber(&'static str, u32),
    #[error("the argument `{0}` must be true or false")]
    NotBoolean(&'static str),
    #[error("the argument `{0}` must be one of the values of its enum in the inputSchema")]
    NotAKind(&'static str),
}

/// The arguments of one call.
#[derive(Debug)]
pub(crate) struct Arguments<'a>(&'a Object);

impl<'a> Arguments<'a> {
    /// Takes arguments of which the tool knows each.
    pub(crate) fn of(name: Name, arguments: &'a Object) -> Result<Self, Wrong> {
        let known = name.arguments();
        if arguments.keys().all(|key| known.contains(&key.as_str())) {
            return Ok(Self(arguments));
        }
        Err(Wrong::Unknown(if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        }))
    }

    pub(crate) fn text(&self, name: &'static str, max_bytes: usize) -> Result<&'a str, Wrong> {
        let text = self
            .optional_text(name, max_bytes)?
            .ok_or(Wrong::Missing(name))?;
        if text.is_empty() {
            Err(Wrong::NotText(name, max_bytes))
        } else {
            Ok(text)
        }
    }

    pub(crate) fn optional_text(
        &self,
        name: &'static str,
        max_bytes: usize,
    ) -> Result<Option<&'a str>, Wrong> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let text = value.as_str().filter(|text| text.len() <= max_bytes);
        text.map(Some).ok_or(Wrong::NotText(name, max_bytes))
    }

    pub(crate) fn integer(&self, name: &'static str, min: u64, max: u64) -> Result<u64, Wrong> {
        self.optional_integer(name, min, max)?
            .ok_or(Wrong::Missing(name))
    }

    pub(crate) fn optional_integer(
        &self,
        name: &'static str,
        min: u64,
        max: u64,
    ) -> Result<Option<u64>, Wrong> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let integer = value
            .as_u64()
            .filter(|integer| (min..=max).contains(integer));
        integer.map(Some).ok_or(Wrong::NotInteger(name, min, max))
    }

    pub(crate) fn number(&self, name: &'static str, max: u32) -> Result<f64, Wrong> {
        let value = self.0.get(name).ok_or(Wrong::Missing(name))?;
        let number = value
            .as_f64()
            .filter(|number| (0.0..=f64::from(max)).contains(number));
        number.ok_or(Wrong::NotNumber(name, max))
    }

    pub(crate) fn optional_boolean(&self, name: &'static str) -> Result<Option<bool>, Wrong> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        value.as_bool().map(Some).ok_or(Wrong::NotBoolean(name))
    }
}
