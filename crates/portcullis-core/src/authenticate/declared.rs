//! Claims that the configuration declares, with what they must be, so that policies can speak of them.

use super::{ClaimPath, Topic, Unauthenticated};
use serde_json::{Map, Value};

/// The longest text of such a claim, in bytes: it also stands in records.
const MAX_TEXT_BYTES: usize = 256;
/// The most texts of one.
const MAX_TEXTS: usize = 64;

/// A claim of one issuer's tokens that policies can speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredClaim {
    /// What policies call it.
    pub name: String,
    /// Where it stands in a token.
    pub path: ClaimPath,
    /// What it must be.
    pub kind: ClaimKind,
    /// What its issuer says by events in its place.
    pub pushed: Option<Topic>,
}

/// What a claim must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimKind {
    /// `true` or `false`.
    Bool,
    /// A whole number of 64 bits.
    Long,
    /// A text.
    Text,
    /// A list of texts, in any order.
    Texts,
}

/// What such a claim says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is one of `ClaimKind`")]
pub enum ClaimValue {
    Bool(bool),
    Long(i64),
    Text(String),
    Texts(Vec<String>),
}

impl ClaimKind {
    /// Every kind, with its word in the configuration.
    pub const ALL: [(&'static str, Self); 4] = [
        ("bool", Self::Bool),
        ("long", Self::Long),
        ("string", Self::Text),
        ("strings", Self::Texts),
    ];

    /// Its word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Long => "long",
            Self::Text => "string",
            Self::Texts => "strings",
        }
    }

    fn read(self, value: &Value) -> Option<ClaimValue> {
        let text = |value: &Value| {
            let text = value.as_str().filter(|text| text.len() <= MAX_TEXT_BYTES);
            text.map(str::to_owned)
        };
        match self {
            Self::Bool => value.as_bool().map(ClaimValue::Bool),
            Self::Long => value.as_i64().map(ClaimValue::Long),
            Self::Text => text(value).map(ClaimValue::Text),
            Self::Texts => {
                let listed = value.as_array().filter(|list| list.len() <= MAX_TEXTS)?;
                let texts: Option<Vec<String>> = listed.iter().map(text).collect();
                texts.map(ClaimValue::Texts)
            }
        }
    }
}

impl ClaimValue {
    /// The same in JSON.
    pub fn json(&self) -> Value {
        match self {
            Self::Bool(value) => Value::from(*value),
            Self::Long(value) => Value::from(*value),
            Self::Text(value) => Value::from(value.as_str()),
            Self::Texts(value) => Value::from(value.as_slice()),
        }
    }
}

/// Reads what is declared and there.
///
/// INVARIANT: fails closed. A claim that is there and is not what it must be refuses the token: if it counted as absent,
/// a rule that forbids what it says would not hold.
pub(super) fn read(
    declared: &[DeclaredClaim],
    claims: &Map<String, Value>,
) -> Result<Vec<(String, ClaimValue)>, Unauthenticated> {
    let mut found = Vec::new();
    for claim in declared {
        let wrong = || Unauthenticated::Claim {
            name: claim.name.clone(),
        };
        if let Some(value) = claim.path.find(claims) {
            let value = claim.kind.read(value).ok_or_else(wrong)?;
            found.push((claim.name.clone(), value));
        } else if claim.path.is_elsewhere(claims) {
            return Err(wrong());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_one(kind: ClaimKind, claims: &Value) -> Result<Option<Value>, Unauthenticated> {
        let declared = [DeclaredClaim {
            name: "x".to_owned(),
            path: ClaimPath::new(vec!["at".to_owned(), "x".to_owned()]),
            kind,
            pushed: None,
        }];
        let found = read(&declared, claims.as_object().unwrap())?;
        Ok(found.first().map(|(_, value)| value.json()))
    }

    #[test]
    fn auth_05_a_declared_claim_is_what_it_must_be_or_the_token_is_refused() {
        let wrong = || {
            Err(Unauthenticated::Claim {
                name: "x".to_owned(),
            })
        };
        let [long, full] = [1, 0].map(|more| "a".repeat(MAX_TEXT_BYTES + more));
        let many = vec!["a"; MAX_TEXTS + 1];
        let (bool, number) = (ClaimKind::Bool, ClaimKind::Long);
        let (text, texts) = (ClaimKind::Text, ClaimKind::Texts);
        for (kind, value) in [
            (bool, json!(true)),
            (bool, json!(false)),
            (number, json!(-7)),
            (text, json!("")),
            (text, json!(full)),
            (texts, json!([])),
            (texts, json!(["a", "b"])),
            (texts, json!(many[1..])),
        ] {
            let claims = json!({ "at": { "x": value.clone() } });
            assert_eq!(read_one(kind, &claims), Ok(Some(value)));
            assert_eq!(read_one(kind, &json!({ "at": {}, "x": 1 })), Ok(None));
        }
        for (kind, value) in [
            (bool, json!("true")),
            (bool, json!(1)),
            (bool, json!(null)),
            (number, json!("7")),
            (number, json!(7.5)),
            (number, json!(u64::MAX)),
            (text, json!(["a"])),
            (text, json!(null)),
            (text, json!(long)),
            (texts, json!("a")),
            (texts, json!(["a", 1])),
            (texts, json!(many)),
        ] {
            let claims = json!({ "at": { "x": value } });
            assert_eq!(read_one(kind, &claims), wrong(), "{claims}");
        }
        let elsewhere = json!({ "_claim_names": { "at": "src1" } });
        assert_eq!(read_one(text, &elsewhere), wrong());
    }
}
