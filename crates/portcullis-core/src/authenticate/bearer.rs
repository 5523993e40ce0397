//! The `Authorization` header (RFC 6750 section 2.1, RFC 9449 section 7.1): one header, one scheme, one token.

use super::{Thumbprint, Unauthenticated};

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
    /// The first `DPoP` header's bytes.
    pub proof: Option<&'a [u8]>,
    /// How many `DPoP` headers there were.
    pub proofs: usize,
    /// The client certificate of the connection, whose key the handshake has proven.
    pub certificate: Option<Thumbprint>,
    /// The request's HTTP method, which a proof names.
    pub method: &'a str,
}

/// How a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// By itself.
    #[default]
    Bearer,
    /// With a proof that the sender holds a key.
    Dpop,
}

impl Scheme {
    fn parse(name: &str) -> Option<Self> {
        [("bearer", Self::Bearer), ("dpop", Self::Dpop)]
            .into_iter()
            .find(|(own, _)| name.eq_ignore_ascii_case(own))
            .map(|(_, scheme)| scheme)
    }
}

impl<'a> Credentials<'a> {
    /// How the token is presented; what is no scheme of ours is told about bearer tokens.
    pub fn scheme(&self) -> Scheme {
        let scheme = self.parts().ok().and_then(|(name, _)| Scheme::parse(name));
        scheme.unwrap_or_default()
    }

    pub(super) fn token(&self) -> Result<(Scheme, &'a str), Unauthenticated> {
        if self.in_query {
            return Err(Unauthenticated::Query);
        }
        if self.count > 1 {
            return Err(Unauthenticated::Duplicate);
        }
        let (scheme, token) = self.parts()?;
        let scheme = Scheme::parse(scheme).ok_or(Unauthenticated::Scheme)?;
        let token = token.trim_matches(' ');
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !is_token(token) {
            return Err(Unauthenticated::Malformed);
        }
        Ok((scheme, token))
    }

    fn parts(&self) -> Result<(&'a str, &'a str), Unauthenticated> {
        let header = self.authorization.ok_or(Unauthenticated::Missing)?;
        let header = std::str::from_utf8(header).map_err(|_| Unauthenticated::Scheme)?;
        header.split_once(' ').ok_or(Unauthenticated::Scheme)
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
