//! The `Authorization` header (RFC 6750 section 2.1): one header, one scheme, one token.

use super::Unauthenticated;

/// The longest accepted token, in bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What a request brought to show who sent it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The first `Authorization` header's bytes.
    pub authorization: Option<&'a [u8]>,
    /// How many `Authorization` headers there were.
    pub count: usize,
    /// Whether the query string had an `access_token`.
    pub in_query: bool,
}

impl<'a> Credentials<'a> {
    pub(super) fn token(&self) -> Result<&'a str, Unauthenticated> {
        if self.in_query {
            return Err(Unauthenticated::Query);
        }
        let header = self.authorization.ok_or(Unauthenticated::Missing)?;
        if self.count != 1 {
            return Err(Unauthenticated::Duplicate);
        }
        let header = std::str::from_utf8(header).map_err(|_| Unauthenticated::Scheme)?;
        let (scheme, token) = header.split_once(' ').ok_or(Unauthenticated::Scheme)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Unauthenticated::Scheme);
        }
        let token = token.trim_matches(' ');
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !is_token(token) {
            return Err(Unauthenticated::Malformed);
        }
        Ok(token)
    }
}

/// `b64token` of RFC 6750 section 2.1. Every byte is looked at: without a way out, that is done many at once.
fn is_token(text: &str) -> bool {
    text.bytes()
        .fold(true, |all, byte| all & is_token_byte(byte))
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}
