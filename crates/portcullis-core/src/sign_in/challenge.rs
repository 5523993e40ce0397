//! The challenge of a server: `WWW-Authenticate` (RFC 9110 section 11.6.1, RFC 6750 section 3, RFC 9728 section 5.1).

use http_auth::parse_challenges;

/// Bytes of one header that are read; a longer one says nothing.
const MAX_BYTES: usize = 8192;
/// Scopes that are taken from a challenge.
const MAX_SCOPES: usize = 64;

/// What a server asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where its metadata is, in its words.
    pub metadata: Option<String>,
    /// The scopes that it wants, in order and once each.
    pub scopes: Vec<String>,
    /// Whether the token lacks scopes (`insufficient_scope`).
    pub is_insufficient: bool,
}

/// Reads the first `Bearer` challenge; what cannot be read says nothing.
pub fn challenge<'a>(headers: impl IntoIterator<Item = &'a str>) -> Challenge {
    let fits = |text: &&str| text.len() <= MAX_BYTES;
    for text in headers.into_iter().filter(fits) {
        let Ok(all) = parse_challenges(text) else {
            continue;
        };
        let bearer = all
            .iter()
            .find(|one| one.scheme.eq_ignore_ascii_case("bearer"));
        let Some(bearer) = bearer else { continue };
        let value = |name: &str| {
            let mut of_name = bearer
                .params
                .iter()
                .filter(|(own, _)| own.eq_ignore_ascii_case(name));
            let first = of_name.next().map(|(_, value)| value.to_unescaped());
            // Said twice is not said.
            first.filter(|_| of_name.next().is_none())
        };
        return Challenge {
            metadata: value("resource_metadata"),
            scopes: scopes(&value("scope").unwrap_or_default()),
            is_insufficient: value("error").as_deref() == Some("insufficient_scope"),
        };
    }
    Challenge::default()
}

/// Scopes of one text (RFC 6749 section 3.3), in order and once each; what is no scope is left out.
pub(super) fn scopes(text: &str) -> Vec<String> {
    let mut scopes: Vec<String> = text
        .split(' ')
        .filter(|scope| is_scope(scope))
        .take(MAX_SCOPES)
        .map(str::to_owned)
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

pub(super) fn is_scope(text: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (1..=256).contains(&text.len()) && text.bytes().all(is_inside)
}
