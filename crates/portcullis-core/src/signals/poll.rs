//! What a transmitter is asked that does not push (RFC 8936), and what it answers.

use super::{MAX_ID_BYTES, Unheard};
use crate::protocol::read_strict;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Events that are asked for at once: with the longest tokens that are read, an answer is below one mebibyte.
pub const MAX_EVENTS: usize = 15;

/// What has become of events that came before: they need not come again.
#[derive(Debug, Default)]
pub struct Settled {
    /// They are kept here.
    pub taken: BTreeSet<String>,
    /// They never will be.
    pub refused: BTreeMap<String, Unheard>,
}

/// Whether a transmitter that has nothing to tell answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// At once.
    None,
    /// When it has something to tell, or has waited for long.
    Long,
}

/// The body of a request (RFC 8936 section 2.2).
pub fn request(settled: &Settled, patience: Patience) -> String {
    let refused = settled.refused.iter().map(|(id, why)| {
        let said = json!({ "err": why.code(), "description": why.to_string() });
        (id.clone(), said)
    });
    let mut request = Map::new();
    let mut say = |name: &str, value: Value| request.insert(name.to_owned(), value);
    say("maxEvents", json!(MAX_EVENTS));
    say("returnImmediately", json!(patience == Patience::None));
    say("ack", json!(settled.taken));
    let refused: Map<String, Value> = refused.collect();
    if !refused.is_empty() {
        say("setErrs", Value::Object(refused));
    }
    Value::Object(request).to_string()
}

/// It is no answer of RFC 8936.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a poll response")]
pub struct BadAnswer;

/// The events of an answer (RFC 8936 section 2.3) by their ids, no more than [`MAX_EVENTS`] of them. What is left out comes
/// again, since it is not acknowledged. Nobody has verified any yet.
///
/// # Errors
/// [`BadAnswer`].
pub fn answer(body: &[u8]) -> Result<Vec<(String, String)>, BadAnswer> {
    let mut answer: Map<String, Value> = read_strict(body).map_err(|_| BadAnswer)?;
    if !answer.get("moreAvailable").is_none_or(Value::is_boolean) {
        return Err(BadAnswer);
    }
    let Some(Value::Object(sets)) = answer.remove("sets") else {
        return Err(BadAnswer);
    };
    let one = |(id, token): (String, Value)| match token {
        Value::String(token) if !id.is_empty() && id.len() <= MAX_ID_BYTES => Ok((id, token)),
        Value::String(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_) => Err(BadAnswer),
    };
    sets.into_iter().take(MAX_EVENTS).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authenticate::Unauthenticated;
    use proptest::prelude::*;

    #[test]
    fn auth_03_asks_for_few_and_says_what_was_taken_and_what_was_not() {
        let mut settled = Settled::default();
        let first: Value = serde_json::from_str(&request(&settled, Patience::None)).unwrap();
        let expected = json!({ "maxEvents": 15, "returnImmediately": true, "ack": [] });
        assert_eq!(first, expected);
        settled.taken.extend(["b".to_owned(), "a".to_owned()]);
        let why = Unheard::Token(Unauthenticated::Signature);
        settled.refused.insert("c".to_owned(), why);
        let next: Value = serde_json::from_str(&request(&settled, Patience::Long)).unwrap();
        assert_eq!(next["returnImmediately"], false);
        assert_eq!(next["ack"], json!(["a", "b"]));
        assert_eq!(next["setErrs"]["c"]["err"], "invalid_key");
        assert!(next["setErrs"]["c"]["description"].is_string());
    }

    #[test]
    fn auth_03_reads_answers_in_one_way_and_no_more_than_it_asked_for() {
        let long = "x".repeat(MAX_ID_BYTES + 1);
        for (body, expected) in [
            (json!({ "sets": {} }).to_string(), Some(0)),
            (
                json!({ "sets": { "a": "1", "b": "2" }, "moreAvailable": true }).to_string(),
                Some(2),
            ),
            (
                json!({ "sets": { "a": "1" }, "other": 1 }).to_string(),
                Some(1),
            ),
            (r#"{"sets":{"a":"1","a":"2"}}"#.to_owned(), None),
            (r#"{"sets":{},"sets":{"a":"1"}}"#.to_owned(), None),
            (json!({ "sets": { "a": 1 } }).to_string(), None),
            (json!({ "sets": { "": "1" } }).to_string(), None),
            (json!({ "sets": { long: "1" } }).to_string(), None),
            (json!({ "sets": ["1"] }).to_string(), None),
            (
                json!({ "sets": {}, "moreAvailable": "yes" }).to_string(),
                None,
            ),
            ("{}".to_owned(), None),
            ("[]".to_owned(), None),
            (String::new(), None),
        ] {
            let read = answer(body.as_bytes()).ok().map(|events| events.len());
            assert_eq!(read, expected, "{body}");
        }
        let many = |count: usize| {
            let sets: Map<String, Value> = (0..count)
                .map(|number| (number.to_string(), json!("x")))
                .collect();
            answer(json!({ "sets": sets }).to_string().as_bytes()).map(|events| events.len())
        };
        assert_eq!(many(MAX_EVENTS), Ok(MAX_EVENTS));
        assert_eq!(many(MAX_EVENTS + 1), Ok(MAX_EVENTS));
    }

    proptest! {
        #[test]
        fn auth_03_any_answer_is_refused_or_bounded(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            if let Ok(events) = answer(&body) {
                prop_assert!(events.len() <= MAX_EVENTS);
            }
        }
    }
}
