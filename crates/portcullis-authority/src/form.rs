//! The parameters of a request: each name once, everything within bounds, and one reading.

use std::borrow::Cow;

/// The most bytes of a query or a form.
const MAX_BYTES: usize = 16 * 1024;
/// The most parameters.
const MAX_PARAMETERS: usize = 64;

/// The parameters of a query or of a form (`application/x-www-form-urlencoded`).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

/// Why parameters are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More bytes or more parameters than anybody needs.
    #[error("too many parameters")]
    TooMany,
    /// A name that comes twice (RFC 6749 sections 3.1 and 3.2), which two readers would read differently.
    #[error("a parameter that comes twice")]
    Twice,
    /// An escape that is none, a text that is no UTF-8, or a control character.
    #[error("a parameter that cannot be read")]
    Unreadable,
}

impl Malformed {
    /// For the audit record.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::Twice => "twice",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Form {
    /// Reads a query or a form.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_BYTES {
            return Err(Malformed::TooMany);
        }
        check_escapes(bytes)?;
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            // The library puts this where there was no UTF-8.
            let is_lost = |text: &Cow<'_, str>| {
                text.contains(|letter: char| letter.is_control() || letter == '\u{fffd}')
            };
            if is_lost(&name) || is_lost(&value) {
                return Err(Malformed::Unreadable);
            }
            if read.len() >= MAX_PARAMETERS {
                return Err(Malformed::TooMany);
            }
            if read.iter().any(|(before, _)| *before == name) {
                return Err(Malformed::Twice);
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(read))
    }

    /// A parameter; one without a value is as if it were not there (RFC 6749 section 3.1).
    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The words of a list with spaces between them.
    pub fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        let text = self.value(name).unwrap_or_default();
        text.split(' ').filter(|word| !word.is_empty())
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

/// Some read a broken escape as it stands, and some drop it.
fn check_escapes(bytes: &[u8]) -> Result<(), Malformed> {
    let mut parts = bytes.split(|byte| *byte == b'%');
    parts.next();
    for part in parts {
        let digits = part.get(..2).ok_or(Malformed::Unreadable)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Malformed::Unreadable);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cd_04_a_form_has_one_reading() {
        for (text, expected) in [
            ("", Ok(None)),
            ("a=b", Ok(Some("b"))),
            ("a=b+c%26", Ok(Some("b c&"))),
            ("a=", Ok(None)),
            ("x=y&a=b&z", Ok(Some("b"))),
            ("a=b&a=b", Err(Malformed::Twice)),
            ("a=b&%61=c", Err(Malformed::Twice)),
            ("a=b&a", Err(Malformed::Twice)),
            ("a=%", Err(Malformed::Unreadable)),
            ("a=%4", Err(Malformed::Unreadable)),
            ("a=%zz", Err(Malformed::Unreadable)),
            ("a=%ff", Err(Malformed::Unreadable)),
            ("a=%00", Err(Malformed::Unreadable)),
            ("a=b%0d%0a", Err(Malformed::Unreadable)),
        ] {
            let read = Form::read(text.as_bytes());
            let value = read.as_ref().map(|form| form.value("a"));
            assert_eq!(value, expected.as_ref().copied(), "{text}");
        }
        let long = "a=".to_owned() + &"b".repeat(MAX_BYTES);
        assert_eq!(Form::read(long.as_bytes()), Err(Malformed::TooMany));
        let listed = |count| {
            let pairs: Vec<String> = (0..count).map(|index| format!("p{index}=1")).collect();
            Form::read(pairs.join("&").as_bytes()).map(drop)
        };
        assert_eq!(listed(MAX_PARAMETERS), Ok(()));
        assert_eq!(listed(MAX_PARAMETERS + 1), Err(Malformed::TooMany));
    }
}
