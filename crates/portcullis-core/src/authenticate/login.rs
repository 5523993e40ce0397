//! What a token says of how and when its subject authenticated (RFC 9068 section 2.2.1).

use super::Unauthenticated;
use super::jwt::{moment, text};
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// What a token says of how and when its subject authenticated (RFC 9068 section 2.2.1). What is absent or written
/// in another way than the specification has it, is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authentication {
    /// The authentication context class (`acr`).
    pub class: Option<String>,
    /// The authentication methods (`amr`, RFC 8176).
    pub methods: Option<Vec<String>>,
    /// When (`auth_time`).
    pub time: Option<Timestamp>,
    /// Whether it is no word of the token's: its user has signed in anew, at a page of ours.
    pub is_anew: bool,
}

/// The most authentication methods; a token with more is refused.
const MAX_METHODS: usize = 64;

/// What is said of the login; whatever is not as it should be is not said.
pub(super) fn authentication(
    claims: &Map<String, Value>,
) -> Result<Authentication, Unauthenticated> {
    let methods = claims.get("amr").and_then(Value::as_array);
    if methods.is_some_and(|listed| listed.len() > MAX_METHODS) {
        return Err(Unauthenticated::Malformed);
    }
    let texts = |listed: &Vec<Value>| {
        let texts = listed.iter().map(|one| one.as_str().map(str::to_owned));
        texts.collect::<Option<Vec<String>>>()
    };
    Ok(Authentication {
        class: text(claims, "acr"),
        methods: methods.and_then(texts),
        time: moment(claims, "auth_time").ok().flatten(),
        is_anew: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(claims: &Value) -> Result<String, Unauthenticated> {
        let said = authentication(claims.as_object().unwrap())?;
        let time = said.time.map(Timestamp::seconds);
        Ok(format!("{:?} {:?} {time:?}", said.class, said.methods))
    }

    #[test]
    fn auth_04_reads_a_login_as_it_is_specified_and_no_other() {
        let many: Vec<String> = (0..=MAX_METHODS).map(|n| n.to_string()).collect();
        for (claims, expected) in [
            (json!({}), Ok("None None None")),
            (
                json!({ "acr": "gold", "amr": ["pwd", "otp"], "auth_time": 7 }),
                Ok(r#"Some("gold") Some(["pwd", "otp"]) Some(7)"#),
            ),
            (
                json!({ "acr": ["gold"], "amr": "pwd", "auth_time": "7" }),
                Ok("None None None"),
            ),
            (
                json!({ "acr": 1, "amr": ["pwd", 7], "auth_time": -7 }),
                Ok("None None None"),
            ),
            (
                json!({ "amr": [], "auth_time": 7.9 }),
                Ok("None Some([]) Some(7)"),
            ),
            (json!({ "amr": many }), Err(Unauthenticated::Malformed)),
        ] {
            assert_eq!(said(&claims), expected.map(str::to_owned), "{claims}");
        }
    }
}
