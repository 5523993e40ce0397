//! How a client with keys shows that it is itself (RFC 7523 section 3).

use super::{Authentication, Client};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::authenticate::{Algorithm, KeySet, names_other_key, signed_by};
use portcullis_core::time::Timestamp;
use serde_json::{Map, Value};
use std::time::Duration;

/// `client_assertion_type`.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
pub(super) const ALGORITHMS: &[Algorithm] = &[
    Algorithm::ES256,
    Algorithm::EdDSA,
    Algorithm::PS256,
    Algorithm::RS256,
];
/// The longest life of an assertion.
const LIFETIME: Duration = Duration::from_mins(5);
/// By how much a client's clock may be off.
const SKEW: Duration = Duration::from_secs(30);

/// Why a client is not believed to be itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotItself {
    /// Nobody has this id.
    #[error("no such client")]
    Unknown,
    /// It has to authenticate, and does not; or it has nothing to do so with, and does.
    #[error("not the way in which this client authenticates")]
    Way,
    /// Its keys were not to be had.
    #[error("keys that cannot be fetched")]
    Keys,
    /// It names a key that is not among the client's.
    #[error("an assertion by a key that is not known")]
    Key,
    /// No assertion that one of its keys has signed.
    #[error("an assertion that does not verify")]
    Signature,
    /// The assertion is about somebody else.
    #[error("an assertion of another client")]
    Subject,
    /// It was made for somebody else.
    #[error("an assertion for another server")]
    Audience,
    /// It is too old, lives too long, or lies in the future.
    #[error("an assertion of another time")]
    Time,
    /// It has no id.
    #[error("an assertion without an id")]
    Id,
    /// It was used before.
    #[error("an assertion that was used before")]
    Replayed,
}

impl NotItself {
    /// For the audit record.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Way => "way",
            Self::Keys => "keys",
            Self::Key => "kid",
            Self::Signature => "signature",
            Self::Subject => "subject",
            Self::Audience => "audience",
            Self::Time => "time",
            Self::Id => "id",
            Self::Replayed => "replayed",
        }
    }
}

/// An assertion that counts, if it was not used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// What no other one has.
    pub digest: String,
    /// Up to when it would count.
    pub until: Timestamp,
}

impl Client {
    /// Whether this is the client; `assertion` is what it has shown, `own` are the names by which it may call us.
    ///
    /// # Errors
    /// [`NotItself`].
    pub fn known_by(
        &self,
        assertion: Option<&str>,
        own: &[&str],
        now: Timestamp,
    ) -> Result<Option<Once>, NotItself> {
        match (&self.authentication, assertion) {
            (Authentication::Public, None) => Ok(None),
            (Authentication::Keys(keys), Some(assertion)) => {
                let signed = signed_by(assertion, keys, ALGORITHMS);
                let (_, claims) = signed.map_err(|_| unsigned(assertion, keys))?;
                judge(&claims, &self.id, own, now).map(Some)
            }
            // Whoever asks has to fetch them first.
            (Authentication::KeysAt(_), Some(_)) => Err(NotItself::Keys),
            (Authentication::Public, Some(_))
            | (Authentication::Keys(_) | Authentication::KeysAt(_), None) => Err(NotItself::Way),
        }
    }
}

/// Why no signature verifies.
fn unsigned(assertion: &str, keys: &KeySet) -> NotItself {
    if names_other_key(assertion, keys) {
        NotItself::Key
    } else {
        NotItself::Signature
    }
}

fn judge(
    claims: &Map<String, Value>,
    id: &str,
    own: &[&str],
    now: Timestamp,
) -> Result<Once, NotItself> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(id) || text("sub") != Some(id) {
        return Err(NotItself::Subject);
    }
    let audience = claims.get("aud");
    // One that names others too could be shown by them.
    let named = match audience.and_then(Value::as_array).map(Vec::as_slice) {
        Some([only]) => only.as_str(),
        Some(_) => None,
        None => text("aud"),
    };
    if !named.is_some_and(|named| own.contains(&named)) {
        return Err(NotItself::Audience);
    }
    let moment = |name: &str| {
        let seconds = claims.get(name).and_then(Value::as_u64);
        seconds.map(Timestamp::from_seconds)
    };
    let until = moment("exp").ok_or(NotItself::Time)?.plus(SKEW);
    let begins = [moment("iat"), moment("nbf")].into_iter().flatten();
    let is_early = begins.into_iter().any(|begin| begin > now.plus(SKEW));
    if until <= now || until > now.plus(LIFETIME + SKEW + SKEW) || is_early {
        return Err(NotItself::Time);
    }
    let jti = text("jti").filter(|jti| (1..=512).contains(&jti.len()));
    let jti = jti.ok_or(NotItself::Id)?;
    let whole = format!("{}:{id}{jti}", id.len());
    Ok(Once {
        digest: URL_SAFE_NO_PAD.encode(digest(&SHA256, whole.as_bytes()).as_ref()),
        until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const OWN: &[&str] = &["https://gate.example", "https://gate.example/token"];

    #[test]
    fn cd_12_an_assertion_is_for_us_of_now_and_counts_once() {
        let good = || {
            json!({
                "iss": "app", "sub": "app", "aud": "https://gate.example",
                "exp": 1_800_000_060, "iat": 1_800_000_000, "jti": "1",
            })
        };
        let read = |claims: &Value| judge(claims.as_object().unwrap(), "app", OWN, NOW);
        assert!(read(&good()).is_ok());
        for (name, value, why) in [
            ("iss", json!("other"), NotItself::Subject),
            ("sub", json!("other"), NotItself::Subject),
            ("aud", json!("https://evil.example"), NotItself::Audience),
            (
                "aud",
                json!(["https://gate.example", "https://evil.example"]),
                NotItself::Audience,
            ),
            ("aud", json!([]), NotItself::Audience),
            ("aud", Value::Null, NotItself::Audience),
            ("exp", json!(1_799_999_970), NotItself::Time),
            ("exp", json!(1_800_000_400), NotItself::Time),
            ("exp", json!("soon"), NotItself::Time),
            ("iat", json!(1_800_000_031), NotItself::Time),
            ("nbf", json!(1_800_000_031), NotItself::Time),
            ("jti", json!(""), NotItself::Id),
            ("jti", Value::Null, NotItself::Id),
        ] {
            let mut claims = good();
            claims[name] = value;
            assert_eq!(read(&claims), Err(why), "{claims}");
        }
        let mut other = good();
        other["aud"] = json!(["https://gate.example/token"]);
        assert_eq!(
            read(&other),
            read(&good()),
            "the same id is the same assertion"
        );
    }
}
