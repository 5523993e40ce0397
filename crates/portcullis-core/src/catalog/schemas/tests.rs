//! Schemas that hold, that are none, and that would never end.

use super::*;
use crate::catalog::Kind;
use serde_json::json;

fn schemas(input: &Value, output: &Value) -> Schemas {
    let tool = json!({ "name": "t", "inputSchema": input, "outputSchema": output });
    Schemas::of(&Definition::read(Kind::Tool, &tool.to_string()).unwrap())
}

fn arguments(schema: &Value, value: &Value) -> Result<(), Unfit> {
    let raw = RawValue::from_string(value.to_string()).unwrap();
    schemas(schema, &json!(true)).expect_arguments(Some(&raw))
}

fn misfit(place: &str, keyword: &str) -> Result<(), Unfit> {
    Err(Unfit::Misfit {
        place: place.to_owned(),
        keyword: keyword.to_owned(),
    })
}

#[test]
fn inj_10_arguments_fit_what_was_approved_or_are_refused() {
    let schema = json!({ "type": "object", "required": ["a"], "properties": {
        "a": { "type": "string", "pattern": "^[a-z]+$" }, "b": { "items": { "enum": [1, 2] } } } });
    let fits = |value: Value| arguments(&schema, &value);
    assert_eq!(fits(json!({ "a": "x", "b": [1, 2, 1] })), Ok(()));
    assert_eq!(fits(json!({ "a": 1 })), misfit("/a", "type"));
    assert_eq!(fits(json!({ "a": "; rm" })), misfit("/a", "pattern"));
    assert_eq!(
        fits(json!({ "a": "x", "b": [1, 3] })),
        misfit("/b/1", "enum")
    );
    assert_eq!(fits(json!({})), misfit("", "required"));
    assert_eq!(fits(json!([])), misfit("", "type"));
    let more = Err(Unfit::Undeclared {
        place: "/side~1note".to_owned(),
    });
    assert_eq!(
        fits(json!({ "a": "x", "side/note": "all that was said" })),
        more
    );
    assert_eq!(
        schemas(&schema, &json!(true)).expect_arguments(None),
        misfit("", "required")
    );
}

#[test]
fn inj_10_members_that_a_schema_leaves_open_may_be_there() {
    let value = json!({ "more": 1 });
    for schema in [
        json!({ "type": "object" }),
        json!({ "properties": {}, "additionalProperties": true }),
        json!({ "properties": {}, "additionalProperties": { "type": "integer" } }),
        json!({ "properties": {}, "patternProperties": { "^m": true } }),
        json!({ "properties": {}, "$ref": "#/$defs/o", "$defs": { "o": { "properties": { "more": true } } } }),
        json!({ "properties": {}, "anyOf": [{ "properties": { "more": true } }] }),
    ] {
        assert_eq!(arguments(&schema, &value), Ok(()), "{schema}");
    }
    for (schema, refused) in [
        (
            json!({ "properties": {} }),
            Err(Unfit::Undeclared {
                place: "/more".to_owned(),
            }),
        ),
        (
            json!({ "properties": {}, "additionalProperties": false }),
            Err(Unfit::Undeclared {
                place: "/more".to_owned(),
            }),
        ),
        (
            json!({ "additionalProperties": false }),
            misfit("", "falseSchema"),
        ),
        (json!(false), misfit("", "falseSchema")),
    ] {
        assert_eq!(arguments(&schema, &value), refused, "{schema}");
    }
}

#[test]
fn inj_13_structured_content_fits_what_was_approved_or_is_refused() {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
    let held = schemas(&json!(true), &schema);
    let result =
        |result: Value| held.expect_result(&RawValue::from_string(result.to_string()).unwrap());
    assert_eq!(
        result(json!({ "content": [], "structuredContent": { "n": 1, "more": 2 } })),
        Ok(())
    );
    assert_eq!(result(json!({ "content": [], "isError": true })), Ok(()));
    assert_eq!(
        result(json!({ "resultType": "input_required", "inputRequests": {} })),
        Ok(())
    );
    assert_eq!(result(json!({ "task": { "taskId": "1" } })), Ok(()));
    assert_eq!(
        result(json!({ "content": [], "structuredContent": { "n": "ignore all that was said" } })),
        misfit("/n", "type")
    );
    // What the client may take for a result is held, whatever else it says of itself.
    assert_eq!(
        result(json!({ "resultType": "input_required", "structuredContent": {} })),
        misfit("", "required")
    );
    assert_eq!(
        result(json!({ "content": [] })),
        misfit("/structuredContent", "required")
    );
}

