//! The names of servers, in our grammar.

use crate::config::ServerName;
use std::collections::BTreeSet;

/// Names that are taken.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A free name of our grammar, as near to `name` as can be.
    pub(super) fn take(&mut self, name: &str) -> String {
        let letter = |letter: char| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let clean: String = name.chars().map(letter).collect();
        let words: Vec<&str> = clean.split('-').filter(|word| !word.is_empty()).collect();
        let base = if words.is_empty() {
            "server".to_owned()
        } else {
            words.join("-")
        };
        let mut count = 1_u32;
        loop {
            let suffix = if count == 1 {
                String::new()
            } else {
                format!("-{count}")
            };
            let start: String = base
                .chars()
                .take(ServerName::MAX_CHARS - suffix.len())
                .collect();
            let free = start + &suffix;
            if self.0.insert(free.clone()) {
                return free;
            }
            count += 1;
        }
    }
}
