//! Whatever is answered where security events are fetched: it is refused, or everybody reads the same in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::signals::poll::{MAX_EVENTS, answer};

fuzz_target!(|body: &[u8]| {
    let Ok(events) = answer(body) else { return };
    assert!(events.len() <= MAX_EVENTS);
    let read: serde_json::Value = serde_json::from_slice(body).expect("strict JSON");
    for (id, token) in &events {
        assert!(!id.is_empty());
        assert_eq!(read["sets"][id], token.as_str());
    }
});
