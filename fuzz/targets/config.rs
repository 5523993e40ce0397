//! A file is a configuration or a list of its problems, and neither shows what the environment holds.

#![no_main]
#![expect(
    dead_code,
    unused_imports,
    reason = "the configuration is a part of the binary, which uses all of it"
)]

use libfuzzer_sys::fuzz_target;
use std::path::Path;

#[path = "../../crates/portcullis/src/config/mod.rs"]
mod config;
#[path = "../../crates/portcullis/src/moment.rs"]
mod moment;
#[path = "../../crates/portcullis/src/keys/purpose.rs"]
mod purpose;

mod keys {
    pub(crate) use super::purpose::Purpose;
}

/// What every variable of the environment holds.
const CANARY: &str = "Zq9-canary-7xK";
/// A report about one file is no longer than this.
const MOST: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (first, second) = (read(text), read(text));
    assert_eq!(first, second, "one file, two readings");
    if !text.contains(CANARY) {
        assert!(!first.contains(CANARY), "a secret is shown: {first}");
    }
});

/// Whatever an operator may come to see of it.
fn read(text: &str) -> String {
    let environment = |_: &str| Some(CANARY.to_owned());
    let read_file = |_: &Path| Ok("text of a file".to_owned());
    let file = Path::new("/etc/portcullis/portcullis.toml");
    match config::read(text, file, &environment, &read_file) {
        Ok(checked) => {
            assert!(
                !checked.issuers.is_empty() && !checked.servers.is_empty(),
                "nobody may call nothing"
            );
            format!("{checked:?}")
        }
        Err(problems) => {
            let lines = text.lines().count() + 1;
            assert!(!problems.as_slice().is_empty(), "refused for nothing");
            for problem in problems.as_slice() {
                assert!((1..=lines).contains(&problem.line), "{problem:?}");
                assert!(problem.column >= 1 && !problem.reason.is_empty());
            }
            let told = format!(
                "{problems} {}",
                serde_json::to_string(&problems).expect("JSON")
            );
            assert!(told.len() < MOST, "{} bytes about one file", told.len());
            told
        }
    }
}
