//! A key set is read or refused, whatever an issuer's server sends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::authenticate::KeySet;
use serde_json::Value;

fuzz_target!(|document: &[u8]| {
    let Ok(keys) = KeySet::parse(document) else {
        return;
    };
    let value: Value = serde_json::from_slice(document).expect("JSON");
    let listed = value["keys"].as_array().expect("a list of keys");
    assert!(
        listed.iter().any(|key| key["kty"] != "oct"),
        "no shared secrets"
    );
    assert!(!format!("{keys:?}").is_empty());
});
