//! Whatever a DNS server answers: addresses are read of the answer to our question only.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::egress::{addresses, question};

fuzz_target!(|answer: &[u8]| {
    let questions = question("as.example", [0x0102, 0x0304]).expect("a name");
    for asked in &questions {
        let Ok(found) = addresses(asked, answer) else {
            continue;
        };
        assert_eq!(answer[..2], asked[..2], "the id");
        assert!(
            answer[2] & 0x80 != 0 && answer[2] & 2 == 0,
            "a whole answer"
        );
        assert!(found.len() <= 64);
    }
});
