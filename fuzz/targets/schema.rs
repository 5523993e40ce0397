//! Whatever a server writes as the schema of a tool: holding a value to it ends soon, and what it says is the same each time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::catalog::schemas::Schemas;
use portcullis_core::catalog::{Definition, Kind};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Many times what the bound allows on the slowest machine.
const SOON: Duration = Duration::from_secs(20);

fuzz_target!(|text: &str| {
    let (schema, value) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(schema) = serde_json::from_str::<Value>(schema) else {
        return;
    };
    let tool = json!({ "name": "t", "inputSchema": schema, "outputSchema": schema }).to_string();
    let Ok(tool) = Definition::read(Kind::Tool, &tool) else {
        return;
    };
    let Ok(value) = RawValue::from_string(value.to_owned()) else {
        return;
    };
    let began = Instant::now();
    let schemas = Schemas::of(&tool);
    let first = schemas.expect_arguments(Some(&value));
    assert_eq!(schemas.expect_arguments(Some(&value)), first);
    let result = format!(r#"{{"content":[],"structuredContent":{value}}}"#);
    if let Ok(result) = RawValue::from_string(result) {
        // Arguments may be refused for what the schema does not declare; a result may not.
        let held = schemas.expect_result(&result);
        assert!(first.is_err() || held.is_ok(), "{first:?} {held:?}");
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
});
