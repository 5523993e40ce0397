//! The pass that every message goes through takes what the library takes, without duplicates, and no more.

#![no_main]

#[path = "../../crates/portcullis-core/src/protocol/walker.rs"]
mod walker;

use libfuzzer_sys::fuzz_target;
use portcullis_core::protocol::{MAX_DEPTH, Malformed, check_strict};
use walker::Flaw;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let slowly = walker::walk(text, MAX_DEPTH).map_err(|flaw| match flaw {
        Flaw::Json => Malformed::Json,
        Flaw::Duplicate => Malformed::Duplicate,
    });
    assert_eq!(check_strict(text), slowly);
});
