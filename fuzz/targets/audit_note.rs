//! A note is refused, or it is the checkpoint that it says it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_audit::{Checkpoint, SigningKey, Tree, VerifierKey};
use std::sync::LazyLock;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_seed("log.example", &[7; 32]).expect("a key"));

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string().parse::<VerifierKey>().as_ref(), Ok(&key));
    }
    let keys = [KEY.verifier().clone()];
    if let Ok(checkpoint) = Checkpoint::open(text, &keys) {
        assert_eq!(checkpoint.note(), text);
        assert_eq!(checkpoint.origin(), "log.example");
        let _: Tree = checkpoint.tree();
    }
});
