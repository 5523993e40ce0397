//! `${VAR}` in a text.

/// A stretch of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// To be taken as it is.
    Plain(&'a str),
    /// What stands between `${` and `}`.
    Reference(&'a str),
}

/// Splits `text` at its references; `$${` is a plain `${`. `None` if a brace is not closed.
pub(crate) fn parts(text: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at_checked(at)?;
        if before.ends_with('$') {
            // The first dollar goes, the brace stays.
            parts.push(Part::Plain(before));
            parts.push(Part::Plain("{"));
            rest = after.strip_prefix("${")?;
            continue;
        }
        let (name, after) = after.strip_prefix("${")?.split_once('}')?;
        parts.push(Part::Plain(before));
        parts.push(Part::Reference(name));
        rest = after;
    }
    parts.push(Part::Plain(rest));
    parts.retain(|part| *part != Part::Plain(""));
    Some(parts)
}

/// Writes `text` so that [`parts`] reads it back as one plain stretch.
pub(crate) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

/// A name that an environment variable can have.
pub(crate) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Part::{Plain, Reference};

    #[test]
    fn references_are_found() {
        for (text, expected) in [
            ("", Some(vec![])),
            ("plain $x", Some(vec![Plain("plain $x")])),
            ("Bearer ${T}", Some(vec![Plain("Bearer "), Reference("T")])),
            (
                "${A}${B}c",
                Some(vec![Reference("A"), Reference("B"), Plain("c")]),
            ),
            ("a$${b}", Some(vec![Plain("a$"), Plain("{"), Plain("b}")])),
            ("${A", None),
            ("${}", Some(vec![Reference("")])),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn an_escaped_text_is_plain() {
        for text in ["${A}", "a ${b} ${", "x"] {
            let escaped = escape(text);
            let parts = parts(&escaped).unwrap();
            let plain: String = parts
                .iter()
                .map(|part| match part {
                    Plain(text) | Reference(text) => *text,
                })
                .collect();
            assert_eq!(plain, text);
            assert!(!parts.iter().any(|part| matches!(part, Reference(_))));
        }
    }
}