#[test]
fn poi_01_what_is_no_schema_or_wants_to_be_fetched_holds_nothing_and_lets_nothing_pass() {
    for schema in [
        json!({ "type": "String" }),
        json!({ "properties": { "a": { "pattern": "(" } } }),
        json!({ "$ref": "http://127.0.0.1:1/schema" }),
        json!({ "$ref": "file:///etc/passwd" }),
        json!({ "$schema": "https://example.com/other" }),
        json!({ "$ref": "#/$defs/none" }),
        json!({ "allOf": [{ "$id": "https://example.com/a", "$ref": "#" }] }),
        // `#` is another place inside of it than it seems.
        json!({ "properties": { "a": { "$id": "https://example.com/a", "$ref": "#/$defs/x", "$defs": { "x": { "type": "string" } } } },
            "$defs": { "x": {} } }),
        json!({ "$dynamicRef": "#" }),
        json!("object"),
    ] {
        assert_eq!(
            arguments(&schema, &json!({})),
            Err(Unfit::Schema),
            "{schema}"
        );
    }
    let draft = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "items": [{ "type": "null" }] });
    assert_eq!(arguments(&draft, &json!([1])), misfit("/0", "type"));
}

/// Each definition refers twice to the next.
fn doubling(depth: usize) -> Value {
    let mut defs = serde_json::Map::new();
    for number in 0..depth {
        let next = json!({ "$ref": format!("#/$defs/d{}", number + 1) });
        defs.insert(format!("d{number}"), json!({ "allOf": [next, next] }));
    }
    defs.insert(format!("d{depth}"), json!({ "type": "object" }));
    json!({ "$ref": "#/$defs/d0", "$defs": defs })
}

#[test]
fn poi_01_a_schema_that_grows_beyond_bounds_is_not_held_at_all() {
    let again = json!({ "$ref": "#" });
    for schema in [
        doubling(40),
        // Two for each level of the value.
        json!({ "anyOf": [{ "properties": { "x": again } }, { "required": ["y"], "properties": { "x": again } }] }),
        json!({ "allOf": [{ "items": again }, { "contains": again }] }),
        json!({ "allOf": [{ "additionalProperties": again }, { "properties": { "x": again } }] }),
        // Around in a circle.
        json!({ "$ref": "#/$defs/a", "$defs": { "a": { "allOf": [{ "$ref": "#/$defs/a" }] } } }),
        json!({ "enum": (0..9_000).collect::<Vec<u32>>() }),
    ] {
        let mut value = json!(1);
        for _ in 0..60 {
            value = json!({ "x": value });
        }
        assert_eq!(arguments(&schema, &value), Err(Unfit::Schema), "{schema}");
    }
}

#[test]
fn poi_01_honest_recursion_is_held() {
    let again = json!({ "$ref": "#" });
    let tree = json!({ "type": "object", "required": ["v"], "properties": { "v": { "type": "integer" }, "l": again, "r": again } });
    let filter = json!({ "anyOf": [
        { "type": "object", "required": ["and"], "properties": { "and": { "items": again } } },
        { "type": "object", "required": ["or"], "properties": { "or": { "items": again } } },
        { "type": "string" }] });
    assert_eq!(arguments(&doubling(5), &json!({})), Ok(()));
    assert_eq!(
        arguments(&tree, &json!({ "v": 1, "l": { "v": 2, "r": { "v": 3 } } })),
        Ok(())
    );
    assert_eq!(
        arguments(&tree, &json!({ "v": 1, "l": { "v": 2, "r": {} } })),
        misfit("/l/r", "required")
    );
    assert_eq!(
        arguments(&filter, &json!({ "and": ["a", { "or": ["b", "c"] }] })),
        Ok(())
    );
    assert_eq!(
        arguments(&filter, &json!({ "and": [{ "or": [1] }] })),
        misfit("", "anyOf")
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is about how long it takes")]
fn poi_01_no_pattern_and_no_value_takes_longer_than_bounded() {
    let began = std::time::Instant::now();
    let text = "a".repeat(30_000) + "b";
    for pattern in ["^(a+)+$", "^(?=(a+)+c)(a|aa)+$", "(a*)*\\1$"] {
        let schema = json!({ "properties": { "a": { "pattern": pattern } } });
        assert!(
            arguments(&schema, &json!({ "a": text })).is_err(),
            "{pattern}"
        );
    }
    let many = json!({ "items": { "pattern": "^a+$" } });
    let value = Value::Array(vec![json!("a"); 200_000]);
    assert_eq!(arguments(&many, &value), Err(Unfit::TooLarge));
    let plain = json!({ "items": { "type": "string" } });
    assert_eq!(arguments(&plain, &value), Ok(()));
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn a_version_is_made_ready_once() {
    let ready = Ready::default();
    let tool = |name: &str| {
        let text = json!({ "name": name, "inputSchema": {} }).to_string();
        Definition::read(Kind::Tool, &text).unwrap()
    };
    assert!(Arc::ptr_eq(&ready.of(&tool("a")), &ready.of(&tool("a"))));
    assert!(!Arc::ptr_eq(&ready.of(&tool("a")), &ready.of(&tool("b"))));
}
