//! Whatever a server defines, as it is analysed before anybody approves it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::catalog::Kind;
use portcullis_core::catalog::analyse::{Finding, MAX_FINDINGS, analyse, risk};
use serde_json::Value;

fuzz_target!(|text: &str| {
    let Ok(definition) = serde_json::from_str::<Value>(text) else {
        return;
    };
    for kind in Kind::ALL {
        let found = analyse(kind, &definition);
        assert!(found.len() <= MAX_FINDINGS);
        for finding in &found {
            let place = definition.pointer(&finding.pointer);
            assert!(place.is_some(), "{} is nowhere", finding.pointer);
            assert!(!finding.reason.is_empty());
            assert!(finding.excerpt.chars().count() <= 4096);
        }
        let risk = risk(kind, &definition, found.iter().map(Finding::rated));
        assert!(risk.score <= 100);
    }
});
