//! A lock file, or its first line before what came. What is read is written again byte for byte, and each digest is that of
//! its definition.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::catalog::Digest;
use portcullis_core::catalog::lock::Lock;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for text in [
        text.to_owned(),
        format!("{{\"portcullis.lock\":1}}\n{text}"),
    ] {
        let Ok(lock) = Lock::read(&text) else {
            continue;
        };
        assert_eq!(lock.write(), text);
        assert!(text.is_ascii());
        assert_eq!(lock.pinned().count() + 1, text.lines().count());
        for ((pinned, definition), line) in lock.pinned().zip(text.lines().skip(1)) {
            let said: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(said["server"], pinned.server.as_str());
            assert_eq!(said["name"], pinned.name.as_str());
            let digest = Digest::of(definition.canonical().as_bytes());
            assert_eq!(said["digest"], digest.to_string());
        }
    }
});
