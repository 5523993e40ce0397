//! What servers may be called.

use std::fmt;

/// The name of a server: `^[a-z0-9][a-z0-9-]{0,31}$`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServerName(String);

impl ServerName {
    /// Longest name.
    pub(crate) const MAX_CHARS: usize = 32;

    /// Parses a name; `None` if it does not have the form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let holds = (1..=Self::MAX_CHARS).contains(&text.len())
            && text.bytes().all(inside)
            && !text.starts_with('-');
        holds.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
