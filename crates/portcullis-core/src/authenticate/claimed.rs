//! What a token that was refused says of itself: nothing that is believed, but what an operator wants to know.

use super::{Credentials, Resource, jwt};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// The most audiences of a token that are looked at.
const MAX_AUDIENCES: usize = 8;
/// The most characters that are kept of each.
const MAX_CHARS: usize = 64;

/// The issuer and the key that an unverified token names. Anybody may write anything there: it is for the record only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claimed {
    /// `iss`, cut.
    pub issuer: Option<String>,
    /// `kid`, cut.
    pub key: Option<String>,
}

impl Claimed {
    /// Reads what the token names; none if it is no token, or names neither.
    pub fn of(credentials: &Credentials<'_>) -> Option<Self> {
        let (_, token) = credentials.token().ok()?;
        let (issuer, key) = jwt::named(token);
        let cut = |text: String| Self::cut(&text);
        let claimed = Self {
            issuer: issuer.map(cut),
            key: key.map(cut),
        };
        (claimed.issuer.is_some() || claimed.key.is_some()).then_some(claimed)
    }

    /// As much of a text as is kept.
    pub(super) fn cut(text: &str) -> String {
        text.chars().take(MAX_CHARS).collect()
    }
}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        write!(f, "{} {}", word(&self.issuer), word(&self.key))
    }
}

/// The server of ours that a refused token was made for: to open it, or to be shown to it. None if it is for `own` too.
///
/// Unless its signature was verified, anybody may have written that.
pub(crate) fn issued_for<'a>(
    credentials: &Credentials<'_>,
    own: &Resource,
    known: impl Iterator<Item = &'a Resource>,
) -> Option<Arc<str>> {
    let (_, token) = credentials.token().ok()?;
    let claims = jwt::decode(token.split('.').nth(1)?).ok()?;
    let audiences: Vec<&str> = match claims.get("aud")? {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    if audiences.contains(&own.audience.as_str()) {
        return None;
    }
    let place = |one: &Resource| {
        let mut audiences = audiences.iter().take(MAX_AUDIENCES);
        audiences.position(|audience| {
            one.audience == *audience || one.upstream_audience.as_deref() == Some(audience)
        })
    };
    let meant = known.filter_map(|one| Some((place(one)?, one)));
    let (_, first) = meant.min_by_key(|(place, _)| *place)?;
    Some(Arc::clone(&first.server))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn claimed(header: &str, claims: &str) -> Option<Claimed> {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let authorization = format!("Bearer {header}.{claims}.c2ln");
        Claimed::of(&Credentials {
            authorization: Some(authorization.as_bytes()),
            count: 1,
            ..Credentials::default()
        })
    }

    #[test]
    fn siem_01_what_a_refused_token_names_is_read_and_cut() {
        let long = "x".repeat(1000);
        for (header, claims, expected) in [
            (r#"{"kid":"k"}"#, r#"{"iss":"i","sub":"s"}"#, Some("i k")),
            (r#"{"alg":"none","jwk":{}}"#, r#"{"iss":"i"}"#, Some("i -")),
            (r#"{"kid":"k"}"#, "{", Some("- k")),
            ("{", r#"{"iss":7}"#, None),
            (r#"{"kid":"k","kid":"l"}"#, "{}", None),
        ] {
            let claimed = claimed(header, claims).map(|claimed| claimed.to_string());
            assert_eq!(claimed.as_deref(), expected, "{header} {claims}");
        }
        let cut = claimed(&format!(r#"{{"kid":"{long}"}}"#), "{}").unwrap();
        assert_eq!(cut.key.map(|key| key.len()), Some(MAX_CHARS));
        assert_eq!(Claimed::of(&Credentials::default()), None);
    }
}
