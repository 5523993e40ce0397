//! Names that may stand in telemetry: those of tools and prompts that have worked, up to a bound for each server.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// What stands for every other name.
pub(super) const OTHER: &str = "_OTHER";
/// The most names of one server, and the longest one in bytes.
const MAX_NAMES: usize = 512;
const MAX_BYTES: usize = 128;

/// Names that were seen to work, by server.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<String, HashSet<String>>>);

impl Names {
    /// A name as telemetry may hold it. Whoever may call anything may call what does not exist: only a call that
    /// was answered with a result makes a name known.
    pub(super) fn of(&self, server: &str, name: &str, has_worked: bool) -> Option<String> {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !servers.contains_key(server) {
            if !has_worked {
                return None;
            }
            servers.insert(server.to_owned(), HashSet::new());
        }
        let known = servers.get_mut(server)?;
        if known.contains(name) {
            return Some(name.to_owned());
        }
        let fits = has_worked && known.len() < MAX_NAMES && name.len() <= MAX_BYTES;
        fits.then(|| {
            known.insert(name.to_owned());
            name.to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, MAX_NAMES, Names};

    #[test]
    fn siem_05_only_names_that_worked_are_told_and_not_without_end() {
        let names = Names::default();
        assert_eq!(names.of("notes", "echo", false), None);
        assert_eq!(names.of("notes", "echo", true).as_deref(), Some("echo"));
        assert_eq!(names.of("notes", "echo", false).as_deref(), Some("echo"));
        assert_eq!(names.of("files", "echo", false), None);
        assert_eq!(names.of("notes", &"x".repeat(MAX_BYTES + 1), true), None);
        for number in 1..MAX_NAMES {
            assert!(names.of("notes", &format!("t{number}"), true).is_some());
        }
        assert_eq!(names.of("notes", "one more", true), None);
        assert!(names.of("notes", "echo", true).is_some());
        assert!(names.of("files", "echo", true).is_some());
    }
}
