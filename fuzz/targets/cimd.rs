//! Whatever a client says of itself: it is about itself, and answers go where it has said.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_authority::client::{Kind, Metadata};
use portcullis_authority::redirect::{Policy, admit};
use std::collections::BTreeSet;

const ID: &str = "https://app.example/client.json";

fuzz_target!(|document: &[u8]| {
    let policy = Policy {
        hosts: Some(["app.example".to_owned()].into()),
        schemes: BTreeSet::new(),
        loopback: true,
    };
    let read = [
        Metadata::of_document(ID, document, &policy),
        Metadata::of_registration(document, &policy),
    ];
    for metadata in read.into_iter().flatten() {
        assert!(!metadata.redirect_uris.is_empty() || !metadata.grants.is_empty());
        for redirect in &metadata.redirect_uris {
            let text = redirect.as_str();
            let is_local = ["http://localhost", "http://127.0.0.1", "http://[::1]"]
                .iter()
                .any(|host| text.starts_with(host));
            let is_listed = text.starts_with("https://app.example");
            assert!(is_local || is_listed, "{text}");
            assert!(!text.contains(['#', '\\', '*']), "{text}");
            assert_eq!(
                admit(Some(text), &metadata.redirect_uris, &policy).as_deref(),
                Ok(text)
            );
        }
        let kept = serde_json::to_string(&metadata).expect("JSON");
        let again: Metadata = serde_json::from_str(&kept).expect("what was kept");
        assert_eq!(again, metadata);
        let client = metadata.client(ID.to_owned(), Kind::Document);
        assert!(client.is_ok_and(|client| client.id == ID));
    }
});
