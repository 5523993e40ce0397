//! What a grant names: tools, resources and prompts, whole or by their beginning.

/// Longest pattern; longer ones are no names of tools.
const MAX_PATTERN_CHARS: usize = 1024;

/// What kind of thing a pattern is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A tool, written without prefix.
    Tool,
    /// A resource by its URI, written `resource:…`.
    Resource,
    /// A prompt, written `prompt:…`.
    Prompt,
    /// What the server may ask of the client, written `ask:sampling`, `ask:elicitation` or `ask:roots`.
    Ask,
}

/// What a server may ask of its client.
pub(crate) const ASKS: [&str; 3] = ["sampling", "elicitation", "roots"];

/// A name, or how names begin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Names {
    /// Every name; written `*`.
    All,
    /// The names that begin so; written `notes_*`.
    Prefix(String),
    /// This name only.
    Exact(String),
}

/// Some tools, resources or prompts of one server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern {
    /// What they are.
    pub(crate) kind: Kind,
    /// What they are called at the server, without its prefix.
    pub(crate) names: Names,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotPattern {
    /// There is nothing to match.
    #[error("a pattern must not be empty")]
    Empty,
    /// An asterisk stands elsewhere than at the end.
    #[error("an asterisk may only stand at the end")]
    Asterisk,
    /// A space, a control character, or too many characters.
    #[error("a pattern has at most 1024 characters, none of them a space or a control character")]
    Characters,
    /// Something before a colon that is no kind.
    #[error("only `resource:`, `prompt:` and `ask:` may stand before a name")]
    Kind,
    /// Something that no server can ask.
    #[error("a server can ask for `ask:sampling`, `ask:elicitation`, `ask:roots` or `ask:*`")]
    Ask,
    /// No `SERVER__` where one is needed.
    #[error("a grant names its server, as in `notes__search` or `notes__*`")]
    Server,
}

impl Names {
    /// Whether `name` is one of them. Compares bytes: case counts.
    pub(crate) fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
            Self::Exact(exact) => name == exact,
        }
    }

    /// Whether all of `others` are among them.
    pub(crate) fn covers(&self, others: &Self) -> bool {
        match (self, others) {
            (Self::All, _) => true,
            (Self::Prefix(_) | Self::Exact(_), Self::All) | (Self::Exact(_), Self::Prefix(_)) => {
                false
            }
            (Self::Prefix(prefix), Self::Prefix(other)) => other.starts_with(prefix.as_str()),
            (Self::Prefix(_) | Self::Exact(_), Self::Exact(other)) => self.contains(other),
        }
    }

    /// Whether there can be a name among both.
    pub(crate) fn meets(&self, others: &Self) -> bool {
        self.covers(others) || others.covers(self)
    }
}

impl Pattern {
    /// Parses `search`, `notes_*`, `resource:*` or `prompt:daily` as they stand under a server.
    ///
    /// # Errors
    /// [`NotPattern`].
    pub(crate) fn parse(text: &str) -> Result<Self, NotPattern> {
        let (kind, names) = kind(text)?;
        Self::of(kind, names)
    }

    /// Parses `notes__search` or `resource:notes__*` as they stand in a grant: the server's name, not yet
    /// looked up, and the pattern.
    ///
    /// # Errors
    /// [`NotPattern`].
    pub(crate) fn parse_qualified(text: &str) -> Result<(&str, Self), NotPattern> {
        let (kind, rest) = kind(text)?;
        let (server, names) = rest.split_once("__").ok_or(NotPattern::Server)?;
        if server.is_empty() {
            return Err(NotPattern::Server);
        }
        Ok((server, Self::of(kind, names)?))
    }

    fn of(kind: Kind, names: &str) -> Result<Self, NotPattern> {
        let names = parse_names(names)?;
        let is_asked = match &names {
            Names::All => true,
            Names::Prefix(_) => false,
            Names::Exact(name) => ASKS.contains(&name.as_str()),
        };
        if kind == Kind::Ask && !is_asked {
            return Err(NotPattern::Ask);
        }
        Ok(Self { kind, names })
    }
}

fn kind(text: &str) -> Result<(Kind, &str), NotPattern> {
    if text.len() > MAX_PATTERN_CHARS
        || text.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return Err(NotPattern::Characters);
    }
    match text.split_once(':') {
        Some(("resource", rest)) => Ok((Kind::Resource, rest)),
        Some(("prompt", rest)) => Ok((Kind::Prompt, rest)),
        Some(("ask", rest)) => Ok((Kind::Ask, rest)),
        Some(_) => Err(NotPattern::Kind),
        None => Ok((Kind::Tool, text)),
    }
}

fn parse_names(text: &str) -> Result<Names, NotPattern> {
    let (start, has_more) = match text.strip_suffix('*') {
        Some(start) => (start, true),
        None => (text, false),
    };
    match (start, has_more) {
        (start, _) if start.contains('*') => Err(NotPattern::Asterisk),
        ("", false) => Err(NotPattern::Empty),
        ("", true) => Ok(Names::All),
        (start, true) => Ok(Names::Prefix(start.to_owned())),
        (start, false) => Ok(Names::Exact(start.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read() {
        let exact = |kind, name: &str| {
            Ok(Pattern {
                kind,
                names: Names::Exact(name.to_owned()),
            })
        };
        assert_eq!(Pattern::parse("search"), exact(Kind::Tool, "search"));
        assert_eq!(Pattern::parse("prompt:daily"), exact(Kind::Prompt, "daily"));
        assert_eq!(
            Pattern::parse("resource:file:///a"),
            exact(Kind::Resource, "file:///a")
        );
        assert_eq!(
            Pattern::parse("resource:*"),
            Ok(Pattern {
                kind: Kind::Resource,
                names: Names::All
            })
        );
        assert_eq!(
            Pattern::parse("notes_*"),
            Ok(Pattern {
                kind: Kind::Tool,
                names: Names::Prefix("notes_".to_owned())
            })
        );
        assert_eq!(
            Pattern::parse_qualified("notes__a__b"),
            Ok((
                "notes",
                Pattern {
                    kind: Kind::Tool,
                    names: Names::Exact("a__b".to_owned())
                }
            ))
        );
        for (text, expected) in [
            ("", NotPattern::Empty),
            ("prompt:", NotPattern::Empty),
            ("a*b", NotPattern::Asterisk),
            ("**", NotPattern::Asterisk),
            ("a b", NotPattern::Characters),
            ("tool:x", NotPattern::Kind),
        ] {
            assert_eq!(Pattern::parse(text), Err(expected), "{text}");
        }
        for text in ["*", "search", "__search"] {
            assert_eq!(
                Pattern::parse_qualified(text),
                Err(NotPattern::Server),
                "{text}"
            );
        }
    }

    #[test]
    fn a_prefix_holds_what_begins_with_it() {
        assert!(Names::Prefix("notes_".to_owned()).contains("notes_read"));
        assert!(!Names::Prefix("notes_".to_owned()).contains("Notes_read"));
        assert!(!Names::Exact("notes".to_owned()).contains("notes_read"));
        assert!(Names::All.contains(""));
    }
}
